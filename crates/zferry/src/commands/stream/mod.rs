//! `zferry stream`: streams as they lie in files, without any pool.

mod dump;
pub(crate) mod input;
mod json;
mod token;
mod verify;

use clap::Subcommand;

use crate::error::CommandError;

/// Look into send streams: dump, verify, decode resume tokens
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: StreamCommand,
}

#[derive(Debug, Subcommand)]
enum StreamCommand {
    Dump(dump::Args),
    Verify(verify::Args),
    Token(token::Args),
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    match &args.command {
        StreamCommand::Dump(args) => dump::run(args),
        StreamCommand::Verify(args) => verify::run(args),
        StreamCommand::Token(args) => token::run(args),
    }
}
