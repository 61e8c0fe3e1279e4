//! How many file systems and snapshots lie below directories: counted from where somebody set a limit on, and for all that is
//! made since anybody did.
//!
//! ```text
//! com.joyent:filesystem_count   directories below, hidden ones too
//! com.joyent:snapshot_count     snapshots of the head and of the heads below
//! ```
//!
//! Both are entries in the directory's own table, as `dsl_fs_ss_count_adjust` and its like in `module/zfs/dsl_dir.c` keep
//! them. What is below a directory that counts, counts itself. The limits keep nothing out here: for whoever may change them,
//! as root may, OpenZFS does not enforce them either.

use super::PoolWriter;
use crate::spa::Feature;
use crate::zap::ZapValue;
use crate::{Corrupt, Error, ObjectNumber};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const COUNT_OF_SNAPSHOTS: &str = "com.joyent:snapshot_count";
pub(super) const COUNT_OF_FILE_SYSTEMS: &str = "com.joyent:filesystem_count";

/// A limit of this number is none.
const NO_LIMIT: u64 = u64::MAX;

/// What lies below a directory.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    file_systems: u64,
    snapshots: u64,
}

impl PoolWriter {
    /// Adds to a count of a directory and of all above it, where they count.
    pub(super) fn count_above(&mut self, dir: ObjectNumber, key: &str, change: i64) -> Result<(), Error> {
        let mut next = Some(dir);
        while let Some(dir) = next {
            if let Some(count) = self.count_of(dir, key)? {
                let changed = count.checked_add_signed(change).unwrap_or(0);
                self.table_put(dir, key, changed)?;
            }
            next = self.dir(dir)?.parent;
        }
        Ok(())
    }

    /// What a directory has counted.
    pub(super) fn count_of(&mut self, dir: ObjectNumber, key: &str) -> Result<Option<u64>, Error> {
        if !self.is_table(dir)? {
            return Ok(None);
        }
        self.table_get(dir, key)
    }

    /// A new directory is counted by those above it, and counts itself where any does.
    pub(super) fn count_new(&mut self, dir: ObjectNumber, parent: ObjectNumber) -> Result<(), Error> {
        self.count_above(parent, COUNT_OF_FILE_SYSTEMS, 1)?;
        if self.is_counting()? {
            self.put_counts(dir, Below::default())?;
        }
        Ok(())
    }

    /// Whether anybody ever set a limit.
    fn is_counting(&mut self) -> Result<bool, Error> {
        Ok(self.feature_count(Feature::FilesystemLimits)? > 0)
    }

    /// A limit on what may lie below a directory was set: from now on it is counted.
    pub(super) fn count_for_limit(&mut self, dir: ObjectNumber, limit: &ZapValue) -> Result<(), Error> {
        if limit.as_u64().is_none_or(|limit| limit == NO_LIMIT) {
            return Ok(());
        }
        if !self.is_counting()? {
            self.count_feature(Feature::FilesystemLimits, 1)?;
        }
        self.begin_to_count(dir)
    }

    /// What goes below another directory must count when that may.
    pub(super) fn count_before_move(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        if self.is_counting()? {
            self.begin_to_count(dir)?;
        }
        Ok(())
    }

    /// Counts what lies below a directory, and below each of those, where that was not done before.
    fn begin_to_count(&mut self, top: ObjectNumber) -> Result<(), Error> {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![(top, None)];
        // Each before what lies below it.
        let mut found = Vec::new();
        let mut counts = BTreeMap::<ObjectNumber, Below>::new();
        while let Some((dir, parent)) = waiting.pop() {
            if !seen.insert(dir) {
                return Err(Corrupt::new(format!("directory {dir} is in itself")).into());
            }
            let known = self.count_of(dir, COUNT_OF_FILE_SYSTEMS)?;
            if let Some(file_systems) = known {
                let snapshots = self.count_of(dir, COUNT_OF_SNAPSHOTS)?.unwrap_or(0);
                let below = Below {
                    file_systems,
                    snapshots,
                };
                counts.insert(dir, below);
            } else {
                let snapshots = self.own_snapshots(dir)?;
                let own = Below {
                    file_systems: 0,
                    snapshots,
                };
                counts.insert(dir, own);
                let children = self.visible_children(dir)?;
                waiting.extend(children.into_iter().map(|child| (child, Some(dir))));
            }
            found.push((dir, parent, known.is_some()));
        }
        for (dir, parent, is_known) in found.into_iter().rev() {
            let below = counts.get(&dir).copied().unwrap_or_default();
            if !is_known {
                self.put_counts(dir, below)?;
            }
            if let Some(above) = parent.and_then(|parent| counts.get_mut(&parent)) {
                above.file_systems = above
                    .file_systems
                    .saturating_add(below.file_systems)
                    .saturating_add(1);
                above.snapshots = above.snapshots.saturating_add(below.snapshots);
            }
        }
        Ok(())
    }

    fn put_counts(&mut self, dir: ObjectNumber, below: Below) -> Result<(), Error> {
        self.make_table(dir)?;
        self.table_put(dir, COUNT_OF_FILE_SYSTEMS, below.file_systems)?;
        self.table_put(dir, COUNT_OF_SNAPSHOTS, below.snapshots)
    }

    /// How many snapshots a directory's own head has; temporary ones are not counted.
    fn own_snapshots(&mut self, dir: ObjectNumber) -> Result<u64, Error> {
        let Some(head) = self.dir(dir)?.head else {
            return Ok(0);
        };
        let Some(table) = self.dataset(head)?.snapshots else {
            return Ok(0);
        };
        let names = self.table_all(table)?.into_iter().map(|entry| entry.name_lossy());
        let count = names.filter(|name| !name.starts_with('%')).count();
        Ok(zferry_wire::u64_from_usize(count))
    }

    /// The directories below one, but for those of the pool itself.
    fn visible_children(&mut self, dir: ObjectNumber) -> Result<Vec<ObjectNumber>, Error> {
        let Some(table) = self.dir(dir)?.children else {
            return Ok(Vec::new());
        };
        let entries = self.table_all(table)?.into_iter();
        let visible = entries.filter(|entry| !entry.name_lossy().starts_with('$'));
        Ok(visible
            .filter_map(|entry| entry.value.as_u64().map(ObjectNumber))
            .collect())
    }
}
