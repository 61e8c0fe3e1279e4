//! ZAP: the attribute tables that hold nearly all of a pool's names.
//!
//! A small table is one block (`micro`): names under 50 bytes, each with one number. Any other is a hash table that
//! grows (`fat`): a header and pointer table, and leaves full of chunks (`leaf`).

mod cursor;
mod entry;
mod fat;
mod hash;
mod leaf;
mod micro;
pub(crate) mod write;
mod write_fat;
mod write_leaf;
mod write_micro;

pub use cursor::{entries_in_cursor_order, entries_in_cursor_order_within};
pub use entry::{ZapEntry, ZapValue};
pub use hash::hash_name;

use crate::dmu::Object;
use crate::spa::BlockReader;
use crate::{BlockId, Corrupt, Error, Unsupported};
use fat::FatHeader;
use zferry_wire::Reader;

/// How much memory the entries of a table may take, in bytes.
pub(crate) const ENTRIES_BYTES_MAX: usize = 64 << 20;

/// What the first word of a ZAP object's first block says it is.
const BLOCK_TYPE_LEAF: u64 = 1 << 63;
const BLOCK_TYPE_HEADER: u64 = (1 << 63) + 1;
const BLOCK_TYPE_MICRO: u64 = (1 << 63) + 3;

/// Calls `each` with every entry of a table, in the order in which the blocks hold them.
///
/// # Errors
/// What `each` returns; and where a block cannot be read or is no ZAP.
pub fn for_each(
    reader: &BlockReader,
    object: &Object,
    each: &mut dyn FnMut(ZapEntry) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(block) = object.block(reader, BlockId(0))? else {
        return Ok(());
    };
    match block_type(&block.bytes, block.endian)? {
        BLOCK_TYPE_MICRO => micro::for_each(&block, each),
        BLOCK_TYPE_HEADER => {
            FatHeader::decode(&block)?.for_each_leaf(reader, object, &mut |leaf| leaf.for_each(each))
        }
        other => Err(not_a_zap(object, other)),
    }
}

/// Every entry of a table, sorted by name.
///
/// # Errors
/// As [`for_each`]; and [`Unsupported::TableSize`] where they would take more than 64 MiB of memory, which no table of
/// names does.
pub fn entries(reader: &BlockReader, object: &Object) -> Result<Vec<ZapEntry>, Error> {
    entries_within(ENTRIES_BYTES_MAX, reader, object)
}

/// As [`entries`], within another limit of memory, in bytes.
///
/// # Errors
/// As [`entries`].
pub fn entries_within(
    bytes_max: usize,
    reader: &BlockReader,
    object: &Object,
) -> Result<Vec<ZapEntry>, Error> {
    let mut entries = Vec::new();
    let mut room = bytes_max;
    for_each(reader, object, &mut |entry| {
        room = room
            .checked_sub(entry.memory_bytes())
            .ok_or(Unsupported::TableSize {
                object: object.number,
                bytes_max,
            })?;
        entries.push(entry);
        Ok(())
    })?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Looks a name up.
///
/// # Errors
/// Where a block cannot be read or is no ZAP. A name that is not there is no error but `None`.
pub fn lookup(reader: &BlockReader, object: &Object, name: &str) -> Result<Option<ZapValue>, Error> {
    let Some(block) = object.block(reader, BlockId(0))? else {
        return Ok(None);
    };
    match block_type(&block.bytes, block.endian)? {
        BLOCK_TYPE_MICRO => micro::lookup(&block, name.as_bytes()),
        BLOCK_TYPE_HEADER => FatHeader::decode(&block)?.lookup(reader, object, name.as_bytes()),
        other => Err(not_a_zap(object, other)),
    }
}

/// Looks up a name whose value is one number.
///
/// # Errors
/// As [`lookup`], and where the value is something else.
pub fn lookup_u64(reader: &BlockReader, object: &Object, name: &str) -> Result<Option<u64>, Error> {
    let Some(value) = lookup(reader, object, name)? else {
        return Ok(None);
    };
    let number = value.as_u64();
    if number.is_none() {
        return Err(Corrupt::new(format!("object {}: '{name}' is no number", object.number)).into());
    }
    Ok(number)
}

fn block_type(bytes: &[u8], endian: zferry_wire::Endian) -> Result<u64, Corrupt> {
    Ok(Reader::new(bytes, endian).u64()?)
}

fn not_a_zap(object: &Object, found: u64) -> Error {
    Corrupt::new(format!(
        "object {} is no ZAP: its first block begins with {found:x}",
        object.number
    ))
    .into()
}
