//! LZ4 behind a length of four bytes (`lz4_zfs.c`).
//!
//! The codec is the C library, as that of zstd is: most of the time of a send goes into undoing LZ4, and the library
//! does it half as fast again as the fastest safe decoder.

use lz4::block::{compress_to_buffer, decompress_to_buffer};
use zferry_wire::u64_from_usize;

use super::{Compression, DecompressError, take_sized};

const HEADER: usize = 4;

pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let block = take_sized(Compression::Lz4, src, HEADER)?;
    let malformed = DecompressError::Malformed {
        algorithm: Compression::Lz4,
    };
    // The library is told how much room there is and writes no further; blocks are far below what an i32 can say.
    let size = i32::try_from(dst.len()).map_err(|_| DecompressError::Size {
        algorithm: Compression::Lz4,
        expected: u64_from_usize(dst.len()),
        produced: 0,
    })?;
    decompress_to_buffer(block, Some(size), dst).map_err(|_| malformed)
}

pub(super) fn compress(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let (header, body) = dst.split_first_chunk_mut::<HEADER>()?;
    // The library gives up where the block does not fit, or only just would.
    let written = compress_to_buffer(src, None, false, body).ok()?;
    *header = u32::try_from(written).ok()?.to_be_bytes();
    written.checked_add(HEADER)
}
