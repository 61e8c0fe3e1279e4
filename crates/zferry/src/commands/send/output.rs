//! Where a stream goes: to standard output, on request through the deduplicator.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::thread;

use zferry_replicate::send::{DedupError, deduplicate};
use zferry_zstream::writer::WriteError;

/// How much is gathered before it is written, where records come one by one, in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Standard output without the line buffer that Rust puts before it: a stream has no lines.
pub(crate) fn standard_output() -> io::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

/// Sends into the deduplicator, which writes to `output`.
pub(crate) fn deduplicated<E: From<io::Error>>(
    output: &mut File,
    send: impl FnOnce(&mut dyn Write) -> Result<(), E>,
) -> Result<(), E> {
    let (reader, mut writer) = io::pipe()?;
    thread::scope(|scope| {
        let copier = thread::Builder::new().spawn_scoped(scope, move || {
            deduplicate(reader, BufWriter::with_capacity(BUFFER_BYTES, output))
        })?;
        let sent = send(&mut writer);
        // The copier sees the end of the stream only when nobody can write any more.
        drop(writer);
        let copied = copier.join().unwrap_or(Err(DedupError::Interrupted));
        match (sent, copied) {
            // If the output failed, the sender was left with a pipe that nobody reads: the output's error is the cause.
            (_, Err(DedupError::Output(error))) => Err(io_error(error).into()),
            (Err(error), _) => Err(error),
            (Ok(()), Err(error)) => Err(io::Error::other(error).into()),
            (Ok(()), Ok(_)) => Ok(()),
        }
    })
}

fn io_error(error: WriteError) -> io::Error {
    match error {
        WriteError::Io(error) => error,
        other => io::Error::other(other),
    }
}
