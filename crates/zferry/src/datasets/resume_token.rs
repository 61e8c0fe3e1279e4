//! `receive_resume_token`: with what an interrupted receive goes on.

use zferry_zpool::Error;
use zferry_zpool::dsl::{Dataset, DslPool};

/// The token with which an interrupted receive into a file system or volume goes on.
///
/// # Errors
/// Where what was noted cannot be read.
pub(crate) fn resume_token(dsl: &DslPool<'_>, head: &Dataset) -> Result<Option<String>, Error> {
    let state = dsl.resume_state(head)?;
    Ok(state.map(|state| zferry_replicate::receive::resume_token(state).encode()))
}
