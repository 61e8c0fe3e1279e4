//! Who else writes to a pool at the moment, as the system tells, and waiting for them.
//!
//! A writer holds a lock on each of the pool's files, which the system takes back however the writer ends. On Linux,
//! `/proc/locks` has a line for each lock:
//!
//! ```text
//! 1: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF
//!                           pid  device:inode
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{major, minor};
use zferry_zpool::Error;
use zferry_zpool::vdev::{WritableDisk, WritableFile};

use crate::error::CommandError;
use crate::writing::cannot_open;

/// Opens files and devices for writing; where another process writes to one of them, waits for it if `waits`.
pub(crate) fn open(paths: &[PathBuf], waits: bool) -> Result<Vec<Arc<dyn WritableDisk>>, CommandError> {
    'again: loop {
        let mut disks: Vec<Arc<dyn WritableDisk>> = Vec::new();
        for path in paths {
            match WritableFile::open(path) {
                Ok(disk) => disks.push(Arc::new(disk)),
                Err(Error::Busy(_)) if waits && path.is_file() => {
                    // Two that wait must not each hold what the other one wants.
                    drop(disks);
                    let freed = until_free(path);
                    freed
                        .map_err(|error| cannot_open(path, &Error::io(path.display().to_string(), error)))?;
                    continue 'again;
                }
                Err(error) => return Err(cannot_open(path, &error)),
            }
        }
        return Ok(disks);
    }
}

/// Returns when nobody writes to a file.
fn until_free(path: &Path) -> io::Result<()> {
    // A shared lock is given to all who wait at once, and is given back at the end of this line.
    File::open(path)?.lock_shared()
}

/// Files and devices to which somebody may write.
#[derive(Debug)]
pub(crate) struct Writers {
    /// As they are called in `/proc/locks`.
    places: Vec<String>,
}

impl Writers {
    /// Those of files and devices; what is not there is left out.
    pub(crate) fn of(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let places = paths.into_iter().filter_map(|path| place(&path));
        Self {
            places: places.collect(),
        }
    }

    /// Whether a process writes to one of them now, as far as that can be told.
    pub(crate) fn are_there(&self) -> bool {
        self.process().is_some()
    }

    /// The process that writes to one of them.
    fn process(&self) -> Option<u32> {
        let locks = fs::read_to_string("/proc/locks").ok()?;
        let mut lines = locks.lines();
        lines.find_map(|line| self.places.iter().find_map(|place| holder(line, place)))
    }
}

/// What `/proc/locks` calls a file.
fn place(path: &Path) -> Option<String> {
    let file = fs::metadata(path).ok()?;
    let (device, inode) = (file.dev(), file.ino());
    Some(format!("{:02x}:{:02x}:{inode}", major(device), minor(device)))
}

/// The process that writes to a file or device, and how it was called; none where that cannot be told.
pub(crate) fn who_writes(path: &Path) -> Option<String> {
    let pid = Writers::of([path.to_owned()]).process()?;
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = String::from_utf8_lossy(&words);
    let words: Vec<&str> = words.split_terminator('\0').collect();
    Some(match words.as_slice() {
        [] => format!("process {pid}"),
        words => format!("process {pid} ({})", words.join(" ").escape_debug()),
    })
}

/// The process of a line, if it tells of a writer's lock on the file at `place`.
fn holder(line: &str, place: &str) -> Option<u32> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let kind = [words.next()?, words.next()?, words.next()?];
    let pid = words.next()?.parse().ok()?;
    (kind == ["FLOCK", "ADVISORY", "WRITE"] && words.next() == Some(place)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::holder;

    #[test]
    fn lines_of_locks() {
        let line = "12: FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF";
        assert_eq!(holder(line, "fd:01:131"), Some(4711));
        assert_eq!(holder(line, "fd:01:13"), None);
        assert_eq!(
            holder("12: -> FLOCK  ADVISORY  WRITE 4711 fd:01:131 0 EOF", "fd:01:131"),
            None
        );
        assert_eq!(
            holder("3: OFDLCK ADVISORY  READ -1 fd:01:131 7 7", "fd:01:131"),
            None
        );
        assert_eq!(holder("", "fd:01:131"), None);
    }
}
