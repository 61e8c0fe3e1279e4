//! The command line.

use clap::Parser;

use crate::commands::Command;
use crate::pools::Paths;

/// ZFS send and receive without ZFS
#[derive(Debug, Parser)]
#[command(
    name = "zferry",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) paths: Paths,
    #[command(subcommand)]
    pub(crate) command: Command,
}
