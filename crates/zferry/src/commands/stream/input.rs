//! Where a stream is read from: a file, or standard input.

use std::fs::File;
use std::io::{self, IsTerminal, Seek};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;

use zferry_zstream::source::{Buffered, ReadAhead, Source};

use crate::error::CommandError;

/// A file of at least this many bytes is read on several threads.
const WORTH_THREADS: u64 = 8 << 20;

/// Beyond this, more threads do not read faster.
const THREADS_LIMIT: usize = 8;

/// The stream that a subcommand reads.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Input {
    /// The stream; standard input if there is none, or "-"
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,
}

impl Input {
    /// The stream at `path`; standard input if that is "-".
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self { path: Some(path) }
    }

    fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> String {
        self.path().map_or_else(
            || "standard input".to_owned(),
            |path| format!("'{}'", path.display()),
        )
    }

    /// Opens the stream.
    pub(crate) fn open(&self) -> Result<Opened, CommandError> {
        let cannot =
            |error: io::Error| CommandError::failed(format_args!("cannot open {}: {error}", self.name()));
        match self.path() {
            Some(path) => Opened::file(File::open(path).map_err(cannot)?).map_err(cannot),
            None if io::stdin().is_terminal() => Err(CommandError::failed(
                "cannot read a stream from a terminal: it is binary",
            )
            .hint("Redirect standard input, or name a file.")),
            None => standard_input().map_err(cannot),
        }
    }
}

/// Standard input may well be a file, which is read faster as one.
#[cfg(unix)]
fn standard_input() -> io::Result<Opened> {
    Opened::file(standard_input_file()?)
}

#[cfg(unix)]
fn standard_input_file() -> io::Result<File> {
    use std::os::fd::AsFd;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// Standard input for whoever keeps all payloads: what was just copied is summed fastest, so no other thread does it.
#[cfg(unix)]
pub(crate) fn standard_input_in_turn() -> io::Result<Opened> {
    let mut file = standard_input_file()?;
    let metadata = file.metadata()?;
    let length = if metadata.is_file() {
        Some(metadata.len().saturating_sub(file.stream_position()?))
    } else {
        None
    };
    Ok(Opened {
        source: Box::new(Buffered::for_filling(file)),
        length,
    })
}

#[cfg(not(unix))]
pub(crate) fn standard_input_in_turn() -> io::Result<Opened> {
    standard_input()
}

#[cfg(not(unix))]
fn standard_input() -> io::Result<Opened> {
    Ok(Opened {
        source: Box::new(Buffered::new(io::stdin())),
        length: None,
    })
}

/// A stream that is open.
pub(crate) struct Opened {
    pub(crate) source: Box<dyn Source + Send>,
    /// How long it is in bytes, if that is known.
    pub(crate) length: Option<u64>,
}

impl Opened {
    fn file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        let length = if metadata.is_file() {
            let start = file.stream_position()?;
            Some((start, metadata.len().saturating_sub(start)))
        } else {
            None
        };
        Ok(Self {
            source: match length {
                Some((start, length)) if length >= WORTH_THREADS => {
                    Box::new(ReadAhead::new(file, start, threads())?)
                }
                _ => Box::new(Buffered::new(file)),
            },
            length: length.map(|(_, length)| length),
        })
    }
}

fn threads() -> NonZeroUsize {
    let limit = NonZeroUsize::new(THREADS_LIMIT).unwrap_or(NonZeroUsize::MIN);
    thread::available_parallelism().map_or(NonZeroUsize::MIN, |count| count.min(limit))
}
