//! Writing a block over itself: each copy of it, on each side of a mirror, that is not what it should be.
//!
//! A block that is put together from pieces (a gang) has pointers to those with checksums of their own. Where such a
//! header is lost, too, nothing says where the pieces are.

use super::HealError;
use crate::Error;
use crate::spa::{BlockPointer, BlockReader};
use crate::vdev::{WriteLeaf, WriteTree};
use std::ops::Range;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How deep pieces of pieces may go.
const DEPTH_MAX: u32 = 16;
/// How many pieces a block may have. One of 16 MiB has at most twice as many as it has sectors.
const PIECES_MAX: usize = 1 << 16;

/// A copy of a block, or of a piece of it, that is to be written.
struct Copy<'w> {
    leaf: &'w WriteLeaf,
    /// Where on the leaf, in bytes.
    place: u64,
    /// The size of a sector, in bytes.
    sector: usize,
    /// Which of the bytes.
    part: Range<usize>,
}

/// What is to be written for one block.
pub(super) struct Rewrite<'w, 'b> {
    copies: Vec<Copy<'w>>,
    bytes: &'b [u8],
}

impl<'w, 'b> Rewrite<'w, 'b> {
    /// Finds what is to be written so that `bytes` lie wherever `pointer` leads to.
    pub(super) fn plan(
        reader: &BlockReader,
        vdevs: &'w WriteTree,
        pointer: &BlockPointer,
        bytes: &'b [u8],
    ) -> Result<Self, HealError> {
        let mut rewrite = Self {
            copies: Vec::new(),
            bytes,
        };
        let mut found = vec![0; bytes.len()];
        for (piece, part) in pieces(reader, pointer, bytes)? {
            let target = bytes.get(part.clone()).unwrap_or_default();
            let found = found.get_mut(part.clone()).unwrap_or_default();
            for dva in piece.dvas().filter(|dva| !dva.gang) {
                // An address that is on no disk has no copy.
                let Ok((top, place)) = vdevs.place(dva.vdev, dva.offset, u64_from_usize(part.len())) else {
                    continue;
                };
                for leaf in &top.leaves {
                    // What cannot be read cannot be relied on when it is written, either.
                    let read = leaf.disk.read_at(found, place);
                    read.map_err(|source| Error::io(leaf.disk.name(), source))?;
                    if found != target {
                        rewrite.copies.push(Copy {
                            leaf,
                            place,
                            sector: 1 << top.ashift.min(16),
                            part: part.clone(),
                        });
                    }
                }
            }
        }
        Ok(rewrite)
    }

    /// Writes. Says how many bytes that were.
    pub(super) fn run(self) -> Result<u64, Error> {
        let mut written: u64 = 0;
        let mut whole = Vec::new();
        for copy in self.copies {
            let bytes = self.bytes.get(copy.part).unwrap_or_default();
            whole.clear();
            whole.extend_from_slice(bytes);
            whole.resize(bytes.len().next_multiple_of(copy.sector), 0);
            let wrote = copy.leaf.disk.write_at(&whole, copy.place);
            wrote.map_err(|source| Error::io(copy.leaf.disk.name(), source))?;
            written = written.saturating_add(u64_from_usize(whole.len()));
        }
        Ok(written)
    }
}

/// The block itself, and all pieces of it, each with the part of the block that it has.
fn pieces(
    reader: &BlockReader,
    pointer: &BlockPointer,
    bytes: &[u8],
) -> Result<Vec<(BlockPointer, Range<usize>)>, HealError> {
    let mut pieces = Vec::new();
    let mut waiting = vec![(*pointer, 0..bytes.len(), 0_u32)];
    while let Some((pointer, part, depth)) = waiting.pop() {
        if pointer.dvas().any(|dva| dva.gang) {
            // All copies of a header say the same.
            let is_sane = depth < DEPTH_MAX && pieces.len().saturating_add(waiting.len()) < PIECES_MAX;
            let below = reader.gang_pieces(&pointer).filter(|_| is_sane);
            let mut start = part.start;
            for piece in below.ok_or(HealError::Differs)? {
                let end = start.saturating_add(usize_from_u64(piece.physical_size()));
                let is_it = bytes
                    .get(start..end)
                    .is_some_and(|slice| end <= part.end && reader.verify(&piece, slice).is_ok());
                if !is_it || piece.is_embedded() {
                    return Err(HealError::Differs);
                }
                waiting.push((piece, start..end, depth.saturating_add(1)));
                start = end;
            }
            if start != part.end {
                return Err(HealError::Differs);
            }
        }
        pieces.push((pointer, part));
    }
    Ok(pieces)
}
