//! Reading and changing the meta object set as the open transaction group has it.

use super::PoolWriter;
use crate::dmu::{Dnode, Object, ObjectSpec, ObjectType};
use crate::dsl::{DatasetPhys, DirPhys};
use crate::spa::Feature;
use crate::zap::{ZapEntry, ZapValue, write as zap};
use crate::{Corrupt, Error, ObjectNumber};
use std::collections::BTreeSet;

/// An object that is a table beside its bonus buffer.
const OTN_ZAP_METADATA: ObjectType = ObjectType(0xc4);

impl PoolWriter {
    fn meta_object_now(&mut self, number: ObjectNumber) -> Result<Object, Error> {
        let dnode: Dnode = self.mos.dnode(&mut self.io, number)?.clone();
        Ok(Object { number, dnode })
    }

    pub(super) fn dir(&mut self, number: ObjectNumber) -> Result<DirPhys, Error> {
        Ok(DirPhys::decode(&self.meta_object_now(number)?)?)
    }

    pub(super) fn put_dir(&mut self, number: ObjectNumber, phys: &DirPhys) -> Result<(), Error> {
        self.put_bonus(number, &phys.encode())
    }

    pub(super) fn dataset(&mut self, number: ObjectNumber) -> Result<DatasetPhys, Error> {
        Ok(DatasetPhys::decode(&self.meta_object_now(number)?)?)
    }

    pub(super) fn put_dataset(&mut self, number: ObjectNumber, phys: &DatasetPhys) -> Result<(), Error> {
        self.put_bonus(number, &phys.encode())
    }

    pub(super) fn bonus(&mut self, number: ObjectNumber) -> Result<Vec<u8>, Error> {
        Ok(self.mos.dnode(&mut self.io, number)?.bonus().to_vec())
    }

    pub(super) fn put_bonus(&mut self, number: ObjectNumber, bytes: &[u8]) -> Result<(), Error> {
        self.mos.with_object(&mut self.io, number, |object, _| {
            let target = object.dnode.bonus.get_mut(..bytes.len());
            let target =
                target.ok_or_else(|| Corrupt::new(format!("object {number}: bonus buffer too small")))?;
            target.copy_from_slice(bytes);
            object.is_dirty = true;
            Ok(())
        })
    }

    pub(super) fn table_get(&mut self, table: ObjectNumber, name: &str) -> Result<Option<u64>, Error> {
        zap::get_u64(&mut self.mos, &mut self.io, table, name)
    }

    pub(super) fn table_get_value(
        &mut self,
        table: ObjectNumber,
        name: &str,
    ) -> Result<Option<ZapValue>, Error> {
        zap::get(&mut self.mos, &mut self.io, table, name)
    }

    pub(super) fn table_put(&mut self, table: ObjectNumber, name: &str, value: u64) -> Result<(), Error> {
        self.table_put_value(table, name, &ZapValue::number(value))
    }

    /// Puts many names into an empty table.
    pub(super) fn table_fill(&mut self, table: ObjectNumber, entries: &[(String, u64)]) -> Result<(), Error> {
        zap::fill(&mut self.mos, &mut self.io, table, entries)
    }

    pub(super) fn table_put_value(
        &mut self,
        table: ObjectNumber,
        name: &str,
        value: &ZapValue,
    ) -> Result<(), Error> {
        zap::put(&mut self.mos, &mut self.io, table, name, value)
    }

    pub(super) fn table_remove(&mut self, table: ObjectNumber, name: &str) -> Result<bool, Error> {
        zap::remove(&mut self.mos, &mut self.io, table, name)
    }

    pub(super) fn table_all(&mut self, table: ObjectNumber) -> Result<Vec<ZapEntry>, Error> {
        zap::all(&mut self.mos, &mut self.io, table)
    }

    /// Tables whose names are numbers, and lead to the same numbers.
    pub(super) fn set_add(&mut self, table: ObjectNumber, member: ObjectNumber) -> Result<(), Error> {
        self.table_put(table, &format!("{:x}", member.0), member.0)
    }

    pub(super) fn set_remove(&mut self, table: ObjectNumber, member: ObjectNumber) -> Result<bool, Error> {
        self.table_remove(table, &format!("{:x}", member.0))
    }

    /// An empty table.
    pub(super) fn new_table(&mut self, object_type: ObjectType) -> Result<ObjectNumber, Error> {
        self.new_table_of(&ObjectSpec::new(object_type, 512))
    }

    pub(super) fn new_table_of(&mut self, spec: &ObjectSpec) -> Result<ObjectNumber, Error> {
        let salt = self.environment.guid();
        zap::create(&mut self.mos, &mut self.io, spec, 0, salt)
    }

    pub(super) fn new_object(&mut self, spec: &ObjectSpec) -> Result<ObjectNumber, Error> {
        self.mos.create_object(&mut self.io, spec)
    }

    pub(super) fn free_meta_object(&mut self, number: ObjectNumber) -> Result<(), Error> {
        self.mos.free_object(&mut self.io, number)
    }

    fn feature_table(&self, feature: Feature) -> ObjectNumber {
        if feature.description().write_only {
            self.known.features_for_write
        } else {
            self.known.features_for_read
        }
    }

    /// Whether a feature may be used.
    ///
    /// # Errors
    /// Where the tables of features cannot be read.
    pub fn is_feature_enabled(&mut self, feature: Feature) -> Result<bool, Error> {
        Ok(self
            .table_get(self.feature_table(feature), feature.guid())?
            .is_some())
    }

    pub(super) fn feature_count(&mut self, feature: Feature) -> Result<u64, Error> {
        Ok(self
            .table_get(self.feature_table(feature), feature.guid())?
            .unwrap_or(0))
    }

    /// Counts one more or less use of a feature.
    pub(super) fn count_feature(&mut self, feature: Feature, change: i64) -> Result<(), Error> {
        let table = self.feature_table(feature);
        let count = self.table_get(table, feature.guid())?;
        let count = count.ok_or(Error::FeatureDisabled(feature))?;
        let changed = count.checked_add_signed(change);
        let changed = changed.ok_or_else(|| Corrupt::new(format!("{feature} is used less than never")))?;
        self.table_put(table, feature.guid(), changed)
    }

    /// Makes the object of a directory or dataset a table too, where it is none yet.
    pub(super) fn make_table(&mut self, number: ObjectNumber) -> Result<(), Error> {
        let dnode = self.mos.dnode(&mut self.io, number)?;
        if dnode.object_type == OTN_ZAP_METADATA {
            return Ok(());
        }
        self.mos.with_object(&mut self.io, number, |object, _| {
            object.dnode.object_type = OTN_ZAP_METADATA;
            Ok(())
        })?;
        let salt = self.environment.guid();
        zap::begin(&mut self.mos, &mut self.io, number, 0, salt)?;
        self.count_feature(Feature::ExtensibleDataset, 1)
    }

    pub(super) fn is_table(&mut self, number: ObjectNumber) -> Result<bool, Error> {
        Ok(self.mos.dnode(&mut self.io, number)?.object_type == OTN_ZAP_METADATA)
    }

    /// What a dataset's own table says of the features that it uses.
    fn feature_entries(&mut self, number: ObjectNumber) -> Result<Vec<(Feature, ZapValue)>, Error> {
        if !self.is_table(number)? {
            return Ok(Vec::new());
        }
        let entries = self.table_all(number)?.into_iter();
        let features = entries.filter_map(|entry| {
            let feature = Feature::by_guid(&entry.name_lossy())?;
            feature
                .description()
                .per_dataset
                .then_some((feature, entry.value))
        });
        Ok(features.collect())
    }

    /// Notes for a dataset all features that another one uses, as its blocks are the same.
    pub(super) fn copy_features(&mut self, from: ObjectNumber, to: ObjectNumber) -> Result<(), Error> {
        for (feature, value) in self.feature_entries(from)? {
            self.make_table(to)?;
            self.table_put_value(to, feature.guid(), &value)?;
            self.count_feature(feature, 1)?;
        }
        Ok(())
    }

    /// Exchanges the features of two datasets, whose blocks are exchanged.
    pub(super) fn swap_features(&mut self, one: ObjectNumber, other: ObjectNumber) -> Result<(), Error> {
        let of_one = self.feature_entries(one)?;
        let of_other = self.feature_entries(other)?;
        for (number, old, new) in [(one, &of_one, &of_other), (other, &of_other, &of_one)] {
            for (feature, _) in old {
                self.table_remove(number, feature.guid())?;
            }
            for (feature, value) in new {
                self.make_table(number)?;
                self.table_put_value(number, feature.guid(), value)?;
            }
        }
        Ok(())
    }

    /// Notes that a dataset uses features.
    pub(super) fn use_features(
        &mut self,
        number: ObjectNumber,
        features: &BTreeSet<Feature>,
    ) -> Result<(), Error> {
        for feature in features {
            if self.is_table(number)? && self.table_get_value(number, feature.guid())?.is_some() {
                continue;
            }
            if !self.is_feature_enabled(*feature)? {
                return Err(Error::FeatureDisabled(*feature));
            }
            self.make_table(number)?;
            self.table_put(number, feature.guid(), 0)?;
            self.count_feature(*feature, 1)?;
        }
        Ok(())
    }

    /// Frees the object of a dataset, and counts its features out.
    pub(super) fn free_dataset_object(&mut self, number: ObjectNumber) -> Result<(), Error> {
        for (feature, _) in self.feature_entries(number)? {
            self.count_feature(feature, -1)?;
        }
        self.free_extensible(number)
    }

    /// Frees an object that may be a table beside its bonus buffer.
    pub(super) fn free_extensible(&mut self, number: ObjectNumber) -> Result<(), Error> {
        if self.is_table(number)? {
            self.count_feature(Feature::ExtensibleDataset, -1)?;
        }
        self.free_meta_object(number)
    }
}
