//! An end to walks through trees that never end: no two blocks of metadata are stored in the same place, so all that a
//! walk comes by takes no more room than the pool has.
//!
//! Damaged pointers may lead to one block over and over. A tree has twelve levels at most, which ends no walk: with a
//! thousand pointers to the same block in each it has more leaves than can be counted.

use crate::Corrupt;
use crate::spa::{BlockPointer, BlockReader};
use std::cell::Cell;

/// No block takes less room, in bytes. Those that lie in their pointer count as much.
const BLOCK_BYTES_MIN: u64 = 512;

/// How much metadata a walk may still come by.
#[derive(Debug)]
pub(crate) struct Allowance {
    left: Cell<u64>,
}

impl Allowance {
    /// As much as the pool has room for.
    pub(crate) fn of_pool(reader: &BlockReader) -> Self {
        Self {
            left: Cell::new(reader.vdevs().data_bytes()),
        }
    }

    /// Counts a block of metadata that the walk comes by.
    ///
    /// # Errors
    /// [`Corrupt`] where it is one too many.
    pub(crate) fn count(&self, pointer: &BlockPointer) -> Result<(), Corrupt> {
        let bytes = pointer.physical_size().max(BLOCK_BYTES_MIN);
        let left = self.left.get().checked_sub(bytes).ok_or_else(|| {
            Corrupt::new(
                "its blocks of metadata take more room than the pool has: pointers lead to the same one",
            )
        })?;
        self.left.set(left);
        Ok(())
    }
}
