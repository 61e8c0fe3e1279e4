//! Setting properties, and what some of them mean beside being set; and entries of datasets' own tables.

use super::accounts::UsedBy;
use super::datasets::PROPERTIES;
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

/// What is noted where properties were received, even where nothing was among them.
const HAS_RECEIVED: &str = "$hasrecvd";

/// What was set for a dataset itself.
#[derive(Clone, Debug, Default)]
pub struct OwnProperties {
    /// By its owner.
    pub local: Vec<(String, ZapValue)>,
    /// By streams, whether it counts or not.
    pub received: Vec<(String, ZapValue)>,
    /// What is inherited on purpose, so that what was received does not count.
    pub inherited: Vec<String>,
    /// Whether properties were ever received here. ZFS takes this for one more property that children inherit.
    pub has_received: bool,
}

/// Where the properties of a file system, volume or snapshot are kept.
#[derive(Clone, Copy, Debug)]
struct Place {
    dir: ObjectNumber,
    snapshot: Option<ObjectNumber>,
    table: Option<ObjectNumber>,
}

impl PoolWriter {
    fn property_place(&mut self, name: &str) -> Result<Place, Error> {
        if name.contains('@') {
            let number = self.find_snapshot(name)?;
            let phys = self.dataset(number)?;
            return Ok(Place {
                dir: phys.dir,
                snapshot: Some(number),
                table: phys.properties,
            });
        }
        let dir = self.existing_dir(name)?;
        let table = self.dir(dir)?.properties;
        let table = table.ok_or_else(|| Corrupt::new(format!("directory {dir} can have no properties")))?;
        Ok(Place {
            dir,
            snapshot: None,
            table: Some(table),
        })
    }

    /// The table of a place, which a snapshot gets with its first property.
    fn property_table(&mut self, place: &Place) -> Result<ObjectNumber, Error> {
        match (place.table, place.snapshot) {
            (Some(table), _) => Ok(table),
            (None, Some(snapshot)) => {
                let table = self.new_table(PROPERTIES)?;
                let mut phys = self.dataset(snapshot)?;
                phys.properties = Some(table);
                self.put_dataset(snapshot, &phys)?;
                Ok(table)
            }
            (None, None) => {
                Err(Corrupt::new(format!("directory {} can have no properties", place.dir)).into())
            }
        }
    }

    /// Sets a property of a file system, volume or snapshot. The value is as it is stored: a number, or a text.
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
        let place = self.property_place(dataset)?;
        self.count_if_limit(&place, property, value)?;
        let table = self.property_table(&place)?;
        match source {
            PropertySource::Local => {
                self.table_put_value(table, property, value)?;
                self.table_remove(table, &format!("{property}$inherit"))?;
            }
            PropertySource::Received => {
                self.table_put_value(table, &format!("{property}$recvd"), value)?;
            }
        }
        self.settle_property(&place, property)
    }

    fn count_if_limit(&mut self, place: &Place, property: &str, value: &ZapValue) -> Result<(), Error> {
        if place.snapshot.is_none() && matches!(property, "filesystem_limit" | "snapshot_limit") {
            self.count_for_limit(place.dir, value)?;
        }
        Ok(())
    }

    /// Forgets what a stream set for a property. Where no stream ever set any, it is forgotten what the owner set: before
    /// there were received properties, they could not be told apart.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn clear_received_property(&mut self, dataset: &str, property: &str) -> Result<(), Error> {
        let has_received = self.has_received_properties(dataset)?;
        let place = self.property_place(dataset)?;
        let Some(table) = place.table else {
            return Ok(());
        };
        if has_received {
            self.table_remove(table, &format!("{property}$recvd"))?;
        } else {
            self.table_remove(table, property)?;
            self.table_remove(table, &format!("{property}$inherit"))?;
        }
        self.settle_property(&place, property)
    }

    /// Notes that properties were received, where neither the dataset nor one above says so.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn mark_received_properties(&mut self, dataset: &str) -> Result<(), Error> {
        if self.has_received_properties(dataset)? {
            return Ok(());
        }
        let place = self.property_place(dataset)?;
        let table = self.property_table(&place)?;
        self.table_put(table, HAS_RECEIVED, 0)
    }

    fn has_received_properties(&mut self, dataset: &str) -> Result<bool, Error> {
        let place = self.property_place(dataset)?;
        if let Some(table) = place.table.filter(|_| place.snapshot.is_some())
            && self.table_get_value(table, HAS_RECEIVED)?.is_some()
        {
            return Ok(true);
        }
        Ok(self.inherited(place.dir, HAS_RECEIVED)?.is_some())
    }

    /// What was set for a file system, volume or snapshot itself, in the order of its table.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn own_properties(&mut self, dataset: &str) -> Result<OwnProperties, Error> {
        let mut own = OwnProperties {
            has_received: self.has_received_properties(dataset)?,
            ..OwnProperties::default()
        };
        let Some(table) = self.property_place(dataset)?.table else {
            return Ok(own);
        };
        for entry in self.table_all(table)? {
            let name = entry.name_lossy();
            match name.split_once('$') {
                None => own.local.push((name, entry.value)),
                Some((name, "recvd")) => own.received.push((name.to_owned(), entry.value)),
                Some((name, "inherit")) => own.inherited.push(name.to_owned()),
                Some(_) => {}
            }
        }
        Ok(own)
    }

    /// The number that a dataset inherits for a property, if that is one that children take over; `None` where nothing
    /// above says any.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn number_above(&mut self, dataset: &str, property: &str) -> Result<Option<u64>, Error> {
        let place = self.property_place(dataset)?;
        match self.dir(place.dir)?.parent {
            Some(parent) => self.inherited(parent, property),
            None => Ok(None),
        }
    }

    /// Does what a property means beside being set, when it may have changed.
    fn settle_property(&mut self, place: &Place, property: &str) -> Result<(), Error> {
        if let Some(snapshot) = place.snapshot {
            return self.drop_empty_table(snapshot);
        }
        let Some(table) = place.table else { return Ok(()) };
        match property {
            "quota" => {
                let mut phys = self.dir(place.dir)?;
                phys.quota = self.own_property(table, property)?.unwrap_or(0);
                self.put_dir(place.dir, &phys)?;
            }
            "reservation" => {
                let reserved = self.own_property(table, property)?.unwrap_or(0);
                self.reserve_for(place.dir, reserved)?;
            }
            _ if property.starts_with("refreservation") => self.keep_ref_reservation(place.dir)?,
            _ => {}
        }
        self.refresh_policies()
    }

    /// A snapshot without properties has no table.
    fn drop_empty_table(&mut self, snapshot: ObjectNumber) -> Result<(), Error> {
        let mut phys = self.dataset(snapshot)?;
        let Some(table) = phys.properties else {
            return Ok(());
        };
        if !self.table_all(table)?.is_empty() {
            return Ok(());
        }
        self.free_meta_object(table)?;
        phys.properties = None;
        self.put_dataset(snapshot, &phys)
    }

    pub(super) fn put_property(
        &mut self,
        dir: ObjectNumber,
        table: ObjectNumber,
        property: &str,
        value: &ZapValue,
    ) -> Result<(), Error> {
        let place = Place {
            dir,
            snapshot: None,
            table: Some(table),
        };
        self.count_if_limit(&place, property, value)?;
        self.table_put_value(table, property, value)?;
        self.settle_property(&place, property)
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

    /// Forgets what was set, so that the value comes from above again, on purpose where streams have set properties here;
    /// or, with `to_received`, from what was received.
    ///
    /// # Errors
    /// [`Error::Missing`] where the dataset is not there.
    pub fn inherit_property(
        &mut self,
        dataset: &str,
        property: &str,
        to_received: bool,
    ) -> Result<(), Error> {
        let is_on_purpose = !to_received && self.has_received_properties(dataset)?;
        let place = self.property_place(dataset)?;
        if place.table.is_none() && !is_on_purpose {
            return Ok(());
        }
        let table = self.property_table(&place)?;
        self.table_remove(table, property)?;
        let inherit = format!("{property}$inherit");
        if is_on_purpose {
            self.table_put(table, &inherit, 0)?;
        } else {
            self.table_remove(table, &inherit)?;
        }
        self.settle_property(&place, property)
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
