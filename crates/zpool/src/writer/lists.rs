//! Lists of block pointers, and deadlists, which are made of them.
//!
//! ```text
//! bpobj     bonus: num_blkptrs, bytes, comp, uncomp, subobjs, num_subobjs [, num_freed]; content: block pointers, in
//!           which checksums are zeros
//! deadlist  a ZAP: transaction group (hexadecimal) → bpobj of what was born after it; bonus: used, comp, uncomp
//! ```
//!
//! A list that is empty is not made: one shared list stands for all of them, where the pool's feature `empty_bpobj`
//! allows it, and counts how often it does.

use super::PoolWriter;
use crate::dmu::{ObjectSpec, ObjectType, sizes};
use crate::spa::{BlockPointer, Feature};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeMap;
use zferry_wire::{Endian, Reader, usize_from_u64};

const BPOBJ_HEADER: ObjectType = ObjectType(6);
const DEADLIST: ObjectType = ObjectType(50);
const DEADLIST_HEADER: ObjectType = ObjectType(51);
const BPOBJ_HEADER_BYTES: usize = 48;
const DEADLIST_HEADER_BYTES: usize = 320;
/// The size of a block of a list, in bytes.
const LIST_BLOCK: u32 = 128 << 10;
/// The entry of the object directory that leads to the list that stands for all empty ones.
const EMPTY: &str = "empty_bpobj";

/// The sizes of blocks together: allocated, compressed, uncompressed, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) used: i64,
    pub(super) compressed: i64,
    pub(super) uncompressed: i64,
}

impl Totals {
    pub(super) fn of(pointer: &BlockPointer) -> Self {
        let [used, compressed, uncompressed] = sizes(pointer);
        Self {
            used,
            compressed,
            uncompressed,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            used: self.used.saturating_add(other.used),
            compressed: self.compressed.saturating_add(other.compressed),
            uncompressed: self.uncompressed.saturating_add(other.uncompressed),
        }
    }
}

/// The head of a list of block pointers.
#[derive(Clone, Copy, Debug)]
struct ListHeader {
    count: u64,
    totals: Totals,
    subobjects: u64,
    subobject_count: u64,
}

impl ListHeader {
    fn is_empty(&self) -> bool {
        self.count == 0 && self.subobject_count == 0
    }

    fn encode(&self) -> Vec<u8> {
        let Totals {
            used,
            compressed,
            uncompressed,
        } = self.totals;
        let fields = [
            self.count,
            used.cast_unsigned(),
            compressed.cast_unsigned(),
            uncompressed.cast_unsigned(),
            self.subobjects,
            self.subobject_count,
        ];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }
}

impl PoolWriter {
    pub(super) fn new_list(&mut self) -> Result<ObjectNumber, Error> {
        let spec = ObjectSpec::new(ObjectType::BPOBJ, LIST_BLOCK)
            .with_bonus(BPOBJ_HEADER, vec![0; BPOBJ_HEADER_BYTES]);
        self.new_object(&spec)
    }

    fn list_header(&mut self, list: ObjectNumber) -> Result<ListHeader, Error> {
        let bonus = self.bonus(list)?;
        let mut reader = Reader::new(&bonus, Endian::Little);
        let [count, used, compressed, uncompressed] = reader.u64s()?;
        let [subobjects, subobject_count] = reader.u64s().unwrap_or_default();
        Ok(ListHeader {
            count,
            totals: Totals {
                used: used.cast_signed(),
                compressed: compressed.cast_signed(),
                uncompressed: uncompressed.cast_signed(),
            },
            subobjects,
            subobject_count,
        })
    }

    /// Adds block pointers to the end of a list.
    pub(super) fn append(&mut self, list: ObjectNumber, pointers: &[BlockPointer]) -> Result<(), Error> {
        let mut header = self.list_header(list)?;
        let block_bytes = self.mos.dnode(&mut self.io, list)?.data_bytes();
        let per_block = block_bytes.checked_div(128).unwrap_or(0).max(1);
        for pointer in pointers {
            let id = header.count.checked_div(per_block).unwrap_or(0);
            let at = usize_from_u64(header.count.checked_rem(per_block).unwrap_or(0))
                .saturating_mul(BlockPointer::BYTES);
            let bytes = stored(pointer).to_bytes();
            self.mos.with_object(&mut self.io, list, |object, context| {
                object.grow(id)?;
                let block = object.content_mut(context.io, id)?;
                if let Some(target) = block.get_mut(at..at.saturating_add(bytes.len())) {
                    target.copy_from_slice(&bytes);
                }
                Ok(())
            })?;
            header.count = header.count.saturating_add(1);
            header.totals = header.totals.plus(Totals::of(pointer));
        }
        self.put_bonus(list, &header.encode())
    }

    /// Every block pointer of a list, those of the lists within last.
    pub(super) fn pointers_of(&mut self, list: ObjectNumber) -> Result<Vec<BlockPointer>, Error> {
        let mut pointers = Vec::new();
        let mut lists = vec![list];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(list) = lists.pop() {
            if !seen.insert(list) {
                return Err(Corrupt::new(format!("list {list} of block pointers is in itself")).into());
            }
            let header = self.list_header(list)?;
            let bytes = self.content(list, header.count.saturating_mul(128))?;
            pointers.extend(BlockPointer::iter_block(&bytes, Endian::Little));
            if header.subobjects != 0 {
                let bytes = self.content(
                    ObjectNumber(header.subobjects),
                    header.subobject_count.saturating_mul(8),
                )?;
                let mut reader = Reader::new(&bytes, Endian::Little);
                while !reader.is_empty() {
                    lists.push(ObjectNumber(reader.u64()?));
                }
            }
        }
        Ok(pointers)
    }

    fn content(&mut self, number: ObjectNumber, len: u64) -> Result<Vec<u8>, Error> {
        let dnode = self.mos.dnode(&mut self.io, number)?;
        let (block_bytes, has) = (dnode.data_bytes(), dnode.content_bytes());
        if len > has {
            return Err(Corrupt::new(format!("object {number}: {len} bytes wanted of {has}")).into());
        }
        let mut bytes = Vec::new();
        for id in 0..len.div_ceil(block_bytes) {
            let block = self
                .mos
                .with_reading(&mut self.io, number, |object, io| object.block_or_zeros(io, id))?;
            bytes.extend_from_slice(&block);
        }
        bytes.truncate(usize_from_u64(len));
        Ok(bytes)
    }

    /// Empties a list, whose blocks have been dealt with. Lists within it are freed.
    pub(super) fn clear_list(&mut self, list: ObjectNumber) -> Result<(), Error> {
        let header = self.list_header(list)?;
        if header.is_empty() {
            return Ok(());
        }
        self.free_sublists(&header)?;
        self.mos.with_object(&mut self.io, list, |object, context| {
            object.free_blocks(context, 0, u64::MAX)?;
            object.dnode.max_block = crate::BlockId(0);
            Ok(())
        })?;
        self.put_bonus(list, &[0; BPOBJ_HEADER_BYTES])
    }

    fn free_sublists(&mut self, header: &ListHeader) -> Result<(), Error> {
        if header.subobjects == 0 {
            return Ok(());
        }
        let array = ObjectNumber(header.subobjects);
        let bytes = self.content(array, header.subobject_count.saturating_mul(8))?;
        let mut reader = Reader::new(&bytes, Endian::Little);
        while !reader.is_empty() {
            let list = ObjectNumber(reader.u64()?);
            self.free_list(list)?;
        }
        self.free_meta_object(array)
    }

    /// Frees a list with the lists within it; what it leads to stays.
    pub(super) fn free_list(&mut self, list: ObjectNumber) -> Result<(), Error> {
        // Lists in lists go one level deep: what is taken over is taken apart.
        let header = self.list_header(list)?;
        if header.subobjects != 0 {
            let array = ObjectNumber(header.subobjects);
            let bytes = self.content(array, header.subobject_count.saturating_mul(8))?;
            let mut reader = Reader::new(&bytes, Endian::Little);
            while !reader.is_empty() {
                let inner = ObjectNumber(reader.u64()?);
                if self.list_header(inner)?.subobjects != 0 {
                    return Err(Error::ReadOnly(
                        "it has lists of blocks that are nested deeply".to_owned(),
                    ));
                }
                self.free_meta_object(inner)?;
            }
            self.free_meta_object(array)?;
        }
        self.free_meta_object(list)
    }

    /// A reference to an empty list: the shared one, or one of its own.
    pub(super) fn empty_list(&mut self) -> Result<ObjectNumber, Error> {
        if !self.is_feature_enabled(Feature::EmptyBpobj)? {
            return self.new_list();
        }
        let shared = match self.shared_empty_list()? {
            Some(shared) => shared,
            None => {
                let shared = self.new_list()?;
                self.table_put(ObjectNumber(1), EMPTY, shared.0)?;
                shared
            }
        };
        self.count_feature(Feature::EmptyBpobj, 1)?;
        Ok(shared)
    }

    fn shared_empty_list(&mut self) -> Result<Option<ObjectNumber>, Error> {
        Ok(self.table_get(ObjectNumber(1), EMPTY)?.map(ObjectNumber))
    }

    /// Gives a reference to a list up, whatever is in it.
    pub(super) fn drop_list(&mut self, list: ObjectNumber) -> Result<(), Error> {
        if self.shared_empty_list()? != Some(list) {
            return self.free_list(list);
        }
        self.count_feature(Feature::EmptyBpobj, -1)?;
        if self.feature_count(Feature::EmptyBpobj)? == 0 {
            self.table_remove(ObjectNumber(1), EMPTY)?;
            self.free_meta_object(list)?;
        }
        Ok(())
    }

    /// A deadlist with an empty list for each of these groups.
    pub(super) fn new_deadlist(&mut self, keys: &[Txg]) -> Result<ObjectNumber, Error> {
        let spec = ObjectSpec::new(DEADLIST, 512).with_bonus(DEADLIST_HEADER, vec![0; DEADLIST_HEADER_BYTES]);
        let deadlist = self.new_table_of(&spec)?;
        for key in keys {
            let list = self.empty_list()?;
            self.table_put(deadlist, &format!("{:x}", key.0), list.0)?;
        }
        Ok(deadlist)
    }

    /// The lists of a deadlist, by the group after which what they hold was born.
    pub(super) fn deadlist_lists(
        &mut self,
        deadlist: ObjectNumber,
    ) -> Result<BTreeMap<Txg, ObjectNumber>, Error> {
        let mut lists = BTreeMap::new();
        for entry in self.table_all(deadlist)? {
            let txg = u64::from_str_radix(&entry.name_lossy(), 16).ok();
            let (Some(txg), Some(list)) = (txg, entry.value.as_u64()) else {
                let name = entry.name_lossy();
                return Err(Corrupt::new(format!("deadlist {deadlist} has an entry '{name}'")).into());
            };
            lists.insert(Txg(txg), ObjectNumber(list));
        }
        Ok(lists)
    }

    pub(super) fn deadlist_totals(&mut self, deadlist: ObjectNumber) -> Result<Totals, Error> {
        let bonus = self.bonus(deadlist)?;
        let [used, compressed, uncompressed] = Reader::new(&bonus, Endian::Little).u64s()?;
        Ok(Totals {
            used: used.cast_signed(),
            compressed: compressed.cast_signed(),
            uncompressed: uncompressed.cast_signed(),
        })
    }

    pub(super) fn add_to_deadlist_totals(
        &mut self,
        deadlist: ObjectNumber,
        add: Totals,
    ) -> Result<(), Error> {
        let Totals {
            used,
            compressed,
            uncompressed,
        } = self.deadlist_totals(deadlist)?.plus(add);
        let fields = [used, compressed, uncompressed];
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        self.put_bonus(deadlist, &bytes)
    }

    /// Adds dead blocks to a deadlist, each to the list of its age.
    pub(super) fn insert_dead(&mut self, deadlist: ObjectNumber, dead: &[BlockPointer]) -> Result<(), Error> {
        let lists = self.deadlist_lists(deadlist)?;
        let mut by_key: BTreeMap<Txg, Vec<BlockPointer>> = BTreeMap::new();
        let mut totals = Totals::default();
        for pointer in dead {
            let birth = pointer.physical_birth();
            let key = lists.range(..birth).next_back().map(|(key, _)| *key);
            let key =
                key.ok_or_else(|| Corrupt::new(format!("deadlist {deadlist} has no list for {pointer}")))?;
            by_key.entry(key).or_default().push(*pointer);
            totals = totals.plus(Totals::of(pointer));
        }
        let shared = self.shared_empty_list()?;
        for (key, pointers) in by_key {
            let Some(mut list) = lists.get(&key).copied() else {
                continue;
            };
            if Some(list) == shared {
                let own = self.new_list()?;
                self.table_put(deadlist, &format!("{:x}", key.0), own.0)?;
                self.drop_list(list)?;
                list = own;
            }
            self.append(list, &pointers)?;
        }
        self.add_to_deadlist_totals(deadlist, totals)
    }

    /// Frees a deadlist; what its lists lead to stays.
    pub(super) fn free_deadlist(&mut self, deadlist: ObjectNumber) -> Result<(), Error> {
        for (_, list) in self.deadlist_lists(deadlist)? {
            self.drop_list(list)?;
        }
        self.free_meta_object(deadlist)
    }
}

/// A pointer as lists keep it: without what only reading its block needs.
fn stored(pointer: &BlockPointer) -> BlockPointer {
    let mut words = *pointer.words();
    if pointer.is_embedded() {
        let (properties, birth) = (words[6], words[10]);
        words = [0; 16];
        words[6] = properties;
        words[10] = birth;
    } else {
        words[11] = 0;
        if !pointer.is_dedup() {
            words[12..].fill(0);
        }
    }
    BlockPointer::from_words(words)
}
