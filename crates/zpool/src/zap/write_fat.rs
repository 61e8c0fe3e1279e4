//! A fat ZAP in change; its layout is described beside the reading of it.

use super::write_leaf::{LeafEntry, LeafTable};
use super::{BLOCK_TYPE_HEADER, ZapEntry, ZapValue, hash_name};
use crate::dmu::OpenSet;
use crate::spa::BlockWriter;
use crate::{Corrupt, Error, ObjectNumber};
use zferry_wire::{Endian, Reader, Writer, u64_from_usize, usize_from_u64};

const MAGIC: u64 = 0x2_f52a_b2ab;
const FLAG_HASH64: u64 = 1;
const FLAG_UINT64_KEY: u64 = 2;
/// A table with more places than this would be larger than any block map.
const SHIFT_MAX: u64 = 40;

/// The header of a fat ZAP with what it says of the rest.
pub(super) struct FatTable {
    block_bytes: usize,
    table_block: u64,
    table_blocks: u64,
    shift: u64,
    next_table_block: u64,
    blocks_copied: u64,
    free_block: u64,
    leaves: u64,
    entries: u64,
    salt: u64,
    norm_flags: u64,
    flags: u64,
    /// The places, where the table lies in the header.
    places: Vec<u64>,
}

impl FatTable {
    /// Makes an object, whose blocks have the right size already, a fat ZAP with one empty leaf.
    pub(super) fn create(
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        block_shift: u32,
        salt: u64,
        norm_flags: u64,
    ) -> Result<Self, Error> {
        let block_bytes = 1_usize << block_shift.min(20);
        let table = Self {
            block_bytes,
            table_block: 0,
            table_blocks: 0,
            shift: u64::from(block_shift.saturating_sub(4)),
            next_table_block: 0,
            blocks_copied: 0,
            free_block: 2,
            leaves: 1,
            entries: 0,
            salt,
            norm_flags,
            flags: 0,
            places: vec![1; block_bytes / 16],
        };
        table.store_leaf(set, io, number, 1, &mut LeafTable::empty(0, 0))?;
        table.store(set, io, number)?;
        Ok(table)
    }

    pub(super) fn decode(block: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(block, Endian::Little);
        let [_type, magic] = reader.u64s()?;
        let [table_block, table_blocks, shift, next_table_block, blocks_copied] = reader.u64s()?;
        let [free_block, leaves, entries, salt, norm_flags, flags] = reader.u64s()?;
        if magic != MAGIC || shift > SHIFT_MAX {
            return Err(Corrupt::new(format!(
                "ZAP header with magic {magic:x} and 2^{shift} places"
            )));
        }
        if next_table_block != 0 {
            return Err(Corrupt::new("ZAP whose pointer table is being moved"));
        }
        let mut places = Vec::new();
        if table_block == 0 {
            let mut reader = Reader::new(block.get(block.len() / 2..).unwrap_or_default(), Endian::Little);
            while !reader.is_empty() {
                places.push(reader.u64()?);
            }
        }
        Ok(Self {
            block_bytes: block.len(),
            table_block,
            table_blocks,
            shift,
            next_table_block,
            blocks_copied,
            free_block,
            leaves,
            entries,
            salt,
            norm_flags,
            flags,
            places,
        })
    }

    fn store(&self, set: &mut OpenSet, io: &mut BlockWriter, number: ObjectNumber) -> Result<(), Error> {
        let mut writer = Writer::with_capacity(self.block_bytes, Endian::Little);
        let fields = [
            BLOCK_TYPE_HEADER,
            MAGIC,
            self.table_block,
            self.table_blocks,
            self.shift,
            self.next_table_block,
            self.blocks_copied,
            self.free_block,
            self.leaves,
            self.entries,
            self.salt,
            self.norm_flags,
            self.flags,
        ];
        for field in fields {
            writer.u64(field);
        }
        writer.zeros((self.block_bytes / 2).saturating_sub(writer.len()));
        for place in &self.places {
            writer.u64(*place);
        }
        let mut block = writer.into_bytes();
        block.resize(self.block_bytes, 0);
        put_block(set, io, number, 0, block)
    }

    fn key_width(&self) -> usize {
        if self.flags & FLAG_UINT64_KEY == 0 { 1 } else { 8 }
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let wide = self.flags & FLAG_HASH64 != 0;
        if self.norm_flags == 0 {
            hash_name(self.salt, name, wide)
        } else {
            hash_name(self.salt, &name.to_ascii_uppercase(), wide)
        }
    }

    fn place_of(&self, hash: u64) -> u64 {
        let shift = u32::try_from(64_u64.saturating_sub(self.shift)).unwrap_or(64);
        hash.checked_shr(shift).unwrap_or(0)
    }

    fn per_block(&self) -> u64 {
        u64_from_usize(self.block_bytes / 8).max(1)
    }

    fn place(
        &self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        at: u64,
    ) -> Result<u64, Error> {
        if self.table_block == 0 {
            return Ok(self.places.get(usize_from_u64(at)).copied().unwrap_or(0));
        }
        let id = self
            .table_block
            .saturating_add(at.checked_div(self.per_block()).unwrap_or(0));
        let block = set.with_reading(io, number, |object, io| object.block_or_zeros(io, id))?;
        let within = usize_from_u64(at.checked_rem(self.per_block()).unwrap_or(0)).saturating_mul(8);
        let mut reader = Reader::new(block.get(within..).unwrap_or_default(), Endian::Little);
        Ok(reader.u64()?)
    }

    fn set_place(
        &mut self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        at: u64,
        leaf: u64,
    ) -> Result<(), Error> {
        if self.table_block == 0 {
            if let Some(place) = self.places.get_mut(usize_from_u64(at)) {
                *place = leaf;
            }
            return Ok(());
        }
        let id = self
            .table_block
            .saturating_add(at.checked_div(self.per_block()).unwrap_or(0));
        let within = usize_from_u64(at.checked_rem(self.per_block()).unwrap_or(0)).saturating_mul(8);
        set.with_object(io, number, |object, context| {
            let block = object.content_mut(context.io, id)?;
            if let Some(word) = block.get_mut(within..within.saturating_add(8)) {
                word.copy_from_slice(&leaf.to_le_bytes());
            }
            Ok(())
        })
    }

    fn leaf(
        &self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        id: u64,
    ) -> Result<LeafTable, Error> {
        let block = set.with_reading(io, number, |object, io| object.block(io, id))?;
        let block = block.ok_or_else(|| Corrupt::new(format!("object {number}: ZAP leaf {id} is a hole")))?;
        Ok(LeafTable::decode(&block, self.key_width())?)
    }

    fn store_leaf(
        &self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        id: u64,
        leaf: &mut LeafTable,
    ) -> Result<(), Error> {
        put_block(set, io, number, id, leaf.encode(self.block_bytes))
    }

    fn key_of(&self, name: &[u8]) -> Vec<u8> {
        let mut key = name.to_vec();
        if self.key_width() == 1 {
            key.push(0);
        }
        key
    }

    pub(super) fn get(
        &self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        name: &[u8],
    ) -> Result<Option<ZapValue>, Error> {
        let at = self.place_of(self.hash(name));
        let id = self.place(set, io, number, at)?;
        let key = self.key_of(name);
        let leaf = self.leaf(set, io, number, id)?;
        let found = leaf.entries.into_iter().find(|entry| entry.key == key);
        Ok(found.map(|entry| entry.value))
    }

    pub(super) fn entries(
        &self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
    ) -> Result<Vec<ZapEntry>, Error> {
        let mut entries = Vec::new();
        let mut at = 0_u64;
        while at < 1_u64 << self.shift {
            let id = self.place(set, io, number, at)?;
            let leaf = self.leaf(set, io, number, id)?;
            let width = self.key_width();
            entries.extend(leaf.entries.into_iter().map(|entry| {
                let mut name = entry.key;
                if width == 1 {
                    name.pop();
                }
                ZapEntry {
                    name,
                    value: entry.value,
                }
            }));
            let spread = self.shift.saturating_sub(u64::from(leaf.prefix_len));
            at = (at >> spread).saturating_add(1) << spread;
        }
        Ok(entries)
    }

    pub(super) fn put(
        &mut self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        name: &[u8],
        value: &ZapValue,
    ) -> Result<(), Error> {
        let hash = self.hash(name);
        let key = self.key_of(name);
        let mut id = self.place(set, io, number, self.place_of(hash))?;
        let mut leaf = self.leaf(set, io, number, id)?;
        if let Some(entry) = leaf.entries.iter_mut().find(|entry| entry.key == key) {
            entry.value = value.clone();
        } else {
            let rivals = leaf.entries.iter().filter(|entry| entry.hash == hash);
            let taken: Vec<u32> = rivals.map(|entry| entry.differentiator).collect();
            let differentiator = (0..).find(|number| !taken.contains(number)).unwrap_or(0);
            let count = key.len().checked_div(self.key_width()).unwrap_or(0);
            leaf.entries.push(LeafEntry {
                key_count: u16::try_from(count).unwrap_or(u16::MAX),
                key,
                value: value.clone(),
                differentiator,
                hash,
            });
            self.entries = self.entries.saturating_add(1);
        }
        // Whatever does not fit is halved by the next bit of the hashes until it does.
        while !leaf.fits(self.block_bytes) {
            if u64::from(leaf.prefix_len) >= self.shift {
                self.grow_table(set, io, number)?;
            }
            if u64::from(leaf.prefix_len) >= self.shift {
                return Err(Error::Invalid(format!(
                    "object {number}: an entry that fits into no leaf"
                )));
            }
            let mut upper = leaf.split();
            let upper_id = self.free_block;
            self.free_block = self.free_block.saturating_add(1);
            self.leaves = self.leaves.saturating_add(1);
            let spread = self.shift.saturating_sub(u64::from(upper.prefix_len));
            let first = upper.prefix << spread;
            for at in first..first.saturating_add(1 << spread) {
                self.set_place(set, io, number, at, upper_id)?;
            }
            let bit = 64_u32.saturating_sub(u32::from(upper.prefix_len));
            if (hash >> bit.min(63)) & 1 == 1 {
                self.store_leaf(set, io, number, id, &mut leaf)?;
                (leaf, id) = (upper, upper_id);
            } else {
                self.store_leaf(set, io, number, upper_id, &mut upper)?;
            }
        }
        self.store_leaf(set, io, number, id, &mut leaf)?;
        self.store(set, io, number)
    }

    /// Doubles the pointer table, which moves out of the header, or from its blocks to twice as many behind all others.
    fn grow_table(
        &mut self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
    ) -> Result<(), Error> {
        let count = 1_u64 << self.shift;
        let mut places = Vec::new();
        for at in 0..count {
            let leaf = self.place(set, io, number, at)?;
            places.extend([leaf, leaf]);
        }
        let (old_block, old_blocks) = (self.table_block, self.table_blocks);
        self.shift = self.shift.saturating_add(1);
        self.table_blocks = u64_from_usize(places.len()).div_ceil(self.per_block());
        self.table_block = self.free_block;
        self.free_block = self.free_block.saturating_add(self.table_blocks);
        self.places.clear();
        for (index, part) in (0_u64..).zip(places.chunks(usize_from_u64(self.per_block()))) {
            let mut writer = Writer::with_capacity(self.block_bytes, Endian::Little);
            for place in part {
                writer.u64(*place);
            }
            put_block(
                set,
                io,
                number,
                self.table_block.saturating_add(index),
                writer.into_bytes(),
            )?;
        }
        if old_block != 0 {
            set.with_object(io, number, |object, context| {
                object.free_blocks(context, old_block, old_block.saturating_add(old_blocks))
            })?;
        }
        Ok(())
    }

    pub(super) fn remove(
        &mut self,
        set: &mut OpenSet,
        io: &mut BlockWriter,
        number: ObjectNumber,
        name: &[u8],
    ) -> Result<bool, Error> {
        let id = self.place(set, io, number, self.place_of(self.hash(name)))?;
        let key = self.key_of(name);
        let mut leaf = self.leaf(set, io, number, id)?;
        let before = leaf.entries.len();
        leaf.entries.retain(|entry| entry.key != key);
        if leaf.entries.len() == before {
            return Ok(false);
        }
        self.entries = self.entries.saturating_sub(1);
        self.store_leaf(set, io, number, id, &mut leaf)?;
        self.store(set, io, number)?;
        Ok(true)
    }
}

fn put_block(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    id: u64,
    block: Vec<u8>,
) -> Result<(), Error> {
    set.with_object(io, number, |object, _| {
        object.grow(id)?;
        object.put_block(id, block);
        Ok(())
    })
}
