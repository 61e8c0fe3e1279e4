//! Whether a record makes sense: the limits that every release of ZFS keeps when it sends.
//!
//! These are the checks of the kernel's receiving side (`receive_object`, `receive_write`, … in
//! `module/zfs/dmu_recv.c`, and the stricter `recv_check_drr_*` of later releases) as far as senders of all ages meet
//! them. What depends on the pool that receives is not here.

use crate::flags::{BeginFlags, FeatureFlags, RecordFlags};
use crate::record::{
    Begin, ChecksumType, CompressionType, Object, ObjectRange, ObjectType, Record, Spill, TO_END, Write,
    WriteByRef, WriteEmbedded,
};

/// The numbers of objects are below this.
const OBJECT_LIMIT: u64 = 1 << 48;
/// `SPA_MINBLOCKSIZE`
const SECTOR: u64 = 512;
/// `SPA_OLD_MAXBLOCKSIZE`: blocks beyond need LARGE_BLOCKS.
const OLD_BLOCK_LIMIT: u64 = 128 << 10;
/// `SPA_MAXBLOCKSIZE`
const BLOCK_LIMIT: u64 = 16 << 20;
/// `BPE_PAYLOAD_SIZE`: what fits into a block pointer.
const EMBEDDED_LIMIT: u32 = 112;
/// How many slots a block of dnodes has, and so the most that a dnode takes.
const DNODE_SLOTS: u8 = 32;
/// What is not bonus area in a dnode: its core and its first block pointer.
const DNODE_CORE: u32 = 64 + 128;
/// `ZIO_CHECKSUM_FUNCTIONS`
const CHECKSUM_COUNT: u8 = 15;
/// `ZIO_COMPRESS_FUNCTIONS`
const COMPRESSION_COUNT: u8 = 17;
/// `NUM_BP_EMBEDDED_TYPES`
const EMBEDDED_TYPE_COUNT: u8 = 3;
/// `DN_MAX_LEVELS`
const LEVEL_LIMIT: u8 = 12;

/// Why a record makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The number of an object is 0 or too large, or no block of dnodes begins at it.
    #[error("object number {0}, which cannot be here")]
    ObjectNumber(u64),
    /// An object, or its bonus buffer, is of a type that there is not.
    #[error("unknown object type {0}")]
    ObjectType(u32),
    /// A number that names an algorithm names none.
    #[error("unknown {what} {id}")]
    Id {
        /// What the number names.
        what: &'static str,
        /// The number.
        id: u8,
    },
    /// The size of a block cannot be.
    #[error("block of {0} bytes, which is no multiple of 512 from 512 to 16 MiB")]
    BlockSize(u64),
    /// A number is larger than another that bounds it.
    #[error("{what} is {value}, more than {limit}")]
    TooLarge {
        /// What the number is.
        what: &'static str,
        /// The number.
        value: u64,
        /// The most that it may be.
        limit: u64,
    },
    /// A field is not zero, or not of the one value that it may have.
    #[error("{what} is {value} where it should be {expected}")]
    Field {
        /// What the field is.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The value that it should have.
        expected: u64,
    },
    /// A flag is set that means nothing in this record.
    #[error("flags {0:#x}, some of which mean nothing here")]
    Flags(u8),
    /// A range ends beyond the largest number there is.
    #[error("range of {length} from {offset} goes past the end of all numbers")]
    Range {
        /// Where it begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
    /// A record that streams have only with a feature which BEGIN does not state.
    #[error("{what}, but BEGIN does not say {feature}")]
    NeedsFeature {
        /// What needs the feature.
        what: &'static str,
        /// The feature.
        feature: &'static str,
    },
    /// A record that raw streams do not have.
    #[error("{0} in a raw stream")]
    InRaw(&'static str),
}

/// What BEGIN says of the records to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    features: FeatureFlags,
    flags: BeginFlags,
}

impl Rules {
    /// The rules for the stream that `begin` opens.
    #[must_use]
    pub const fn of(begin: &Begin) -> Self {
        Self {
            features: begin.features(),
            flags: begin.flags,
        }
    }

    /// Checks one record on its own.
    ///
    /// # Errors
    /// [`Invalid`]: what makes no sense about it.
    pub fn check(&self, record: &Record) -> Result<(), Invalid> {
        match record {
            Record::Begin(_) | Record::End(_) => Ok(()),
            Record::Object(object) => self.object(object),
            Record::FreeObjects(free) => range(free.first_object, free.object_count),
            Record::Write(write) => self.write(write),
            Record::Free(free) => {
                object_number(free.object)?;
                match free.length {
                    TO_END => Ok(()),
                    length => range(free.offset, length),
                }
            }
            Record::WriteByRef(write) => self.write_by_ref(write),
            Record::Spill(spill) => self.spill(spill),
            Record::WriteEmbedded(write) => self.write_embedded(write),
            Record::ObjectRange(objects) => self.object_range(objects),
            Record::Redact(redact) => {
                self.need(FeatureFlags::REDACTED, "REDACT", "REDACTED")?;
                object_number(redact.object)?;
                match redact.length {
                    TO_END => Ok(()),
                    length => range(redact.offset, length),
                }
            }
        }
    }

    fn raw(&self) -> bool {
        self.features.contains(FeatureFlags::RAW)
    }

    fn need(&self, feature: FeatureFlags, what: &'static str, name: &'static str) -> Result<(), Invalid> {
        if self.features.contains(feature) {
            Ok(())
        } else {
            Err(Invalid::NeedsFeature { what, feature: name })
        }
    }

    fn block_size(&self, size: u64) -> Result<(), Invalid> {
        if !size.is_multiple_of(SECTOR) || !(SECTOR..=BLOCK_LIMIT).contains(&size) {
            return Err(Invalid::BlockSize(size));
        }
        if size > OLD_BLOCK_LIMIT {
            self.need(
                FeatureFlags::LARGE_BLOCKS,
                "block of more than 128 KiB",
                "LARGE_BLOCKS",
            )?;
        }
        Ok(())
    }

    fn object(&self, object: &Object) -> Result<(), Invalid> {
        object_number(object.object)?;
        if object.object_type == ObjectType::NONE {
            return Err(Invalid::ObjectType(0));
        }
        object_type(object.object_type)?;
        object_type(object.bonus_type)?;
        checksum(object.checksum)?;
        compression(object.compression)?;
        self.block_size(u64::from(object.block_size))?;
        let slots = object.dnode_slots.max(1);
        if slots > 1 {
            self.need(
                FeatureFlags::LARGE_DNODE,
                "dnode of more than 512 bytes",
                "LARGE_DNODE",
            )?;
        }
        at_most("number of slots", slots, DNODE_SLOTS)?;
        let area = u32::from(slots).saturating_mul(512).saturating_sub(DNODE_CORE);
        at_most("length of the bonus buffer", object.bonus_length, area)?;
        if self.raw() {
            self.raw_object(object, area)
        } else {
            flags(object.flags, RecordFlags::OBJECT_SPILL)?;
            zero("raw bonus length", object.raw_bonus_length)?;
            zero("shift of indirect blocks", object.indirect_block_shift)?;
            zero("number of levels", object.levels)?;
            zero("number of block pointers", object.block_pointers)
        }
    }

    fn raw_object(&self, object: &Object, area: u32) -> Result<(), Invalid> {
        flags(
            object.flags,
            RecordFlags::OBJECT_SPILL | RecordFlags::RAW_BYTESWAP,
        )?;
        if object.flags.contains(RecordFlags::OBJECT_SPILL) && !self.flags.contains(BeginFlags::SPILL_BLOCK) {
            return Err(Invalid::NeedsFeature {
                what: "object with a spill block",
                feature: "SPILL_BLOCK",
            });
        }
        at_most(
            "length of the bonus buffer",
            object.bonus_length,
            object.raw_bonus_length,
        )?;
        at_most("raw bonus length", object.raw_bonus_length, area)?;
        at_most("number of levels", object.levels, LEVEL_LIMIT)?;
        at_most("number of block pointers", object.block_pointers, 3)
    }

    fn write(&self, write: &Write) -> Result<(), Invalid> {
        object_number(write.object)?;
        object_type(write.object_type)?;
        checksum(write.checksum)?;
        compression(write.compression)?;
        self.block_size(write.logical_size)?;
        range(write.offset, write.logical_size)?;
        if write.compression == CompressionType::NONE {
            return zero("compressed size", write.compressed_size);
        }
        if !self.raw() {
            self.need(FeatureFlags::COMPRESSED, "compressed WRITE", "COMPRESSED")?;
        }
        compressed_size(write.compressed_size, write.logical_size)
    }

    fn write_by_ref(&self, write: &WriteByRef) -> Result<(), Invalid> {
        self.need(FeatureFlags::DEDUP, "WRITE_BYREF", "DEDUP")?;
        object_number(write.object)?;
        object_number(write.ref_object)?;
        checksum(write.checksum)?;
        self.block_size(write.length)?;
        range(write.offset, write.length)?;
        range(write.ref_offset, write.length)
    }

    fn write_embedded(&self, write: &WriteEmbedded) -> Result<(), Invalid> {
        if self.raw() {
            return Err(Invalid::InRaw("WRITE_EMBEDDED"));
        }
        self.need(FeatureFlags::EMBED_DATA, "WRITE_EMBEDDED", "EMBED_DATA")?;
        object_number(write.object)?;
        compression(write.compression)?;
        if write.embedded_type.0 >= EMBEDDED_TYPE_COUNT {
            return Err(Invalid::Id {
                what: "embedded type",
                id: write.embedded_type.0,
            });
        }
        // Not held to LARGE_BLOCKS: OpenZFS embeds large blocks without it.
        at_most("size of the block", write.length, BLOCK_LIMIT)?;
        range(write.offset, write.length)?;
        at_most("logical size", u64::from(write.logical_size), write.length)?;
        at_most("physical size", write.physical_size, EMBEDDED_LIMIT)?;
        at_most("physical size", write.physical_size, write.logical_size)
    }

    fn spill(&self, spill: &Spill) -> Result<(), Invalid> {
        object_number(spill.object)?;
        object_type(spill.object_type)?;
        self.block_size(spill.length)?;
        if self.raw() {
            compression(spill.compression)?;
            return compressed_size(spill.compressed_size, spill.length);
        }
        zero("compressed size", spill.compressed_size)?;
        zero("compression", spill.compression.0)
    }

    fn object_range(&self, objects: &ObjectRange) -> Result<(), Invalid> {
        self.need(FeatureFlags::RAW, "OBJECT_RANGE", "RAW")?;
        let slots = u64::from(DNODE_SLOTS);
        same("number of slots", objects.slot_count, slots)?;
        if !objects.first_object.is_multiple_of(slots) {
            return Err(Invalid::ObjectNumber(objects.first_object));
        }
        at_most(
            "first object",
            objects.first_object,
            OBJECT_LIMIT.saturating_sub(slots),
        )?;
        flags(objects.flags, RecordFlags::RAW_BYTESWAP)
    }
}

fn object_number(number: u64) -> Result<(), Invalid> {
    if number == 0 || number >= OBJECT_LIMIT {
        return Err(Invalid::ObjectNumber(number));
    }
    Ok(())
}

/// `DMU_OT_IS_VALID`: one of the old list, or a new one that says itself how it is swapped.
fn object_type(object_type: ObjectType) -> Result<(), Invalid> {
    let valid = match object_type.0 {
        0..=53 => true,
        new @ 0x80..=0xff => new & 0x1f < 10,
        _ => false,
    };
    if valid {
        Ok(())
    } else {
        Err(Invalid::ObjectType(object_type.0))
    }
}

const fn checksum(checksum: ChecksumType) -> Result<(), Invalid> {
    if checksum.0 >= CHECKSUM_COUNT {
        return Err(Invalid::Id {
            what: "checksum",
            id: checksum.0,
        });
    }
    Ok(())
}

const fn compression(compression: CompressionType) -> Result<(), Invalid> {
    if compression.0 >= COMPRESSION_COUNT {
        return Err(Invalid::Id {
            what: "compression",
            id: compression.0,
        });
    }
    Ok(())
}

fn compressed_size(compressed: u64, logical: u64) -> Result<(), Invalid> {
    if compressed == 0 {
        return Err(Invalid::BlockSize(0));
    }
    at_most("compressed size", compressed, logical)
}

const fn range(offset: u64, length: u64) -> Result<(), Invalid> {
    match offset.checked_add(length) {
        Some(_) => Ok(()),
        None => Err(Invalid::Range { offset, length }),
    }
}

fn flags(found: RecordFlags, allowed: RecordFlags) -> Result<(), Invalid> {
    if allowed.contains(found) {
        Ok(())
    } else {
        Err(Invalid::Flags(found.bits()))
    }
}

fn at_most<N: Into<u64>>(what: &'static str, value: N, limit: N) -> Result<(), Invalid> {
    let (value, limit) = (value.into(), limit.into());
    if value > limit {
        return Err(Invalid::TooLarge { what, value, limit });
    }
    Ok(())
}

fn zero(what: &'static str, value: impl Into<u64>) -> Result<(), Invalid> {
    same(what, value.into(), 0)
}

const fn same(what: &'static str, value: u64, expected: u64) -> Result<(), Invalid> {
    if value != expected {
        return Err(Invalid::Field {
            what,
            value,
            expected,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
