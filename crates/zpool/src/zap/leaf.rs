//! A leaf of a fat ZAP: a hash table of chunks.
//!
//! ```text
//! offset          field
//!      0          lh_block_type u64, lh_pad1 u64, lh_prefix u64
//!     24          lh_magic u32 (0x2ab1eaf), lh_nfree u16, lh_nentries u16, lh_prefix_len u16, lh_freelist u16, lh_flags u8
//!     48          hash table: one u16 for every 32 bytes of the block, the first chunk of a chain, 0xffff: none
//!     48 + bs/16  chunks of 24 bytes
//!
//! entry chunk     le_type u8 (252) | le_value_intlen u8 | le_next u16 | le_name_chunk u16 | le_name_numints u16
//!                 | le_value_chunk u16 | le_value_numints u16 | le_cd u32 | le_hash u64
//! array chunk     la_type u8 (251) | 21 bytes | la_next u16
//! ```
//!
//! The integers of names and values are big-endian in every pool; the headers are in the block's order.

use super::{ZapEntry, ZapValue};
use crate::spa::Block;
use crate::{Corrupt, Error};
use std::sync::Arc;
use zferry_wire::{Reader, usize_from_u64};

const MAGIC: u32 = 0x2ab_1eaf;
const HEADER_BYTES: usize = 48;
const CHUNK_BYTES: usize = 24;
const ARRAY_BYTES: usize = 21;
const TYPE_ARRAY: u8 = 251;
const TYPE_ENTRY: u8 = 252;
const CHAIN_END: u16 = 0xffff;

/// A leaf.
#[derive(Debug)]
pub(super) struct Leaf {
    block: Arc<Block>,
    prefix: u64,
    prefix_len: u16,
    /// Whether names are arrays of numbers of 64 bits, and not strings that a zero ends.
    has_number_keys: bool,
}

/// An entry chunk, decoded.
struct Entry {
    value_width: u8,
    next: u16,
    name_chunk: u16,
    name_count: u16,
    value_chunk: u16,
    value_count: u16,
    hash: u64,
}

impl Entry {
    /// The length of its value, in bytes.
    fn value_bytes(&self) -> usize {
        usize::from(self.value_count).saturating_mul(usize::from(self.value_width))
    }
}

impl Leaf {
    pub(super) fn new(block: Arc<Block>, has_number_keys: bool) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&block.bytes, block.endian);
        let [_block_type, _pad, prefix] = reader.u64s()?;
        let magic = reader.u32()?;
        if magic != MAGIC {
            return Err(Corrupt::new(format!("ZAP leaf with magic {magic:x}")));
        }
        let [_free, _entries] = [reader.u16()?, reader.u16()?];
        let prefix_len = reader.u16()?;
        Ok(Self {
            block,
            prefix,
            prefix_len,
            has_number_keys,
        })
    }

    /// The first bits of their hash, which all its entries share.
    pub(super) const fn prefix(&self) -> u64 {
        self.prefix
    }

    /// How many bits that are.
    pub(super) const fn prefix_len(&self) -> u16 {
        self.prefix_len
    }

    /// How many places its hash table has: a power of two in every sound leaf.
    fn hash_places(&self) -> usize {
        self.block.bytes.len() / 32
    }

    fn chunks(&self) -> &[u8] {
        let start = HEADER_BYTES.saturating_add(self.hash_places().saturating_mul(2));
        self.block.bytes.get(start..).unwrap_or_default()
    }

    fn chunk(&self, index: u16) -> Result<&[u8; CHUNK_BYTES], Corrupt> {
        let (chunks, _) = self.chunks().as_chunks::<CHUNK_BYTES>();
        chunks
            .get(usize::from(index))
            .ok_or_else(|| Corrupt::new(format!("ZAP leaf has no chunk {index}")))
    }

    fn entry(&self, index: u16) -> Result<Entry, Corrupt> {
        let chunk = self.chunk(index)?;
        let mut reader = Reader::new(chunk, self.block.endian);
        let [chunk_type, value_width] = reader.array()?;
        if chunk_type != TYPE_ENTRY {
            return Err(Corrupt::new(format!(
                "ZAP chunk {index} of type {chunk_type} where an entry is due"
            )));
        }
        let next = reader.u16()?;
        let name_chunk = reader.u16()?;
        let name_count = reader.u16()?;
        let value_chunk = reader.u16()?;
        let value_count = reader.u16()?;
        reader.skip(4)?;
        let hash = reader.u64()?;
        Ok(Entry {
            value_width,
            next,
            name_chunk,
            name_count,
            value_chunk,
            value_count,
            hash,
        })
    }

    /// The bytes of a chain of array chunks. Each chunk gives 21 bytes, so a cycle ends where the length does.
    fn array(&self, first: u16, len: usize) -> Result<Vec<u8>, Corrupt> {
        if len > self.block.bytes.len() {
            return Err(Corrupt::new(format!(
                "ZAP array of {len} bytes in a smaller leaf"
            )));
        }
        let mut bytes = Vec::with_capacity(len);
        let mut next = first;
        while bytes.len() < len {
            let chunk = self.chunk(next)?;
            let mut reader = Reader::new(chunk, self.block.endian);
            let chunk_type = reader.u8()?;
            if chunk_type != TYPE_ARRAY {
                return Err(Corrupt::new(format!(
                    "ZAP chunk {next} of type {chunk_type} where an array is due"
                )));
            }
            let take = len.saturating_sub(bytes.len()).min(ARRAY_BYTES);
            bytes.extend_from_slice(reader.array::<ARRAY_BYTES>()?.get(..take).unwrap_or_default());
            next = reader.u16()?;
        }
        Ok(bytes)
    }

    /// The length of an entry's name, in bytes.
    fn name_bytes(&self, entry: &Entry) -> usize {
        let width = if self.has_number_keys { 8 } else { 1 };
        usize::from(entry.name_count).saturating_mul(width)
    }

    fn name(&self, entry: &Entry) -> Result<Vec<u8>, Corrupt> {
        let mut name = self.array(entry.name_chunk, self.name_bytes(entry))?;
        if name.last() == Some(&0) && !self.has_number_keys {
            name.pop();
        }
        Ok(name)
    }

    fn value(&self, entry: &Entry) -> Result<ZapValue, Corrupt> {
        if !matches!(entry.value_width, 1 | 2 | 4 | 8) {
            return Err(Corrupt::new(format!(
                "ZAP value of integers of {} bytes",
                entry.value_width
            )));
        }
        Ok(ZapValue::from_big_endian(
            entry.value_width,
            self.array(entry.value_chunk, entry.value_bytes())?,
        ))
    }

    /// Calls `each` with every entry, in the order of the chunks.
    pub(super) fn for_each(&self, each: &mut dyn FnMut(ZapEntry) -> Result<(), Error>) -> Result<(), Error> {
        let (chunks, _) = self.chunks().as_chunks::<CHUNK_BYTES>();
        // No two entries share a chunk, so what they say is no longer than the leaf.
        let mut room = self.block.bytes.len();
        for (index, chunk) in (0_u16..).zip(chunks) {
            let [chunk_type, ..] = *chunk;
            if chunk_type == TYPE_ENTRY {
                let entry = self.entry(index)?;
                room = room
                    .checked_sub(self.name_bytes(&entry).saturating_add(entry.value_bytes()))
                    .ok_or_else(|| Corrupt::new("ZAP leaf whose entries are longer than itself"))?;
                each(ZapEntry {
                    name: self.name(&entry)?,
                    value: self.value(&entry)?,
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn lookup(&self, name: &[u8], hash: u64) -> Result<Option<ZapValue>, Corrupt> {
        let places = self.hash_places();
        let place_bits = places.checked_ilog2().unwrap_or(0);
        let shift = 64_u32
            .saturating_sub(place_bits)
            .saturating_sub(u32::from(self.prefix_len));
        let mask = u64::MAX >> 64_u32.saturating_sub(place_bits).min(63);
        let place = usize_from_u64(hash.checked_shr(shift).unwrap_or(0) & mask);
        let mut reader = Reader::new(&self.block.bytes, self.block.endian);
        reader.skip(HEADER_BYTES.saturating_add(place.saturating_mul(2)))?;
        let mut next = reader.u16()?;
        // A chain is no longer than there are chunks: what goes on behind that is a cycle.
        for _ in 0..=self.chunks().len() / CHUNK_BYTES {
            if next == CHAIN_END {
                return Ok(None);
            }
            let entry = self.entry(next)?;
            if entry.hash == hash && self.name(&entry)? == name {
                return self.value(&entry).map(Some);
            }
            next = entry.next;
        }
        Err(Corrupt::new("ZAP leaf with a chain that has no end"))
    }
}
