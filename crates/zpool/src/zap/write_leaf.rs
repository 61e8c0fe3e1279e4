//! A leaf of a fat ZAP in change: taken apart into its entries, and put together again.
//!
//! The layout is described beside the reading of leaves. Chains are in no order of their own, as the flag that would
//! promise one is not set.

use super::{BLOCK_TYPE_LEAF, ZapValue};
use crate::Corrupt;
use zferry_wire::{Endian, Reader, Writer, u64_from_usize, usize_from_u64};

const MAGIC: u32 = 0x2ab_1eaf;
const HEADER_BYTES: usize = 48;
const CHUNK_BYTES: usize = 24;
const ARRAY_BYTES: usize = 21;
const TYPE_ARRAY: u8 = 251;
const TYPE_ENTRY: u8 = 252;
const TYPE_FREE: u8 = 253;
const CHAIN_END: u16 = 0xffff;

/// An entry of a leaf.
#[derive(Clone, Debug)]
pub(super) struct LeafEntry {
    /// The key's bytes: a name with its zero.
    pub(super) key: Vec<u8>,
    /// How many integers the key counts.
    pub(super) key_count: u16,
    pub(super) value: ZapValue,
    pub(super) differentiator: u32,
    pub(super) hash: u64,
}

/// A leaf, taken apart.
#[derive(Clone, Debug)]
pub(super) struct LeafTable {
    pub(super) prefix: u64,
    pub(super) prefix_len: u16,
    pub(super) entries: Vec<LeafEntry>,
}

fn chunk_count(block_bytes: usize) -> usize {
    let taken = HEADER_BYTES.saturating_add(block_bytes / 16);
    block_bytes.saturating_sub(taken) / CHUNK_BYTES
}

impl LeafEntry {
    fn chunks(&self) -> usize {
        let key = self.key.len().div_ceil(ARRAY_BYTES);
        let value = self.value.big_endian().len().div_ceil(ARRAY_BYTES);
        key.saturating_add(value).saturating_add(1)
    }
}

/// The chunks of a leaf that is read.
struct Chunks<'a>(&'a [[u8; CHUNK_BYTES]]);

impl Chunks<'_> {
    fn get(&self, index: u16) -> Result<&[u8; CHUNK_BYTES], Corrupt> {
        let chunk = self.0.get(usize::from(index));
        chunk.ok_or_else(|| Corrupt::new(format!("ZAP leaf without its chunk {index}")))
    }

    /// The bytes of a chain of array chunks.
    fn array(&self, first: u16, len: usize) -> Result<Vec<u8>, Corrupt> {
        let mut bytes = Vec::new();
        let mut next = first;
        while bytes.len() < len {
            let chunk = self.get(next)?;
            let [kind, rest @ ..] = chunk;
            if *kind != TYPE_ARRAY {
                return Err(Corrupt::new(format!(
                    "chunk {next} of a ZAP leaf has type {kind}"
                )));
            }
            let (data, link) = rest.split_at_checked(ARRAY_BYTES).unwrap_or_default();
            bytes.extend_from_slice(data);
            next = Reader::new(link, Endian::Little).u16()?;
        }
        bytes.truncate(len);
        Ok(bytes)
    }
}

impl LeafTable {
    pub(super) const fn empty(prefix: u64, prefix_len: u16) -> Self {
        Self {
            prefix,
            prefix_len,
            entries: Vec::new(),
        }
    }

    pub(super) fn decode(block: &[u8], key_width: usize) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(block, Endian::Little);
        let [block_type, _pad, prefix] = reader.u64s()?;
        let magic = reader.u32()?;
        if block_type != BLOCK_TYPE_LEAF || magic != MAGIC {
            return Err(Corrupt::new("ZAP block that is no leaf"));
        }
        reader.skip(4)?;
        let prefix_len = reader.u16()?;
        let chunks_at = HEADER_BYTES.saturating_add(block.len() / 16);
        let (chunks, _) = block
            .get(chunks_at..)
            .unwrap_or_default()
            .as_chunks::<CHUNK_BYTES>();
        let chunks = Chunks(chunks);
        let mut entries = Vec::new();
        for chunk in chunks.0 {
            let mut reader = Reader::new(chunk, Endian::Little);
            if reader.u8()? != TYPE_ENTRY {
                continue;
            }
            let width = reader.u8()?;
            reader.skip(2)?;
            let (name_chunk, key_count) = (reader.u16()?, reader.u16()?);
            let (value_chunk, value_count) = (reader.u16()?, reader.u16()?);
            let differentiator = reader.u32()?;
            let hash = reader.u64()?;
            let key_len = usize::from(key_count).saturating_mul(key_width);
            let value_len = usize::from(value_count).saturating_mul(usize::from(width));
            entries.push(LeafEntry {
                key: chunks.array(name_chunk, key_len)?,
                key_count,
                value: ZapValue::from_big_endian(width, chunks.array(value_chunk, value_len)?),
                differentiator,
                hash,
            });
        }
        Ok(Self {
            prefix,
            prefix_len,
            entries,
        })
    }

    /// Whether all entries fit into a block.
    pub(super) fn fits(&self, block_bytes: usize) -> bool {
        let wanted = self
            .entries
            .iter()
            .map(LeafEntry::chunks)
            .fold(0, usize::saturating_add);
        wanted <= chunk_count(block_bytes)
    }

    /// Halves the leaf by the next bit of the hashes; the second half is returned.
    pub(super) fn split(&mut self) -> Self {
        let bit = 63_u32.saturating_sub(u32::from(self.prefix_len));
        self.prefix <<= 1;
        self.prefix_len = self.prefix_len.saturating_add(1);
        let (upper, lower) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|entry| (entry.hash >> bit.min(63)) & 1 == 1);
        self.entries = lower;
        Self {
            prefix: self.prefix | 1,
            prefix_len: self.prefix_len,
            entries: upper,
        }
    }

    /// The block. Entries stand in the order of their hashes, so that the same entries make the same block.
    pub(super) fn encode(&mut self, block_bytes: usize) -> Vec<u8> {
        self.entries
            .sort_by_key(|entry| (entry.hash, entry.differentiator));
        let count = chunk_count(block_bytes);
        let buckets = block_bytes / 32;
        let mut heads = vec![CHAIN_END; buckets];
        let mut chunks = Writer::new(Endian::Little);
        let used = |chunks: &Writer| chunks.len() / CHUNK_BYTES;
        for entry in &self.entries {
            let bucket = self.bucket(entry.hash, buckets);
            let name_at = used(&chunks).saturating_add(1);
            let value_at = name_at.saturating_add(entry.key.len().div_ceil(ARRAY_BYTES));
            let value = entry.value.big_endian();
            let value_count = value
                .len()
                .checked_div(usize::from(entry.value.width()))
                .unwrap_or(0);
            let head = heads.get_mut(bucket);
            let next = head.as_deref().copied().unwrap_or(CHAIN_END);
            if let Some(head) = head {
                *head = chunk_number(used(&chunks));
            }
            chunks
                .u8(TYPE_ENTRY)
                .u8(entry.value.width())
                .u16(next)
                .u16(chunk_number(name_at))
                .u16(entry.key_count)
                .u16(if value.is_empty() {
                    CHAIN_END
                } else {
                    chunk_number(value_at)
                })
                .u16(u16::try_from(value_count).unwrap_or(u16::MAX))
                .u32(entry.differentiator)
                .u64(entry.hash);
            put_array(&mut chunks, &entry.key);
            put_array(&mut chunks, value);
        }
        let taken = used(&chunks);
        for index in taken..count {
            let next = index.saturating_add(1);
            let next = if next < count {
                chunk_number(next)
            } else {
                CHAIN_END
            };
            chunks.u8(TYPE_FREE).zeros(ARRAY_BYTES).u16(next);
        }
        let free = count.saturating_sub(taken);
        let mut writer = Writer::with_capacity(block_bytes, Endian::Little);
        writer
            .u64(BLOCK_TYPE_LEAF)
            .u64(0)
            .u64(self.prefix)
            .u32(MAGIC)
            .u16(chunk_number(free))
            .u16(chunk_number(self.entries.len()))
            .u16(self.prefix_len)
            .u16(if free > 0 { chunk_number(taken) } else { CHAIN_END })
            .u8(0)
            .zeros(11);
        for head in heads {
            writer.u16(head);
        }
        writer.bytes(chunks.as_slice());
        let mut block = writer.into_bytes();
        block.resize(block_bytes, 0);
        block
    }

    fn bucket(&self, hash: u64, buckets: usize) -> usize {
        let bits = u64_from_usize(buckets).checked_ilog2().unwrap_or(0);
        let shift = 64_u32
            .saturating_sub(bits)
            .saturating_sub(u32::from(self.prefix_len));
        let index = hash.checked_shr(shift).unwrap_or(0) & u64_from_usize(buckets).saturating_sub(1);
        usize_from_u64(index)
    }
}

fn chunk_number(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(CHAIN_END)
}

/// Adds a chain of array chunks, one behind the other.
fn put_array(chunks: &mut Writer, bytes: &[u8]) {
    let mut parts = bytes.chunks(ARRAY_BYTES).peekable();
    while let Some(part) = parts.next() {
        let next = (chunks.len() / CHUNK_BYTES).saturating_add(1);
        chunks
            .u8(TYPE_ARRAY)
            .bytes(part)
            .zeros(ARRAY_BYTES.saturating_sub(part.len()));
        chunks.u16(if parts.peek().is_some() {
            chunk_number(next)
        } else {
            CHAIN_END
        });
    }
}
