//! LZ4 to the byte as OpenZFS writes it.
//!
//! What a compressor makes of its input is its own affair, and the library beside this makes other bytes of the same
//! content. To make a block again that has to match its checksum, each match has to be looked for where OpenZFS looks for
//! it. The facts are those of `lz4_zfs.c`, which has kept the first published LZ4:
//!
//! ```text
//! where four bytes like these stood last   a table of 2¹³ places for blocks below 65,547 bytes, of 2¹² for others, that is
//!                                          all zeros first: so the first byte is a candidate for what never was
//! the place in the table                   the highest bits of the four bytes × 2,654,435,761
//! after 61 places without a match          every second one is looked at, after 64 more every third …
//! a match                                  is lengthened to the front, too; behind it, the place two bytes before its end
//!                                          is noted, and that at its end looked at at once
//! the last 12 bytes                        are begun at by no match, and the last 5 are in none
//! ```

use zferry_wire::usize_from_u32;

const HEADER: usize = 4;
const MATCH_MIN: usize = 4;
/// No match begins in so many bytes at the end.
const MATCH_FREE: usize = 12;
/// No match reaches into so many bytes at the end.
const LITERALS_LAST: usize = 5;
const DISTANCE_MAX: usize = 65_535;
/// Blocks of fewer bytes have the larger table.
const SHORT: usize = 65_547;
const MULTIPLIER: u32 = 2_654_435_761;
/// How often must be looked without a match before steps become longer, as a power of two; and with how many it begins.
const PATIENCE_SHIFT: u32 = 6;
const ATTEMPTS_AT_FIRST: usize = (1 << PATIENCE_SHIFT) + 3;

/// Compresses `src` into `dst` and says how many bytes that took, or nothing if `dst` does not suffice.
pub(super) fn compress(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let (header, body) = dst.split_first_chunk_mut::<HEADER>()?;
    let mut out = Output { bytes: body, len: 0 };
    let mut anchor = 0;
    if src.len() > MATCH_FREE {
        let mut finder = Finder::new(src);
        let mut at = 1;
        'matches: while let Some((mut start, mut candidate)) = finder.search(at) {
            while start > anchor && candidate > 0 && src.get(start - 1) == src.get(candidate - 1) {
                start -= 1;
                candidate -= 1;
            }
            loop {
                let length = finder.common(start, candidate);
                out.literals(src.get(anchor..start)?, Some(length))?;
                out.matched(start - candidate, length)?;
                anchor = start + length;
                if anchor > finder.begin_max {
                    break 'matches;
                }
                finder.note(anchor - 2);
                let Some(next) = finder.candidate(anchor) else {
                    break;
                };
                (start, candidate) = (anchor, next);
            }
            at = anchor + 1;
        }
    }
    out.literals(src.get(anchor..)?, None)?;
    *header = u32::try_from(out.len).ok()?.to_be_bytes();
    out.len.checked_add(HEADER)
}

/// Where bytes stood before.
struct Finder<'s> {
    src: &'s [u8],
    /// By the hash of four bytes, where they stood last.
    places: Vec<u32>,
    hash_shift: u32,
    /// The last place where a match may begin, and where the longest ends.
    begin_max: usize,
    end_max: usize,
}

impl<'s> Finder<'s> {
    /// `src` has more than [`MATCH_FREE`] bytes.
    fn new(src: &'s [u8]) -> Self {
        let hash_bits = if src.len() < SHORT { 13 } else { 12 };
        Self {
            src,
            places: vec![0; 1 << hash_bits],
            hash_shift: u32::BITS - hash_bits,
            begin_max: src.len() - MATCH_FREE,
            end_max: src.len() - LITERALS_LAST,
        }
    }

    /// The four bytes at a place.
    fn word(&self, at: usize) -> Option<u32> {
        let bytes = self.src.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// Notes what stands at a place, and says where the last like it stood.
    fn note(&mut self, at: usize) -> Option<usize> {
        let hash = self.word(at)?.wrapping_mul(MULTIPLIER) >> self.hash_shift;
        let place = self.places.get_mut(usize_from_u32(hash))?;
        let before = std::mem::replace(place, u32::try_from(at).ok()?);
        Some(usize_from_u32(before))
    }

    /// The same, where it is a match.
    fn candidate(&mut self, at: usize) -> Option<usize> {
        let before = self.note(at)?;
        let is_near = at - before <= DISTANCE_MAX;
        (is_near && self.word(before) == self.word(at)).then_some(before)
    }

    /// The first match that is found from a place on, and what it matches.
    fn search(&mut self, from: usize) -> Option<(usize, usize)> {
        let mut at = from;
        let mut attempts = ATTEMPTS_AT_FIRST;
        loop {
            let next = at + (attempts >> PATIENCE_SHIFT);
            if next > self.begin_max {
                return None;
            }
            if let Some(candidate) = self.candidate(at) {
                return Some((at, candidate));
            }
            attempts += 1;
            at = next;
        }
    }

    /// How many bytes are the same from two places on, as far as matches reach.
    fn common(&self, start: usize, candidate: usize) -> usize {
        let here = self.src.get(start..self.end_max).unwrap_or_default();
        let there = self.src.get(candidate..).unwrap_or_default();
        let pairs = here.iter().zip(there);
        pairs.take_while(|(here, there)| here == there).count()
    }
}

/// The compressed bytes, as far as there is room.
struct Output<'d> {
    bytes: &'d mut [u8],
    len: usize,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len.checked_add(bytes.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// A token, the length of the literals, and they; `length` is that of the match behind them.
    fn literals(&mut self, literals: &[u8], length: Option<usize>) -> Option<()> {
        let high = nibble(literals.len());
        let low = length.map_or(0, |length| nibble(length - MATCH_MIN));
        self.put(&[high << 4 | low])?;
        self.rest(literals.len())?;
        self.put(literals)
    }

    fn matched(&mut self, distance: usize, length: usize) -> Option<()> {
        self.put(&u16::try_from(distance).ok()?.to_le_bytes())?;
        self.rest(length - MATCH_MIN)
    }

    /// What of a length does not go into the token.
    fn rest(&mut self, length: usize) -> Option<()> {
        let Some(mut left) = length.checked_sub(15) else {
            return Some(());
        };
        while left >= 255 {
            self.put(&[255])?;
            left -= 255;
        }
        self.put(&[u8::try_from(left).ok()?])
    }
}

/// What of a length goes into the token.
fn nibble(length: usize) -> u8 {
    u8::try_from(length.min(15)).unwrap_or(15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Compression, decompress};
    use proptest::prelude::*;

    /// Bytes with repetitions near and far.
    fn content() -> impl Strategy<Value = Vec<u8>> {
        let piece = (prop::collection::vec(0_u8..4, 1..40), 1_usize..400);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| {
            let repeated = pieces.iter().map(|(bytes, times)| bytes.repeat(*times));
            repeated.collect::<Vec<_>>().concat()
        })
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(content in content()) {
            let mut room = vec![0; content.len() + content.len() / 200 + 40];
            let taken = compress(&content, &mut room).unwrap();
            let mut back = vec![0xff; content.len()];
            prop_assert!(decompress(Compression::Lz4, &room[..taken], &mut back).is_ok());
            prop_assert!(back == content);
            // To the byte as much room as it takes is enough, and less is not.
            let mut exact = vec![0; taken];
            prop_assert_eq!(compress(&content, &mut exact), Some(taken));
            prop_assert_eq!(compress(&content, &mut exact[..taken - 1]), None);
        }
    }

    #[test]
    fn matches_are_no_farther_than_they_can_be() {
        for distance in [65_534, 65_535, 65_536] {
            let mut content: Vec<u8> = (0..distance)
                .map(|at: u32| at.wrapping_mul(0x9e37_79b9).to_be_bytes()[0])
                .collect();
            content.extend_from_within(..200);
            let mut room = vec![0; content.len() * 2];
            let taken = compress(&content, &mut room).unwrap();
            let mut back = vec![0; content.len()];
            decompress(Compression::Lz4, &room[..taken], &mut back).unwrap();
            assert!(back == content);
        }
    }
}
