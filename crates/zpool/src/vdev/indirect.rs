//! Vdevs that were removed: their addresses lead to where their bytes were copied.
//!
//! ```text
//! bonus of the mapping object:  highest offset | bytes mapped | number of entries | [counts of obsolete bytes]
//! its content, entries of 24 bytes in the order of their offsets:
//!   word 0      offset in the removed vdev 0–62 (sectors of 512) | 63 a mark
//!   word 1, 2   a DVA: where the bytes are now, and how many (its allocated size)
//! ```
//!
//! A block may have been copied in several pieces, each of which may lie on a mirror, whose sides cannot be told right
//! from wrong before all pieces are together. The vdev to which a piece was copied may have been removed later.

use crate::Corrupt;
use crate::spa::Dva;
use zferry_wire::{Endian, Reader, u64_from_usize};

/// The size of an entry, in bytes.
pub(crate) const ENTRY_BYTES: u64 = 24;
/// A mapping has no more entries than this: it is kept in memory, and this many take 512 MiB.
pub(crate) const ENTRIES_MAX: u64 = 1 << 24;
/// A block is never in more pieces: its sectors.
const PIECES_MAX: usize = 1 << 15;

/// Where a piece of a removed vdev is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    from: u64,
    len: u64,
    to: u64,
    vdev: u32,
}

/// Where the bytes of a removed vdev are now.
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    entries: Vec<Entry>,
}

/// A piece of a block, on a vdev.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// The top-level vdev.
    pub vdev: u32,
    /// The offset in it, in bytes.
    pub offset: u64,
    /// Where the piece begins in the block, in bytes.
    pub at: u64,
    /// Its length in bytes.
    pub len: u64,
}

impl Mapping {
    /// Adds entries, which follow those that are there.
    ///
    /// # Errors
    /// [`Corrupt`] where they are not in order, overlap or are too many.
    pub(crate) fn extend(&mut self, content: &[u8], endian: Endian) -> Result<(), Corrupt> {
        let mut reader = Reader::new(content, endian);
        while !reader.is_empty() {
            let [from, first, second] = reader.u64s()?;
            let dva = Dva::from_words([first, second]);
            let entry = Entry {
                from: (from & (u64::MAX >> 1)) << 9,
                len: dva.allocated,
                to: dva.offset,
                vdev: dva.vdev,
            };
            let last = self.entries.last();
            let free_from = last.map_or(0, |last| last.from.saturating_add(last.len));
            if entry.len == 0 || entry.from < free_from || u64_from_usize(self.entries.len()) >= ENTRIES_MAX {
                return Err(Corrupt::new(format!(
                    "mapping of a removed vdev: {} bytes at {} after {free_from}, entry {}",
                    entry.len,
                    entry.from,
                    self.entries.len()
                )));
            }
            self.entries.push(entry);
        }
        Ok(())
    }

    /// Where a piece of a block on this vdev is: one piece or more, in order. `None` where some of it is nowhere.
    fn follow(&self, piece: Piece) -> Option<Vec<Piece>> {
        let first = self.entries.partition_point(|entry| entry.from <= piece.offset);
        let mut pieces = Vec::new();
        let mut done = 0_u64;
        for entry in self.entries.get(first.checked_sub(1)?..)? {
            let start = piece.offset.checked_add(done)?;
            let within = start.checked_sub(entry.from)?;
            let len = entry.len.checked_sub(within)?.min(piece.len.checked_sub(done)?);
            if len == 0 {
                return None;
            }
            pieces.push(Piece {
                vdev: entry.vdev,
                offset: entry.to.checked_add(within)?,
                at: piece.at.checked_add(done)?,
                len,
            });
            done = done.checked_add(len)?;
            if done == piece.len {
                return Some(pieces);
            }
        }
        None
    }
}

/// Follows a range through all mappings, to pieces on vdevs that were not removed, in order.
///
/// `mapping_of` is the mapping of a removed vdev; `vdevs` is how many vdevs there are, so that mappings in a circle
/// are seen.
pub(super) fn resolve<'m>(
    range: Piece,
    vdevs: usize,
    mapping_of: impl Fn(u32) -> Option<&'m Mapping>,
) -> Result<Vec<Piece>, String> {
    let mut pieces = vec![range];
    for _ in 0..=vdevs {
        if pieces.iter().all(|piece| mapping_of(piece.vdev).is_none()) {
            return Ok(pieces);
        }
        let mut next = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match mapping_of(piece.vdev) {
                None => next.push(piece),
                Some(mapping) => {
                    let found = mapping.follow(piece).ok_or_else(|| {
                        format!(
                            "{} bytes at {} of removed vdev {} are mapped nowhere",
                            piece.len, piece.offset, piece.vdev
                        )
                    })?;
                    next.extend(found);
                }
            }
            if next.len() > PIECES_MAX {
                return Err("a block in too many pieces".to_owned());
            }
        }
        pieces = next;
    }
    Err("the mappings of removed vdevs lead in a circle".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(entries: &[(u64, u64, u32, u64)]) -> Mapping {
        let entries = entries
            .iter()
            .map(|&(from, len, vdev, to)| Entry { from, len, to, vdev })
            .collect();
        Mapping { entries }
    }

    fn range(vdev: u32, offset: u64, len: u64) -> Piece {
        Piece {
            vdev,
            offset,
            at: 0,
            len,
        }
    }

    #[test]
    fn pieces_follow_through_several_removals() {
        let zero = mapping(&[(0, 4096, 1, 8192), (4096, 4096, 2, 0), (16384, 4096, 2, 4096)]);
        let one = mapping(&[(8192, 1024, 2, 20480), (9216, 8192, 2, 40960)]);
        let lookup = |vdev| match vdev {
            0 => Some(&zero),
            1 => Some(&one),
            _ => None,
        };
        let found = resolve(range(0, 512, 7680), 3, lookup).unwrap();
        let expected = [(20992, 0, 512), (40960, 512, 3072), (0, 3584, 4096)];
        let expected = expected.map(|(offset, at, len)| Piece {
            vdev: 2,
            offset,
            at,
            len,
        });
        assert_eq!(found, expected);
        assert_eq!(resolve(range(2, 7, 9), 3, lookup).unwrap(), [range(2, 7, 9)]);
        // Between the second and the third entry there is nothing.
        assert!(resolve(range(0, 4096, 8192), 3, lookup).is_err());
        assert!(resolve(range(0, 16384, 8192), 3, lookup).is_err());
        assert!(resolve(range(1, 0, 512), 3, lookup).is_err());
    }

    #[test]
    fn circles_are_cut() {
        let zero = mapping(&[(0, 4096, 1, 0)]);
        let one = mapping(&[(0, 4096, 0, 0)]);
        let lookup = |vdev| Some(if vdev == 0 { &zero } else { &one });
        assert!(
            resolve(range(0, 0, 4096), 2, lookup)
                .unwrap_err()
                .contains("circle")
        );
    }

    #[test]
    fn entries_must_be_in_order() {
        let entry = |from: u64, sectors: u64| {
            let words = [from >> 9, sectors | 3 << 32, 7];
            words.map(u64::to_le_bytes).concat()
        };
        let mut mapping = Mapping::default();
        mapping.extend(&entry(0, 8), Endian::Little).unwrap();
        mapping.extend(&entry(4096, 1), Endian::Little).unwrap();
        let last = mapping.entries.last().unwrap();
        assert_eq!((last.len, last.vdev, last.to), (512, 3, 7 << 9));
        assert!(mapping.extend(&entry(4096, 1), Endian::Little).is_err());
        assert!(mapping.extend(&entry(8192, 0), Endian::Little).is_err());
        assert!(mapping.extend(&[0; 7], Endian::Little).is_err());
    }
}
