//! Healing: a block of a snapshot that no copy has any more is made again from what a stream holds of it, and written over
//! itself.
//!
//! What is made must be what was there, byte for byte: its checksum stands in the pointer, and nothing is written whose
//! checksum is another. So it does not matter to anybody else who has the block, nor to whoever reads the pool meanwhile;
//! and no transaction group is needed. Blocks that lead to others are not in streams, and cannot be healed.
//!
//! How a block is made again is in [`remake`], how it is written in [`rewrite`], and how the pool forgets that it was
//! damaged in [`errors`].

mod errors;
mod remake;
mod rewrite;

pub use remake::Sent;

use self::remake::Remaker;
use self::rewrite::Rewrite;
use super::{DatasetId, PoolWriter};
use crate::dmu::{Object, ObjectSet};
use crate::spa::{BlockPointer, BlockReader};
use crate::vdev::WriteTree;
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use zferry_blocks::compress::Compression;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// No block is larger, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// Why a damaged block could not be healed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealError {
    /// The snapshot has no such object.
    #[error("the snapshot has no object {0}")]
    NoObject(ObjectNumber),
    /// The block is of another size than in the stream.
    #[error("the damaged block has {expected} bytes, and that of the stream {found}")]
    Size {
        /// The size of the block of the stream, in bytes.
        found: u64,
        /// The size of the damaged block, in bytes.
        expected: u64,
    },
    /// What the stream holds does not make the block that was there.
    #[error("the stream does not hold what makes the damaged block again")]
    Differs,
    /// The block is encrypted, the stream is not, and the key is not loaded.
    #[error("the damaged block is encrypted, and the key is not loaded")]
    NoKey,
    /// The pool cannot be read where it leads to the block, or a device fails.
    #[error(transparent)]
    Pool(#[from] Error),
}

/// A block of a snapshot, as a stream names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealPlace {
    /// Its object.
    pub object: ObjectNumber,
    /// Where in the object it is, in bytes; `None` for the spill block.
    pub offset: Option<u64>,
}

/// What was healed; nothing where a copy of each block is good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Healed {
    /// How many blocks.
    pub blocks: u64,
    /// How much was written, in bytes.
    pub bytes: u64,
}

/// Heals the blocks of one snapshot. Several threads can, each with a [`Healing`].
#[derive(Debug)]
pub struct Healer<'w> {
    reader: &'w BlockReader,
    vdevs: &'w WriteTree,
    set: ObjectSet,
    remaker: Remaker,
}

impl PoolWriter {
    /// What heals the blocks of a snapshot. Where it is encrypted, blocks of streams that are not raw take its key.
    ///
    /// # Errors
    /// Where the snapshot, or its object set, cannot be read.
    pub fn healer(&mut self, snapshot: ObjectNumber) -> Result<Healer<'_>, Error> {
        let phys = self.dataset(snapshot)?;
        let key = self.opened_key(phys.dir)?;
        let level = self.policies(DatasetId(snapshot))?.data.level;
        // Blocks that lead to others can be read without a key, and what is damaged is told by its checksum.
        let reader = &*self.io.reader;
        Ok(Healer {
            reader,
            vdevs: &self.io.vdevs,
            set: ObjectSet::read(reader, &phys.root)?,
            remaker: Remaker {
                key,
                summed_by: self.io.reader.clone(),
                level,
            },
        })
    }
}

impl Healer<'_> {
    /// What heals on one thread.
    #[must_use]
    pub const fn start(&self) -> Healing<'_> {
        Healing {
            healer: self,
            object: None,
            stored: Vec::new(),
        }
    }

    /// Returns when all that was written is safe.
    ///
    /// # Errors
    /// Whatever the devices say.
    pub fn flush(&self) -> Result<(), Error> {
        self.vdevs.flush()
    }
}

/// Heals blocks one after another.
#[derive(Debug)]
pub struct Healing<'h> {
    healer: &'h Healer<'h>,
    /// The object that a block was looked up in last.
    object: Option<Object>,
    /// A block as it is stored.
    stored: Vec<u8>,
}

impl Healing<'_> {
    /// Reads a block, and where no copy of it is what its pointer says, makes it again from what was sent. What was sent may
    /// be several blocks here, where it is not raw.
    ///
    /// # Errors
    /// [`HealError`], of the first block that could not be healed; it is as it was then, unless a device failed in the
    /// middle of it.
    pub fn heal(&mut self, place: HealPlace, sent: &Sent<'_>) -> Result<Healed, HealError> {
        let block_bytes = self.object(place.object)?.dnode.data_bytes();
        let Some(offset) = place.offset.filter(|offset| {
            sent.logical_size > block_bytes && offset.checked_rem(block_bytes) == Some(0) && !sent.is_raw
        }) else {
            return self.heal_block(place, sent);
        };
        let content = sent.content().ok_or(HealError::Differs)?;
        let (mut healed, mut failed) = (Healed::default(), Ok(()));
        let offsets = (offset..).step_by(usize_from_u64(block_bytes));
        for (offset, part) in offsets.zip(content.chunks(usize_from_u64(block_bytes))) {
            let place = HealPlace {
                offset: Some(offset),
                ..place
            };
            let part = Sent {
                bytes: part,
                logical_size: u64_from_usize(part.len()),
                compression: Compression::Off,
                ..*sent
            };
            match self.heal_block(place, &part) {
                Ok(block) => {
                    healed.blocks = healed.blocks.saturating_add(block.blocks);
                    healed.bytes = healed.bytes.saturating_add(block.bytes);
                }
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed.map(|()| healed)
    }

    fn heal_block(&mut self, place: HealPlace, sent: &Sent<'_>) -> Result<Healed, HealError> {
        let healer = self.healer;
        let pointer = pointer_in(healer.reader, self.object(place.object)?, place.offset)?;
        let Some(pointer) = pointer.filter(lies_on_disk) else {
            return Ok(Healed::default());
        };
        let size = usize_from_u64(pointer.physical_size().min(BLOCK_BYTES_MAX));
        self.stored.resize(size, 0);
        match healer.reader.read_stored(&pointer, &mut self.stored) {
            Ok(()) => return Ok(Healed::default()),
            Err(Error::Unreadable(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let made = healer.remaker.remake(&pointer, place, sent, &self.stored)?;
        let rewrite = Rewrite::plan(healer.reader, healer.vdevs, &pointer, &made)?;
        let bytes = rewrite.run()?;
        healer.reader.read_stored(&pointer, &mut self.stored)?;
        Ok(Healed { blocks: 1, bytes })
    }

    /// An object of the snapshot.
    fn object(&mut self, number: ObjectNumber) -> Result<&Object, HealError> {
        let kept = self.object.take().filter(|object| object.number == number);
        let found = match kept {
            Some(object) => object,
            None => {
                let found = self.healer.set.object(self.healer.reader, number);
                found.map_err(|error| match error {
                    Error::Missing(_) => HealError::NoObject(number),
                    error => error.into(),
                })?
            }
        };
        Ok(self.object.insert(found))
    }
}

/// Whether a block is one that can be damaged by itself.
fn lies_on_disk(pointer: &BlockPointer) -> bool {
    !(pointer.is_hole() || pointer.is_embedded() || pointer.is_redacted())
}

/// The pointer to the block of an object at an offset in bytes, or to its spill block.
fn pointer_in(
    reader: &BlockReader,
    object: &Object,
    offset: Option<u64>,
) -> Result<Option<BlockPointer>, Error> {
    let Some(offset) = offset else {
        return Ok(object.dnode.spill);
    };
    let id = offset.checked_div(object.dnode.data_bytes()).unwrap_or(0);
    let pointer = object.pointer(reader, BlockId(id))?;
    if let Some(pointer) = pointer.filter(|pointer| pointer.level() != 0) {
        let what = format!("object {}: block {id} is {pointer}", object.number);
        return Err(Corrupt::new(what).into());
    }
    Ok(pointer)
}
