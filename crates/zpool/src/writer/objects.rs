//! The objects of one dataset in the open transaction group: what a receiver does to them.

use super::{DatasetId, PoolWriter};
use crate::dmu::{Dnode, ObjectSpec, ObjectType, OpenObject, OpenSet, SealedDnodes, SlotState};
use crate::spa::{BlockWriter, PreparedBlock};
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// What a slot of a dataset holds.
#[derive(Clone, Debug)]
pub enum Slot {
    /// No object.
    Free,
    /// A later part of the object with this number, which takes several slots.
    Interior(ObjectNumber),
    /// An object.
    Object(ObjectInfo),
}

/// What an object is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// What lies in it.
    pub object_type: ObjectType,
    /// What lies in its bonus buffer.
    pub bonus_type: ObjectType,
    /// The bonus buffer's meaningful part.
    pub bonus: Vec<u8>,
    /// The size of a data block, in bytes.
    pub block_bytes: u64,
    /// How many slots it takes.
    pub slots: u8,
    /// The height of its tree.
    pub levels: u8,
    /// The size of its indirect blocks as a power of two.
    pub indirect_shift: u8,
    /// How many block pointers the dnode has.
    pub pointers: usize,
    /// Its last block.
    pub max_block: BlockId,
    /// Space taken, in bytes.
    pub used: u64,
    /// Whether it has a spill block.
    pub has_spill: bool,
    /// The checksum function of its blocks; 0 inherits.
    pub checksum: u8,
    /// The compression function of its blocks; 0 inherits.
    pub compression: u8,
}

impl ObjectInfo {
    fn of(dnode: &Dnode) -> Self {
        Self {
            object_type: dnode.object_type,
            bonus_type: dnode.bonus_type,
            bonus: dnode.bonus().to_vec(),
            block_bytes: dnode.data_bytes(),
            slots: dnode.extra_slots.saturating_add(1),
            levels: dnode.levels,
            indirect_shift: dnode.indirect_shift,
            pointers: dnode.pointers.len(),
            max_block: dnode.max_block,
            used: dnode.used,
            has_spill: dnode.spill.is_some(),
            checksum: dnode.checksum,
            compression: dnode.compression,
        }
    }
}

/// The objects of a dataset, to be changed.
#[derive(Debug)]
pub struct ObjectSetWriter<'p> {
    set: &'p mut OpenSet,
    io: &'p mut BlockWriter,
}

impl PoolWriter {
    /// The objects of a head, to be changed in the open group.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a snapshot, and for a head that got one in this group; where its object set cannot be
    /// read.
    pub fn objects(&mut self, id: DatasetId) -> Result<ObjectSetWriter<'_>, Error> {
        self.open_set(id)?;
        let missing = || Error::Missing(format!("dataset {}", id.0));
        Ok(ObjectSetWriter {
            set: self.sets.get_mut(&id.0).ok_or_else(missing)?,
            io: &mut self.io,
        })
    }
}

impl ObjectSetWriter<'_> {
    /// What an object number leads to.
    ///
    /// # Errors
    /// Where its block of dnodes cannot be read.
    pub fn slot(&mut self, number: ObjectNumber) -> Result<Slot, Error> {
        Ok(match self.set.slot(self.io, number)? {
            SlotState::Free => Slot::Free,
            SlotState::Interior(head) => Slot::Interior(head),
            SlotState::Head => Slot::Object(self.info(number)?),
        })
    }

    /// What an object is.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none.
    pub fn info(&mut self, number: ObjectNumber) -> Result<ObjectInfo, Error> {
        Ok(ObjectInfo::of(self.set.dnode(self.io, number)?))
    }

    /// The first object at or after a number.
    ///
    /// # Errors
    /// Where a block of dnodes cannot be read.
    pub fn next_object(&mut self, from: ObjectNumber) -> Result<Option<ObjectNumber>, Error> {
        self.set.next_object(self.io, from)
    }

    /// Makes an object with this number. All its slots must be free.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Invalid`] where no such object can be.
    pub fn claim(&mut self, number: ObjectNumber, spec: &ObjectSpec) -> Result<(), Error> {
        self.set.claim(self.io, number, spec)
    }

    /// Frees an object with all its blocks.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none.
    pub fn free_object(&mut self, number: ObjectNumber) -> Result<(), Error> {
        self.set.free_object(self.io, number)
    }

    /// Makes an object another one that takes the same slots: its content stays unless the sizes of blocks differ while
    /// it has one at most. The spill block stays only where that is asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has several blocks of another size, or the slots differ.
    pub fn reclaim(
        &mut self,
        number: ObjectNumber,
        spec: &ObjectSpec,
        keep_spill: bool,
    ) -> Result<(), Error> {
        let mut fresh = spec.dnode()?;
        self.set.with_object(self.io, number, |object, context| {
            if object.dnode.extra_slots != fresh.extra_slots {
                return Err(Error::Invalid(format!(
                    "object {number}: the slots of an object are fixed"
                )));
            }
            if !keep_spill {
                object.remove_spill(context)?;
            }
            object.set_block_bytes(context.io, fresh.data_bytes())?;
            object.set_pointer_count(fresh.pointers.len())?;
            let room = Dnode::bonus_room(
                object.dnode.extra_slots.saturating_add(1),
                object.dnode.pointers.len(),
                object.dnode.spill.is_some(),
            );
            if usize::from(fresh.bonus_len) > room {
                return Err(Error::Invalid(format!(
                    "object {number}: no room for its bonus buffer"
                )));
            }
            fresh.bonus.resize(room, 0);
            if spec.indirect_shift > 0 {
                object.set_indirect_shift(spec.indirect_shift)?;
            }
            object.dnode.object_type = fresh.object_type;
            object.dnode.bonus_type = fresh.bonus_type;
            object.dnode.bonus_len = fresh.bonus_len;
            object.dnode.bonus = std::mem::take(&mut fresh.bonus);
            object.dnode.checksum = fresh.checksum;
            object.dnode.compression = fresh.compression;
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Frees `len` bytes from `offset` on, or everything behind it; parts of blocks become zeros.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such object.
    pub fn free_range(&mut self, number: ObjectNumber, offset: u64, len: Option<u64>) -> Result<(), Error> {
        let info = self.info(number)?;
        let size = info.block_bytes.max(1);
        let to_end = len.is_none();
        let end = len.map_or(u64::MAX, |len| offset.saturating_add(len));
        let first = offset.div_ceil(size);
        let content_end = info.max_block.0.saturating_add(1).saturating_mul(size);
        let last = if end >= content_end {
            u64::MAX
        } else {
            end.checked_div(size).unwrap_or(0)
        };
        let within = |at: u64| at.checked_rem(size).unwrap_or(0);
        if within(offset) != 0 {
            let stop = first.saturating_mul(size).min(end);
            self.clear_part(number, offset, stop)?;
        }
        if last != u64::MAX && within(end) != 0 && last >= first {
            self.clear_part(number, last.saturating_mul(size), end)?;
        }
        // A raw stream says itself which block is the last.
        let keeps_end = self.set.is_raw() && !(to_end && offset == 0);
        if first < last {
            self.set.with_object(self.io, number, |object, context| {
                object.free_blocks(context, first, last)?;
                if (to_end || last == u64::MAX) && first <= object.dnode.max_block.0 && !keeps_end {
                    object.dnode.max_block = BlockId(first.saturating_sub(1));
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Makes bytes of one block zeros, where it is no hole.
    fn clear_part(&mut self, number: ObjectNumber, start: u64, end: u64) -> Result<(), Error> {
        let size = self.info(number)?.block_bytes.max(1);
        let id = start.checked_div(size).unwrap_or(0);
        let from = usize_from_u64(start.checked_rem(size).unwrap_or(0));
        let to = from.saturating_add(usize_from_u64(end.saturating_sub(start)));
        self.set.with_object(self.io, number, |object, context| {
            if object.block(context.io, id)?.is_none() {
                return Ok(());
            }
            let content = object.content_mut(context.io, id)?;
            let to = to.min(content.len());
            if let Some(bytes) = content.get_mut(from..to) {
                bytes.fill(0);
            }
            Ok(())
        })
    }

    /// Changes the meaningful part of the bonus buffer.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is too long.
    pub fn set_bonus(&mut self, number: ObjectNumber, bonus: &[u8]) -> Result<(), Error> {
        self.set.with_object(self.io, number, |object, _| {
            let too_long = || Error::Invalid(format!("object {number}: no room for its bonus buffer"));
            let len = u16::try_from(bonus.len()).map_err(|_| too_long())?;
            let target = object.dnode.bonus.get_mut(..bonus.len()).ok_or_else(too_long)?;
            target.copy_from_slice(bonus);
            object.dnode.bonus_len = len;
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Puts bytes behind the meaningful part of the bonus buffer, where streams carry what happens to lie there.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no room.
    pub fn set_behind_bonus(&mut self, number: ObjectNumber, bytes: &[u8]) -> Result<(), Error> {
        self.set.with_object(self.io, number, |object, _| {
            let start = usize::from(object.dnode.bonus_len);
            let target = object
                .dnode
                .bonus
                .get_mut(start..start.saturating_add(bytes.len()));
            let no_room = || Error::Invalid(format!("object {number}: no room behind its bonus buffer"));
            target.ok_or_else(no_room)?.copy_from_slice(bytes);
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Fills the bonus area: of a raw object, all of it is authenticated. Behind `area` it is zeros.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is too long.
    pub fn set_bonus_area(&mut self, number: ObjectNumber, area: &[u8]) -> Result<(), Error> {
        self.set.with_object(self.io, number, |object, _| {
            let bonus = &mut object.dnode.bonus;
            let Some((target, behind)) = bonus.split_at_mut_checked(area.len()) else {
                return Err(Error::Invalid(format!(
                    "object {number}: no room for its bonus area"
                )));
            };
            target.copy_from_slice(area);
            behind.fill(0);
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Says how the block of dnodes that begins with `first` is sealed, in a set that is received raw.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the set is not received raw.
    pub fn set_sealed_dnodes(&mut self, first: ObjectNumber, sealed: SealedDnodes) -> Result<(), Error> {
        self.set.set_sealed_dnodes(first, sealed)
    }

    /// Changes the functions of an object's new blocks; 0 inherits.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such object.
    pub fn set_functions(
        &mut self,
        number: ObjectNumber,
        checksum: u8,
        compression: u8,
    ) -> Result<(), Error> {
        self.set.with_object(self.io, number, |object, _| {
            object.dnode.checksum = checksum;
            object.dnode.compression = compression;
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Gives an object the height and the last block that its source has.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the tree is higher already.
    pub fn set_shape(&mut self, number: ObjectNumber, levels: u8, max_block: BlockId) -> Result<(), Error> {
        self.set.with_object(self.io, number, |object, _| {
            object.grow_to(levels)?;
            object.dnode.max_block = max_block;
            object.is_dirty = true;
            Ok(())
        })
    }

    /// Writes a block that is ready. It gets its place now.
    ///
    /// # Errors
    /// [`Error::Invalid`] where its size is not that of the object's blocks; [`Error::NoSpace`].
    pub fn write_block(
        &mut self,
        number: ObjectNumber,
        id: BlockId,
        block: &PreparedBlock,
    ) -> Result<(), Error> {
        self.io.check_room(block.physical_size())?;
        self.set.with_object(self.io, number, |object, context| {
            let size = object.dnode.data_bytes();
            if block.logical_size() != size {
                let found = block.logical_size();
                return Err(Error::Invalid(format!(
                    "object {number}: a block of {found} bytes among blocks of {size}"
                )));
            }
            object.write_block(context, id.0, block, 1)
        })
    }

    /// Writes bytes anywhere in an object. The blocks are written when the object is.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; where a block that changes in part cannot be read.
    pub fn write(&mut self, number: ObjectNumber, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        self.io.check_room(u64_from_usize(bytes.len()))?;
        self.set.with_object(self.io, number, |object, context| {
            let size = object.dnode.data_bytes().max(1);
            let mut at = offset;
            let mut rest = bytes;
            while !rest.is_empty() {
                let id = at.checked_div(size).unwrap_or(0);
                let within = usize_from_u64(at.checked_rem(size).unwrap_or(0));
                let count = usize_from_u64(size).saturating_sub(within).min(rest.len());
                let (part, tail) = rest.split_at(count);
                object.grow(id)?;
                let content = object.content_mut(context.io, id)?;
                if let Some(target) = content.get_mut(within..within.saturating_add(count)) {
                    target.copy_from_slice(part);
                }
                rest = tail;
                at = at.saturating_add(u64_from_usize(count));
            }
            Ok(())
        })
    }

    /// The content of a block; zeros for a hole.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read_block(&mut self, number: ObjectNumber, id: BlockId) -> Result<Vec<u8>, Error> {
        self.set
            .with_reading(self.io, number, |object, io| object.block_or_zeros(io, id.0))
    }

    /// Puts a spill block in place.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the bonus buffer leaves no room for the pointer; [`Error::NoSpace`].
    pub fn set_spill(&mut self, number: ObjectNumber, block: &PreparedBlock) -> Result<(), Error> {
        self.io.check_room(block.physical_size())?;
        self.set.with_object(self.io, number, |object, context| {
            let slots = object.dnode.extra_slots.saturating_add(1);
            let room = Dnode::bonus_room(slots, object.dnode.pointers.len(), true);
            if usize::from(object.dnode.bonus_len) > room {
                return Err(
                    Corrupt::new(format!("object {number}: no room for a spill block's pointer")).into(),
                );
            }
            object.set_spill(context, block)
        })
    }

    /// Frees the spill block.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such object.
    pub fn remove_spill(&mut self, number: ObjectNumber) -> Result<(), Error> {
        self.set.with_object(self.io, number, OpenObject::remove_spill)
    }
}
