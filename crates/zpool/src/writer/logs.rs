//! Logs of space maps, as OpenZFS keeps them since 2.0: what a group takes and gives back is written to one log for all
//! metaslabs, and into their own maps much later. zferry does not keep such logs. It opens a pool by writing the maps of
//! all metaslabs that logs mention anew, and then takes the logs away.
//!
//! ```text
//! com.delphix:log_spacemap_zap       object directory: transaction group (hexadecimal) → log
//! com.delphix:ms_unflushed_phys_txgs  table of a top-level vdev: → array, by metaslab the first group that logs add to
//! ```

use super::PoolWriter;
use super::create::SPACE_MAP_HEADER_BYTES;
use crate::spa::{Feature, TopVdevSpace};
use crate::{Corrupt, Error, ObjectNumber};
use zferry_wire::{u64_from_usize, usize_from_u64};

const LOGS: &str = "com.delphix:log_spacemap_zap";
const UNFLUSHED: &str = "com.delphix:ms_unflushed_phys_txgs";
const DIRECTORY: ObjectNumber = ObjectNumber(1);

impl PoolWriter {
    /// Brings the space maps into the form in which zferry writes them. Says whether anything was to be done, which is
    /// to be committed before anything else.
    pub(super) fn take_over_space(&mut self, spaces: &[TopVdevSpace]) -> Result<bool, Error> {
        let mut is_changed = false;
        for (vdev, space) in spaces.iter().enumerate() {
            is_changed |= self.make_missing_space_maps(vdev, space)?;
        }
        let Some(table) = self.table_get(DIRECTORY, LOGS)?.map(ObjectNumber) else {
            return Ok(is_changed);
        };
        let logged = self.pool.logged()?;
        self.io.allocator.apply_logged(&self.io.reader, &logged)?;
        for space in spaces {
            let Some(vdev_table) = space.table else { continue };
            if let Some(array) = self.table_get(vdev_table, UNFLUSHED)? {
                self.table_remove(vdev_table, UNFLUSHED)?;
                self.free_meta_object(ObjectNumber(array))?;
            }
        }
        for entry in self.table_all(table)? {
            let log = entry.value.as_u64().map(ObjectNumber);
            let log = log.ok_or_else(|| Corrupt::new("a log of space maps that is no object"))?;
            if self.bonus(log)?.len() == SPACE_MAP_HEADER_BYTES {
                self.count_feature(Feature::SpacemapHistogram, -1)?;
            }
            self.free_meta_object(log)?;
        }
        self.free_meta_object(table)?;
        self.table_remove(DIRECTORY, LOGS)?;
        let count = self.feature_count(Feature::LogSpacemap)?;
        self.count_feature(Feature::LogSpacemap, count.cast_signed().saturating_neg())?;
        Ok(true)
    }

    /// Makes the space maps of metaslabs that nothing was ever written to.
    fn make_missing_space_maps(&mut self, vdev: usize, space: &TopVdevSpace) -> Result<bool, Error> {
        let missing = || Error::Invalid("a vdev that is not there".to_owned());
        let top = self.io.allocator.tops.get(vdev).ok_or_else(missing)?;
        let without: Vec<usize> = (0_usize..)
            .zip(&top.metaslabs)
            .filter(|(_, metaslab)| metaslab.map.is_none())
            .map(|(index, _)| index)
            .collect();
        let ashift = top.ashift;
        let Some(array) = space.metaslab_array.filter(|_| !without.is_empty()) else {
            return Ok(false);
        };
        for index in &without {
            let number = self.new_space_map(ashift)?;
            let per_block = (self.mos.dnode(&mut self.io, array)?.data_bytes() >> 3).max(1);
            let place = u64_from_usize(*index);
            let id = place.checked_div(per_block).unwrap_or(0);
            let at = usize_from_u64(place.checked_rem(per_block).unwrap_or(0)).saturating_mul(8);
            self.mos.with_object(&mut self.io, array, |object, context| {
                object.grow(id)?;
                let block = object.content_mut(context.io, id)?;
                if let Some(target) = block.get_mut(at..at.saturating_add(8)) {
                    target.copy_from_slice(&number.0.to_le_bytes());
                }
                Ok(())
            })?;
            let top = self.io.allocator.tops.get_mut(vdev).ok_or_else(missing)?;
            if let Some(metaslab) = top.metaslabs.get_mut(*index) {
                metaslab.map = Some(number);
                metaslab.is_new = true;
            }
        }
        let count = i64::try_from(without.len()).unwrap_or(0);
        self.count_feature(Feature::SpacemapHistogram, count)?;
        Ok(true)
    }
}
