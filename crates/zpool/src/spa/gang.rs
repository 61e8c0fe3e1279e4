//! Gang blocks: a block that was written in pieces because no free range was large enough.
//!
//! ```text
//! offset            field
//!   0               pointers to the pieces, 128 bytes each: three in a header of 512 bytes, more in a larger one;
//!                   unused ones are zero
//!   size − 40       checksum of the header: magic, then four words (SHA-256); the verifier is made of the first
//!                   address and the birth of the pointer that leads to it, for all copies of the header; of an encrypted or authenticated block
//!                   (other than an objset), the first two words over the last two, and two zeros
//! ```
//!
//! A piece may itself be a gang. The pieces, one after another, are the block.

use super::read::BlockReader;
use super::{BlockPointer, Dva};
use crate::vdev::Address;
use crate::{Attempt, Corrupt, Error, Txg};
use zferry_blocks::checksum::{EMBEDDED_SIZE, embedded_endian, verify_embedded, verify_embedded_folded};
use zferry_wire::{Endian, usize_from_u64};

/// The size of a gang header in every pool without the feature `dynamic_gang_header`, in bytes.
pub(super) const GANG_HEADER_BYTES: usize = 512;
/// How deep gangs of gangs may go. Each level divides a block of at most 16 MiB by up to three.
const DEPTH_MAX: u32 = 16;
/// How much may go wrong before a block is given up. Gangs that lead back to themselves would else be tried in each of
/// their three copies at every depth: 3^16 times.
const ATTEMPTS_MAX: usize = 1000;

impl BlockReader {
    /// Reads the pieces of a gang block into `buffer`, which has the block's physical size.
    pub(super) fn read_gang(
        &self,
        pointer: &BlockPointer,
        dva: Dva,
        buffer: &mut [u8],
        depth: u32,
        attempts: &mut Vec<Attempt>,
    ) -> bool {
        if attempts.len() >= ATTEMPTS_MAX {
            return false;
        }
        let (header, reason) = if depth >= DEPTH_MAX {
            (None, "gang blocks nested too deep")
        } else {
            let header = self.read_gang_header(pointer, dva, attempts);
            (header, "gang header damaged")
        };
        let Some(pieces) = header else {
            attempts.push(Attempt {
                vdev: dva.vdev,
                offset: dva.offset,
                reason: reason.to_owned(),
            });
            return false;
        };
        let mut rest = buffer;
        for piece in pieces.iter().filter(|piece| !piece.is_hole()) {
            let len = usize_from_u64(piece.physical_size());
            let Some((head, tail)) = rest.split_at_mut_checked(len).filter(|_| !piece.is_embedded()) else {
                let reason = "gang pieces are longer than the block".to_owned();
                attempts.push(Attempt {
                    vdev: dva.vdev,
                    offset: dva.offset,
                    reason,
                });
                return false;
            };
            if !self.read_physical(piece, head, depth.saturating_add(1), attempts) {
                return false;
            }
            rest = tail;
        }
        if !rest.is_empty() {
            let reason = format!("gang pieces are {} bytes short", rest.len());
            attempts.push(Attempt {
                vdev: dva.vdev,
                offset: dva.offset,
                reason,
            });
        }
        rest.is_empty()
    }

    fn read_gang_header(
        &self,
        pointer: &BlockPointer,
        dva: Dva,
        attempts: &mut Vec<Attempt>,
    ) -> Option<Vec<BlockPointer>> {
        // With dynamic gang headers a header fills a sector of its vdev; older headers stay at 512 bytes.
        let sector = self
            .vdevs()
            .tops()
            .get(usize::try_from(dva.vdev).ok()?)
            .map(|top| 1_usize << top.ashift);
        let address = Address {
            vdev: dva.vdev,
            offset: dva.offset,
            birth: pointer.physical_birth(),
        };
        let sums = if pointer.sum_is_folded() {
            verify_embedded_folded
        } else {
            verify_embedded
        };
        let first = pointer.dvas().next().unwrap_or(dva);
        for size in [GANG_HEADER_BYTES, sector.unwrap_or(GANG_HEADER_BYTES)] {
            let mut header = vec![0; size];
            let verifier = [u64::from(first.vdev), first.offset, pointer.physical_birth().0, 0];
            let mut endian = Endian::OURS;
            let mut verify = |bytes: &mut [u8]| {
                endian = embedded_endian(bytes).ok_or("no gang header")?;
                if sums(bytes, verifier, endian) {
                    Ok(())
                } else {
                    Err("gang header checksum".to_owned())
                }
            };
            if self.vdevs().read(address, &mut header, &mut verify, attempts) {
                let pointers = header
                    .get(..size.saturating_sub(EMBEDDED_SIZE))
                    .unwrap_or_default();
                let known = |piece: &BlockPointer| piece.logical_birth() > Txg(0) || piece.is_hole();
                return Some(BlockPointer::iter_block(pointers, endian).filter(known).collect());
            }
        }
        None
    }
}

impl BlockReader {
    /// The pieces of a gang block, from the first header that can be read; `None` where none can.
    pub(crate) fn gang_pieces(&self, pointer: &BlockPointer) -> Option<Vec<BlockPointer>> {
        let headers = pointer.dvas().filter(|dva| dva.gang);
        let mut pieces = headers.filter_map(|dva| self.read_gang_header(pointer, dva, &mut Vec::new()));
        let pieces = pieces.next()?;
        Some(pieces.into_iter().filter(|piece| !piece.is_hole()).collect())
    }

    /// All that a gang block lies in: itself, which is its headers; its pieces; and theirs, where they are gangs.
    ///
    /// Pieces are together as long as their block, so that there are never more on a level than the block has sectors.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where no copy of a header can be read, or where the pieces cannot be those of their block.
    pub(crate) fn gang_parts(&self, pointer: &BlockPointer) -> Result<Vec<BlockPointer>, Error> {
        let wrong = |pointer: &BlockPointer, why: &str| Corrupt::new(format!("{pointer}: {why}"));
        let mut parts = Vec::new();
        let mut waiting = vec![(*pointer, 0_u32)];
        while let Some((part, depth)) = waiting.pop() {
            parts.push(part);
            if !part.dvas().any(|dva| dva.gang) {
                continue;
            }
            if depth >= DEPTH_MAX {
                return Err(wrong(&part, "gang blocks nested too deep").into());
            }
            let pieces = self.gang_pieces(&part);
            let pieces = pieces.ok_or_else(|| wrong(&part, "no copy of its gang header can be read"))?;
            let sizes = pieces.iter().map(BlockPointer::physical_size);
            let is_possible = pieces
                .iter()
                .all(|piece| !piece.is_embedded() && piece.physical_size() > 0);
            if !is_possible || sizes.fold(0, u64::saturating_add) != part.physical_size() {
                return Err(wrong(&part, "its gang header leads to other pieces").into());
            }
            waiting.extend(pieces.into_iter().map(|piece| (piece, depth.saturating_add(1))));
        }
        Ok(parts)
    }
}
