//! Which sectors are referenced: each block claims its space, and no space is claimed twice.
//!
//! The sectors of a large pool do not fit into memory. A pass looks at a window of them, as wide as its memory allows:
//! it begins with all of the pool, and when the set grows too large, the end of the window moves down and the rest is
//! left to the next pass. What was written in sequence takes so little that a pool nearly always needs one pass; the
//! worst that can be, every other sector referenced, is a pass for each 3 TiB (with sectors of 4 KiB).

use super::Measure;
use super::finding::{Findings, Spot};
use super::sectors::{CHUNK_SHIFT, ChunkKey, SectorSet};
use super::shared::{Claim, SharedBlocks};
use super::tree_diff::Where;
use crate::spa::{BlockPointer, BlockReader, Dva};
use crate::{Corrupt, Error};

/// How deep gangs of gangs may go.
const GANG_DEPTH_MAX: usize = 16;
/// What a pass may keep of which sectors are referenced, and again of which are allocated, in bytes.
const SET_BYTES_MAX: usize = 48 << 20;

/// What part of the pool's sectors a pass looks at.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// The first chunk.
    pub(super) start: ChunkKey,
    /// The chunk behind the last; none: to the end.
    pub(super) end: Option<ChunkKey>,
}

impl Window {
    /// The part of a range of sectors that lies in the window: the first, and how many.
    pub(super) fn clip(&self, vdev: u32, first: u64, count: u64) -> Option<(u64, u64)> {
        let mut begin = first;
        let mut end = first.saturating_add(count);
        if vdev < self.start.0 {
            return None;
        }
        if vdev == self.start.0 {
            begin = begin.max(self.start.1 << CHUNK_SHIFT);
        }
        match self.end {
            Some((last, _)) if vdev > last => return None,
            Some((last, chunk)) if vdev == last => end = end.min(chunk << CHUNK_SHIFT),
            _ => {}
        }
        (begin < end).then(|| (begin, end.saturating_sub(begin)))
    }

    /// Shortens the window until `set` fits into memory.
    pub(super) fn fit(&mut self, set: &mut SectorSet) {
        while set.bytes() > SET_BYTES_MAX {
            let Some(key) = set.drop_last() else { return };
            // At least one chunk is looked at in each pass.
            if key <= self.start {
                return;
            }
            self.end = Some(key);
        }
    }
}

/// The sectors that something references.
pub(super) struct Claims<'c> {
    pub(super) reader: &'c BlockReader,
    pub(super) measure: &'c Measure,
    pub(super) window: Window,
    pub(super) sectors: SectorSet,
    pub(super) shared: SharedBlocks,
    /// Whether pointers are checked: once is enough.
    pub(super) is_first_pass: bool,
    /// How much has been claimed, in bytes.
    pub(super) claimed: u64,
    /// How many blocks have claimed it.
    pub(super) blocks: u64,
}

impl Claims<'_> {
    /// Claims the space of a block of a tree or a list.
    pub(super) fn claim(
        &mut self,
        spot: &dyn Fn() -> Spot,
        pointer: &BlockPointer,
        findings: &mut Findings<'_>,
    ) {
        if pointer.is_embedded() || pointer.is_hole() {
            return;
        }
        if self.shared.refer(pointer) == Claim::Here {
            self.blocks = self.blocks.saturating_add(1);
            self.claim_all(spot, pointer, findings);
        }
    }

    /// Claims the space of a block, whoever else may share it.
    fn claim_all(&mut self, spot: &dyn Fn() -> Spot, pointer: &BlockPointer, findings: &mut Findings<'_>) {
        // Gangs of gangs, without recursion: each with its depth.
        let mut waiting = vec![(*pointer, 0_usize)];
        while let Some((pointer, depth)) = waiting.pop() {
            let is_gang = pointer.dvas().any(|dva| dva.gang);
            let pieces = match is_gang {
                false => Vec::new(),
                true if depth >= GANG_DEPTH_MAX => {
                    findings.report(spot(), "gang", "gangs nested too deep", "at most 16");
                    Vec::new()
                }
                true => match self.pieces(&pointer) {
                    Ok(pieces) => pieces,
                    Err(error) => {
                        findings.unreadable(spot(), &error);
                        Vec::new()
                    }
                },
            };
            for (index, dva) in pointer.dvas().enumerate() {
                let of_pieces = pieces.iter().filter_map(|piece| piece.dvas().nth(index));
                let of_pieces = of_pieces
                    .map(|piece| piece.allocated)
                    .fold(0, u64::saturating_add);
                let own = if dva.gang {
                    dva.allocated.saturating_sub(of_pieces)
                } else {
                    dva.allocated
                };
                let dva = Dva {
                    allocated: own,
                    ..dva
                };
                self.claim_range(spot, dva, findings);
            }
            waiting.extend(pieces.into_iter().map(|piece| (piece, depth.saturating_add(1))));
        }
    }

    fn pieces(&self, pointer: &BlockPointer) -> Result<Vec<BlockPointer>, Error> {
        let pieces = self.reader.gang_pieces(pointer);
        pieces
            .ok_or_else(|| Corrupt::new(format!("{pointer}: no copy of its gang header can be read")).into())
    }

    /// Claims one range of a vdev, or what it became where the vdev was removed.
    pub(super) fn claim_range(&mut self, spot: &dyn Fn() -> Spot, dva: Dva, findings: &mut Findings<'_>) {
        if self.measure.tops().contains_key(&dva.vdev) {
            self.claim_piece(spot, dva, findings);
            return;
        }
        match self.reader.vdevs().pieces_of(dva.vdev, dva.offset, dva.allocated) {
            Ok(pieces) => {
                for (vdev, offset, allocated) in pieces {
                    let piece = Dva {
                        vdev,
                        offset,
                        allocated,
                        gang: false,
                    };
                    self.claim_piece(spot, piece, findings);
                }
            }
            Err(why) if self.is_first_pass => findings.report(spot(), "dva_vdev", why, "a range of a vdev"),
            Err(_) => {}
        }
    }

    fn claim_piece(&mut self, spot: &dyn Fn() -> Spot, dva: Dva, findings: &mut Findings<'_>) {
        let Dva {
            vdev,
            offset,
            allocated,
            ..
        } = dva;
        let here = || spot().at(vdev, offset, allocated);
        let Some(top) = self.measure.tops().get(&vdev) else {
            if self.is_first_pass {
                findings.report(here(), "dva_vdev", vdev, "a vdev of the pool");
            }
            return;
        };
        self.claimed = self.claimed.saturating_add(allocated);
        if self.is_first_pass {
            let mask = (1_u64 << top.ashift.min(63)).saturating_sub(1);
            if offset & mask != 0 || allocated & mask != 0 || allocated == 0 {
                findings.report(here(), "dva", "a range of parts of sectors", "whole sectors");
            }
            let last = offset.saturating_add(allocated.max(1)).saturating_sub(1);
            if offset >> top.metaslab_shift != last >> top.metaslab_shift {
                findings.report(here(), "dva", "a range in two metaslabs", "one metaslab");
            }
        }
        let end = offset.saturating_add(allocated);
        if end > top.metaslab_count.saturating_mul(top.metaslab_bytes()) {
            if self.is_first_pass {
                findings.report(
                    here(),
                    "dva_offset",
                    "a range behind the last metaslab",
                    "a range in the vdev",
                );
            }
            return;
        }
        let first = offset >> top.ashift;
        let count = (end >> top.ashift).saturating_sub(first);
        let Some((first, count)) = self.window.clip(vdev, first, count) else {
            return;
        };
        let known = self.sectors.insert(vdev, first, count);
        if known > 0 && !self.shared.is_partial() {
            findings.report(
                here(),
                "reference",
                format!("{:#x} bytes referenced twice", known << top.ashift),
                "one reference",
            );
        }
        self.window.fit(&mut self.sectors);
    }
}

/// The spot of a block of a dataset.
pub(super) fn spot_of(dataset: &str, place: Where) -> Spot {
    match place {
        Where::Root => Spot::dataset(dataset),
        Where::Block(place) => Spot::dataset(dataset).place(place),
    }
}
