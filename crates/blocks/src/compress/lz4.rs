//! LZ4 behind a length of four bytes (`lz4_zfs.c`).

use std::cell::RefCell;

use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into, get_maximum_output_size};
use zferry_wire::u64_from_usize;

use super::{Compression, DecompressError, take_sized};

const HEADER: usize = 4;

/// Room for more than this many bytes is given back after use: 16 MiB blocks are rare, and threads are many.
const KEPT_ROOM: usize = 2 << 20;

/// Inputs below this length are compressed with the small table, whose positions have 16 bits.
const SMALL: usize = 0xffff;

struct Encoder {
    room: Vec<u8>,
    small: CompressTable,
    large: CompressTable,
}

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder {
        room: Vec::new(),
        small: CompressTable::small(),
        large: CompressTable::large(),
    });
}

pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let expected = u64_from_usize(dst.len());
    let block = take_sized(Compression::Lz4, src, HEADER)?;
    decompress_into(block, dst).map_err(|error| match error {
        lz4_flex::block::DecompressError::OutputTooSmall {
            expected: produced, ..
        } => DecompressError::Size {
            algorithm: Compression::Lz4,
            expected,
            produced: u64_from_usize(produced),
        },
        _ => DecompressError::Malformed {
            algorithm: Compression::Lz4,
        },
    })
}

pub(super) fn compress(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    ENCODER.with_borrow_mut(|encoder| {
        let Encoder { room, small, large } = encoder;
        // The table is chosen by the length alone, so that the bytes never depend on what came before.
        let table = if src.len() < SMALL { small } else { large };
        // The codec wants room for the worst case, which is more than a compressed block may take.
        let worst = get_maximum_output_size(src.len());
        if room.len() < worst {
            room.resize(worst, 0);
        }
        let length = compress_into_with_table(src, room, table).ok();
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
