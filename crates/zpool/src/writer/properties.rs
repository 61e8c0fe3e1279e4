//! Setting properties, and what some of them mean beside being set; and entries of datasets' own tables.

use super::accounts::UsedBy;
use super::{DatasetId, PoolWriter};
use crate::zap::ZapValue;
use crate::{Corrupt, Error, ObjectNumber};

/// Who sets a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertySource {
    /// The owner of the dataset.
    Local,
    /// A stream that was received.
    Received,
}

impl PoolWriter {
    fn property_table(&mut self, name: &str) -> Result<(ObjectNumber, ObjectNumber), Error> {
        let missing = || Error::Missing(format!("dataset '{name}'"));
        let dir = self.find_dir(name)?.ok_or_else(missing)?;
        let table = self.dir(dir)?.properties;
        let table = table.ok_or_else(|| Corrupt::new(format!("directory {dir} can have no properties")))?;
        Ok((dir, table))
    }

    /// Sets a property of a file system or volume. The value is as it is stored: a number, or a text.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn set_property(
        &mut self,
        dataset: &str,
        property: &str,
        source: PropertySource,
        value: &ZapValue,
    ) -> Result<(), Error> {
        let (dir, table) = self.property_table(dataset)?;
        match source {
            PropertySource::Local => {
                self.put_property(dir, table, property, value)?;
                self.table_remove(table, &format!("{property}$inherit"))?;
            }
            PropertySource::Received => {
                self.table_put_value(table, &format!("{property}$recvd"), value)?;
                if property == "quota" || property == "reservation" {
                    self.put_property(dir, table, property, value)?;
                }
                self.keep_ref_reservation(dir)?;
            }
        }
        self.refresh_policies()
    }

    pub(super) fn put_property(
        &mut self,
        dir: ObjectNumber,
        table: ObjectNumber,
        property: &str,
        value: &ZapValue,
    ) -> Result<(), Error> {
        match (property, value.as_u64()) {
            ("quota", Some(quota)) => {
                let mut phys = self.dir(dir)?;
                phys.quota = quota;
                self.put_dir(dir, &phys)?;
            }
            ("reservation", Some(reserved)) => self.reserve_for(dir, reserved)?,
            _ => {}
        }
        self.table_put_value(table, property, value)?;
        if property.starts_with("refreservation") {
            self.keep_ref_reservation(dir)?;
        }
        Ok(())
    }

    /// Makes a directory sure to get so many bytes: the one above counts them as used.
    pub(super) fn reserve_for(&mut self, dir: ObjectNumber, reserved: u64) -> Result<(), Error> {
        let signed = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut phys = self.dir(dir)?;
        let before = phys.used.max(phys.reserved);
        phys.reserved = reserved;
        let after = phys.used.max(reserved);
        self.put_dir(dir, &phys)?;
        if let Some(parent) = phys.parent {
            let change = super::lists::Totals {
                used: signed(after).saturating_sub(signed(before)),
                ..super::lists::Totals::default()
            };
            self.use_space(parent, UsedBy::ChildReservations, change)?;
        }
        Ok(())
    }

    /// Forgets what was set, so that the value comes from above again; or, with `to_received`, from what was received.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn inherit_property(
        &mut self,
        dataset: &str,
        property: &str,
        to_received: bool,
    ) -> Result<(), Error> {
        let (dir, table) = self.property_table(dataset)?;
        if matches!(property, "quota" | "reservation") {
            self.put_property(dir, table, property, &ZapValue::number(0))?;
        }
        self.table_remove(table, property)?;
        self.keep_ref_reservation(dir)?;
        let received = format!("{property}$recvd");
        let inherit = format!("{property}$inherit");
        let was_received = self.table_get_value(table, &received)?.is_some();
        if was_received && !to_received {
            self.table_put_value(table, &inherit, &ZapValue::text(""))?;
        } else {
            self.table_remove(table, &inherit)?;
        }
        self.refresh_policies()
    }

    /// Blocks that are written from now on follow what was set.
    fn refresh_policies(&mut self) -> Result<(), Error> {
        let ids: Vec<ObjectNumber> = self.sets.keys().copied().collect();
        for number in ids {
            let policies = self.policies(DatasetId(number))?;
            if let Some(set) = self.sets.get_mut(&number) {
                set.policies = policies;
            }
        }
        Ok(())
    }

    /// Puts an entry into a dataset's own table: the state of a receive that can be resumed, say.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn set_dataset_entry(&mut self, id: DatasetId, key: &str, value: &ZapValue) -> Result<(), Error> {
        self.make_table(id.0)?;
        self.table_put_value(id.0, key, value)
    }

    /// Takes an entry out of a dataset's own table; says whether it was there.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn remove_dataset_entry(&mut self, id: DatasetId, key: &str) -> Result<bool, Error> {
        if !self.is_table(id.0)? {
            return Ok(false);
        }
        self.table_remove(id.0, key)
    }

    /// What a dataset's own table says of a key, as the open group has it.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn dataset_entry(&mut self, id: DatasetId, key: &str) -> Result<Option<ZapValue>, Error> {
        if !self.is_table(id.0)? {
            return Ok(None);
        }
        self.table_get_value(id.0, key)
    }
}
