//! Bookmarks: what remains of a snapshot so that increments can begin at it. Their format is in `dsl/bookmark.rs`.
//!
//! Where the feature `bookmark_written` is enabled, a bookmark also tells what of its snapshot's blocks was freed before
//! the next snapshot, so that what was written since can be told without the snapshot. That has to be kept:
//!
//! - what dies in a head is added to the bookmarks at and behind its newest snapshot (the ledger watches for them);
//! - when a snapshot goes, what died before the one behind it is added to the bookmarks before it;
//! - deadlists have a key for each such bookmark, as for snapshots, so that what it had can be told from what is younger.

use super::lists::Totals;
use super::{DatasetId, PoolWriter};
use crate::dmu::{Ledger, ObjectSpec, ObjectType};
use crate::dsl::{BookmarkFlags, DatasetPhys};
use crate::spa::Feature;
use crate::zap::{ZapEntry, ZapValue, write as zap};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeSet;

/// The entry of a head's table that leads to its bookmarks.
const BOOKMARKS: &str = "com.delphix:bookmarks";
const TABLE: ObjectType = ObjectType(0xc4);
const IVSET: &str = "com.datto:ivset_guid";
/// A redaction list: 64-bit numbers of metadata, in its blocks as in its bonus buffer.
const REDACTION_LIST: ObjectType = ObjectType(0xc3);
const REDACTION_LIST_BLOCK: u32 = 128 << 10;
/// Of how many snapshots the guids fit into a redaction list's bonus buffer.
const REDACTED_MAX: usize = (320 - 32) / 8;
/// How many numbers the first version of a bookmark has, and the second.
const OLD_NUMBERS: usize = 3;
const NUMBERS: usize = 12;

/// A bookmark as it is stored.
#[derive(Clone, Debug)]
pub(super) struct StoredBookmark {
    pub(super) name: String,
    /// All of them; those that are not stored are 0.
    words: [u64; NUMBERS],
    is_long: bool,
}

impl StoredBookmark {
    fn decode(entry: &ZapEntry) -> Result<Self, Corrupt> {
        let name = entry.name_lossy();
        let stored = entry.value.as_u64s().unwrap_or_default();
        let is_long = stored.len() == NUMBERS;
        if !is_long && stored.len() != OLD_NUMBERS {
            return Err(Corrupt::new(format!(
                "bookmark '{name}' is not of 3 or 12 numbers"
            )));
        }
        let mut words = [0; NUMBERS];
        words.iter_mut().zip(stored).for_each(|(to, from)| *to = from);
        Ok(Self { name, words, is_long })
    }

    fn value(&self) -> ZapValue {
        let count = if self.is_long { NUMBERS } else { OLD_NUMBERS };
        ZapValue::numbers(self.words.get(..count).unwrap_or_default())
    }

    pub(super) const fn creation_txg(&self) -> Txg {
        Txg(self.words[1])
    }

    fn redaction_list(&self) -> Option<ObjectNumber> {
        Some(ObjectNumber(self.words[3])).filter(|list| list.0 != 0)
    }

    const fn flags(&self) -> BookmarkFlags {
        BookmarkFlags::from_bits_retain(self.words[4])
    }

    const fn has_freed(&self) -> bool {
        self.flags().contains(BookmarkFlags::HAS_FREED_BEFORE_NEXT)
    }

    /// What of its blocks was freed before the next snapshot grows.
    fn add_freed(&mut self, sizes: [i64; 3]) {
        let [.., used, compressed, uncompressed, _] = &mut self.words;
        for (word, size) in [used, compressed, uncompressed].into_iter().zip(sizes) {
            *word = word.saturating_add_signed(size);
        }
    }

    /// Takes over what is told of sizes.
    fn tell(&mut self, referenced: [u64; 3], freed: Totals) {
        let flags = BookmarkFlags::HAS_FREED_BEFORE_NEXT | BookmarkFlags::SNAPSHOT_EXISTS;
        let [_, _, _, _, told, used, compressed, uncompressed, of_freed @ .., _] = &mut self.words;
        *told = flags.bits();
        [*used, *compressed, *uncompressed] = referenced;
        *of_freed = [freed.used, freed.compressed, freed.uncompressed].map(i64::cast_unsigned);
        self.is_long = true;
    }
}

impl PoolWriter {
    /// The table of a head's bookmarks, where it has any.
    fn bookmarks_object(&mut self, head: ObjectNumber) -> Result<Option<ObjectNumber>, Error> {
        if !self.is_table(head)? {
            return Ok(None);
        }
        Ok(self.table_get(head, BOOKMARKS)?.map(ObjectNumber))
    }

    /// The same, made where it is missing.
    fn make_bookmarks_object(&mut self, head: DatasetId) -> Result<ObjectNumber, Error> {
        self.make_table(head.0)?;
        if let Some(table) = self.table_get(head.0, BOOKMARKS)? {
            return Ok(ObjectNumber(table));
        }
        let salt = self.environment.guid();
        let spec = ObjectSpec::new(TABLE, 512);
        let table = zap::create(&mut self.mos, &mut self.io, &spec, zap::NORMALIZE_UPPER, salt)?;
        self.table_put(head.0, BOOKMARKS, table.0)?;
        self.count_feature(Feature::Bookmarks, 1)?;
        Ok(table)
    }

    /// The bookmarks of a head.
    pub(super) fn bookmarks_of(&mut self, head: ObjectNumber) -> Result<Vec<StoredBookmark>, Error> {
        let Some(table) = self.bookmarks_object(head)? else {
            return Ok(Vec::new());
        };
        let entries = self.table_all(table)?;
        let bookmarks = entries.iter().map(StoredBookmark::decode);
        Ok(bookmarks.collect::<Result<_, _>>()?)
    }

    fn store_bookmark(&mut self, head: DatasetId, bookmark: &StoredBookmark) -> Result<(), Error> {
        let table = self.make_bookmarks_object(head)?;
        self.table_put_value(table, &bookmark.name, &bookmark.value())
    }

    fn add_bookmark(&mut self, head: DatasetId, bookmark: &StoredBookmark) -> Result<(), Error> {
        let table = self.make_bookmarks_object(head)?;
        let name = &bookmark.name;
        if self.table_get_value(table, name)?.is_some() {
            return Err(Error::Exists(format!("bookmark '{name}'")));
        }
        if bookmark.is_long {
            self.count_feature(Feature::BookmarkV2, 1)?;
        }
        if bookmark.has_freed() {
            self.count_feature(Feature::BookmarkWritten, 1)?;
        }
        self.store_bookmark(head, bookmark)?;
        self.watch_bookmarks(head)
    }

    /// Makes a bookmark of a snapshot, of a head that has it or descends from it.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Invalid`] where it is no snapshot, or one that is redacted with respect to more
    /// snapshots than fit beside the list of a bookmark.
    pub fn bookmark(&mut self, head: DatasetId, snapshot: ObjectNumber, name: &str) -> Result<(), Error> {
        self.write_datasets()?;
        let phys = self.dataset(snapshot)?;
        if !phys.is_snapshot() {
            return Err(Error::Invalid(format!("dataset {snapshot} is no snapshot")));
        }
        let table = self.make_bookmarks_object(head)?;
        if self.table_get_value(table, name)?.is_some() {
            return Err(Error::Exists(format!("bookmark '{name}'")));
        }
        let mut words = [0; NUMBERS];
        let [guid, txg, time, list, .., ivset] = &mut words;
        [*guid, *txg, *time] = [phys.guid, phys.creation_txg.0, phys.creation_time];
        let mut is_long = false;
        if self.is_table(snapshot)? {
            if let Some(redacted) = self.table_get_value(snapshot, Feature::RedactedDatasets.guid())? {
                let snapshots = redacted.as_u64s().unwrap_or_default();
                *list = self.complete_redaction_list(&snapshots)?.0;
                is_long = true;
            }
            if let Some(guid) = self.table_get(snapshot, IVSET)?
                && self.is_feature_enabled(Feature::BookmarkV2)?
            {
                *ivset = guid;
                is_long = true;
            }
        }
        let name = name.to_owned();
        let mut bookmark = StoredBookmark { name, words, is_long };
        if self.is_feature_enabled(Feature::BookmarkWritten)? {
            self.tell_sizes(&mut bookmark, &phys)?;
        }
        self.add_bookmark(head, &bookmark)
    }

    /// The list of a bookmark of a redacted snapshot: what such a snapshot lacks is nobody's to know, so it is empty.
    fn complete_redaction_list(&mut self, snapshots: &[u64]) -> Result<ObjectNumber, Error> {
        if snapshots.len() > REDACTED_MAX {
            return Err(Error::Invalid(format!(
                "a bookmark of a snapshot that is redacted with respect to more than {REDACTED_MAX} others"
            )));
        }
        let count = u64::try_from(snapshots.len()).unwrap_or(u64::MAX);
        let head = [u64::MAX, u64::MAX, 0, count];
        let words = head.iter().chain(snapshots);
        let bonus: Vec<u8> = words.flat_map(|word| word.to_le_bytes()).collect();
        let spec = ObjectSpec::new(REDACTION_LIST, REDACTION_LIST_BLOCK).with_bonus(REDACTION_LIST, bonus);
        self.count_feature(Feature::RedactionBookmarks, 1)?;
        self.new_object(&spec)
    }

    /// What a bookmark tells of the sizes of its snapshot.
    fn tell_sizes(&mut self, bookmark: &mut StoredBookmark, snapshot: &DatasetPhys) -> Result<(), Error> {
        let next = snapshot
            .next_snapshot
            .ok_or_else(|| Corrupt::new("a snapshot has nothing behind it"))?;
        let dead = self.deadlist_of(next)?;
        let freed = self.deadlist_totals(dead)?;
        let referenced = [snapshot.referenced, snapshot.compressed, snapshot.uncompressed];
        bookmark.tell(referenced, freed);
        Ok(())
    }

    /// Copies a bookmark of a head. Of one that lists what is redacted, the copy does not.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Missing`].
    pub fn copy_bookmark(&mut self, head: DatasetId, from: &str, to: &str) -> Result<(), Error> {
        self.write_datasets()?;
        let mut copy = self.find_bookmark(head, from)?;
        to.clone_into(&mut copy.name);
        let [_, _, _, list, flags, .., ivset] = &mut copy.words;
        *list = 0;
        copy.is_long = *flags != 0 || *ivset != 0;
        self.add_bookmark(head, &copy)
    }

    fn find_bookmark(&mut self, head: DatasetId, name: &str) -> Result<StoredBookmark, Error> {
        let bookmarks = self.bookmarks_of(head.0)?.into_iter();
        let mut found = bookmarks.filter(|bookmark| bookmark.name == name);
        let missing = || Error::Missing(format!("bookmark '{name}'"));
        found.next().ok_or_else(missing)
    }

    /// Takes a bookmark away.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn destroy_bookmark(&mut self, head: DatasetId, name: &str) -> Result<(), Error> {
        self.write_datasets()?;
        let bookmark = self.find_bookmark(head, name)?;
        let table = self.make_bookmarks_object(head)?;
        self.free_bookmark(&bookmark)?;
        self.table_remove(table, name)?;
        if bookmark.has_freed() {
            self.forget_bookmark_key(head, &bookmark)?;
        }
        if self.table_all(table)?.is_empty() {
            self.free_meta_object(table)?;
            self.table_remove(head.0, BOOKMARKS)?;
            self.count_feature(Feature::Bookmarks, -1)?;
        }
        Ok(())
    }

    /// The key in deadlists goes with the last that needs it: a snapshot, or a bookmark.
    fn forget_bookmark_key(&mut self, head: DatasetId, bookmark: &StoredBookmark) -> Result<(), Error> {
        let key = bookmark.creation_txg();
        let others = self.bookmarks_of(head.0)?;
        let is_needed = bookmark.flags().contains(BookmarkFlags::SNAPSHOT_EXISTS)
            || others
                .iter()
                .any(|other| other.has_freed() && other.creation_txg() == key);
        let phys = self.dataset(head.0)?;
        if is_needed || key >= phys.prev_snapshot_txg {
            return Ok(());
        }
        self.remove_clone_keys(phys.dir, key)?;
        let dead = self.deadlist_of(head.0)?;
        self.remove_deadlist_key(dead, key)
    }

    /// The bookmarks of a head that goes.
    pub(super) fn free_bookmarks(&mut self, id: DatasetId) -> Result<(), Error> {
        let Some(table) = self.bookmarks_object(id.0)? else {
            return Ok(());
        };
        for bookmark in self.bookmarks_of(id.0)? {
            self.free_bookmark(&bookmark)?;
        }
        self.free_meta_object(table)?;
        self.count_feature(Feature::Bookmarks, -1)
    }

    /// What belongs to a bookmark beside its entry.
    fn free_bookmark(&mut self, bookmark: &StoredBookmark) -> Result<(), Error> {
        if bookmark.is_long {
            self.count_feature(Feature::BookmarkV2, -1)?;
        }
        if bookmark.has_freed() {
            self.count_feature(Feature::BookmarkWritten, -1)?;
        }
        let Some(list) = bookmark.redaction_list() else {
            return Ok(());
        };
        if self.mos.dnode(&mut self.io, list)?.spill.is_some() {
            self.count_feature(Feature::RedactionListSpill, -1)?;
        }
        self.free_meta_object(list)?;
        self.count_feature(Feature::RedactionBookmarks, -1)
    }

    /// Moves a bookmark from one head to another.
    pub(super) fn move_bookmark(
        &mut self,
        from: ObjectNumber,
        to: DatasetId,
        bookmark: &StoredBookmark,
    ) -> Result<(), Error> {
        if let Some(table) = self.bookmarks_object(from)? {
            self.table_remove(table, &bookmark.name)?;
        }
        self.store_bookmark(to, bookmark)
    }

    /// The keys that the deadlist of a head needs for bookmarks, once it has a snapshot behind them.
    pub(super) fn bookmark_keys(&mut self, head: DatasetId, after: Txg) -> Result<BTreeSet<Txg>, Error> {
        let bookmarks = self.bookmarks_of(head.0)?.into_iter();
        let telling = bookmarks.filter(StoredBookmark::has_freed);
        Ok(telling
            .map(|bookmark| bookmark.creation_txg())
            .filter(|txg| *txg > after)
            .collect())
    }

    /// Has the ledger of a head that is open for change watch for what bookmarks are to be told.
    pub(super) fn watch_bookmarks(&mut self, head: DatasetId) -> Result<(), Error> {
        let Some(set) = self.sets.get(&head.0) else {
            return Ok(());
        };
        let newest = set.ledger.prev_snapshot_txg;
        let bookmarks = self.bookmarks_of(head.0)?.into_iter();
        let telling = bookmarks.filter(StoredBookmark::has_freed);
        let watched: Vec<_> = telling.map(|bookmark| bookmark.creation_txg()).collect();
        if let Some(set) = self.sets.get_mut(&head.0) {
            for txg in watched.into_iter().filter(|txg| *txg >= newest) {
                set.ledger.watched.entry(txg).or_default();
            }
        }
        Ok(())
    }

    /// Tells bookmarks what the open group freed.
    pub(super) fn tell_bookmarks(&mut self, head: DatasetId, ledger: &Ledger) -> Result<(), Error> {
        if ledger.watched.values().all(|sizes| *sizes == [0; 3]) {
            return Ok(());
        }
        for mut bookmark in self.bookmarks_of(head.0)? {
            if let Some(sizes) = ledger.watched.get(&bookmark.creation_txg())
                && bookmark.has_freed()
            {
                bookmark.add_freed(*sizes);
                self.store_bookmark(head, &bookmark)?;
            }
        }
        Ok(())
    }

    /// What is behind a snapshot of a head has changed: its bookmarks are told anew what was freed.
    pub(super) fn renew_bookmarks(&mut self, head: DatasetId, snapshot: ObjectNumber) -> Result<(), Error> {
        let phys = self.dataset(snapshot)?;
        for mut bookmark in self.bookmarks_of(head.0)? {
            if bookmark.has_freed() && bookmark.creation_txg() == phys.creation_txg {
                self.tell_sizes(&mut bookmark, &phys)?;
                self.store_bookmark(head, &bookmark)?;
            }
        }
        Ok(())
    }

    /// A snapshot goes: bookmarks before it are told what died before the next one, its own that it is gone. Returns
    /// whether deadlists have to go on telling what is older than it.
    pub(super) fn snapshot_leaves_bookmarks(
        &mut self,
        phys: &DatasetPhys,
        next: ObjectNumber,
    ) -> Result<bool, Error> {
        let Some(head) = self.dir(phys.dir)?.head.map(DatasetId) else {
            return Ok(false);
        };
        let mut is_bookmarked = false;
        for mut bookmark in self.bookmarks_of(head.0)? {
            let txg = bookmark.creation_txg();
            if !bookmark.has_freed() || txg < phys.prev_snapshot_txg || txg > phys.creation_txg {
                continue;
            }
            if txg == phys.creation_txg {
                is_bookmarked = true;
                bookmark.words[4] &= !BookmarkFlags::SNAPSHOT_EXISTS.bits();
            } else {
                let dead = self.deadlist_of(next)?;
                let died = self.deadlist_space(dead, Txg(0), Some(txg))?;
                bookmark.add_freed([died.used, died.compressed, died.uncompressed]);
            }
            self.store_bookmark(head, &bookmark)?;
        }
        Ok(is_bookmarked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_where_they_belong() {
        let mut bookmark = StoredBookmark {
            name: "b".to_owned(),
            words: std::array::from_fn(|index| if index < 3 { 1 } else { 0 }),
            is_long: false,
        };
        assert_eq!(bookmark.value().as_u64s().unwrap(), [1, 1, 1]);
        let freed = Totals {
            used: 8,
            compressed: 9,
            uncompressed: 10,
        };
        bookmark.tell([5, 6, 7], freed);
        bookmark.add_freed([10, 10, 10]);
        let words = bookmark.value().as_u64s().unwrap();
        assert_eq!(words, [1, 1, 1, 0, 3, 5, 6, 7, 18, 19, 20, 0]);
    }
}
