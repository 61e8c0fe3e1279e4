//! The micro ZAP: one block of names under 50 bytes, each with one number.
//!
//! ```text
//! offset  field
//!      0  mz_block_type  u64     2^63 + 3
//!      8  mz_salt        u64
//!     16  mz_normflags   u64
//!     64  entries of 64 bytes:   mze_value u64 | mze_cd u32 | pad u16 | mze_name, 50 bytes, zero-terminated
//! ```
//!
//! An entry with an empty name is free.

use super::{ZapEntry, ZapValue};
use crate::Error;
use crate::spa::Block;
use zferry_wire::Reader;

const HEADER_BYTES: usize = 64;
const ENTRY_BYTES: usize = 64;

fn entries(block: &Block) -> impl Iterator<Item = (&[u8], u64)> {
    let (entries, _) = block
        .bytes
        .get(HEADER_BYTES..)
        .unwrap_or_default()
        .as_chunks::<ENTRY_BYTES>();
    entries.iter().filter_map(|entry| {
        let mut reader = Reader::new(entry, block.endian);
        let value = reader.u64().ok()?;
        reader.skip(6).ok()?;
        let name = reader.rest().split(|&byte| byte == 0).next().unwrap_or_default();
        (!name.is_empty()).then_some((name, value))
    })
}

pub(super) fn for_each(
    block: &Block,
    each: &mut dyn FnMut(ZapEntry) -> Result<(), Error>,
) -> Result<(), Error> {
    entries(block).try_for_each(|(name, value)| {
        each(ZapEntry {
            name: name.to_vec(),
            value: ZapValue::number(value),
        })
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the same shape as the lookup in the other kind of table"
)]
pub(super) fn lookup(block: &Block, wanted: &[u8]) -> Result<Option<ZapValue>, Error> {
    Ok(entries(block)
        .find(|(name, _)| *name == wanted)
        .map(|(_, value)| ZapValue::number(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_wire::Endian;

    #[test]
    fn free_entries_are_passed_over() {
        let mut bytes = vec![0; 512];
        bytes[64..72].copy_from_slice(&5_u64.to_be_bytes());
        bytes[192..200].copy_from_slice(&9_u64.to_be_bytes());
        bytes[206..210].copy_from_slice(b"nine");
        let block = Block {
            bytes,
            endian: Endian::Big,
        };
        assert_eq!(lookup(&block, b"nine").unwrap(), Some(ZapValue::number(9)));
        assert_eq!(lookup(&block, b"five").unwrap(), None);
        assert_eq!(entries(&block).count(), 1);
    }
}
