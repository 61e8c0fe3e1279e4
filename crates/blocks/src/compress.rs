//! The compressed forms that blocks have on disk and in streams, in ZFS's own framing.
//!
//! ```text
//! lzjb, zle   the bytes of the codec, which says nothing of its length
//! gzip-N      a zlib stream (RFC 1950)
//! lz4         u32 BE length, then one LZ4 block
//! zstd        u32 BE length, u32 BE level and version, then one zstd frame without its magic number
//! ```
//!
//! Zeros follow, up to the next multiple of the pool's smallest allocation. The facts are those of `zio_compress.c`
//! and of the file of each codec beside it.

mod algorithm;
mod gzip;
mod lz4;
mod lz4_openzfs;
mod lzjb;
mod zle;
mod zstd;

use zferry_wire::u64_from_usize;

pub use algorithm::{Compression, CompressionLevel, GzipLevel};
pub use zstd::stored_level as zstd_stored_level;

/// Why bytes could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// The bytes end before the block is complete.
    #[error("{algorithm}: the compressed data ends after {available} bytes")]
    Truncated {
        /// The codec that was asked for.
        algorithm: Compression,
        /// How many compressed bytes there are.
        available: u64,
    },
    /// The length in front of the compressed bytes goes beyond them.
    #[error("{algorithm}: a length of {recorded} bytes is recorded, {available} are there")]
    Length {
        /// The codec that was asked for.
        algorithm: Compression,
        /// The recorded length in bytes.
        recorded: u64,
        /// How many bytes there are behind the header.
        available: u64,
    },
    /// The bytes are not what the codec would have written.
    #[error("{algorithm}: the compressed data is damaged")]
    Malformed {
        /// The codec that was asked for.
        algorithm: Compression,
    },
    /// The bytes make a block of another length.
    #[error("{algorithm}: {produced} bytes came out, the block has {expected}")]
    Size {
        /// The codec that was asked for.
        algorithm: Compression,
        /// The length of the block in bytes.
        expected: u64,
        /// How many bytes came out.
        produced: u64,
    },
    /// No block is ever stored in that way.
    #[error("no block is stored with compression {algorithm}")]
    NotStored {
        /// What was asked for.
        algorithm: Compression,
    },
}

/// Decompresses `src` so that it fills `dst`, whose length is the logical size of the block.
///
/// Behind the compressed bytes there may be padding. Each thread keeps its codecs' memory from call to call; no codec
/// takes memory by what `src` says.
///
/// # Errors
/// Any [`DecompressError`]; what is in `dst` then has no meaning.
pub fn decompress(algorithm: Compression, src: &[u8], dst: &mut [u8]) -> Result<(), DecompressError> {
    let produced = match algorithm {
        Compression::Off => copy(src, dst),
        Compression::Empty => Err(DecompressError::NotStored { algorithm }),
        Compression::Lzjb => lzjb::decompress(src, dst),
        Compression::Gzip(_) => gzip::decompress(algorithm, src, dst),
        Compression::Zle => zle::decompress(src, dst),
        Compression::Lz4 => lz4::decompress(src, dst),
        Compression::Zstd => zstd::decompress(src, dst),
    }?;
    if produced == dst.len() {
        Ok(())
    } else {
        Err(DecompressError::Size {
            algorithm,
            expected: u64_from_usize(dst.len()),
            produced: u64_from_usize(produced),
        })
    }
}

/// Compresses `src` into `dst` and says how many bytes that took, or nothing if `dst` does not suffice.
///
/// The length of `dst` is thus the limit that a compressed block has to keep; [`Compression::limit`] tells OpenZFS's.
/// Behind the compressed bytes `dst` may hold anything: the caller pads. `level` matters to zstd alone.
/// The same input makes the same bytes, whatever the thread did before.
#[must_use]
pub fn compress(
    algorithm: Compression,
    level: CompressionLevel,
    src: &[u8],
    dst: &mut [u8],
) -> Option<usize> {
    match algorithm {
        Compression::Off | Compression::Empty => None,
        Compression::Lzjb => lzjb::compress(src, dst),
        Compression::Gzip(level) => gzip::compress(level, src, dst),
        Compression::Zle => zle::compress(src, dst),
        Compression::Lz4 => lz4::compress(src, dst),
        Compression::Zstd => zstd::compress(level, src, dst),
    }
}

/// The same with LZ4 to the byte as OpenZFS does it, three times as slow: [`compress`] makes other bytes of the same content.
#[must_use]
pub fn compress_lz4_as_openzfs(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    lz4_openzfs::compress(src, dst)
}

fn copy(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let src = src.get(..dst.len()).ok_or(DecompressError::Truncated {
        algorithm: Compression::Off,
        available: u64_from_usize(src.len()),
    })?;
    dst.copy_from_slice(src);
    Ok(dst.len())
}

/// Takes a big-endian length and as many bytes from the front of `src`.
fn take_sized(algorithm: Compression, src: &[u8], header: usize) -> Result<&[u8], DecompressError> {
    let (length, rest) = src
        .split_first_chunk::<4>()
        .and_then(|(length, _)| Some((*length, src.get(header..)?)))
        .ok_or(DecompressError::Truncated {
            algorithm,
            available: u64_from_usize(src.len()),
        })?;
    let recorded = zferry_wire::usize_from_u32(u32::from_be_bytes(length));
    rest.get(..recorded).ok_or(DecompressError::Length {
        algorithm,
        recorded: u64_from_usize(recorded),
        available: u64_from_usize(rest.len()),
    })
}

#[cfg(test)]
mod tests;
