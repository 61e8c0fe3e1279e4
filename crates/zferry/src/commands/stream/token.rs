//! `zferry stream token`

use std::io::{self, Write};
use std::path::PathBuf;

use zferry_zstream::token::{Partial, unpack};

use super::input::Input;
use crate::error::CommandError;

/// Show what a resume token says, or the token of a partial stream
///
/// A token is what `zfs get receive_resume_token` shows of a dataset whose receive was interrupted, and what
/// `zfs send -t` takes to go on.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zferry stream token \"$(zfs get -H -o value receive_resume_token tank/home)\"
  zfs send -t \"$(zferry stream token --from partial.zsend)\"")]
pub(crate) struct Args {
    /// The token
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    token: Option<String>,
    /// Print the token that an interrupted receive of FILE would leave ("-" for standard input); of a package, that of
    /// the stream in which it ends
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let mut output = io::stdout();
    if let Some(path) = &args.from {
        writeln!(output, "{}", of_partial(&Input::at(path.clone()))?.token.encode())?;
    }
    if let Some(token) = &args.token {
        let list = unpack(token)
            .map_err(|error| CommandError::failed(format_args!("Unable to parse resume token: {error}")))?;
        write!(output, "{}", list.dump(5))?;
    }
    Ok(())
}

/// Says on standard error why the stream ends where it does: it may be damaged there, not cut.
fn of_partial(input: &Input) -> Result<Partial, CommandError> {
    let opened = input.open()?;
    let partial = Partial::read(opened.source)
        .map_err(|error| CommandError::failed(format_args!("{}: {error}", input.name())))?;
    writeln!(io::stderr(), "{}: {}", input.name(), partial.end)?;
    Ok(partial)
}
