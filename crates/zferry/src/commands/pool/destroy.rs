//! `zferry pool destroy`: marks a pool as destroyed.

use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::open_pool_of;

/// Mark a pool as destroyed
///
/// Its files stay as they are, and `zpool import -D` finds it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The pool
    name: String,
}

/// Marks a pool as destroyed.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let name = &args.name;
    let writer = open_pool_of(paths, name)?;
    writer
        .destroy()
        .map_err(|error| CommandError::failed(format_args!("cannot destroy '{name}': {error}")))
}
