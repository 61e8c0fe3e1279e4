//! Redaction: which snapshots' secrets were left out of a dataset, or are to be left out of a stream.
//!
//! ```text
//! word  field                     the bonus buffer of a redaction list, or its spill block where that is too small
//!    0  rlp_last_object           all ones, as the next, where the list is complete
//!    1  rlp_last_blkid
//!    2  rlp_num_entries
//!    3  rlp_num_snaps
//!    4  rlp_snaps[]               the guids of the snapshots
//!
//! word  field                     each entry of its data, ordered by object and block
//!    0  rbp_object
//!    1  rbp_blkid                 the first block
//!    2  rbp_size_count            how many blocks, less one, in bits 0 to 47; their size in 512 bytes above
//!    3  rbp_padding
//! ```

use super::{Bookmark, Dataset, DslPool};
use crate::dmu::Object;
use crate::spa::{Block, BlockReader, Feature};
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use std::sync::Arc;
use zferry_wire::{Reader, u64_from_usize, usize_from_u64};

/// The bytes of an entry.
const ENTRY_BYTES: u64 = 32;
/// Which bits of an entry's third word count blocks.
const COUNT_BITS: u32 = 48;

impl DslPool<'_> {
    /// The guids of the snapshots with respect to which a dataset is redacted; `None` where it is not.
    ///
    /// # Errors
    /// Where its table cannot be read.
    pub fn redaction_snapshots(&self, dataset: &Dataset) -> Result<Option<Vec<u64>>, Error> {
        let value = self.dataset_entry(dataset, Feature::RedactedDatasets.guid())?;
        Ok(value.and_then(|value| value.as_u64s()))
    }

    /// The list of what a stream made with a bookmark leaves out; `None` where it has no such list.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn redaction_list(&self, bookmark: &Bookmark) -> Result<Option<RedactionList>, Error> {
        let Some(number) = bookmark.redaction else {
            return Ok(None);
        };
        let object = self.pool().meta_object(number)?;
        let block;
        let (bytes, endian) = match &object.dnode.spill {
            Some(pointer) => {
                block = self.pool().reader().read_cached(pointer)?;
                (block.bytes.as_slice(), block.endian)
            }
            None => (object.dnode.bonus(), object.dnode.endian),
        };
        let mut reader = Reader::new(bytes, endian);
        let [last_object, last_block, entries, count] = reader.u64s()?;
        if count > u64_from_usize(reader.rest().len() / 8) {
            return Err(Corrupt::new(format!(
                "redaction list {number} names {count} snapshots and has no room"
            ))
            .into());
        }
        if entries > object.dnode.content_bytes() / ENTRY_BYTES {
            return Err(Corrupt::new(format!(
                "redaction list {number} counts {entries} entries and has no room"
            ))
            .into());
        }
        Ok(Some(RedactionList {
            snapshots: (0..count).map(|_| reader.u64()).collect::<Result<_, _>>()?,
            is_complete: last_object == u64::MAX && last_block == u64::MAX,
            object,
            entries,
        }))
    }

    /// The guids of the snapshots whose secrets a stream made with a bookmark leaves out; `None` where it has no such
    /// list.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn bookmark_redaction_snapshots(&self, bookmark: &Bookmark) -> Result<Option<Vec<u64>>, Error> {
        Ok(self.redaction_list(bookmark)?.map(|list| list.snapshots))
    }
}

/// What a stream leaves out.
#[derive(Clone, Debug)]
pub struct RedactionList {
    /// The guids of the snapshots whose secrets it is.
    pub snapshots: Vec<u64>,
    /// Whether the list was finished.
    pub is_complete: bool,
    object: Object,
    entries: u64,
}

/// Blocks of one object that a stream leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedactedBlocks {
    /// The object.
    pub object: ObjectNumber,
    /// The first block.
    pub first: BlockId,
    /// How many there are; at least one.
    pub count: u64,
    /// The size of each, in bytes.
    pub block_bytes: u64,
}

impl RedactionList {
    /// The entries, in their order.
    #[must_use]
    pub fn blocks<'a>(&'a self, reader: &'a BlockReader) -> Redacted<'a> {
        Redacted {
            list: self,
            reader,
            next: 0,
            end: (ObjectNumber(0), 0),
            block: None,
        }
    }
}

/// Reads a redaction list.
#[derive(Debug)]
pub struct Redacted<'a> {
    list: &'a RedactionList,
    reader: &'a BlockReader,
    next: u64,
    /// Behind the last block of the last entry.
    end: (ObjectNumber, u64),
    block: Option<(BlockId, Arc<Block>)>,
}

impl Redacted<'_> {
    fn entry(&mut self) -> Result<RedactedBlocks, Error> {
        let object = &self.list.object;
        let offset = self.next.saturating_mul(ENTRY_BYTES);
        let size = object.dnode.data_bytes().max(ENTRY_BYTES);
        let id = BlockId(offset.checked_div(size).unwrap_or(0));
        let block = match &self.block {
            Some((at, block)) if *at == id => Arc::clone(block),
            _ => {
                let block = object
                    .block(self.reader, id)?
                    .ok_or_else(|| self.corrupt("has a hole"))?;
                self.block = Some((id, Arc::clone(&block)));
                block
            }
        };
        let at = usize_from_u64(offset.checked_rem(size).unwrap_or(0));
        let mut reader = Reader::new(block.bytes.get(at..).unwrap_or_default(), block.endian);
        let [number, first, size_count] = reader.u64s()?;
        let count = (size_count & ((1 << COUNT_BITS) - 1)).saturating_add(1);
        let end = first.checked_add(count);
        let end = end.ok_or_else(|| self.corrupt("has an entry past any object's end"))?;
        if (ObjectNumber(number), first) < self.end || number == 0 {
            return Err(self.corrupt("is out of order").into());
        }
        self.end = (ObjectNumber(number), end);
        Ok(RedactedBlocks {
            object: ObjectNumber(number),
            first: BlockId(first),
            count,
            block_bytes: size_count >> COUNT_BITS << 9,
        })
    }

    fn corrupt(&self, what: &str) -> Corrupt {
        let number = self.list.object.number;
        Corrupt::new(format!("redaction list {number} {what} at entry {}", self.next))
    }
}

impl Iterator for Redacted<'_> {
    type Item = Result<RedactedBlocks, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.list.entries {
            return None;
        }
        let entry = self.entry();
        self.next = match &entry {
            Ok(_) => self.next.saturating_add(1),
            // There is no going on.
            Err(_) => u64::MAX,
        };
        Some(entry)
    }
}
