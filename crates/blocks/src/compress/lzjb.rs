//! LZJB, the first of ZFS's codecs (`lzjb.c`).
//!
//! ```text
//! a control byte, then eight items, one for each of its bits from the lowest up
//!   bit 0   a byte as it is
//!   bit 1   two bytes: six bits of length − 3, ten bits of distance back
//! ```
//!
//! The encoder finds matches by a table of 1024 recent positions. It makes the same bytes as OpenZFS's, which matters
//! where blocks are compared by their checksums.

use zferry_wire::u64_from_usize;

use super::{Compression, DecompressError};

const MATCH_MIN: usize = 3;
const MATCH_MAX: usize = 66;
const DISTANCE_MASK: usize = 0x3ff;
const RECENT: usize = 1024;

/// A control byte and the most that its eight items take.
const GROUP: usize = 1 + 8 * 2;

pub(super) fn decompress(src: &[u8], dst: &mut [u8]) -> Result<usize, DecompressError> {
    let truncated = DecompressError::Truncated {
        algorithm: Compression::Lzjb,
        available: u64_from_usize(src.len()),
    };
    let malformed = DecompressError::Malformed {
        algorithm: Compression::Lzjb,
    };
    let mut left = src;
    let mut end = 0;
    while end < dst.len() {
        let (&control, items) = left.split_first().ok_or(truncated)?;
        left = items;
        // Eight bytes as they are: the common case where there is nothing to repeat.
        if control == 0
            && let Some((bytes, rest)) = left.split_first_chunk::<8>()
            && let Some(room) = dst.get_mut(end..).and_then(|room| room.first_chunk_mut::<8>())
        {
            *room = *bytes;
            end += 8;
            left = rest;
            continue;
        }
        for bit in 0..8 {
            if end == dst.len() {
                break;
            }
            if control >> bit & 1 == 0 {
                let (&byte, rest) = left.split_first().ok_or(truncated)?;
                dst[end] = byte;
                end += 1;
                left = rest;
            } else {
                let (&[first, second], rest) = left.split_first_chunk::<2>().ok_or(truncated)?;
                let length = usize::from(first >> 2) + MATCH_MIN;
                let distance = usize::from(u16::from_be_bytes([first, second])) & DISTANCE_MASK;
                end = repeat(dst, end, distance, length).ok_or(malformed)?;
                left = rest;
            }
        }
    }
    Ok(end)
}

/// Repeats `length` bytes that lie `distance` bytes back, or as many as there is room for; they may overlap what is
/// being written. Returns the new end, or nothing where `distance` goes back beyond the start, or nowhere.
#[inline]
fn repeat(dst: &mut [u8], end: usize, distance: usize, length: usize) -> Option<usize> {
    const STEP: usize = 8;
    if distance == 0 || distance > end {
        return None;
    }
    let stop = (end + length).min(dst.len());
    let mut at = end;
    // A step may write beyond the match, where later items write again.
    while at < stop && distance >= STEP && dst.len() - at >= STEP {
        dst.copy_within(at - distance..at - distance + STEP, at);
        at += STEP;
    }
    while at < stop {
        dst[at] = dst[at - distance];
        at += 1;
    }
    Some(stop)
}

pub(super) fn compress(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    // Where each hash was last seen. Zero stands for never, and for the start of the block as well: OpenZFS looks
    // there too.
    let mut recent = [0_usize; RECENT];
    let mut at = 0;
    let mut end = 0;
    while at < src.len() {
        if end + GROUP >= dst.len() {
            return None;
        }
        let control = end;
        dst[control] = 0;
        end += 1;
        for bit in 0..8 {
            if at == src.len() {
                break;
            }
            if let Some((distance, length)) = find_match(src, at, &mut recent) {
                let [high, low] = distance.to_be_bytes();
                dst[control] |= 1 << bit;
                dst[end] = length_bits(length) | high;
                dst[end + 1] = low;
                end += 2;
                at += length;
            } else {
                dst[end] = src[at];
                end += 1;
                at += 1;
            }
        }
    }
    Some(end)
}

/// The distance to, and the length of, what the bytes at `at` repeat, if the table knows.
fn find_match(src: &[u8], at: usize, recent: &mut [usize; RECENT]) -> Option<(u16, usize)> {
    let ahead = src.get(at..)?.first_chunk::<MATCH_MAX>()?;
    let [first, second, third] = [ahead[0], ahead[1], ahead[2]].map(usize::from);
    let mut hash = (first << 16) + (second << 8) + third;
    hash += hash >> 9;
    hash += hash >> 5;
    let seen = std::mem::replace(&mut recent[hash % RECENT], at);
    // OpenZFS keeps the low bits of positions only, so an old one stands for a nearer place.
    let distance = at.wrapping_sub(seen) & DISTANCE_MASK;
    let start = at.checked_sub(distance)?;
    if distance == 0 {
        return None;
    }
    let behind = src.get(start..)?;
    let length = ahead
        .iter()
        .zip(behind)
        .take_while(|(ahead, behind)| ahead == behind)
        .count();
    (length >= MATCH_MIN).then_some((u16::try_from(distance).ok()?, length))
}

/// The length of a match as the upper six bits of its first byte.
fn length_bits(length: usize) -> u8 {
    u8::try_from(length - MATCH_MIN).unwrap_or(u8::MAX) << 2
}
