//! The subcommands, a file each: its arguments, whose doc comments are its help, and what it does.

mod assignment;
mod completion;
mod create;
mod get;
mod list;
mod pool;
mod receive;
mod send;
mod set;
mod snapshot;
mod stream;

use clap::Subcommand;

use crate::cli::Cli;
use crate::error::CommandError;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Completion(completion::Args),
    Create(create::Args),
    Get(get::Args),
    Inherit(set::InheritArgs),
    List(list::Args),
    #[command(subcommand)]
    Pool(pool::Command),
    #[command(visible_alias = "recv")]
    Receive(receive::Args),
    Send(send::Args),
    Set(set::Args),
    Snapshot(snapshot::Args),
    Stream(stream::Args),
}

/// Does what the command line asks.
pub(crate) fn run(cli: Cli) -> Result<(), CommandError> {
    match cli.command {
        Command::Completion(args) => completion::run(&args),
        Command::Create(args) => create::run(&cli.paths, &args),
        Command::Get(args) => get::run(&cli.paths, &args),
        Command::Inherit(args) => set::inherit(&cli.paths, &args),
        Command::List(args) => list::run(&cli.paths, &args),
        Command::Pool(command) => pool::run(&cli.paths, command),
        Command::Receive(args) => receive::run(&cli.paths, &args),
        Command::Send(args) => send::run(&cli.paths, &args),
        Command::Set(args) => set::run(&cli.paths, &args),
        Command::Snapshot(args) => snapshot::run(&cli.paths, &args),
        Command::Stream(args) => stream::run(&args),
    }
}
