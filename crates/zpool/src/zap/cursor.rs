//! The order in which ZFS walks through a table: that of the names' hashes.
//!
//! It shows where OpenZFS prints what it found in the order in which it found it.

use super::fat::FatHeader;
use super::{BLOCK_TYPE_HEADER, ENTRIES_BYTES_MAX, ZapEntry, block_type, entries_within, hash_name};
use crate::dmu::Object;
use crate::spa::BlockReader;
use crate::{BlockId, Error};
use zferry_wire::Reader;

/// Every entry of a table, in the order in which ZFS walks through it.
///
/// # Errors
/// As [`super::entries`].
pub fn entries_in_cursor_order(reader: &BlockReader, object: &Object) -> Result<Vec<ZapEntry>, Error> {
    entries_in_cursor_order_within(ENTRIES_BYTES_MAX, reader, object)
}

/// As [`entries_in_cursor_order`], within another limit of memory, in bytes.
///
/// # Errors
/// As [`entries_within`].
pub fn entries_in_cursor_order_within(
    bytes_max: usize,
    reader: &BlockReader,
    object: &Object,
) -> Result<Vec<ZapEntry>, Error> {
    let mut found = entries_within(bytes_max, reader, object)?;
    let Some(block) = object.block(reader, BlockId(0))? else {
        return Ok(found);
    };
    let (salt, folds_case, is_wide) = if block_type(&block.bytes, block.endian)? == BLOCK_TYPE_HEADER {
        FatHeader::decode(&block)?.hashing()
    } else {
        let [_type, salt, norm_flags] = Reader::new(&block.bytes, block.endian).u64s()?;
        (salt, norm_flags != 0, false)
    };
    found.sort_by_cached_key(|entry| match folds_case {
        true => hash_name(salt, &entry.name.to_ascii_uppercase(), is_wide),
        false => hash_name(salt, &entry.name, is_wide),
    });
    Ok(found)
}
