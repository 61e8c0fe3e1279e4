//! An object: a dnode, and the blocks that its tree leads to.

use super::Dnode;
use super::allowance::Allowance;
use crate::spa::{Block, BlockPointer, BlockReader};
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use std::ops::ControlFlow;
use std::sync::Arc;
use zferry_wire::usize_from_u64;

/// An object of an object set.
#[derive(Clone, Debug)]
pub struct Object {
    /// Its number in the object set.
    pub number: ObjectNumber,
    /// Its description.
    pub dnode: Dnode,
}

impl Object {
    /// The pointer to a data block; `None` where the block was never written or lies past the tree.
    ///
    /// # Errors
    /// Where an indirect block cannot be read, or is not what its parent says.
    pub fn pointer(&self, reader: &BlockReader, id: BlockId) -> Result<Option<BlockPointer>, Error> {
        let dnode = &self.dnode;
        let top = dnode.levels.saturating_sub(1);
        let root = shift_right(id.0, dnode.span_shift(top));
        let Some(mut pointer) = dnode.pointers.get(usize_from_u64(root)).copied() else {
            return Ok(None);
        };
        for level in (0..top).rev() {
            if pointer.is_hole() {
                return Ok(None);
            }
            self.check_indirect(&pointer, level)?;
            let block = reader.read_cached(&pointer)?;
            let index = shift_right(id.0, dnode.span_shift(level));
            let mask = (1_u64 << dnode.pointers_per_block_shift().min(63)).saturating_sub(1);
            let child = BlockPointer::nth_of_block(&block.bytes, usize_from_u64(index & mask), block.endian);
            pointer = child
                .ok_or_else(|| Corrupt::new(format!("object {}: indirect block too short", self.number)))?;
        }
        Ok(Some(pointer).filter(|pointer| !pointer.is_hole()))
    }

    /// Checks that a pointer leads to an indirect block one level above `child_level`: trees only go down.
    pub(super) fn check_indirect(&self, pointer: &BlockPointer, child_level: u8) -> Result<(), Corrupt> {
        let size = 1_u64 << self.dnode.indirect_shift.min(63);
        if pointer.level() != child_level.saturating_add(1) || pointer.logical_size() != size {
            return Err(Corrupt::new(format!(
                "object {}: indirect block of level {} and {} bytes where level {} and {size} are due",
                self.number,
                pointer.level(),
                pointer.logical_size(),
                child_level.saturating_add(1),
            )));
        }
        Ok(())
    }

    /// A data block, through the cache; `None` for a hole.
    ///
    /// # Errors
    /// As [`Self::pointer`] and [`BlockReader::read`].
    pub fn block(&self, reader: &BlockReader, id: BlockId) -> Result<Option<Arc<Block>>, Error> {
        let Some(pointer) = self.pointer(reader, id)? else {
            return Ok(None);
        };
        if pointer.level() != 0 || pointer.logical_size() != self.dnode.data_bytes() {
            let what = format!("object {}: block {id} is {pointer}", self.number);
            return Err(
                Corrupt::new(format!("{what}, blocks have {} bytes", self.dnode.data_bytes())).into(),
            );
        }
        reader.read_cached(&pointer).map(Some)
    }

    /// Calls `each` with the data blocks one after another, up to the first hole or the last block, for as long as it
    /// says that there is more.
    ///
    /// # Errors
    /// As [`Self::block`], where the blocks are more than `allowance` has left, and what `each` returns.
    pub(crate) fn for_each_block(
        &self,
        reader: &BlockReader,
        allowance: &Allowance,
        each: &mut dyn FnMut(&Block) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        for id in 0..=self.dnode.max_block.0 {
            let Some(pointer) = self.pointer(reader, BlockId(id))? else {
                break;
            };
            allowance.count(&pointer)?;
            let Some(block) = self.block(reader, BlockId(id))? else {
                break;
            };
            if each(&block)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The first `len` bytes of the content; holes read as zeros.
    ///
    /// # Errors
    /// Where `len` is more than the object has or than `max`, and as [`Self::block`].
    pub fn content(&self, reader: &BlockReader, len: u64, max: u64) -> Result<Vec<u8>, Error> {
        if len > max || len > self.dnode.content_bytes() {
            let has = self.dnode.content_bytes();
            return Err(Corrupt::new(format!("object {}: {len} bytes wanted of {has}", self.number)).into());
        }
        let mut content = Vec::new();
        let block_bytes = usize_from_u64(self.dnode.data_bytes());
        let mut id = 0_u64;
        while content.len() < usize_from_u64(len) {
            match self.block(reader, BlockId(id))? {
                Some(block) => content.extend_from_slice(&block.bytes),
                None => content.resize(content.len().saturating_add(block_bytes), 0),
            }
            id = id.saturating_add(1);
        }
        content.truncate(usize_from_u64(len));
        Ok(content)
    }
}

/// `value >> shift`, and 0 where the shift is wider than the number.
const fn shift_right(value: u64, shift: u32) -> u64 {
    if shift >= 64 { 0 } else { value >> shift }
}
