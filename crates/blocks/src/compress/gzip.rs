//! gzip, which in ZFS is a bare zlib stream (`gzip.c`).

use std::cell::RefCell;

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress, Status};
use zferry_wire::usize_from_u64;

use super::{Compression, DecompressError, GzipLevel};

thread_local! {
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(true));
    static DEFLATE: RefCell<Option<(GzipLevel, Compress)>> = const { RefCell::new(None) };
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
    DEFLATE.with_borrow_mut(|slot| {
        let mut deflate = match slot.take() {
            Some((kept, mut deflate)) if kept == level => {
                deflate.reset();
                deflate
            }
            _ => Compress::new(flate2::Compression::new(u32::from(level.get())), true),
        };
        let status = deflate.compress(src, dst, FlushCompress::Finish);
        let length = usize_from_u64(deflate.total_out());
        *slot = Some((level, deflate));
        matches!(status, Ok(Status::StreamEnd)).then_some(length)
    })
}
