//! `zferry pool export`: what the labels say of who uses a pool.
//!
//! A pool that is written here is exported all the while: its files are locked while a command works on it, and free
//! afterwards. So there is only something to do for a pool that another system has left in use, or destroyed.

use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool};

/// Mark a pool as not in use, so that any system imports it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Although another system has left it in use
    #[arg(short = 'f')]
    force: bool,
    /// The pool
    name: String,
}

/// Marks a pool as exported.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    finish(open_pool(paths, &args.name, args.force)?)
}
