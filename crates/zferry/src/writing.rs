//! Opening pools to change them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use zferry_zpool::dsl::EntityName;
use zferry_zpool::vdev::{FileDisk, WritableDisk, read_labels};
use zferry_zpool::{Environment, Error, OpenOptions, PoolWriter, Timestamp};

use crate::error::CommandError;
use crate::pools::{Paths, missing};
use crate::writers;

/// The system's clock, and its random numbers.
pub(crate) fn environment() -> Result<Environment, CommandError> {
    let mut source = File::open("/dev/urandom")
        .map_err(|error| CommandError::failed(format_args!("cannot open '/dev/urandom': {error}")))?;
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        }
    };
    let random = move || {
        let mut bytes = [0; 8];
        match source.read_exact(&mut bytes) {
            Ok(()) => u64::from_le_bytes(bytes),
            // Keys are made of these numbers: better none than one that can be guessed.
            Err(_) => std::process::abort(),
        }
    };
    Ok(Environment::new(now, random))
}

/// A random number.
pub(crate) fn random() -> Result<u64, CommandError> {
    let mut bytes = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    read.map_err(|error| CommandError::failed(format_args!("cannot read '/dev/urandom': {error}")))?;
    Ok(u64::from_le_bytes(bytes).max(1))
}

/// The files and devices of a pool among those where pools are looked for, by its name.
pub(crate) fn paths_of(paths: &Paths, pool: &str) -> Result<Vec<PathBuf>, CommandError> {
    if let Some(hint) = paths.hint() {
        return Err(missing(pool).hint(hint));
    }
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for path in paths.files()? {
        let Ok(disk) = FileDisk::open(&path) else { continue };
        let Ok(label) = read_labels(&disk) else { continue };
        if label.pool_name() == Some(pool) {
            found.push((label.pool_guid().unwrap_or(0), path));
        }
    }
    let guids: BTreeSet<u64> = found.iter().map(|(guid, _)| *guid).collect();
    if guids.len() > 1 {
        let sentence = format!("cannot open '{pool}': there is more than one pool of that name");
        return Err(CommandError::failed(sentence));
    }
    if found.is_empty() {
        return Err(missing(pool).hint(format_args!(
            "None of the places given with -d holds a pool '{pool}'."
        )));
    }
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Opens files and devices for writing; where another process writes to them, waits for it if `waits`.
pub(crate) fn open_disks(paths: &[PathBuf], waits: bool) -> Result<Vec<Arc<dyn WritableDisk>>, CommandError> {
    writers::open(paths, waits)
}

/// Opens the pool of a dataset for writing.
pub(crate) fn open_pool_of(paths: &Paths, dataset: &str) -> Result<PoolWriter, CommandError> {
    open_pool(paths, dataset, false)
}

/// The same, also where it was not exported or was destroyed.
pub(crate) fn open_pool(paths: &Paths, dataset: &str, is_forced: bool) -> Result<PoolWriter, CommandError> {
    let name = EntityName::new(dataset).pool();
    let disks = open_disks(&paths_of(paths, name)?, paths.waits())?;
    let options = OpenOptions::default();
    let opened = if is_forced {
        PoolWriter::open_forced(disks, &options, environment()?)
    } else {
        PoolWriter::open(disks, &options, environment()?)
    };
    opened.map_err(|error| crate::pools::cannot_open(name, error))
}

/// Why a file or device cannot be opened; of one that is written to, also by whom.
pub(crate) fn cannot_open(path: &Path, error: &Error) -> CommandError {
    let shown = path.display();
    let who = matches!(error, Error::Busy(_))
        .then(|| writers::who_writes(path))
        .flatten();
    match who {
        Some(who) => CommandError::failed(format_args!("cannot open '{shown}': it is written to by {who}"))
            .hint("With --wait before the subcommand, zferry waits until that is done."),
        None => CommandError::failed(format_args!("cannot open '{shown}': {error}")),
    }
}

/// Notes in the pool's history how this command was called, commits, and sees to it that what was destroyed is freed.
pub(crate) fn finish(mut writer: PoolWriter) -> Result<(), CommandError> {
    writer
        .log_command(&command_line())
        .and_then(|()| writer.commit().map(drop))
        .and_then(|()| free_what_was_destroyed(&mut writer))
        .map_err(|error| CommandError::failed(format_args!("cannot write to the pool: {error}")))
}

/// How this command was called, as a pool's history has it. What is no text in it is shown as near as can be.
pub(crate) fn command_line() -> String {
    let words = std::env::args_os().skip(1);
    words.fold("zferry".to_owned(), |line, word| {
        format!("{line} {}", word.to_string_lossy())
    })
}

/// Each commit frees a part. A pool of OpenZFS's can have more to be freed than is freed here.
pub(crate) fn free_what_was_destroyed(writer: &mut PoolWriter) -> Result<(), Error> {
    let mut left = writer.freeing()?;
    while left > 0 {
        writer.commit()?;
        let now = writer.freeing()?;
        if now >= left {
            break;
        }
        left = now;
    }
    Ok(())
}

/// The absolute form of a path, as labels name it.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(_) => std::path::absolute(path),
    }
}
