//! The command line.

use clap::Parser;

use crate::commands::Command;

/// ZFS send and receive without ZFS
#[derive(Debug, Parser)]
#[command(
    name = "zferry",
    version,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}
