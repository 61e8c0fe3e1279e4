//! How much can still be written to a dataset: as much as every directory above it allows.

use super::property::{Property, Value};
use super::{Dataset, DslDir, DslPool};
use crate::Error;

impl DslPool<'_> {
    /// How much can still be written to a dataset, in bytes.
    ///
    /// # Errors
    /// Where a property or the space of the pool cannot be read.
    pub fn available(&self, dataset: &Dataset) -> Result<u64, Error> {
        let mut available = self.dir_available(&dataset.dir)?;
        let reserved = self.own_number(dataset, Property::RefReservation)?;
        available = available.saturating_add(reserved.saturating_sub(dataset.phys.unique));
        let quota = self.own_number(dataset, Property::RefQuota)?;
        if quota != 0 {
            available = available.min(quota.saturating_sub(dataset.phys.referenced));
        }
        Ok(available)
    }

    /// A number that is set for a head alone, 0 by default. Snapshots have none.
    pub(super) fn own_number(&self, dataset: &Dataset, property: Property) -> Result<u64, Error> {
        if dataset.is_snapshot() {
            return Ok(0);
        }
        let settings = self.dir_settings(&dataset.dir)?;
        let value = settings.get(property.name()).map(|setting| &setting.value);
        Ok(value.and_then(Value::number).unwrap_or(0))
    }

    /// How much can still be written below a directory, in bytes.
    fn dir_available(&self, dir: &DslDir) -> Result<u64, Error> {
        let mut above = self.usable_space()?;
        let lineage: Vec<&DslDir> = dir.ancestry().collect();
        for (depth, dir) in lineage.into_iter().rev().enumerate() {
            let phys = &dir.phys;
            let mut quota = if phys.quota == 0 { u64::MAX } else { phys.quota };
            if depth == 0 {
                // The root has nobody above it; the pool's own size is its quota.
                quota = quota.min(above);
                above = quota.saturating_sub(phys.used);
                continue;
            }
            // What is reserved here and not yet used, those above have counted as used.
            let own = above.saturating_add(phys.reserved.saturating_sub(phys.used));
            above = own.min(quota.saturating_sub(phys.used));
        }
        Ok(above)
    }

    fn usable_space(&self) -> Result<u64, Error> {
        if let Some(space) = self.usable_space.get() {
            return Ok(*space);
        }
        let space = self.pool().usable_space()?;
        Ok(*self.usable_space.get_or_init(|| space))
    }
}
