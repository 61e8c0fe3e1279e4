//! How many file systems and snapshots lie below a directory, where that is counted.

use super::{DslDir, DslPool};
use crate::Error;

const FILESYSTEM_COUNT: &str = "com.joyent:filesystem_count";
const SNAPSHOT_COUNT: &str = "com.joyent:snapshot_count";
/// When a snapshot was last made or destroyed: seconds, and nanoseconds.
const SNAPSHOTS_CHANGED: &str = "com.ixsystems:snapshots_changed";

impl DslPool<'_> {
    /// How many file systems and volumes lie below a directory, where that is counted.
    ///
    /// # Errors
    /// Where its table cannot be read.
    pub fn filesystem_count(&self, dir: &DslDir) -> Result<Option<u64>, Error> {
        Ok(self
            .dir_entry(dir, FILESYSTEM_COUNT)?
            .and_then(|value| value.as_u64()))
    }

    /// How many snapshots a directory and those below it have, where that is counted.
    ///
    /// # Errors
    /// Where its table cannot be read.
    pub fn snapshot_count(&self, dir: &DslDir) -> Result<Option<u64>, Error> {
        Ok(self
            .dir_entry(dir, SNAPSHOT_COUNT)?
            .and_then(|value| value.as_u64()))
    }

    /// When a snapshot was last made or destroyed, where that is known: seconds since 1970.
    ///
    /// # Errors
    /// Where its table cannot be read.
    pub fn snapshots_changed(&self, dir: &DslDir) -> Result<Option<u64>, Error> {
        let times = self
            .dir_entry(dir, SNAPSHOTS_CHANGED)?
            .and_then(|value| value.as_u64s());
        Ok(times.and_then(|times| times.first().copied()))
    }
}
