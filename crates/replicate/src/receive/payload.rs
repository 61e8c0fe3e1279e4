//! What follows a record, put into this machine's order.

use super::rules::record::RecordFault;
use zferry_blocks::compress::{Compression, decompress};
use zferry_wire::{Endian, usize_from_u64};
use zferry_zpool::dmu::ObjectType;
use zferry_zstream::record::{self, CompressionType};

/// The longest block there is, in bytes.
const BLOCK_MAX: u64 = 16 << 20;

/// The type in a record as one on disk. Types that the rules let pass have a number of one byte.
pub(super) fn object_type(object_type: record::ObjectType) -> ObjectType {
    ObjectType(u8::try_from(object_type.0).unwrap_or(0))
}

/// Puts content of a type into the order of what is written here, where the stream is in the other.
pub(super) fn to_our_order(content: &mut [u8], object_type: ObjectType, stream: Endian) {
    if stream == Endian::Big
        && let Some(order) = object_type.byte_order()
    {
        order.swap(content);
    }
}

/// The content of a block that came compressed.
pub(super) fn uncompress(
    compression: CompressionType,
    payload: &[u8],
    logical_size: u64,
) -> Result<Vec<u8>, RecordFault> {
    let damaged = RecordFault::Content(logical_size);
    let Some(algorithm) = Compression::from_id(compression.0) else {
        return Err(damaged);
    };
    if logical_size > BLOCK_MAX {
        return Err(damaged);
    }
    let mut content = vec![0; usize_from_u64(logical_size)];
    decompress(algorithm, payload, &mut content).map_err(|_| damaged)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_a_big_endian_stream_are_turned_round() {
        let mut content = 7_u64.to_be_bytes();
        to_our_order(&mut content, ObjectType(2), Endian::Little);
        assert_eq!(content, 7_u64.to_be_bytes());
        to_our_order(&mut content, ObjectType(2), Endian::Big);
        assert_eq!(content, 7_u64.to_le_bytes());
        to_our_order(&mut content, ObjectType::PLAIN_FILE_CONTENTS, Endian::Big);
        assert_eq!(content, 7_u64.to_le_bytes());
    }

    #[test]
    fn content_must_have_the_length_that_was_said() {
        let off = CompressionType::OFF;
        assert_eq!(uncompress(off, &[1; 512], 512), Ok(vec![1; 512]));
        assert_eq!(uncompress(off, &[1; 511], 512), Err(RecordFault::Content(512)));
        let nonsense = uncompress(CompressionType::LZ4, &[0xff; 40], 512);
        assert_eq!(nonsense, Err(RecordFault::Content(512)));
        let unknown = uncompress(CompressionType(99), &[0; 40], 512);
        assert_eq!(unknown, Err(RecordFault::Content(512)));
    }
}
