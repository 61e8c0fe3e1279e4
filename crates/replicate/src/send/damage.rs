//! What of a snapshot cannot be read, where a send goes on nevertheless.
//!
//! In the place of a block of data goes a pattern, the 64-bit number 2f5baddb10c ("zfs badd bloc") again and again, as
//! OpenZFS has it (`zfs_send_corrupt_data`). It is sent uncompressed, for as compressed data it would be nonsense to its
//! receiver; only of blocks that are sent raw it takes the place of their bytes as they are stored. Nothing is sent of
//! what lies below an indirect block, or a block of dnodes, that cannot be read: nobody knows what it is.

use super::job::Fill;
use std::fmt;
use zferry_wire::Endian;
use zferry_zpool::dmu::Object;
use zferry_zpool::{BlockId, Error, ObjectNumber, Place};
use zferry_zstream::writer::Fletcher4;

/// What is sent in the place of what cannot be read.
pub const PATTERN: u64 = 0x0000_02f5_badd_b10c;

/// The pattern is summed and written in pieces of so many bytes.
const PIECE_BYTES: usize = 4 << 10;

/// A part of a snapshot that cannot be read.
#[derive(Debug)]
pub struct Damage {
    /// The object; 0 where whole objects are lost.
    pub object: ObjectNumber,
    /// Which part of it.
    pub part: DamagedPart,
    /// Why it cannot be read.
    pub error: Error,
}

/// Which part of an object cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DamagedPart {
    /// A block of its content, in whose place the [pattern](PATTERN) was sent.
    Block {
        /// Where it begins, in bytes.
        offset: u64,
        /// Its length in bytes.
        length: u64,
    },
    /// The block with those of its attributes for which the object had no room, in whose place the pattern was sent.
    Spill {
        /// Its length in bytes.
        length: u64,
    },
    /// What lies below an indirect block. Nothing of it was sent.
    Range {
        /// Where it begins, in bytes.
        offset: u64,
        /// Its length in bytes, up to the end of the object; all of it may be holes.
        length: u64,
    },
    /// Objects, of which nothing was sent.
    Objects {
        /// The first number.
        first: ObjectNumber,
        /// How many numbers; not all of them need to be objects.
        count: u64,
    },
}

impl Damage {
    /// Of a block of data.
    pub(super) fn of_block(fill: &Fill, error: Error) -> Self {
        let length = fill.pointer.logical_size();
        let part = match fill.offset {
            offset if offset == BlockId::SPILL.0 => DamagedPart::Spill { length },
            offset => DamagedPart::Block { offset, length },
        };
        Self {
            object: ObjectNumber(fill.object),
            part,
            error,
        }
    }

    /// Of a block of metadata that the walk came by.
    pub(super) fn of_metadata(object: &Object, place: Place, error: Error) -> Self {
        let dnode = &object.dnode;
        let part = if place.block == BlockId::SPILL {
            let length = dnode.spill.map_or(0, |spill| spill.logical_size());
            DamagedPart::Spill { length }
        } else {
            let shift = dnode.span_shift(place.level);
            let shifted = |id: u64| id.checked_shl(shift).filter(|first| first >> shift == id);
            let end = dnode.max_block.0.saturating_add(1);
            let start = shifted(place.block.0).unwrap_or(end).min(end);
            let behind = shifted(place.block.0.saturating_add(1)).unwrap_or(end).min(end);
            let count = behind.saturating_sub(start);
            if object.number == ObjectNumber(0) {
                let slots = dnode.slots_per_data_block();
                DamagedPart::Objects {
                    first: ObjectNumber(start.saturating_mul(slots)),
                    count: count.saturating_mul(slots),
                }
            } else {
                DamagedPart::Range {
                    offset: start.saturating_mul(dnode.data_bytes()),
                    length: count.saturating_mul(dnode.data_bytes()),
                }
            }
        };
        Self {
            object: object.number,
            part,
            error,
        }
    }
}

impl fmt::Display for DamagedPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block { offset, length } | Self::Range { offset, length } => {
                write!(f, "offset {offset}, length {length}")
            }
            Self::Spill { length } => write!(f, "spill block, length {length}"),
            Self::Objects { first, count } => {
                let last = first.0.saturating_add(count.saturating_sub(1));
                write!(f, "objects {first} to {last}")
            }
        }
    }
}

/// Calls `each` with pieces of the pattern, `len` bytes together.
pub(super) fn pattern<E>(len: usize, each: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut piece = [0; PIECE_BYTES];
    let (words, _) = piece.as_chunks_mut();
    words.fill(Endian::OURS.bytes_u64(PATTERN));
    let mut left = len;
    while left > 0 {
        let piece = piece.get(..left).unwrap_or(&piece);
        each(piece)?;
        left = left.saturating_sub(piece.len());
    }
    Ok(())
}

/// The sum of so many bytes of the pattern.
pub(super) fn sum_of_pattern(len: usize) -> Fletcher4 {
    let mut sum = Fletcher4::new(Endian::OURS);
    let Ok(()) = pattern::<std::convert::Infallible>(len, &mut |piece| {
        sum.update(piece);
        Ok(())
    });
    sum
}
