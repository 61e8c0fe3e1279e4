//! `zferry stream dump`

use std::io::{self, BufWriter, Write};

use zferry_zstream::dump::{DumpError, Options, dump};

use super::input::Input;
use crate::error::CommandError;

/// Show the records of a stream
///
/// The text is that of `zstream dump`, also for streams of machines of the other byte order. The exit code is 1 where a
/// checksum is wrong or the stream is cut; everything before that is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zferry stream dump backup.zsend
  zfs send tank/home@monday | zferry stream dump -v | less")]
pub(crate) struct Args {
    /// Show each record; twice: with its checksum
    #[arg(short = 'v', action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show each record, its checksum, and its payload in hexadecimal and ASCII
    #[arg(short = 'd')]
    data: bool,
    /// Do not check checksums
    #[arg(short = 'C')]
    no_checksums: bool,
    #[command(flatten)]
    input: Input,
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let options = Options {
        records: args.verbose > 0 || args.data,
        checksums: args.verbose > 1 || args.data,
        payloads: args.data,
        unchecked: args.no_checksums,
    };
    let opened = args.input.open()?;
    let mut output = BufWriter::with_capacity(256 << 10, io::stdout().lock());
    let result = dump(opened.source, options, &mut output);
    output.flush()?;
    result.map_err(|error| match error {
        DumpError::Write(error) => error.into(),
        error => CommandError::failed(format_args!("{}: {error}", args.input.name())),
    })
}
