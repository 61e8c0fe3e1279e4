//! The `zferry` command: ZFS send and receive without ZFS.
//!
//! `cli` reads the command line, `commands` has a file for each subcommand, `error` decides what a failure prints and
//! what the command exits with. Everything that knows a format is in the libraries.

// They panic where nobody reads any more: `writeln!` says so, and `output::warn` goes on.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod commands;
mod courtesy;
mod datasets;
mod error;
mod keys;
mod moment;
mod output;
mod pools;
mod writers;
mod writing;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return error::report_usage(&error),
    };
    match commands::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        crate::cli::Cli::command().debug_assert();
    }
}
