//! `zferry completion`

use std::io;

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::error::CommandError;

/// Print a script that completes zferry's words in a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  zferry completion bash > ~/.local/share/bash-completion/completions/zferry"
)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "zferry", &mut script);
    io::Write::write_all(&mut io::stdout(), &script)?;
    Ok(())
}
