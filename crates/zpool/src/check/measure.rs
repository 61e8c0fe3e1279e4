//! What a block counts for in the accounts of a pool.

use crate::Error;
use crate::Pool;
use crate::dsl::Sizes;
use crate::spa::{BlockPointer, TopVdevSpace};
use std::collections::BTreeMap;

/// Knows the vdevs by which space is measured.
#[derive(Debug)]
pub(super) struct Measure {
    tops: BTreeMap<u32, TopVdevSpace>,
    /// Whether parity is taken off.
    deflates: bool,
}

impl Measure {
    pub(super) fn new(pool: &Pool) -> Result<Self, Error> {
        let tops = pool.top_vdevs().into_iter();
        let tops = tops.filter_map(|top| Some((u32::try_from(top.id).ok()?, top)));
        Ok(Self {
            tops: tops.collect(),
            deflates: pool.directory_entry("deflate")?.is_some(),
        })
    }

    /// The top-level vdevs, by their numbers.
    pub(super) fn tops(&self) -> &BTreeMap<u32, TopVdevSpace> {
        &self.tops
    }

    /// The space that a block takes, in bytes of data that would fit.
    pub(super) fn used(&self, pointer: &BlockPointer) -> u64 {
        let sizes = pointer.dvas().map(|dva| match self.tops.get(&dva.vdev) {
            Some(top) if self.deflates => top.deflated(dva.allocated),
            _ => dva.allocated,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// The three sizes of a block. Of metadata, and of blocks of pointers, the stored size counts as the content's.
    pub(super) fn sizes(&self, pointer: &BlockPointer) -> Sizes {
        let compressed = if pointer.is_embedded() {
            0
        } else {
            pointer.physical_size()
        };
        let is_data = pointer.level() == 0 && !pointer.object_type().is_metadata();
        Sizes {
            used: self.used(pointer),
            compressed,
            uncompressed: if is_data {
                pointer.logical_size()
            } else {
                compressed
            },
        }
    }
}
