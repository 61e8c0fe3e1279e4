//! Bookmarks that tell sizes: what they say of a snapshot that is still there.
//!
//! What was freed of a snapshot's blocks before the next one is what the deadlist behind it holds. Of a snapshot that is
//! gone, only the bookmark remembers that, so that it can't be checked; but deadlists must go on telling what is older.

use super::chain::header_of;
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::names::Names;
use crate::dmu::ObjectType;
use crate::dsl::{DatasetPhys, Sizes};
use crate::zap;
use crate::{Error, ObjectNumber, Pool, Txg};
use std::collections::BTreeMap;

/// The type of a dataset that is a table beside its bonus buffer.
const ZAPPED: ObjectType = ObjectType(0xc4);
/// The flags: the sizes are told; the snapshot is there.
const IS_TOLD: u64 = 1;
const IS_THERE: u64 = 2;

/// Compares what bookmarks tell with the snapshots and deadlists.
pub(super) struct Bookmarks<'c, 'f, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) meta: &'c MetaObjects,
    pub(super) names: &'c Names,
    pub(super) findings: &'f mut Findings<'o>,
}

impl<'c> Bookmarks<'c, '_, '_> {
    /// Checks the bookmarks of every head.
    pub(super) fn check(&mut self) {
        let meta = self.meta;
        for (number, head) in &meta.datasets {
            let is_table = self.meta.types.get(number) == Some(&ZAPPED);
            if is_table
                && !head.is_snapshot()
                && let Err(error) = self.check_head(*number, head)
            {
                self.findings.unreadable(Spot::meta(*number), &error);
            }
        }
    }

    fn check_head(&mut self, number: ObjectNumber, head: &DatasetPhys) -> Result<(), Error> {
        let object = self.pool.meta_object(number)?;
        let table = zap::lookup_u64(self.pool.reader(), &object, "com.delphix:bookmarks")?;
        let Some(table) = table.map(ObjectNumber) else {
            return Ok(());
        };
        let keys = self.keys(head)?;
        let snapshots = self.snapshots_of(head);
        for entry in zap::entries(self.pool.reader(), &self.pool.meta_object(table)?)? {
            let words = entry.value.as_u64s().unwrap_or_default();
            let word = |index: usize| words.get(index).copied().unwrap_or(0);
            if word(4) & IS_TOLD == 0 {
                continue;
            }
            let name = format!("{}#{}", self.names.get(number), entry.name_lossy());
            let snapshot = snapshots.get(&word(0)).copied();
            let is_there = u64::from(snapshot.is_some());
            let spot = || Spot::dataset(&name);
            let is_own = word(1) > self.origin_txg(head).0;
            if is_own {
                let flag = u64::from(word(4) & IS_THERE != 0);
                self.findings.compare(spot, "zbm_flags, snapshot", flag, is_there);
                let needs_key = word(1) < head.prev_snapshot_txg.0;
                if needs_key && !keys.contains(&word(1)) {
                    let wanted = format!("the key {:x}", word(1));
                    self.findings.report(spot(), "deadlist", "none", wanted);
                }
            }
            if let Some(snapshot) = snapshot.filter(|_| is_own) {
                let told = [word(5), word(6), word(7), word(8), word(9), word(10)];
                self.compare(&name, told, snapshot)?;
            }
        }
        Ok(())
    }

    /// The snapshots of a head's own, by guid.
    fn snapshots_of(&self, head: &DatasetPhys) -> BTreeMap<u64, &'c DatasetPhys> {
        let datasets = self.meta.datasets.values();
        let own = datasets.filter(|dataset| dataset.is_snapshot() && dataset.dir == head.dir);
        own.map(|dataset| (dataset.guid, dataset)).collect()
    }

    fn origin_txg(&self, head: &DatasetPhys) -> Txg {
        let origin = self.meta.dirs.get(&head.dir).and_then(|dir| dir.origin);
        let origin = origin.and_then(|origin| self.meta.datasets.get(&origin));
        origin.map_or(Txg(0), |origin| origin.creation_txg)
    }

    /// The keys of a head's deadlist.
    fn keys(&self, head: &DatasetPhys) -> Result<Vec<u64>, Error> {
        let Some(deadlist) = head.deadlist else {
            return Ok(Vec::new());
        };
        let object = self.pool.meta_object(deadlist)?;
        let entries = zap::entries(self.pool.reader(), &object)?;
        let keys = entries.iter();
        Ok(keys
            .filter_map(|entry| u64::from_str_radix(&entry.name_lossy(), 16).ok())
            .collect())
    }

    fn compare(&mut self, name: &str, told: [u64; 6], snapshot: &DatasetPhys) -> Result<(), Error> {
        let freed = match snapshot
            .next_snapshot
            .and_then(|next| self.meta.datasets.get(&next))
            .and_then(|next| next.deadlist)
        {
            Some(deadlist) => header_of(&self.pool.meta_object(deadlist)?)?,
            None => Sizes::default(),
        };
        let fields = [
            ("zbm_referenced_bytes_refd", snapshot.referenced),
            ("zbm_compressed_bytes_refd", snapshot.compressed),
            ("zbm_uncompressed_bytes_refd", snapshot.uncompressed),
            ("zbm_referenced_freed_before_next_snap", freed.used),
            ("zbm_compressed_freed_before_next_snap", freed.compressed),
            ("zbm_uncompressed_freed_before_next_snap", freed.uncompressed),
        ];
        for ((field, expected), found) in fields.into_iter().zip(told) {
            self.findings
                .compare(|| Spot::dataset(name), field, found, expected);
        }
        Ok(())
    }
}
