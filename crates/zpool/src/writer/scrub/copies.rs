//! All copies of one block: those that its pointer names, on every side of a mirror.

use crate::Error;
use crate::spa::{BlockPointer, BlockReader};
use crate::vdev::{WriteLeaf, WriteTree};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// No block is larger, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// What came of one block.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    /// How much space was looked at, in bytes, as the pointer counts it.
    pub(super) examined: u64,
    /// How much was written anew, in bytes.
    pub(super) repaired: u64,
    /// Whether no copy is good.
    pub(super) is_lost: bool,
}

/// Reads the copies of blocks, with memory that is kept from one block to the next.
pub(super) struct Copies<'c> {
    reader: &'c BlockReader,
    vdevs: &'c WriteTree,
    /// The copy that was read last.
    bytes: Vec<u8>,
    /// The first good copy.
    good: Vec<u8>,
}

impl<'c> Copies<'c> {
    pub(super) const fn new(reader: &'c BlockReader, vdevs: &'c WriteTree) -> Self {
        Self {
            reader,
            vdevs,
            bytes: Vec::new(),
            good: Vec::new(),
        }
    }

    /// Reads all copies of a block, and writes the bad ones anew.
    pub(super) fn scrub(&mut self, pointer: &BlockPointer) -> Result<Outcome, Error> {
        let size = usize_from_u64(pointer.physical_size().min(BLOCK_BYTES_MAX));
        let mut outcome = Outcome {
            examined: pointer.allocated(),
            ..Outcome::default()
        };
        self.bytes.resize(size, 0);
        if pointer.dvas().any(|dva| dva.gang) {
            outcome.is_lost = self.reader.read_stored(pointer, &mut self.bytes).is_err();
            return Ok(outcome);
        }
        let vdevs = self.vdevs;
        let mut has_good = false;
        let mut bad: Vec<(&WriteLeaf, u64, u64)> = Vec::new();
        for dva in pointer.dvas() {
            // An address that is on no disk has no copy to be repaired.
            let Ok((top, place)) = vdevs.place(dva.vdev, dva.offset, u64_from_usize(size)) else {
                continue;
            };
            for leaf in &top.leaves {
                let is_read = leaf.disk.read_at(&mut self.bytes, place).is_ok();
                if !is_read || self.reader.verify(pointer, &self.bytes).is_err() {
                    bad.push((leaf, place, 1 << top.ashift.min(16)));
                } else if !has_good {
                    has_good = true;
                    std::mem::swap(&mut self.bytes, &mut self.good);
                    self.bytes.resize(size, 0);
                }
            }
        }
        outcome.is_lost = !has_good;
        if has_good {
            for (leaf, place, sector) in bad {
                self.good.resize(size.next_multiple_of(usize_from_u64(sector)), 0);
                let written = leaf.disk.write_at(&self.good, place);
                written.map_err(|source| Error::io(leaf.disk.name(), source))?;
                outcome.repaired = outcome.repaired.saturating_add(u64_from_usize(self.good.len()));
            }
        }
        Ok(outcome)
    }
}
