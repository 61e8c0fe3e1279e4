//! `zferry stream token`

use std::io::{self, Write};

use zferry_zstream::token::unpack;

use crate::error::CommandError;

/// Show what a resume token says
///
/// A token is what `zfs get receive_resume_token` shows of a dataset whose receive was interrupted, and what
/// `zfs send -t` takes to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  zferry stream token \"$(zfs get -H -o value receive_resume_token tank/home)\"")]
pub(crate) struct Args {
    /// The token
    token: String,
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let list = unpack(&args.token)
        .map_err(|error| CommandError::failed(format_args!("Unable to parse resume token: {error}")))?;
    write!(io::stdout(), "{}", list.dump(5))?;
    Ok(())
}
