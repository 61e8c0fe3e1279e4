//! gzip, which in ZFS is a bare zlib stream (`gzip.c`).

use std::cell::RefCell;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use zferry_wire::usize_from_u64;

use super::{Compression, DecompressError, GzipLevel};

thread_local! {
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(true));
}

pub(super) fn decompress(
    algorithm: Compression,
    src: &[u8],
    dst: &mut [u8],
) -> Result<usize, DecompressError> {
    let malformed = DecompressError::Malformed { algorithm };
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(true);
        let status = inflate
            .decompress(src, dst, FlushDecompress::Finish)
            .map_err(|_error| malformed)?;
        // Anything but the end of the stream, with its checksum, is a stream that was cut or that holds more.
        match status {
            Status::StreamEnd => Ok(usize_from_u64(inflate.total_out())),
            Status::Ok | Status::BufError => Err(malformed),
        }
    })
}

pub(super) fn compress(level: GzipLevel, src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let mut deflate = Compress::new(flate2::Compression::new(u32::from(level.get())), true);
    match deflate.compress(src, dst, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Some(usize_from_u64(deflate.total_out())),
        _ => None,
    }
}
