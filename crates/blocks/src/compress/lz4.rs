//! LZ4 behind a length of four bytes (`lz4_zfs.c`).
//!
//! The codec is the C library, as that of zstd is: most of the time of a send goes into undoing LZ4, and the library
//! does it half as fast again as the fastest safe decoder.

use lz4::block::{compress_bound, compress_to_buffer, decompress_to_buffer};
use std::cell::RefCell;
use zferry_wire::u64_from_usize;

use super::{Compression, DecompressError, take_sized};

const HEADER: usize = 4;

/// Room for more than this many bytes is given back after use: 16 MiB blocks are rare, and threads are many.
const KEPT_ROOM: usize = 2 << 20;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
    ROOM.with_borrow_mut(|room| {
        // The codec wants room for the worst case, which is more than a compressed block may take.
        let worst = compress_bound(src.len()).ok()?;
        if room.len() < worst {
            room.resize(worst, 0);
        }
        let length = compress_to_buffer(src, None, false, room).ok();
        let written = length.and_then(|length| frame(room.get(..length)?, dst));
        if room.len() > KEPT_ROOM {
            room.truncate(KEPT_ROOM);
            room.shrink_to_fit();
        }
        written
    })
}

/// Puts the length before a compressed block, if both fit.
fn frame(block: &[u8], dst: &mut [u8]) -> Option<usize> {
    let length = u32::try_from(block.len()).ok()?;
    let (header, body) = dst.split_first_chunk_mut::<HEADER>()?;
    body.get_mut(..block.len())?.copy_from_slice(block);
    *header = length.to_be_bytes();
    block.len().checked_add(HEADER)
}
