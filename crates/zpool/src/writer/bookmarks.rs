//! Bookmarks: what remains of a snapshot so that increments can begin at it.

use super::destroy::BOOKMARKS;
use super::{DatasetId, PoolWriter};
use crate::dmu::{ObjectSpec, ObjectType};
use crate::spa::Feature;
use crate::zap::{ZapValue, write as zap};
use crate::{Corrupt, Error, ObjectNumber};

const TABLE: ObjectType = ObjectType(0xc4);
const IVSET: &str = "com.datto:ivset_guid";
/// Where in a bookmark's twelve numbers the object of a redaction list is, and the IV set guid.
const REDACTION_LIST: usize = 3;
const IVSET_GUID: usize = 11;

impl PoolWriter {
    /// The table of a head's bookmarks, made where it is missing.
    pub(super) fn bookmark_table(&mut self, head: DatasetId) -> Result<ObjectNumber, Error> {
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

    fn put_bookmark(&mut self, head: DatasetId, name: &str, value: &ZapValue) -> Result<(), Error> {
        let table = self.bookmark_table(head)?;
        if self.table_get_value(table, name)?.is_some() {
            return Err(Error::Exists(format!("bookmark '{name}'")));
        }
        if value
            .as_u64s()
            .is_some_and(|words| words.len() > super::destroy::OLD_BOOKMARK_NUMBERS)
        {
            self.count_feature(Feature::BookmarkV2, 1)?;
        }
        self.table_put_value(table, name, value)
    }

    /// Makes a bookmark of a snapshot, of a head that has it or descends from it.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Invalid`] where it is no snapshot, or a redacted one, of which no bookmarks are made
    /// yet.
    pub fn bookmark(&mut self, head: DatasetId, snapshot: ObjectNumber, name: &str) -> Result<(), Error> {
        let phys = self.dataset(snapshot)?;
        if !phys.is_snapshot() {
            return Err(Error::Invalid(format!("dataset {snapshot} is no snapshot")));
        }
        let mut words = vec![phys.guid, phys.creation_txg.0, phys.creation_time];
        if self.is_table(snapshot)? {
            if self
                .table_get_value(snapshot, Feature::RedactedDatasets.guid())?
                .is_some()
            {
                return Err(Error::Invalid("bookmarks of redacted snapshots".to_owned()));
            }
            if let Some(guid) = self.table_get(snapshot, IVSET)?
                && self.is_feature_enabled(Feature::BookmarkV2)?
            {
                words.resize(IVSET_GUID, 0);
                words.push(guid);
            }
        }
        self.put_bookmark(head, name, &ZapValue::numbers(&words))
    }

    /// Copies a bookmark of a head.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Missing`]; [`Error::Invalid`] for a redaction bookmark.
    pub fn copy_bookmark(&mut self, head: DatasetId, from: &str, to: &str) -> Result<(), Error> {
        let table = self.bookmark_table(head)?;
        let value = self.table_get_value(table, from)?;
        let value = value.ok_or_else(|| Error::Missing(format!("bookmark '{from}'")))?;
        let words = value
            .as_u64s()
            .ok_or_else(|| Corrupt::new(format!("bookmark '{from}' holds no numbers")))?;
        if words.get(REDACTION_LIST).is_some_and(|list| *list != 0) {
            return Err(Error::Invalid("redaction bookmarks are not copied".to_owned()));
        }
        self.put_bookmark(head, to, &value)
    }

    /// Takes a bookmark away.
    ///
    /// # Errors
    /// [`Error::Missing`].
    pub fn destroy_bookmark(&mut self, head: DatasetId, name: &str) -> Result<(), Error> {
        let missing = || Error::Missing(format!("bookmark '{name}'"));
        let table = self
            .dataset_entry(head, BOOKMARKS)?
            .and_then(|value| value.as_u64());
        let table = table.map(ObjectNumber).ok_or_else(missing)?;
        let value = self.table_get_value(table, name)?.ok_or_else(missing)?;
        self.free_bookmark_value(&value)?;
        self.table_remove(table, name)?;
        if self.table_all(table)?.is_empty() {
            self.free_meta_object(table)?;
            self.table_remove(head.0, BOOKMARKS)?;
            self.count_feature(Feature::Bookmarks, -1)?;
        }
        Ok(())
    }
}
