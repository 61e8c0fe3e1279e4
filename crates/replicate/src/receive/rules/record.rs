//! The checks on the records behind BEGIN, and on their order.

use zferry_blocks::compress::Compression;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, RecordFlags};
use zferry_zstream::record::{
    Begin, CompressionType, Object, ObjectType, Record, Spill, Write, WriteEmbedded,
};
use zferry_zstream::validate::{Invalid, Rules};

use super::super::Errno;

/// Object numbers are below this.
const OBJECT_LIMIT: u64 = 1 << 48;
/// `DMU_OTN_UINT64_METADATA`: one of the two types that a bonus buffer of no length may have.
const UINT64_METADATA: ObjectType = ObjectType(0xc3);
/// What one block pointer takes, in bytes.
const POINTER_BYTES: u32 = 128;
/// What is not bonus area in a dnode: its core and its first block pointer, in bytes.
const DNODE_CORE: u32 = 64 + POINTER_BYTES;

/// Why a record cannot be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// It makes no sense in itself.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A bonus buffer has a type but no length, or a length but no type.
    #[error("bonus buffer of type {bonus_type} with a length of {length}")]
    Bonus {
        /// The bonus buffer's type.
        bonus_type: u32,
        /// Its length, in bytes.
        length: u32,
    },
    /// A large dnode would reach past the last object number.
    #[error("dnode of {slots} slots at object {object}, beyond the last object number")]
    PastEnd {
        /// The object's number.
        object: u64,
        /// How many slots it takes.
        slots: u8,
    },
    /// An object is marked to have a spill block, in a stream that marks none.
    #[error("object marked to have a spill block in a stream without SPILL_BLOCK")]
    SpillMark,
    /// The number of block pointers is not what the bonus buffer leaves room for.
    #[error("{found} block pointers where the bonus buffer leaves room for {expected}")]
    Pointers {
        /// How many the record states.
        found: u8,
        /// How many there must be.
        expected: u8,
    },
    /// The bonus area of a raw object is larger than its dnode has room for.
    #[error("bonus area of {length} bytes in a dnode with room for {room}")]
    BonusArea {
        /// What the record states, in bytes.
        length: u32,
        /// What there is, in bytes.
        room: u32,
    },
    /// Indirect blocks of a raw object are of a size that there is not.
    #[error("indirect blocks of 2^{0} bytes")]
    IndirectShift(u8),
    /// A raw object's tree has no level.
    #[error("a tree of {0} levels")]
    Levels(u8),
    /// A block is compressed in a way that BEGIN does not announce.
    #[error("compression {0}, which BEGIN does not announce")]
    Compression(u8),
    /// A block that is not compressed has another size stored than it has.
    #[error("{stored} bytes embedded of a block of {logical}")]
    Embedded {
        /// How many bytes are embedded.
        stored: u32,
        /// How many there should be.
        logical: u32,
    },
    /// A WRITE stands behind one for a later place.
    #[error(
        "WRITE for object {object}, offset {offset}, behind one for object {last_object}, offset {last_offset}"
    )]
    Backwards {
        /// The object that the record is for.
        object: u64,
        /// Where in it, in bytes.
        offset: u64,
        /// The object of the WRITE before.
        last_object: u64,
        /// Where in it, in bytes.
        last_offset: u64,
    },
    /// A record is for an object that is not there.
    #[error("object {0} is not there")]
    NoObject(u64),
    /// An object would take a slot that belongs to another.
    #[error("slot {slot} belongs to object {owner}")]
    SlotTaken {
        /// The slot.
        slot: u64,
        /// Whose it is.
        owner: u64,
    },
    /// An object of a raw stream does not stand behind the record of its block of dnodes.
    #[error("object {0} of a raw stream stands outside its range")]
    OutOfRange(u64),
    /// A block of a raw stream is none of its object's: it cannot be taken apart.
    #[error("object {object} has blocks of {expected} bytes, and a raw one of {found}")]
    RawBlock {
        /// The object.
        object: u64,
        /// The size that the record states, in bytes.
        found: u64,
        /// The size of the object's blocks, in bytes.
        expected: u64,
    },
    /// The stored size of a block of a raw stream is none that there can be.
    #[error("{stored} bytes stored of a raw block of {logical}")]
    RawSize {
        /// The size that the record states, in bytes.
        stored: u64,
        /// The size of the block, in bytes.
        logical: u64,
    },
    /// A file gets smaller blocks than it has.
    #[error("object {object} has blocks of {had} bytes, and is to have smaller ones of {found}")]
    SmallerBlocks {
        /// The object.
        object: u64,
        /// The size that the record states, in bytes.
        found: u32,
        /// The size of the object's blocks, in bytes.
        had: u32,
    },
    /// It cannot be told whether an object is the file that it was.
    #[error("object {0} has a bonus buffer without the generation of a file")]
    Generation(u64),
    /// A compressed block cannot be uncompressed.
    #[error("the block's content is damaged: it does not uncompress to {0} bytes")]
    Content(u64),
    /// A WRITE_BYREF refers to what did not come before, or does not have its length.
    #[error(
        "reference to object {object}, offset {offset} of snapshot {guid:#x}, which the stream does not hold"
    )]
    Reference {
        /// The guid of the snapshot referred to.
        guid: u64,
        /// The object.
        object: u64,
        /// The offset, in bytes.
        offset: u64,
    },
}

impl RecordFault {
    /// What OpenZFS's kernel module would say. Of a record that it refuses, all it tells is that it is not valid; but it
    /// hands on the number with which its decompressors fail.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Content(_) => Errno::EPERM,
            _ => Errno::EINVAL,
        }
    }
}

/// What the records of one stream must keep.
#[derive(Clone, Copy, Debug)]
pub struct RecordRules {
    single: Rules,
    features: FeatureFlags,
    flags: BeginFlags,
    /// The object and offset of the last WRITE.
    last_write: (u64, u64),
}

impl RecordRules {
    /// The rules for the stream that `begin` opens.
    #[must_use]
    pub const fn of(begin: &Begin) -> Self {
        Self {
            single: Rules::of(begin),
            features: begin.features(),
            flags: begin.flags,
            last_write: (0, 0),
        }
    }

    /// Checks the next record.
    ///
    /// # Errors
    /// [`RecordFault`]: why the stream cannot be received.
    pub fn check(&mut self, record: &Record) -> Result<(), RecordFault> {
        self.single.check(record)?;
        match record {
            Record::Object(object) => self.object(object),
            Record::Write(write) => {
                self.write(write)?;
                self.in_order(write.object, write.offset)
            }
            Record::WriteByRef(write) => self.in_order(write.object, write.offset),
            Record::WriteEmbedded(write) => self.write_embedded(write),
            Record::Spill(spill) => self.spill(spill),
            _ => Ok(()),
        }
    }

    const fn is_raw(&self) -> bool {
        self.features.contains(FeatureFlags::RAW)
    }

    fn object(&self, object: &Object) -> Result<(), RecordFault> {
        let (bonus_type, length) = (object.bonus_type, object.bonus_length);
        let may_be_empty = [ObjectType::NONE, ObjectType::SA, UINT64_METADATA].contains(&bonus_type);
        if (length == 0 && !may_be_empty) || (length != 0 && bonus_type == ObjectType::NONE) {
            return Err(RecordFault::Bonus {
                bonus_type: bonus_type.0,
                length,
            });
        }
        let slots = object.dnode_slots.max(1);
        if object.object.saturating_add(u64::from(slots)) > OBJECT_LIMIT {
            return Err(RecordFault::PastEnd {
                object: object.object,
                slots,
            });
        }
        let has_spill = object.flags.contains(RecordFlags::OBJECT_SPILL);
        if has_spill && !self.flags.contains(BeginFlags::SPILL_BLOCK) {
            return Err(RecordFault::SpillMark);
        }
        if self.is_raw() {
            raw_object(object, slots, has_spill)?;
        }
        Ok(())
    }

    fn write(&self, write: &Write) -> Result<(), RecordFault> {
        if self.is_raw() {
            raw_size(write.compression, write.compressed_size, write.logical_size)?;
        }
        self.compression(write.compression)
    }

    fn spill(&self, spill: &Spill) -> Result<(), RecordFault> {
        if self.is_raw() {
            raw_size(spill.compression, spill.compressed_size, spill.length)?;
        }
        self.compression(spill.compression)
    }

    fn write_embedded(&self, write: &WriteEmbedded) -> Result<(), RecordFault> {
        let is_off = write.compression == CompressionType::OFF;
        if write.physical_size == 0 || (is_off && write.physical_size != write.logical_size) {
            return Err(RecordFault::Embedded {
                stored: write.physical_size,
                logical: write.logical_size,
            });
        }
        Ok(())
    }

    /// Algorithms that came after feature flags must be announced, as older receivers do not know them.
    const fn compression(&self, compression: CompressionType) -> Result<(), RecordFault> {
        let announced = match compression {
            CompressionType::ZSTD => self.features.contains(FeatureFlags::ZSTD),
            CompressionType::LZ4 => self.features.contains(FeatureFlags::LZ4),
            _ => true,
        };
        if announced {
            Ok(())
        } else {
            Err(RecordFault::Compression(compression.0))
        }
    }

    /// A receiver that stops notes how far it came, so writes go forwards.
    fn in_order(&mut self, object: u64, offset: u64) -> Result<(), RecordFault> {
        let (last_object, last_offset) = self.last_write;
        if (object, offset) < self.last_write {
            return Err(RecordFault::Backwards {
                object,
                offset,
                last_object,
                last_offset,
            });
        }
        self.last_write = (object, offset);
        Ok(())
    }
}

/// A block that is received as it is stored has whole sectors, all of them where it is not compressed.
fn raw_size(compression: CompressionType, stored: u64, logical: u64) -> Result<(), RecordFault> {
    if Compression::from_id(compression.0).is_none() {
        return Err(RecordFault::Compression(compression.0));
    }
    let is_off = compression == CompressionType::OFF;
    if stored == 0 || !stored.is_multiple_of(512) || stored > logical || (is_off && stored != logical) {
        return Err(RecordFault::RawSize { stored, logical });
    }
    Ok(())
}

/// The shape of a raw object's dnode is received exactly, so it must be one that a dnode can have.
fn raw_object(object: &Object, slots: u8, has_spill: bool) -> Result<(), RecordFault> {
    if object.indirect_block_shift != 0 && !(12..=17).contains(&object.indirect_block_shift) {
        return Err(RecordFault::IndirectShift(object.indirect_block_shift));
    }
    if object.levels == 0 {
        return Err(RecordFault::Levels(0));
    }
    let expected = pointer_count(object.bonus_type, object.bonus_length, slots);
    if object.block_pointers != expected {
        return Err(RecordFault::Pointers {
            found: object.block_pointers,
            expected,
        });
    }
    let pointers = u32::from(expected.saturating_sub(1)).saturating_add(u32::from(has_spill));
    let room = bonus_area(slots).saturating_sub(pointers.saturating_mul(POINTER_BYTES));
    if object.raw_bonus_length > room {
        return Err(RecordFault::BonusArea {
            length: object.raw_bonus_length,
            room,
        });
    }
    Ok(())
}

/// The room that a dnode of so many slots has for its bonus buffer beside one block pointer, in bytes.
fn bonus_area(slots: u8) -> u32 {
    u32::from(slots).saturating_mul(512).saturating_sub(DNODE_CORE)
}

/// How many block pointers a dnode has: as many as its bonus buffer leaves room for, at most three; one where it holds
/// system attributes, which grow.
fn pointer_count(bonus_type: ObjectType, bonus_length: u32, slots: u8) -> u8 {
    if bonus_type == ObjectType::SA {
        return 1;
    }
    match bonus_area(slots).saturating_sub(bonus_length) / POINTER_BYTES {
        0 => 1,
        1 => 2,
        _ => 3,
    }
}
