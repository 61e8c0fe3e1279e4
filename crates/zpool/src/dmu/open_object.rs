//! An object in change: its dnode, and the parts of its tree that differ from what is on disk.
//!
//! Blocks of data that come ready are written at once, and only their pointers stay here, in the indirect blocks that
//! hold them. Content of small objects (tables, lists) stays here as bytes until the object is written out.

use super::indirect_block::IndirectBlock;
use super::ledger::Ledger;
use super::set_crypt::SetCrypt;
use super::{Dnode, DnodeFlags, ObjectType};
use crate::spa::{Block, BlockPointer, BlockPolicy, BlockReader, BlockWriter, PreparedBlock, Purpose};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg, Unsupported};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_blocks::checksum::ChecksumAlgorithm;
use zferry_blocks::compress::Compression;
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

/// How many levels a tree can have.
const LEVELS_MAX: u8 = 12;

/// An object in change.
#[derive(Clone, Debug)]
pub(crate) struct OpenObject {
    pub(crate) number: ObjectNumber,
    pub(crate) dnode: Dnode,
    /// Indirect blocks in change, by their level and number.
    indirect: BTreeMap<(u8, u64), IndirectBlock>,
    /// Data blocks in change.
    content: BTreeMap<u64, Vec<u8>>,
    content_bytes: usize,
    /// Whether the dnode differs from the one in its block.
    pub(crate) is_dirty: bool,
    /// What reads its blocks, where that takes a key.
    reader: Option<Arc<BlockReader>>,
}

/// Whom writing an object's blocks concerns.
pub(crate) struct Context<'a> {
    pub(crate) io: &'a mut BlockWriter,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) crypt: &'a mut SetCrypt,
}

impl Context<'_> {
    /// Writes a block, which is sealed where the set's blocks are.
    fn write(&mut self, block: &PreparedBlock, fill: u64, purpose: Purpose) -> Result<BlockPointer, Error> {
        match self.crypt.seal(block)? {
            Some(sealed) => self.io.write(&sealed, fill, purpose),
            None => self.io.write(block, fill, purpose),
        }
    }
}

/// How an object set's blocks are stored.
#[derive(Clone, Debug)]
pub struct Policies {
    pub(crate) metadata: BlockPolicy,
    pub(crate) data: BlockPolicy,
}

impl Policies {
    /// How a block of an object is stored.
    pub(crate) fn of(&self, object_type: ObjectType, level: u8) -> &BlockPolicy {
        if level > 0 || object_type.is_metadata() {
            &self.metadata
        } else {
            &self.data
        }
    }

    /// How data blocks of an object are stored, with what its dnode says itself; 0 inherits.
    #[must_use]
    pub fn for_object(&self, object_type: ObjectType, checksum: u8, compression: u8) -> BlockPolicy {
        let mut policy = self.of(object_type, 0).clone();
        if object_type.is_metadata() {
            return policy;
        }
        policy.compression = match compression {
            0 => policy.compression,
            1 => Compression::ON,
            id => Compression::from_id(id).unwrap_or(policy.compression),
        };
        policy.checksum = match checksum {
            0 => policy.checksum,
            1 => ChecksumAlgorithm::Fletcher4,
            id => ChecksumAlgorithm::from_id(id).unwrap_or(policy.checksum),
        };
        policy
    }
}

impl OpenObject {
    pub(crate) fn new(number: ObjectNumber, dnode: Dnode) -> Self {
        Self {
            number,
            dnode,
            indirect: BTreeMap::new(),
            content: BTreeMap::new(),
            content_bytes: 0,
            is_dirty: false,
            reader: None,
        }
    }

    /// The same, whose blocks `reader` reads, where there is one.
    pub(crate) fn with_reader(mut self, reader: Option<Arc<BlockReader>>) -> Self {
        self.reader = reader;
        self
    }

    fn reader<'a>(&'a self, io: &'a BlockWriter) -> &'a BlockReader {
        self.reader.as_ref().unwrap_or(&io.reader)
    }

    fn top(&self) -> u8 {
        self.dnode.levels.saturating_sub(1)
    }

    fn per_block(&self) -> u64 {
        1 << self.dnode.pointers_per_block_shift().min(20)
    }

    /// An estimate of the memory it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let indirect = self.indirect.values().map(IndirectBlock::weight);
        let indirect = indirect.fold(0, usize::saturating_add);
        indirect.saturating_add(self.content_bytes).saturating_add(1024)
    }

    /// The pointer with a number at a level; a hole past the tree.
    pub(crate) fn pointer(&self, io: &BlockWriter, level: u8, id: u64) -> Result<BlockPointer, Error> {
        let shift = self.dnode.pointers_per_block_shift();
        let above = |from: u64, levels: u8| {
            from.checked_shr(shift.saturating_mul(u32::from(levels)))
                .unwrap_or(0)
        };
        // The lowest block in change on the way up; else the dnode.
        let top = self.top();
        let mut at = level;
        let mut pointer = loop {
            let up = at.saturating_sub(level);
            let number = above(id, up);
            if at >= top {
                let root = self.dnode.pointers.get(usize_from_u64(number)).copied();
                break root.unwrap_or_default();
            }
            let parent = (at.saturating_add(1), number >> shift);
            if let Some(pointers) = self.indirect.get(&parent) {
                let index = usize_from_u64(number & self.per_block().saturating_sub(1));
                break pointers.get(index).unwrap_or_default();
            }
            at = at.saturating_add(1);
        };
        // And down again through the blocks on disk.
        while at > level {
            if pointer.is_hole() {
                return Ok(self.hole_below(&pointer, level));
            }
            let block = self.read_indirect(io, &pointer, at)?;
            at = at.saturating_sub(1);
            let number = above(id, at.saturating_sub(level));
            let index = usize_from_u64(number & self.per_block().saturating_sub(1));
            pointer = BlockPointer::nth_of_block(&block.bytes, index, block.endian).unwrap_or_default();
        }
        Ok(pointer)
    }

    fn read_indirect(
        &self,
        io: &BlockWriter,
        pointer: &BlockPointer,
        level: u8,
    ) -> Result<Arc<Block>, Error> {
        let size = 1_u64 << self.dnode.indirect_shift.min(63);
        if pointer.level() != level || pointer.logical_size() != size {
            let number = self.number;
            return Err(
                Corrupt::new(format!("object {number}: {pointer} where level {level} is due")).into(),
            );
        }
        self.reader(io).read_cached(pointer)
    }

    /// Makes the indirect block of a level that a number leads through one in change, and all above it.
    fn open_path(&mut self, io: &BlockWriter, id: u64) -> Result<(), Error> {
        let shift = self.dnode.pointers_per_block_shift();
        let mut number = id;
        for level in 1..=self.top() {
            number >>= shift;
            if self.indirect.contains_key(&(level, number)) {
                return Ok(());
            }
            let pointer = self.pointer(io, level, number)?;
            let count = usize_from_u64(self.per_block());
            let pointers = if pointer.is_hole() {
                IndirectBlock::of_holes(self.hole_below(&pointer, level.saturating_sub(1)), count)
            } else {
                let block = self.read_indirect(io, &pointer, level)?;
                IndirectBlock::starting_with(BlockPointer::iter_block(&block.bytes, block.endian), count)
            };
            self.indirect.insert((level, number), pointers);
        }
        Ok(())
    }

    /// How many data blocks the tree can have as it is.
    fn capacity(&self) -> u64 {
        let roots = u64_from_usize(self.dnode.pointers.len());
        let span = self.dnode.span_shift(self.top());
        if span >= 60 { u64::MAX } else { roots << span }
    }

    /// Makes the tree high enough for a data block.
    pub(crate) fn grow(&mut self, id: u64) -> Result<(), Error> {
        while id >= self.capacity() {
            if self.dnode.levels >= LEVELS_MAX {
                return Err(Error::Invalid(format!(
                    "object {}: block {id} is too far out",
                    self.number
                )));
            }
            self.add_level();
        }
        Ok(())
    }

    /// Puts a level on top of the tree.
    fn add_level(&mut self) {
        let count = usize_from_u64(self.per_block());
        let roots = self.dnode.pointers.iter_mut().map(std::mem::take);
        let pointers = IndirectBlock::starting_with(roots, count);
        self.dnode.levels = self.dnode.levels.saturating_add(1);
        self.is_dirty = true;
        if pointers.was_ever_set() || !self.indirect.is_empty() {
            self.indirect.insert((self.top(), 0), pointers);
        }
    }

    /// Makes the tree as high as that.
    pub(crate) fn grow_to(&mut self, levels: u8) -> Result<(), Error> {
        if levels > LEVELS_MAX || levels < self.dnode.levels {
            return Err(Error::Invalid(format!(
                "object {}: a tree of {levels} levels",
                self.number
            )));
        }
        while self.dnode.levels < levels {
            self.add_level();
        }
        Ok(())
    }

    /// Changes the size of indirect blocks, where there are none.
    pub(crate) fn set_indirect_shift(&mut self, shift: u8) -> Result<(), Error> {
        if shift == self.dnode.indirect_shift {
            return Ok(());
        }
        if self.dnode.levels > 1 || !(12..=17).contains(&shift) {
            let number = self.number;
            return Err(Error::Invalid(format!(
                "object {number}: indirect blocks of 2^{shift} bytes"
            )));
        }
        self.dnode.indirect_shift = shift;
        self.is_dirty = true;
        Ok(())
    }

    /// Changes how many pointers the dnode has. Those that go must lead nowhere.
    pub(crate) fn set_pointer_count(&mut self, count: usize) -> Result<(), Error> {
        if self
            .dnode
            .pointers
            .iter()
            .skip(count)
            .any(|pointer| !pointer.is_hole())
        {
            return Err(Error::Invalid(format!(
                "object {}: its pointers are in use",
                self.number
            )));
        }
        self.dnode.pointers.resize(count, BlockPointer::default());
        self.is_dirty = true;
        Ok(())
    }

    /// Puts a pointer in place of another, and settles what that means for space.
    fn replace(
        &mut self,
        context: &mut Context<'_>,
        level: u8,
        id: u64,
        new: BlockPointer,
    ) -> Result<(), Error> {
        let shift = self.dnode.pointers_per_block_shift();
        let slot = if level >= self.top() {
            self.dnode.pointers.get_mut(usize_from_u64(id))
        } else {
            let parent = (level.saturating_add(1), id >> shift);
            let index = usize_from_u64(id & self.per_block().saturating_sub(1));
            let pointers = self.indirect.get_mut(&parent);
            pointers.and_then(|pointers| pointers.get_mut(index))
        };
        let number = self.number;
        let slot = slot.ok_or_else(|| Error::Invalid(format!("object {number}: no place for block {id}")))?;
        let old = std::mem::replace(slot, new);
        let (born, died) = (new.allocated(), old.allocated());
        self.dnode.used = self.dnode.used.saturating_add(born).saturating_sub(died);
        self.is_dirty = true;
        context.ledger.born(&new);
        context.ledger.kill(&old, context.io)
    }

    /// What a pointer becomes when its block is zeros: a hole with a birth, unless it never was anything else.
    fn hole_after(&self, old: &BlockPointer, level: u8, context: &Context<'_>) -> BlockPointer {
        if old.logical_birth().0 == 0 {
            return BlockPointer::default();
        }
        self.hole_of(level, context.io.txg)
    }

    /// What a pointer below a hole is: a hole that came to be when that did. Whoever sends what changed since an earlier
    /// group must see it when only its neighbours are filled again.
    fn hole_below(&self, hole: &BlockPointer, level: u8) -> BlockPointer {
        match hole.logical_birth() {
            Txg(0) => BlockPointer::default(),
            birth => self.hole_of(level, birth),
        }
    }

    fn hole_of(&self, level: u8, birth: Txg) -> BlockPointer {
        let size = if level == 0 {
            self.dnode.data_bytes()
        } else {
            1 << self.dnode.indirect_shift.min(63)
        };
        BlockPointer::punched(self.dnode.object_type, level, size, birth)
    }

    /// Writes a data block that is ready.
    pub(crate) fn write_block(
        &mut self,
        context: &mut Context<'_>,
        id: u64,
        block: &PreparedBlock,
        fill: u64,
    ) -> Result<(), Error> {
        self.grow(id)?;
        self.open_path(context.io, id)?;
        self.drop_content(id);
        let new = if block.is_hole() {
            let old = self.pointer(context.io, 0, id)?;
            self.hole_after(&old, 0, context)
        } else {
            let purpose = if block.object_type.is_metadata() {
                Purpose::Metadata
            } else {
                Purpose::Data
            };
            context.write(block, fill, purpose)?
        };
        self.replace(context, 0, id, new)?;
        self.extend_to(id);
        Ok(())
    }

    fn drop_content(&mut self, id: u64) {
        if let Some(old) = self.content.remove(&id) {
            self.content_bytes = self.content_bytes.saturating_sub(old.len());
        }
    }

    fn extend_to(&mut self, id: u64) {
        if id > self.dnode.max_block.0 {
            self.dnode.max_block = BlockId(id);
            self.is_dirty = true;
        }
    }

    /// The content of a data block; `None` for a hole.
    pub(crate) fn block(&self, io: &BlockWriter, id: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.peek(io, id)?.map(Cow::into_owned))
    }

    /// The same, only to be looked at.
    pub(crate) fn peek(&self, io: &BlockWriter, id: u64) -> Result<Option<Cow<'_, [u8]>>, Error> {
        if let Some(content) = self.content.get(&id) {
            return Ok(Some(Cow::Borrowed(content)));
        }
        let pointer = self.pointer(io, 0, id)?;
        if pointer.is_hole() {
            return Ok(None);
        }
        if pointer.endian() != Endian::Little && self.dnode.object_type.is_metadata() {
            return Err(Error::ReadOnly(
                "it was written by a big-endian machine".to_owned(),
            ));
        }
        if pointer.is_redacted() {
            return Err(Unsupported::Redacted.into());
        }
        Ok(Some(Cow::Owned(self.reader(io).read(&pointer)?.bytes)))
    }

    /// How many objects, in a block of dnodes, or blocks there are behind the pointer of a data block; 0 where the block is
    /// in change.
    pub(crate) fn fill_as_written(&self, io: &BlockWriter, id: u64) -> Result<u64, Error> {
        if self.content.contains_key(&id) {
            return Ok(0);
        }
        Ok(self.pointer(io, 0, id)?.fill())
    }

    /// The content of a data block, zeros for a hole.
    pub(crate) fn block_or_zeros(&self, io: &BlockWriter, id: u64) -> Result<Vec<u8>, Error> {
        let found = self.block(io, id)?;
        Ok(found.unwrap_or_else(|| vec![0; usize_from_u64(self.dnode.data_bytes())]))
    }

    /// Changes the content of a data block, which is written when the object is.
    pub(crate) fn put_block(&mut self, id: u64, content: Vec<u8>) {
        self.extend_to(id);
        self.drop_content(id);
        self.content_bytes = self.content_bytes.saturating_add(content.len());
        self.content.insert(id, content);
        self.is_dirty = true;
    }

    /// A data block in change, to be changed further.
    pub(crate) fn content_mut(&mut self, io: &BlockWriter, id: u64) -> Result<&mut Vec<u8>, Error> {
        if !self.content.contains_key(&id) {
            let content = self.block_or_zeros(io, id)?;
            self.put_block(id, content);
        }
        self.is_dirty = true;
        let content = self.content.get_mut(&id);
        content.ok_or_else(|| Error::Invalid("a block that was just put is gone".to_owned()))
    }

    /// The first data block at or after `id` that is no hole.
    pub(crate) fn next_block(&self, io: &BlockWriter, id: u64) -> Result<Option<u64>, Error> {
        let in_change = self.content.range(id..).next().map(|(id, _)| *id);
        let mut at = id;
        let end = in_change
            .unwrap_or(u64::MAX)
            .min(self.dnode.max_block.0.saturating_add(1));
        'search: while at < end {
            for level in (0..=self.top()).rev() {
                let shift = self.dnode.span_shift(level).min(63);
                if self.pointer(io, level, at >> shift)?.is_hole()
                    && !self.is_changed_below(level, at >> shift)
                {
                    at = (at >> shift).saturating_add(1) << shift;
                    continue 'search;
                }
            }
            return Ok(Some(at));
        }
        Ok(in_change)
    }

    /// Whether an indirect block is in change that the pointer does not know of yet.
    fn is_changed_below(&self, level: u8, id: u64) -> bool {
        level > 0 && self.indirect.contains_key(&(level, id))
    }

    /// Frees data blocks from `first` on up to `end` (exclusive), leaving holes with a birth.
    pub(crate) fn free_blocks(
        &mut self,
        context: &mut Context<'_>,
        first: u64,
        end: u64,
    ) -> Result<(), Error> {
        let within = self.dnode.max_block.0.saturating_add(1);
        let end = end.min(within);
        let dropped: Vec<u64> = self
            .content
            .range(first..end.max(first))
            .map(|(id, _)| *id)
            .collect();
        for id in dropped {
            self.drop_content(id);
        }
        let mut at = first;
        while at < end {
            let Some(id) = self.next_block(context.io, at)? else {
                break;
            };
            if id >= end {
                break;
            }
            self.open_path(context.io, id)?;
            let old = self.pointer(context.io, 0, id)?;
            let hole = self.hole_after(&old, 0, context);
            self.replace(context, 0, id, hole)?;
            at = id.saturating_add(1);
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Frees every block, the spill block too, so that no tree is left.
    pub(crate) fn free_all(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        self.take_content();
        self.free_blocks(context, 0, u64::MAX)?;
        // What is left leads to holes alone; the indirect blocks themselves die too.
        let mut stack: Vec<(u8, u64)> = Vec::new();
        let top = self.top();
        for root in 0..u64_from_usize(self.dnode.pointers.len()) {
            stack.push((top, root));
        }
        while let Some((level, id)) = stack.pop() {
            if level == 0 {
                continue;
            }
            let pointer = self.pointer(context.io, level, id)?;
            let in_change = self.indirect.contains_key(&(level, id));
            if pointer.is_hole() && !in_change {
                continue;
            }
            let shift = self.dnode.pointers_per_block_shift();
            if level > 1 {
                for child in 0..self.per_block() {
                    stack.push((level.saturating_sub(1), (id << shift).saturating_add(child)));
                }
            }
            if !pointer.is_hole() {
                context.ledger.kill(&pointer, context.io)?;
                self.dnode.used = self.dnode.used.saturating_sub(pointer.allocated());
            }
        }
        self.indirect.clear();
        self.dnode.pointers.fill(BlockPointer::default());
        self.remove_spill(context)?;
        self.dnode.max_block = BlockId(0);
        Ok(())
    }

    /// Puts a spill block in place.
    pub(crate) fn set_spill(
        &mut self,
        context: &mut Context<'_>,
        block: &PreparedBlock,
    ) -> Result<(), Error> {
        let new = context.write(block, 1, Purpose::Metadata)?;
        self.remove_spill(context)?;
        context.ledger.born(&new);
        self.dnode.used = self.dnode.used.saturating_add(new.allocated());
        self.dnode.spill = Some(new);
        self.dnode.flags |= DnodeFlags::SPILL_POINTER;
        let room = self.dnode.bonus.len().saturating_sub(BlockPointer::BYTES);
        let full = Dnode::bonus_room(
            self.dnode.extra_slots.saturating_add(1),
            self.dnode.pointers.len(),
            false,
        );
        if self.dnode.bonus.len() == full {
            self.dnode
                .bonus
                .truncate(room.max(usize::from(self.dnode.bonus_len)));
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Frees the spill block.
    pub(crate) fn remove_spill(&mut self, context: &mut Context<'_>) -> Result<(), Error> {
        if let Some(old) = self.dnode.spill.take() {
            self.dnode.used = self.dnode.used.saturating_sub(old.allocated());
            self.dnode.flags.remove(DnodeFlags::SPILL_POINTER);
            self.is_dirty = true;
            context.ledger.kill(&old, context.io)?;
        }
        Ok(())
    }

    /// Writes out all content and all indirect blocks in change, the lowest first.
    pub(crate) fn write_out(&mut self, context: &mut Context<'_>, policies: &Policies) -> Result<(), Error> {
        for (id, content) in self.take_content() {
            let Dnode {
                object_type,
                checksum,
                compression,
                ..
            } = self.dnode;
            let policy = policies.for_object(object_type, checksum, compression);
            let block = policy.prepare(self.dnode.object_type, content)?;
            self.write_block(context, id, &block, 1)?;
        }
        self.write_out_indirect(context, policies)
    }

    /// Writes out the indirect blocks in change, the lowest first.
    pub(crate) fn write_out_indirect(
        &mut self,
        context: &mut Context<'_>,
        policies: &Policies,
    ) -> Result<(), Error> {
        while let Some(((level, id), pointers)) = self.indirect.pop_first() {
            let old = self.pointer(context.io, level, id)?;
            let new = if pointers.is_empty() {
                self.hole_after(&old, level, context)
            } else {
                let policy = policies.of(self.dnode.object_type, level);
                let content = pointers.encode();
                let block = context
                    .crypt
                    .indirect(policy, self.dnode.object_type, level, content)?;
                context.io.write(&block, pointers.fill(), Purpose::Metadata)?
            };
            // What leads here is in change as well, but for what only grew on top.
            if level < self.top() {
                self.open_path_above(context.io, level, id)?;
            }
            self.replace(context, level, id, new)?;
        }
        Ok(())
    }

    fn open_path_above(&mut self, io: &BlockWriter, level: u8, id: u64) -> Result<(), Error> {
        let shift = self.dnode.span_shift(level).min(63);
        let parent = (
            level.saturating_add(1),
            id >> self.dnode.pointers_per_block_shift(),
        );
        if self.indirect.contains_key(&parent) {
            return Ok(());
        }
        let below: Vec<_> = self.indirect.keys().copied().collect();
        self.open_path(io, id << shift)?;
        // Opening a path opens every level of it; those below are written already.
        self.indirect
            .retain(|key, _| key.0 > level || below.contains(key));
        Ok(())
    }

    /// Blocks of this object's content in change, taken out to be written in another way.
    pub(crate) fn take_content(&mut self) -> BTreeMap<u64, Vec<u8>> {
        self.content_bytes = 0;
        std::mem::take(&mut self.content)
    }

    /// Makes the way to a data block one in change.
    pub(crate) fn open_for(&mut self, io: &BlockWriter, id: u64) -> Result<(), Error> {
        self.grow(id)?;
        self.open_path(io, id)
    }

    /// The indirect blocks in change, the lowest first.
    pub(crate) fn indirect_keys(&self) -> Vec<(u8, u64)> {
        self.indirect.keys().copied().collect()
    }

    pub(crate) fn indirect_block(&self, key: (u8, u64)) -> Option<&IndirectBlock> {
        self.indirect.get(&key)
    }

    /// Which data blocks are in change.
    pub(crate) fn content_ids(&self) -> Vec<u64> {
        self.content.keys().copied().collect()
    }

    /// Puts a pointer in place, settling nothing.
    pub(crate) fn set_pointer_quietly(&mut self, level: u8, id: u64, new: BlockPointer) {
        let shift = self.dnode.pointers_per_block_shift();
        let index = usize_from_u64(id & self.per_block().saturating_sub(1));
        let slot = if level >= self.top() {
            self.dnode.pointers.get_mut(usize_from_u64(id))
        } else {
            let pointers = self.indirect.get_mut(&(level.saturating_add(1), id >> shift));
            pointers.and_then(|pointers| pointers.get_mut(index))
        };
        if let Some(slot) = slot {
            *slot = new;
        }
    }

    /// Forgets the blocks in change, which are written.
    pub(crate) fn clear_changes(&mut self) {
        self.indirect.clear();
        self.take_content();
    }

    /// Changes the size of the blocks of an object that has one at most. What is in that block stays.
    pub(crate) fn set_block_bytes(&mut self, io: &BlockWriter, bytes: u64) -> Result<(), Error> {
        if bytes == self.dnode.data_bytes() {
            return Ok(());
        }
        let sectors = u16::try_from(bytes >> 9)
            .ok()
            .filter(|sectors| *sectors > 0 && bytes & 511 == 0);
        let sectors = sectors.ok_or_else(|| Error::Invalid(format!("blocks of {bytes} bytes")))?;
        let is_tree = self.dnode.levels > 1;
        if self.dnode.max_block.0 > 0 || (is_tree && self.next_block(io, 0)?.is_some()) {
            let number = self.number;
            return Err(Error::Invalid(format!(
                "object {number} has several blocks, whose size is fixed"
            )));
        }
        let content = self.block(io, 0)?;
        self.dnode.data_sectors = sectors;
        self.resize_holes();
        if let Some(mut content) = content {
            content.resize(usize_from_u64(bytes), 0);
            self.put_block(0, content);
        }
        self.is_dirty = true;
        Ok(())
    }

    /// Gives the holes of a tree in change, in which nothing else is left, the size of the blocks that may come.
    fn resize_holes(&mut self) {
        let (object_type, size) = (self.dnode.object_type, self.dnode.data_bytes());
        let lowest = self.indirect.iter_mut().filter(|((level, _), _)| *level == 1);
        for (_, pointers) in lowest {
            pointers.change(|pointer| {
                if pointer.is_hole() && pointer.logical_birth() > Txg(0) {
                    *pointer = BlockPointer::punched(object_type, 0, size, pointer.logical_birth());
                }
            });
        }
    }
}
