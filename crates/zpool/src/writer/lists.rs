//! Lists of block pointers, which can contain other such lists.
//!
//! ```text
//! bpobj     bonus: num_blkptrs, bytes, comp, uncomp, subobjs, num_subobjs [, num_freed]; content: block pointers, in
//!           which checksums are zeros
//! subobjs   an object with the numbers of the lists within, 8 bytes each
//! ```
//!
//! A list that is empty is not made: one shared list stands for all of them, where the pool's feature `empty_bpobj`
//! allows it, and counts how often it does.

use super::PoolWriter;
use crate::dmu::{ObjectSpec, ObjectType, sizes};
use crate::spa::{BlockPointer, Feature};
use crate::{Corrupt, Error, ObjectNumber};
use std::collections::BTreeSet;
use zferry_wire::{Endian, Reader, u64_from_usize, usize_from_u64};

const BPOBJ_HEADER: ObjectType = ObjectType(6);
/// What holds the numbers of the lists within a list.
const SUBOBJECTS: ObjectType = ObjectType(53);
const BPOBJ_HEADER_BYTES: usize = 48;
/// The size of a block of a list, in bytes.
const LIST_BLOCK: u32 = 128 << 10;
/// The size of a pointer, in bytes.
const POINTER: u64 = 128;
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

    pub(super) fn negated(self) -> Self {
        Self {
            used: self.used.saturating_neg(),
            compressed: self.compressed.saturating_neg(),
            uncompressed: self.uncompressed.saturating_neg(),
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
        self.plus(other.negated())
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
        let bytes: Vec<u8> = pointers
            .iter()
            .flat_map(|pointer| stored(pointer).to_bytes())
            .collect();
        self.put_list_content(list, header.count.saturating_mul(POINTER), &bytes)?;
        header.count = header.count.saturating_add(u64_from_usize(pointers.len()));
        header.totals = pointers.iter().map(Totals::of).fold(header.totals, Totals::plus);
        self.put_bonus(list, &header.encode())
    }

    /// Writes bytes into the content of a list, which grows as needed.
    pub(super) fn put_list_content(
        &mut self,
        number: ObjectNumber,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let block_bytes = self.mos.dnode(&mut self.io, number)?.data_bytes().max(1);
        let (mut at, mut rest) = (at, bytes);
        while !rest.is_empty() {
            let id = at.checked_div(block_bytes).unwrap_or(0);
            let within = at.checked_rem(block_bytes).unwrap_or(0);
            let room = usize_from_u64(block_bytes.saturating_sub(within)).min(rest.len());
            let (now, later) = rest.split_at(room);
            self.mos.with_object(&mut self.io, number, |object, context| {
                object.grow(id)?;
                let block = object.content_mut(context.io, id)?;
                let start = usize_from_u64(within);
                if let Some(target) = block.get_mut(start..start.saturating_add(room)) {
                    target.copy_from_slice(now);
                }
                Ok(())
            })?;
            at = at.saturating_add(u64_from_usize(room));
            rest = later;
        }
        Ok(())
    }

    /// Every block pointer of a list, those of the lists within last.
    pub(super) fn pointers_of(&mut self, list: ObjectNumber) -> Result<Vec<BlockPointer>, Error> {
        let mut pointers = Vec::new();
        let mut lists = vec![list];
        let mut seen = BTreeSet::new();
        while let Some(list) = lists.pop() {
            if !seen.insert(list) {
                return Err(Corrupt::new(format!("list {list} of block pointers is in itself")).into());
            }
            let header = self.list_header(list)?;
            let bytes = self.list_content(list, header.count.saturating_mul(POINTER))?;
            pointers.extend(BlockPointer::iter_block(&bytes, Endian::Little));
            lists.extend(self.sublists(&header)?);
        }
        Ok(pointers)
    }

    /// The first `len` bytes of what a list holds.
    fn list_content(&mut self, number: ObjectNumber, len: u64) -> Result<Vec<u8>, Error> {
        self.list_part(number, 0, len)
    }

    /// The bytes of a list from `from` to `to`.
    pub(super) fn list_part(&mut self, number: ObjectNumber, from: u64, to: u64) -> Result<Vec<u8>, Error> {
        let dnode = self.mos.dnode(&mut self.io, number)?;
        let (block_bytes, has) = (dnode.data_bytes().max(1), dnode.content_bytes());
        if to > has {
            return Err(Corrupt::new(format!("object {number}: {to} bytes wanted of {has}")).into());
        }
        let mut bytes = Vec::new();
        let first = from.checked_div(block_bytes).unwrap_or(0);
        for id in first..to.div_ceil(block_bytes) {
            let block = self
                .mos
                .with_reading(&mut self.io, number, |object, io| object.block_or_zeros(io, id))?;
            bytes.extend_from_slice(&block);
        }
        let start = first.saturating_mul(block_bytes);
        bytes.truncate(usize_from_u64(to.saturating_sub(start)));
        Ok(bytes.split_off(usize_from_u64(from.saturating_sub(start)).min(bytes.len())))
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
        let mut seen = BTreeSet::new();
        let mut waiting = self.sublists(header)?;
        while let Some(list) = waiting.pop() {
            if !seen.insert(list) {
                return Err(Corrupt::new(format!("list {list} of block pointers is in itself")).into());
            }
            let inner = self.list_header(list)?;
            waiting.extend(self.sublists(&inner)?);
            self.free_subobjects(&inner)?;
            self.free_meta_object(list)?;
        }
        self.free_subobjects(header)
    }

    /// The lists directly within a list.
    fn sublists(&mut self, header: &ListHeader) -> Result<Vec<ObjectNumber>, Error> {
        if header.subobjects == 0 {
            return Ok(Vec::new());
        }
        let array = ObjectNumber(header.subobjects);
        let bytes = self.list_content(array, header.subobject_count.saturating_mul(8))?;
        let mut reader = Reader::new(&bytes, Endian::Little);
        let mut lists = Vec::new();
        while !reader.is_empty() {
            lists.push(ObjectNumber(reader.u64()?));
        }
        Ok(lists)
    }

    fn free_subobjects(&mut self, header: &ListHeader) -> Result<(), Error> {
        if header.subobjects == 0 {
            return Ok(());
        }
        self.free_meta_object(ObjectNumber(header.subobjects))
    }

    /// Frees a list with the lists within it; what it leads to stays.
    pub(super) fn free_list(&mut self, list: ObjectNumber) -> Result<(), Error> {
        let header = self.list_header(list)?;
        self.free_sublists(&header)?;
        self.free_meta_object(list)
    }

    /// Moves everything that `inner` holds into `list`, and gives up `inner`.
    ///
    /// What fits into a block is copied, as OpenZFS does, so that lists do not nest deeply; the rest becomes a list
    /// within the list.
    pub(super) fn enqueue_list(&mut self, list: ObjectNumber, inner: ObjectNumber) -> Result<(), Error> {
        let moved = self.list_header(inner)?;
        if self.shared_empty_list()? == Some(inner) || moved.is_empty() {
            return self.drop_list(inner);
        }
        let mut header = self.list_header(list)?;
        let is_flat = moved.subobjects == 0 || self.is_one_block(ObjectNumber(moved.subobjects))?;
        if is_flat {
            let within = self.sublists(&moved)?;
            self.add_sublists(&mut header, &within)?;
            self.free_subobjects(&moved)?;
        }
        if is_flat && self.is_one_block(inner)? {
            let bytes = self.list_content(inner, moved.count.saturating_mul(POINTER))?;
            self.put_list_content(list, header.count.saturating_mul(POINTER), &bytes)?;
            header.count = header.count.saturating_add(moved.count);
            self.free_meta_object(inner)?;
        } else {
            if is_flat {
                let rest = ListHeader {
                    subobjects: 0,
                    subobject_count: 0,
                    totals: self.own_totals(inner, moved.count)?,
                    ..moved
                };
                self.put_bonus(inner, &rest.encode())?;
            }
            self.add_sublists(&mut header, &[inner])?;
        }
        header.totals = header.totals.plus(moved.totals);
        self.put_bonus(list, &header.encode())
    }

    /// What the pointers of a list itself lead to, the lists within it left out.
    fn own_totals(&mut self, list: ObjectNumber, count: u64) -> Result<Totals, Error> {
        let bytes = self.list_content(list, count.saturating_mul(POINTER))?;
        let pointers = BlockPointer::iter_block(&bytes, Endian::Little);
        Ok(pointers
            .map(|pointer| Totals::of(&pointer))
            .fold(Totals::default(), Totals::plus))
    }

    fn is_one_block(&mut self, number: ObjectNumber) -> Result<bool, Error> {
        let dnode = self.mos.dnode(&mut self.io, number)?;
        Ok(dnode.max_block.0 == 0)
    }

    /// Adds lists to those within a list.
    fn add_sublists(&mut self, header: &mut ListHeader, lists: &[ObjectNumber]) -> Result<(), Error> {
        if lists.is_empty() {
            return Ok(());
        }
        if header.subobjects == 0 {
            header.subobjects = self.new_object(&ObjectSpec::new(SUBOBJECTS, LIST_BLOCK))?.0;
        }
        let bytes: Vec<u8> = lists.iter().flat_map(|list| list.0.to_le_bytes()).collect();
        let at = header.subobject_count.saturating_mul(8);
        self.put_list_content(ObjectNumber(header.subobjects), at, &bytes)?;
        header.subobject_count = header.subobject_count.saturating_add(u64_from_usize(lists.len()));
        Ok(())
    }

    /// Takes up to about `most` pointers out of a list, its last ones, those of the lists within it first.
    pub(super) fn take_pointers(
        &mut self,
        list: ObjectNumber,
        most: usize,
    ) -> Result<Vec<BlockPointer>, Error> {
        let mut taken = Vec::new();
        let mut path = vec![list];
        while taken.len() < most {
            let Some(last) = path.last().copied() else { break };
            let mut header = self.list_header(last)?;
            if let Some(inner) = self.sublists(&header)?.pop() {
                if path.contains(&inner) {
                    return Err(Corrupt::new(format!("list {inner} of block pointers is in itself")).into());
                }
                path.push(inner);
                continue;
            }
            if header.count == 0 {
                path.pop();
                if let Some(outer) = path.last().copied() {
                    self.free_list(last)?;
                    self.forget_last_sublist(outer)?;
                }
                continue;
            }
            let room = u64_from_usize(most.saturating_sub(taken.len()));
            let kept = header.count.saturating_sub(room);
            let end = header.count.saturating_mul(POINTER);
            let bytes = self.list_part(last, kept.saturating_mul(POINTER), end)?;
            let pointers: Vec<_> = BlockPointer::iter_block(&bytes, Endian::Little).collect();
            let totals = pointers
                .iter()
                .map(Totals::of)
                .fold(Totals::default(), Totals::plus);
            header.count = kept;
            self.put_bonus(last, &header.encode())?;
            for list in &path {
                let mut header = self.list_header(*list)?;
                header.totals = header.totals.minus(totals);
                self.put_bonus(*list, &header.encode())?;
            }
            self.cut_list(last, kept)?;
            taken.extend(pointers);
        }
        Ok(taken)
    }

    /// Frees the blocks of a list behind its last pointer.
    fn cut_list(&mut self, list: ObjectNumber, count: u64) -> Result<(), Error> {
        let block_bytes = self.mos.dnode(&mut self.io, list)?.data_bytes();
        let blocks = count.saturating_mul(POINTER).div_ceil(block_bytes.max(1));
        self.mos.with_object(&mut self.io, list, |object, context| {
            object.free_blocks(context, blocks, u64::MAX)?;
            object.dnode.max_block = crate::BlockId(blocks.saturating_sub(1));
            object.is_dirty = true;
            Ok(())
        })
    }

    fn forget_last_sublist(&mut self, list: ObjectNumber) -> Result<(), Error> {
        let mut header = self.list_header(list)?;
        header.subobject_count = header.subobject_count.saturating_sub(1);
        if header.subobject_count == 0 {
            self.free_subobjects(&header)?;
            header.subobjects = 0;
        }
        self.put_bonus(list, &header.encode())
    }

    pub(super) fn list_totals(&mut self, list: ObjectNumber) -> Result<Totals, Error> {
        Ok(self.list_header(list)?.totals)
    }

    /// References to so many empty lists: all to the shared one, or each to one of its own.
    pub(super) fn empty_lists(&mut self, count: usize) -> Result<Vec<ObjectNumber>, Error> {
        if !self.is_feature_enabled(Feature::EmptyBpobj)? {
            return (0..count).map(|_| self.new_list()).collect();
        }
        if count == 0 {
            return Ok(Vec::new());
        }
        let shared = match self.shared_empty_list()? {
            Some(shared) => shared,
            None => {
                let shared = self.new_list()?;
                self.table_put(ObjectNumber(1), EMPTY, shared.0)?;
                shared
            }
        };
        self.count_feature(Feature::EmptyBpobj, i64::try_from(count).unwrap_or(i64::MAX))?;
        Ok(vec![shared; count])
    }

    pub(super) fn shared_empty_list(&mut self) -> Result<Option<ObjectNumber>, Error> {
        Ok(self.table_get(ObjectNumber(1), EMPTY)?.map(ObjectNumber))
    }

    /// Gives a reference to a list up, whatever is in it.
    pub(super) fn drop_list(&mut self, list: ObjectNumber) -> Result<(), Error> {
        self.drop_lists(&[list])
    }

    /// The same for many.
    pub(super) fn drop_lists(&mut self, lists: &[ObjectNumber]) -> Result<(), Error> {
        let shared = self.shared_empty_list()?;
        let mut count = 0_i64;
        for list in lists {
            if shared == Some(*list) {
                count = count.saturating_sub(1);
            } else {
                self.free_list(*list)?;
            }
        }
        let Some(shared) = shared.filter(|_| count < 0) else {
            return Ok(());
        };
        self.count_feature(Feature::EmptyBpobj, count)?;
        if self.feature_count(Feature::EmptyBpobj)? == 0 {
            self.table_remove(ObjectNumber(1), EMPTY)?;
            self.free_meta_object(shared)?;
        }
        Ok(())
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
