//! An object set in change: its objects, and the blocks of dnodes that they stand in.

mod users;

pub(crate) use users::{counted, owners};

use super::intent_log::{HEADER_BYTES, HEADER_OFFSET, LogHeader};
use super::ledger::Ledger;
use super::open_object::{Context, OpenObject, Policies};
use super::set_crypt::{RawBlocks, SealedDnodes, SetCrypt};
use super::{Dnode, DnodeFlags, ObjectSet, ObjectSetType, ObjectType, SLOT_BYTES};
use crate::spa::{BlockPointer, BlockPolicy, BlockReader, BlockWriter, Feature, Purpose, Sealer};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

/// The size of a block of dnodes, in bytes, and how many slots it has.
const DNODE_BLOCK_BYTES: usize = 16 << 10;
const SLOTS: u64 = 32;
/// The size of an object set's own block, in bytes.
const SET_BYTES: usize = 4096;
/// Where in it the head of the intent log is.
const INTENT_LOG: Range<usize> = HEADER_OFFSET..HEADER_OFFSET + HEADER_BYTES;
/// Where in it the first byte of its flags is, with the one that says that space is counted by user in full.
const FLAGS: usize = 712;
const USERS_COUNTED: u8 = 1;
/// Where in it the two codes of an encrypted set are.
const MACS: Range<usize> = 720..784;
/// Where the other dnodes are in it.
const ACCOUNTING_DNODES: [usize; 3] = [1024, 1536, 2048];
/// The meta-dnode of a dataset is high enough for every object number from the beginning.
const DATASET_META_LEVELS: u8 = 6;
/// How many objects may be open before they go back into their blocks.
const OPEN_MAX: usize = 256;
/// No object has a higher number.
const OBJECT_MAX: u64 = 1 << 48;

/// What an object is to be.
#[derive(Clone, Debug)]
pub struct ObjectSpec {
    /// What lies in it.
    pub object_type: ObjectType,
    /// What lies in its bonus buffer.
    pub bonus_type: ObjectType,
    /// The bonus buffer.
    pub bonus: Vec<u8>,
    /// The size of a data block, in bytes.
    pub block_bytes: u32,
    /// How many slots the dnode takes; at least 1.
    pub slots: u8,
    /// The size of indirect blocks as a power of two; 0: the usual 17.
    pub indirect_shift: u8,
    /// How high its tree is from the beginning; 0: as high as needed.
    pub levels: u8,
    /// How many block pointers the dnode has; 0: as many as OpenZFS gives.
    pub pointers: u8,
    /// The checksum function for its blocks; 0 inherits.
    pub checksum: u8,
    /// The compression function for its blocks; 0 inherits.
    pub compression: u8,
}

impl ObjectSpec {
    /// An object of one slot without a bonus buffer.
    #[must_use]
    pub const fn new(object_type: ObjectType, block_bytes: u32) -> Self {
        Self {
            object_type,
            bonus_type: ObjectType::NONE,
            bonus: Vec::new(),
            block_bytes,
            slots: 1,
            indirect_shift: 0,
            levels: 0,
            pointers: 0,
            checksum: 0,
            compression: 0,
        }
    }

    /// The same with a bonus buffer.
    #[must_use]
    pub fn with_bonus(self, bonus_type: ObjectType, bonus: Vec<u8>) -> Self {
        Self {
            bonus_type,
            bonus,
            ..self
        }
    }

    /// How many block pointers the dnode gets: as many as fit beside the bonus buffer, at most three; one where the
    /// bonus buffer holds system attributes, which grow.
    #[must_use]
    pub fn pointer_count(&self) -> usize {
        if self.pointers > 0 {
            return usize::from(self.pointers.min(3));
        }
        if self.bonus_type == ObjectType::SYSTEM_ATTRIBUTES {
            return 1;
        }
        let room = Dnode::bonus_room(self.slots.max(1), 1, false).saturating_sub(self.bonus.len());
        (room >> 7).saturating_add(1).min(3)
    }

    pub(crate) fn dnode(&self) -> Result<Dnode, Error> {
        let pointers = self.pointer_count();
        let slots = self.slots.max(1);
        let room = Dnode::bonus_room(slots, pointers, false);
        let (bonus_len, sectors) = (
            u16::try_from(self.bonus.len()),
            u16::try_from(self.block_bytes >> 9),
        );
        let (Ok(bonus_len), Ok(sectors)) = (bonus_len, sectors) else {
            return Err(Error::Invalid(
                "an object whose measures are too large".to_owned(),
            ));
        };
        if self.bonus.len() > room || sectors == 0 || self.block_bytes & 511 != 0 {
            let (len, bytes) = (self.bonus.len(), self.block_bytes);
            return Err(Error::Invalid(format!(
                "an object with {len} bytes of bonus and blocks of {bytes}"
            )));
        }
        let mut bonus = self.bonus.clone();
        bonus.resize(room, 0);
        Ok(Dnode {
            object_type: self.object_type,
            indirect_shift: if self.indirect_shift == 0 {
                17
            } else {
                self.indirect_shift
            },
            levels: self.levels.max(1),
            bonus_type: self.bonus_type,
            checksum: self.checksum,
            compression: self.compression,
            flags: DnodeFlags::USED_BYTES,
            data_sectors: sectors,
            bonus_len,
            extra_slots: slots.saturating_sub(1),
            max_block: BlockId(0),
            used: 0,
            pointers: vec![BlockPointer::default(); pointers],
            bonus,
            spill: None,
            endian: Endian::Little,
        })
    }
}

/// What a raw stream says of the object set that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawSet {
    /// How high the tree of its dnodes is.
    pub levels: u8,
    /// The size of that tree's indirect blocks as a power of two.
    pub indirect_shift: u8,
    /// Its checksum function, or 0.
    pub checksum: u8,
    /// Its compression function, or 0.
    pub compression: u8,
    /// The last block of dnodes.
    pub max_block: BlockId,
    /// What authenticates the set.
    pub portable_mac: [u8; 32],
}

/// What an object number leads to.
#[derive(Clone, Debug)]
pub(crate) enum SlotState {
    Free,
    /// A later slot of the object with this number.
    Interior(ObjectNumber),
    Head,
}

/// An object set in change.
#[derive(Debug)]
pub(crate) struct OpenSet {
    pub(crate) meta: OpenObject,
    objects: BTreeMap<u64, OpenObject>,
    /// The object set's block without its meta-dnode.
    header: Vec<u8>,
    /// Where the set is, as last written.
    pub(crate) root: BlockPointer,
    pub(crate) ledger: Ledger,
    pub(crate) policies: Policies,
    pub(crate) is_dirty: bool,
    /// Where the search for a free object number begins.
    hint: u64,
    /// How its blocks are sealed.
    pub(crate) crypt: SetCrypt,
}

impl OpenSet {
    /// An object set without objects. That of a pool begins low, as it may grow; that of a dataset does not.
    pub(crate) fn create(set_type: ObjectSetType, policies: Policies, is_pool: bool, prev: Txg) -> Self {
        // Small indirect blocks keep small what every commit of a pool writes.
        let dnode = if is_pool {
            meta_dnode(14, 1)
        } else {
            meta_dnode(17, DATASET_META_LEVELS)
        };
        let mut header = vec![0; SET_BYTES];
        if let Some(field) = header.get_mut(704..712) {
            field.copy_from_slice(&set_type.0.to_le_bytes());
        }
        Self {
            meta: OpenObject::new(ObjectNumber(0), dnode),
            objects: BTreeMap::new(),
            header,
            root: BlockPointer::default(),
            ledger: Ledger::new(prev),
            policies,
            is_dirty: true,
            hint: 1,
            crypt: SetCrypt::Plain,
        }
    }

    /// Opens the set that `root` leads to for change.
    pub(crate) fn open(
        io: &BlockWriter,
        root: BlockPointer,
        policies: Policies,
        prev: Txg,
    ) -> Result<Self, Error> {
        if root.endian() != Endian::Little {
            return Err(Error::ReadOnly(
                "it was written by a big-endian machine".to_owned(),
            ));
        }
        let block = io.reader.read_cached(&root)?;
        let set = ObjectSet::read(&io.reader, &root)?;
        if set.meta_dnode.dnode.data_bytes() != u64_from_usize(DNODE_BLOCK_BYTES) {
            return Err(Error::ReadOnly(
                "its blocks of dnodes have an unusual size".to_owned(),
            ));
        }
        let mut header = block.bytes.clone();
        if let Some(meta) = header.get_mut(..SLOT_BYTES) {
            meta.fill(0);
        }
        Ok(Self {
            meta: set.meta_dnode_in_change(),
            objects: BTreeMap::new(),
            header,
            root,
            ledger: Ledger::new(prev),
            policies,
            is_dirty: false,
            hint: 1,
            crypt: SetCrypt::of(&root),
        })
    }

    /// Makes the set what a raw stream says, whose blocks are to come as their sender has sealed them.
    ///
    /// What users have is no longer known to be right, and has no code that is.
    pub(crate) fn begin_raw(&mut self, raw: &RawSet) -> Result<(), Error> {
        let dnode = &mut self.meta.dnode;
        if self.root.is_hole() {
            (dnode.levels, dnode.indirect_shift) = (raw.levels, raw.indirect_shift);
        }
        if (dnode.levels, dnode.indirect_shift) != (raw.levels, raw.indirect_shift) {
            return Err(Error::Invalid(
                "an object set of another shape than the stream has".to_owned(),
            ));
        }
        (dnode.checksum, dnode.compression) = (raw.checksum, raw.compression);
        dnode.max_block = raw.max_block;
        self.header.resize(SET_BYTES.max(self.header.len()), 0);
        if let Some(macs) = self.header.get_mut(MACS)
            && let Some((portable, local)) = macs.split_at_mut_checked(raw.portable_mac.len())
        {
            portable.copy_from_slice(&raw.portable_mac);
            local.fill(0);
        }
        if let Some(flags) = self.header.get_mut(FLAGS) {
            *flags &= !USERS_COUNTED;
        }
        // Blocks of dnodes stay as they are sealed, even where the key is at hand.
        self.objects.clear();
        self.meta = self.meta.clone().with_reader(None);
        self.crypt = SetCrypt::Raw(RawBlocks::default());
        self.is_dirty = true;
        Ok(())
    }

    /// Has its blocks read and sealed with the key.
    ///
    /// # Errors
    /// Where the set is not authenticated by the key.
    pub(crate) fn unlock(&mut self, reader: Arc<BlockReader>, sealer: Sealer) -> Result<(), Error> {
        if !self.root.is_hole() {
            reader.read_cached(&self.root)?;
        }
        self.meta = self.meta.clone().with_reader(Some(Arc::clone(&reader)));
        self.crypt = SetCrypt::Open {
            reader,
            sealer: Box::new(sealer),
        };
        Ok(())
    }

    /// Whether its blocks come as their sender has sealed them.
    pub(crate) const fn is_raw(&self) -> bool {
        matches!(self.crypt, SetCrypt::Raw(_))
    }

    /// Says how the block of dnodes that begins with `first` is sealed.
    pub(crate) fn set_sealed_dnodes(
        &mut self,
        first: ObjectNumber,
        sealed: SealedDnodes,
    ) -> Result<(), Error> {
        let SetCrypt::Raw(blocks) = &mut self.crypt else {
            return Err(Error::Invalid(
                "sealed dnodes in a set that is not raw".to_owned(),
            ));
        };
        blocks.expect(first.0 / SLOTS, sealed);
        self.is_dirty = true;
        Ok(())
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let dead = self.ledger.dead.len().saturating_mul(BlockPointer::BYTES);
        let open = self
            .objects
            .values()
            .map(OpenObject::weight)
            .fold(0, usize::saturating_add);
        let sealed = match &self.crypt {
            SetCrypt::Raw(blocks) => blocks.weight(),
            _ => 0,
        };
        let all = [self.meta.weight(), dead, open, sealed];
        all.into_iter().fold(0, usize::saturating_add)
    }

    /// What a number leads to.
    pub(crate) fn slot(&self, io: &BlockWriter, number: ObjectNumber) -> Result<SlotState, Error> {
        let first = number.0.saturating_sub(number.0 & SLOTS.saturating_sub(1));
        let Some(block) = self.meta.peek(io, number.0 / SLOTS)? else {
            return Ok(SlotState::Free);
        };
        let mut at = first;
        while at <= number.0 {
            let bytes = slot_of(&block, at.saturating_sub(first));
            if Dnode::is_free(bytes) {
                at = at.saturating_add(1);
                continue;
            }
            if at == number.0 {
                return Ok(SlotState::Head);
            }
            let end = at.saturating_add(u64_from_usize(Dnode::slots(bytes)?));
            if end > number.0 {
                return Ok(SlotState::Interior(ObjectNumber(at)));
            }
            at = end;
        }
        Ok(SlotState::Free)
    }

    /// The first object at or after a number.
    pub(crate) fn next_object(
        &self,
        io: &BlockWriter,
        from: ObjectNumber,
    ) -> Result<Option<ObjectNumber>, Error> {
        let mut at = from.0.max(1);
        while let Some(id) = self.meta.next_block(io, at / SLOTS)? {
            let first = id.saturating_mul(SLOTS);
            at = at.max(first);
            let block = self.meta.peek(io, id)?.unwrap_or_default();
            let mut slot = 0;
            while slot < SLOTS {
                let bytes = slot_of(&block, slot);
                if Dnode::is_free(bytes) {
                    slot = slot.saturating_add(1);
                    continue;
                }
                let number = first.saturating_add(slot);
                if number >= at {
                    return Ok(Some(ObjectNumber(number)));
                }
                slot = slot.saturating_add(u64_from_usize(Dnode::slots(bytes)?));
            }
            at = first.saturating_add(SLOTS);
        }
        Ok(None)
    }

    /// An object, opened for change.
    pub(crate) fn object(
        &mut self,
        io: &mut BlockWriter,
        number: ObjectNumber,
    ) -> Result<&mut OpenObject, Error> {
        if !self.objects.contains_key(&number.0) {
            if self.objects.len() >= OPEN_MAX {
                self.settle(io)?;
            }
            let missing = || Error::Missing(format!("object {number}"));
            if number.0 == 0 || number.0 >= OBJECT_MAX {
                return Err(missing());
            }
            let block = self.meta.peek(io, number.0 / SLOTS)?.ok_or_else(missing)?;
            let bytes = slot_of(&block, number.0 & SLOTS.saturating_sub(1));
            if Dnode::is_free(bytes) {
                return Err(missing());
            }
            let dnode = Dnode::decode(bytes, Endian::Little)
                .map_err(|error| Corrupt::new(format!("object {number}: {error}")))?;
            let object = OpenObject::new(number, dnode).with_reader(self.crypt.reader());
            self.objects.insert(number.0, object);
        }
        let object = self.objects.get_mut(&number.0);
        object.ok_or_else(|| Error::Missing(format!("object {number}")))
    }

    /// An object's dnode as it is now.
    pub(crate) fn dnode(&mut self, io: &mut BlockWriter, number: ObjectNumber) -> Result<&Dnode, Error> {
        Ok(&self.object(io, number)?.dnode)
    }

    /// An object, with what changing its blocks concerns.
    pub(crate) fn with_object<T>(
        &mut self,
        io: &mut BlockWriter,
        number: ObjectNumber,
        change: impl FnOnce(&mut OpenObject, &mut Context<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.object(io, number)?;
        self.is_dirty = true;
        let Some(object) = self.objects.get_mut(&number.0) else {
            return Err(Error::Missing(format!("object {number}")));
        };
        let mut context = Context {
            io,
            ledger: &mut self.ledger,
            crypt: &mut self.crypt,
        };
        change(object, &mut context)
    }

    /// An object, to be read as it is now.
    pub(crate) fn with_reading<T>(
        &mut self,
        io: &mut BlockWriter,
        number: ObjectNumber,
        read: impl FnOnce(&OpenObject, &BlockWriter) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.object(io, number)?;
        match self.objects.get(&number.0) {
            Some(object) => read(object, io),
            None => Err(Error::Missing(format!("object {number}"))),
        }
    }

    /// Makes an object with a number of its own choice.
    pub(crate) fn create_object(
        &mut self,
        io: &mut BlockWriter,
        spec: &ObjectSpec,
    ) -> Result<ObjectNumber, Error> {
        let mut number = self.hint.max(1);
        loop {
            let id = number / SLOTS;
            let first = id.saturating_mul(SLOTS);
            // A pointer counts the dnodes behind it: nothing need be read to pass over a full block.
            if self.meta.fill_as_written(io, id)? >= SLOTS {
                number = first.saturating_add(SLOTS);
                continue;
            }
            let in_change = self.meta.peek(io, id)?;
            let Some(block) = in_change else { break };
            let slot = (number.saturating_sub(first)..SLOTS)
                .find(|slot| Dnode::is_free(slot_of(&block, *slot)) && !is_interior(&block, *slot));
            if let Some(slot) = slot {
                number = first.saturating_add(slot);
                break;
            }
            number = first.saturating_add(SLOTS);
        }
        self.claim(io, ObjectNumber(number), spec)?;
        self.hint = number.saturating_add(1);
        Ok(ObjectNumber(number))
    }

    /// Makes an object with this number, whose slots must be free.
    pub(crate) fn claim(
        &mut self,
        io: &mut BlockWriter,
        number: ObjectNumber,
        spec: &ObjectSpec,
    ) -> Result<(), Error> {
        let slots = u64::from(spec.slots.max(1));
        let within = number.0 & SLOTS.saturating_sub(1);
        if number.0 == 0 || number.0 >= OBJECT_MAX || within.saturating_add(slots) > SLOTS {
            return Err(Error::Invalid(format!(
                "no object can have number {number} and {slots} slots"
            )));
        }
        for slot in 0..slots {
            let at = ObjectNumber(number.0.saturating_add(slot));
            if !matches!(self.slot(io, at)?, SlotState::Free) {
                return Err(Error::Exists(format!("object {at}")));
            }
        }
        if spec.slots > 1 {
            self.ledger.features.insert(Feature::LargeDnode);
        }
        if self.objects.len() >= OPEN_MAX {
            self.settle(io)?;
        }
        let object = OpenObject::new(number, spec.dnode()?);
        let mut object = object.with_reader(self.crypt.reader());
        object.is_dirty = true;
        self.is_dirty = true;
        self.store(io, &object)?;
        self.objects.insert(number.0, object);
        Ok(())
    }

    /// Frees an object with all its blocks.
    pub(crate) fn free_object(&mut self, io: &mut BlockWriter, number: ObjectNumber) -> Result<(), Error> {
        self.with_object(io, number, OpenObject::free_all)?;
        let Some(object) = self.objects.remove(&number.0) else {
            return Ok(());
        };
        let slots = usize::from(object.dnode.extra_slots).saturating_add(1);
        let block = self.meta.content_mut(io, number.0 / SLOTS)?;
        let start = usize_from_u64(number.0 & SLOTS.saturating_sub(1)).saturating_mul(SLOT_BYTES);
        let end = start.saturating_add(slots.saturating_mul(SLOT_BYTES));
        if let Some(bytes) = block.get_mut(start..end) {
            bytes.fill(0);
        }
        Ok(())
    }

    /// Writes a dnode into its block, which stays in memory.
    pub(crate) fn store(&mut self, io: &BlockWriter, object: &OpenObject) -> Result<(), Error> {
        self.meta.grow(object.number.0 / SLOTS)?;
        let block = self.meta.content_mut(io, object.number.0 / SLOTS)?;
        let start = usize_from_u64(object.number.0 & SLOTS.saturating_sub(1)).saturating_mul(SLOT_BYTES);
        let bytes = object.dnode.encode();
        let target = block.get_mut(start..start.saturating_add(bytes.len()));
        let target = target
            .ok_or_else(|| Error::Invalid(format!("object {} reaches out of its block", object.number)))?;
        target.copy_from_slice(&bytes);
        Ok(())
    }

    /// Writes out every open object and closes it. Its dnode stays in memory in its block.
    pub(crate) fn settle(&mut self, io: &mut BlockWriter) -> Result<(), Error> {
        for (_, mut object) in std::mem::take(&mut self.objects) {
            if !object.is_dirty {
                continue;
            }
            let mut context = Context {
                io,
                ledger: &mut self.ledger,
                crypt: &mut self.crypt,
            };
            object.write_out(&mut context, &self.policies)?;
            self.store(io, &object)?;
        }
        Ok(())
    }

    /// Writes out the whole set and returns where it is now.
    pub(crate) fn write_out(&mut self, io: &mut BlockWriter) -> Result<BlockPointer, Error> {
        self.settle(io)?;
        self.count_users(io)?;
        let mut context = Context {
            io,
            ledger: &mut self.ledger,
            crypt: &mut self.crypt,
        };
        for (id, content) in self.meta.take_content() {
            let fill = objects_in(&content);
            let old = self.meta.pointer(context.io, 0, id)?;
            let block = context.crypt.dnodes(&self.policies.metadata, id, &old, content)?;
            self.meta.write_block(&mut context, id, &block, fill)?;
        }
        self.meta.write_out_indirect(&mut context, &self.policies)?;
        let block = self.crypt.set(&self.policies.metadata, self.encode())?;
        let root = io.write(&block, self.fill(), Purpose::Metadata)?;
        self.ledger.born(&root);
        self.ledger.kill(&self.root, io)?;
        self.root = root;
        self.is_dirty = false;
        self.meta.is_dirty = false;
        if let SetCrypt::Raw(blocks) = &mut self.crypt {
            blocks.settle();
        }
        Ok(root)
    }

    /// Forgets everything in memory, which is written.
    pub(crate) fn close(&mut self) {
        self.objects.clear();
        self.meta.clear_changes();
        self.is_dirty = false;
    }

    /// How many objects there are, as the roots of the tree count them.
    pub(crate) fn fill(&self) -> u64 {
        let fills = self.meta.dnode.pointers.iter().map(BlockPointer::fill);
        fills.fold(0, u64::saturating_add)
    }

    /// The set's own block.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes.resize(SET_BYTES.max(self.header.len()), 0);
        if let Some(meta) = bytes.get_mut(..SLOT_BYTES) {
            meta.copy_from_slice(
                self.meta
                    .dnode
                    .encode()
                    .get(..SLOT_BYTES)
                    .unwrap_or(&[0; SLOT_BYTES]),
            );
        }
        bytes
    }

    /// The special objects that count what users have, where they exist: their dnodes.
    pub(crate) fn accounting_dnodes(&self) -> Vec<Dnode> {
        let dnodes = ACCOUNTING_DNODES.iter().filter_map(|at| {
            let bytes = self.header.get(*at..)?;
            if Dnode::is_free(bytes) {
                return None;
            }
            Dnode::decode(bytes, Endian::Little).ok()
        });
        dnodes.collect()
    }

    /// Whether the set that `root` leads to has, or had, an intent log.
    pub(crate) fn has_intent_log(io: &BlockWriter, root: &BlockPointer) -> Result<bool, Error> {
        let block = io.reader.read_cached(root)?;
        let log = block.bytes.get(INTENT_LOG).unwrap_or_default();
        Ok(log.iter().any(|byte| *byte != 0))
    }

    /// The header of the intent log.
    pub(crate) fn intent_log(&self) -> Option<LogHeader> {
        let bytes = self.header.get(INTENT_LOG)?;
        LogHeader::decode(bytes, Endian::Little).ok()
    }

    /// Forgets the intent log.
    pub(crate) fn clear_intent_log(&mut self) {
        if let Some(log) = self.header.get_mut(INTENT_LOG) {
            log.fill(0);
            self.is_dirty = true;
        }
    }

    /// Takes every block of the set out, so that nothing of it is left.
    pub(crate) fn free_everything(&mut self, io: &mut BlockWriter) -> Result<(), Error> {
        let mut from = ObjectNumber(1);
        while let Some(number) = self.next_object(io, from)? {
            self.free_object(io, number)?;
            from = ObjectNumber(number.0.saturating_add(1));
        }
        for dnode in self.accounting_dnodes() {
            let mut object = OpenObject::new(ObjectNumber(u64::MAX), dnode);
            let mut context = Context {
                io,
                ledger: &mut self.ledger,
                crypt: &mut self.crypt,
            };
            object.free_all(&mut context)?;
        }
        let mut context = Context {
            io,
            ledger: &mut self.ledger,
            crypt: &mut self.crypt,
        };
        self.meta.free_all(&mut context)?;
        let root = std::mem::take(&mut self.root);
        self.ledger.kill(&root, io)?;
        self.is_dirty = false;
        Ok(())
    }
}

impl ObjectSet {
    fn meta_dnode_in_change(&self) -> OpenObject {
        OpenObject::new(ObjectNumber(0), self.meta_dnode.dnode.clone())
    }
}

fn meta_dnode(indirect_shift: u8, levels: u8) -> Dnode {
    Dnode {
        object_type: ObjectType::DNODE,
        indirect_shift,
        levels,
        bonus_type: ObjectType::NONE,
        checksum: 0,
        compression: 0,
        flags: DnodeFlags::USED_BYTES,
        data_sectors: 32,
        bonus_len: 0,
        extra_slots: 0,
        max_block: BlockId(0),
        used: 0,
        pointers: vec![BlockPointer::default(); 3],
        bonus: Vec::new(),
        spill: None,
        endian: Endian::Little,
    }
}

fn slot_of(block: &[u8], slot: u64) -> &[u8] {
    let start = usize_from_u64(slot).saturating_mul(SLOT_BYTES);
    block.get(start..).unwrap_or_default()
}

/// Whether a slot belongs to an object that begins before it.
fn is_interior(block: &[u8], slot: u64) -> bool {
    let mut at = 0;
    while at < slot {
        let bytes = slot_of(block, at);
        let slots = if Dnode::is_free(bytes) {
            1
        } else {
            u64_from_usize(Dnode::slots(bytes).unwrap_or(1))
        };
        at = at.saturating_add(slots);
    }
    at > slot
}

/// How many objects begin in a block of dnodes.
pub(crate) fn objects_in(block: &[u8]) -> u64 {
    let (mut count, mut at) = (0_u64, 0);
    while at < SLOTS {
        let bytes = slot_of(block, at);
        if Dnode::is_free(bytes) {
            at = at.saturating_add(1);
        } else {
            count = count.saturating_add(1);
            at = at.saturating_add(u64_from_usize(Dnode::slots(bytes).unwrap_or(1)));
        }
    }
    count
}

/// The policy of metadata: LZ4 and fletcher-4.
pub(crate) fn metadata_policy(
    io_unit: u64,
    embeds: bool,
    copies: usize,
    summer: zferry_blocks::checksum::Summer,
) -> BlockPolicy {
    BlockPolicy {
        compression: zferry_blocks::compress::Compression::Lz4,
        level: zferry_blocks::compress::CompressionLevel::DEFAULT,
        checksum: zferry_blocks::checksum::ChecksumAlgorithm::Fletcher4,
        embeds,
        allocation_unit: io_unit,
        copies,
        summer,
    }
}
