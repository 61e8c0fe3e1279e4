//! The subcommands, a file each: its arguments, whose doc comments are its help, and what it does.

mod assignment;
mod bookmark;
mod clone;
mod completion;
mod create;
mod destroy;
mod encryption;
mod get;
mod hold;
mod key;
mod list;
mod pool;
mod receive;
mod rename;
mod rollback;
mod send;
mod set;
mod snapshot;
mod stream;

use clap::Subcommand;

use crate::cli::Cli;
use crate::error::CommandError;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bookmark(bookmark::Args),
    ChangeKey(key::ChangeArgs),
    Clone(clone::Args),
    Completion(completion::Args),
    Create(create::Args),
    Destroy(destroy::Args),
    Get(get::Args),
    Hold(hold::HoldArgs),
    Holds(hold::ListArgs),
    Inherit(set::InheritArgs),
    List(list::Args),
    LoadKey(key::LoadArgs),
    #[command(subcommand)]
    Pool(pool::Command),
    Promote(clone::PromoteArgs),
    #[command(visible_alias = "recv")]
    Receive(receive::Args),
    Release(hold::ReleaseArgs),
    Rename(rename::Args),
    Rollback(rollback::Args),
    Send(send::Args),
    Set(set::Args),
    Snapshot(snapshot::Args),
    Stream(stream::Args),
    UnloadKey(key::UnloadArgs),
}

/// Does what the command line asks.
pub(crate) fn run(cli: Cli) -> Result<(), CommandError> {
    match cli.command {
        Command::Bookmark(args) => bookmark::run(&cli.paths, &args),
        Command::ChangeKey(args) => key::change(&cli.paths, &args),
        Command::Clone(args) => clone::run(&cli.paths, &args),
        Command::Completion(args) => completion::run(&args),
        Command::Create(args) => create::run(&cli.paths, &args),
        Command::Destroy(args) => destroy::run(&cli.paths, &args),
        Command::Get(args) => get::run(&cli.paths, &args),
        Command::Hold(args) => hold::hold(&cli.paths, &args),
        Command::Holds(args) => hold::list(&cli.paths, &args),
        Command::Inherit(args) => set::inherit(&cli.paths, &args),
        Command::List(args) => list::run(&cli.paths, &args),
        Command::LoadKey(args) => key::load(&cli.paths, &args),
        Command::Pool(command) => pool::run(&cli.paths, command),
        Command::Promote(args) => clone::promote(&cli.paths, &args),
        Command::Receive(args) => receive::run(&cli.paths, &args),
        Command::Release(args) => hold::release(&cli.paths, &args),
        Command::Rename(args) => rename::run(&cli.paths, &args),
        Command::Rollback(args) => rollback::run(&cli.paths, &args),
        Command::Send(args) => send::run(&cli.paths, &args),
        Command::Set(args) => set::run(&cli.paths, &args),
        Command::Snapshot(args) => snapshot::run(&cli.paths, &args),
        Command::Stream(args) => stream::run(&args),
        Command::UnloadKey(args) => key::unload(&cli.paths, &args),
    }
}
