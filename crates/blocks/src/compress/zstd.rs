//! Zstandard behind a header of eight bytes (`zfs_zstd.c`).
//!
//! ```text
//! 0  u32 BE   bytes of the frame
//! 4  u32 BE   level << 24 | version of the library that compressed it
//! 8           one frame: no magic number, no content size, no checksum
//! ```
//!
//! This is the one file that knows which zstd library is used.

use std::cell::RefCell;
use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{self, CParameter, DParameter, FrameFormat};

use super::{Compression, CompressionLevel, DecompressError, take_sized};

const HEADER: usize = 8;

/// The tables of an encoder grow with the block. Those of blocks larger than this are given back after use: tens of
/// mebibytes at the higher levels.
const KEPT_BLOCK: usize = 2 << 20;

const MALFORMED: DecompressError = DecompressError::Malformed {
    algorithm: Compression::Zstd,
};

thread_local! {
    static DECODER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    static ENCODER: RefCell<Option<(CompressionLevel, Compressor<'static>)>> = const { RefCell::new(None) };
}

/// The level at which a zstd block was compressed, as its header tells.
///
/// The version and the level share a word that big-endian machines used to write the other way round. A version has
/// less than 24 bits, so the byte that is zero tells where it lies.
#[must_use]
pub fn stored_level(src: &[u8]) -> Option<CompressionLevel> {
    let [_, _, _, _, first, second, third, last] = *src.first_chunk::<HEADER>()?;
    let level = match (first, second, third, last) {
        (_, _, _, 0) => first,
        (_, _, 0, _) => last,
        (_, 0, _, _) => first,
        (0, _, _, _) => last,
        _ => return None,
    };
    CompressionLevel::from_id(level)
}

pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let frame = take_sized(Compression::Zstd, src, HEADER)?;
    // OpenZFS refuses a block without a level that it knows; so it has never written one.
    if stored_level(src).is_none() {
        return Err(MALFORMED);
    }
    DECODER.with_borrow_mut(|slot| {
        // A context that has failed is not used again.
        let mut decoder = slot.take().map_or_else(decoder, Ok).map_err(|_error| MALFORMED)?;
        let produced = decoder
            .decompress_to_buffer(frame, dst)
            .map_err(|_error| MALFORMED)?;
        *slot = Some(decoder);
        Ok(produced)
    })
}

fn decoder() -> io::Result<Decompressor<'static>> {
    let mut decoder = Decompressor::new()?;
    decoder.set_parameter(DParameter::Format(FrameFormat::Magicless))?;
    Ok(decoder)
}

pub(super) fn compress(level: CompressionLevel, src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let (header, body) = dst.split_first_chunk_mut::<HEADER>()?;
    let length = ENCODER.with_borrow_mut(|slot| {
        let (of_level, mut encoder) = match slot.take() {
            Some((kept, encoder)) if kept == level => (kept, encoder),
            _ => (level, encoder(level).ok()?),
        };
        let length = encoder.compress_to_buffer(src, body).ok()?;
        if src.len() <= KEPT_BLOCK {
            *slot = Some((of_level, encoder));
        }
        Some(length)
    })?;
    let recorded = u32::try_from(length).ok()?.to_be_bytes();
    let [_, high, middle, low] = zstd_safe::version_number().to_be_bytes();
    let [one, two, three, four] = recorded;
    *header = [one, two, three, four, level.id(), high, middle, low];
    length.checked_add(HEADER)
}

fn encoder(level: CompressionLevel) -> io::Result<Compressor<'static>> {
    let number = level.number().ok_or(io::ErrorKind::InvalidInput)?;
    let mut encoder = Compressor::new(i32::from(number))?;
    encoder.set_parameter(CParameter::Format(FrameFormat::Magicless))?;
    // ZFS knows the size of every block and sums it itself.
    encoder.set_parameter(CParameter::ContentSizeFlag(false))?;
    encoder.set_parameter(CParameter::ChecksumFlag(false))?;
    Ok(encoder)
}
