//! Writing blocks: space for each copy, the bytes at once, and the pointer that leads there.

use super::allocator::{Allocator, Purpose};
use super::prepare::Form;
use super::{BlockPointer, BlockReader, Dva, PreparedBlock};
use crate::vdev::WriteTree;
use crate::{Error, Txg};
use std::sync::Arc;
use zferry_wire::{u64_from_usize, usize_from_u32};

/// Where blocks of the open transaction group go.
#[derive(Debug)]
pub(crate) struct BlockWriter {
    pub(crate) reader: Arc<BlockReader>,
    pub(crate) vdevs: WriteTree,
    pub(crate) allocator: Allocator,
    /// The open transaction group.
    pub(crate) txg: Txg,
    /// A block is padded to whole sectors here before it is written.
    padded: Vec<u8>,
}

impl BlockWriter {
    pub(crate) fn new(reader: Arc<BlockReader>, vdevs: WriteTree, allocator: Allocator, txg: Txg) -> Self {
        Self {
            reader,
            vdevs,
            allocator,
            txg,
            padded: Vec::new(),
        }
    }

    /// Writes a block. A hole needs no space; its pointer is all zeros.
    pub(crate) fn write(
        &mut self,
        block: &PreparedBlock,
        fill: u64,
        purpose: Purpose,
    ) -> Result<BlockPointer, Error> {
        let Form::Stored { bytes, crypt, .. } = &block.form else {
            return Ok(block.pointer(&[], self.txg, fill));
        };
        let is_encrypted = crypt.is_some() && block.level == 0 && block.object_type.is_encrypted();
        let copies = if is_encrypted {
            block.copies.min(2)
        } else {
            block.copies
        };
        let len = u64_from_usize(bytes.len());
        let dvas = self.allocator.allocate(&self.reader, len, copies, purpose)?;
        self.write_at(&dvas, bytes)?;
        Ok(block.pointer(&dvas, self.txg, fill))
    }

    /// Writes the stored bytes of a block to where it has space already.
    pub(crate) fn write_at(&mut self, dvas: &[Dva], bytes: &[u8]) -> Result<(), Error> {
        for dva in dvas {
            let top = self.vdevs.tops.get(usize_from_u32(dva.vdev));
            let sector = 1_usize << top.map_or(9, |top| top.ashift).min(31);
            if bytes.len().checked_rem(sector) == Some(0) {
                self.vdevs.write(dva.vdev, dva.offset, bytes)?;
            } else {
                self.padded.clear();
                self.padded.extend_from_slice(bytes);
                self.padded.resize(bytes.len().next_multiple_of(sector), 0);
                self.vdevs.write(dva.vdev, dva.offset, &self.padded)?;
            }
        }
        Ok(())
    }

    /// Gives the space of a block back; of a gang block, that of its headers and of its pieces.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where a gang header cannot be read, or says what cannot be: then nothing is given back.
    pub(crate) fn free(&mut self, pointer: &BlockPointer) -> Result<(), Error> {
        if pointer.dvas().any(|dva| dva.gang) {
            let parts = self.reader.gang_parts(pointer)?;
            return parts.iter().try_for_each(|part| self.allocator.free(part));
        }
        self.allocator.free(pointer)
    }

    /// Whether datasets may still grow by so many bytes.
    pub(crate) fn check_room(&self, bytes: u64) -> Result<(), Error> {
        let allocated = self.allocator.allocated();
        let available = self.allocator.limit.saturating_sub(allocated);
        if bytes > available {
            return Err(Error::NoSpace {
                wanted: bytes,
                available,
            });
        }
        Ok(())
    }
}
