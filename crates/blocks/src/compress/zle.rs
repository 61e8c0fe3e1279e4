//! ZLE, which shortens runs of zeros and nothing else (`zle.c`).
//!
//! ```text
//! a byte n   0..=63     n + 1 bytes follow as they are
//!            64..=255   n − 63 zeros
//! ```
//!
//! The encoder makes the same bytes as OpenZFS's: a single zero between other bytes is not worth a run.

use zferry_wire::u64_from_usize;

use super::{Compression, DecompressError};

/// The most bytes that follow one length byte as they are.
const LITERALS: usize = 64;

/// The most zeros that one length byte stands for.
const ZEROS: usize = 192;

pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let truncated = DecompressError::Truncated {
        algorithm: Compression::Zle,
        available: u64_from_usize(src.len()),
    };
    let malformed = DecompressError::Malformed {
        algorithm: Compression::Zle,
    };
    let size = dst.len();
    let (mut src, mut left) = (src, dst);
    while !left.is_empty() {
        let (&count, rest) = src.split_first().ok_or(truncated)?;
        let count = usize::from(count) + 1;
        let zeros = count.checked_sub(LITERALS).filter(|&zeros| zeros > 0);
        let (run, after) = left
            .split_at_mut_checked(zeros.unwrap_or(count))
            .ok_or(malformed)?;
        if zeros.is_some() {
            run.fill(0);
            src = rest;
        } else {
            let (literals, rest) = rest.split_at_checked(count).ok_or(truncated)?;
            run.copy_from_slice(literals);
            src = rest;
        }
        left = after;
    }
    Ok(size)
}

pub(super) fn compress(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let mut left = src;
    let mut end = 0;
    while !left.is_empty() {
        // OpenZFS gives up when only one byte is free, and where the longest run of literals would not fit.
        if end + 1 >= dst.len() {
            return None;
        }
        let zeros = left.iter().take(ZEROS).take_while(|&&byte| byte == 0).count();
        if zeros > 0 {
            dst[end] = u8::try_from(zeros - 1 + LITERALS).ok()?;
            end += 1;
            left = &left[zeros..];
        } else {
            let count = literals(&left[..left.len().min(LITERALS)]);
            if dst.len() - (end + 1) < LITERALS {
                return None;
            }
            dst[end] = u8::try_from(count - 1).ok()?;
            end += 1;
            dst[end..end + count].copy_from_slice(&left[..count]);
            end += count;
            left = &left[count..];
        }
    }
    Some(end)
}

/// How many bytes at the front of `window`, which begins with one that is not zero, are best kept as they are: up to
/// two zeros in a row, or a zero at the end of the window.
fn literals(window: &[u8]) -> usize {
    let pair = window.windows(2).position(|pair| pair == [0, 0]);
    match (pair, window) {
        (Some(position), _) => position,
        (None, [head @ .., 0]) => head.len(),
        (None, _) => window.len(),
    }
}
