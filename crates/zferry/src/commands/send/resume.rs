//! `zferry send -t`: on with a stream that was interrupted.

use zferry_replicate::send::{Resolved, ResumeError};
use zferry_zpool::dsl::DslPool;
use zferry_zstream::token::{ResumeToken, unpack};

use super::{Args, send_resolved};
use crate::error::CommandError;
use crate::pools::Paths;

pub(super) fn run(paths: &Paths, args: &Args, text: &str) -> Result<(), CommandError> {
    let cannot =
        |error: &dyn std::fmt::Display| CommandError::failed(format_args!("cannot resume send: {error}"));
    let list = unpack(text).map_err(|error| cannot(&error))?;
    args.say(&mut |out| write!(out, "resume token contents:\n{}", list.print()))?;
    let token = ResumeToken::decode(text).map_err(|error| cannot(&error))?;
    let pool = paths.open_pool_of(&token.to_name)?;
    let dsl = DslPool::new(&pool);
    let resolved = Resolved::resume(&dsl, &token).map_err(|error| match error {
        ResumeError::Resolve(error) => super::not_found(&token.to_name, None, error),
        error => cannot(&error),
    })?;
    send_resolved(&pool, args, &resolved, args.send_options().with_token(&token))
}
