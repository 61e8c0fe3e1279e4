//! OBJECT, FREEOBJECTS and OBJECT_RANGE: the records about dnodes.
//!
//! ```text
//! OBJECT
//!   8      16    20         24     28        32        33        34        35     36            40
//!   ┌──────┬─────┬──────────┬──────┬─────────┬─────────┬─────────┬─────────┬──────┬─────────────┐
//!   │object│ type│ bonustype│ blksz│ bonuslen│ checksum│ compress│ dn_slots│ flags│ raw_bonuslen│
//!   └──────┴─────┴──────────┴──────┴─────────┴─────────┴─────────┴─────────┴──────┴─────────────┘
//!   40      48           49       50       51    56         64
//!   ┌───────┬────────────┬────────┬────────┬─────┬──────────┐
//!   │ toguid│ indblkshift│ nlevels│ nblkptr│ pad │ maxblkid │
//!   └───────┴────────────┴────────┴────────┴─────┴──────────┘
//! FREEOBJECTS                       OBJECT_RANGE
//!   8         16       24      32    8         16        24      32    40  52   68     69  72
//!   ┌─────────┬────────┬───────┐     ┌─────────┬─────────┬───────┬─────┬───┬────┬──────┬─────┐
//!   │ firstobj│ numobjs│ toguid│     │ firstobj│ numslots│ toguid│ salt│ iv│ mac│ flags│ pad │
//!   └─────────┴────────┴───────┘     └─────────┴─────────┴───────┴─────┴───┴────┴──────┴─────┘
//! ```

use zferry_wire::{Reader, ShortRead, Writer};

use super::{ChecksumType, CompressionType, CryptParameters, ObjectType, round_up_to_8, widen};
use crate::flags::RecordFlags;

/// An object begins, or changes its shape. Its bonus buffer follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The object's number, 1 to 2^48 - 1.
    pub object: u64,
    /// What the object holds.
    pub object_type: ObjectType,
    /// What its bonus buffer holds.
    pub bonus_type: ObjectType,
    /// The size of its data blocks in bytes; 128 KiB for larger ones where the stream has no large blocks.
    pub block_size: u32,
    /// The used length of the bonus buffer in bytes.
    pub bonus_length: u32,
    /// The object's own choice of checksum.
    pub checksum: ChecksumType,
    /// The object's own choice of compression; says nothing about payloads.
    pub compression: CompressionType,
    /// How many 512-byte slots the dnode takes. Old senders leave 0, which means 1.
    pub dnode_slots: u8,
    /// RAW_BYTESWAP, OBJECT_SPILL.
    pub flags: RecordFlags,
    /// Raw streams: the length of the whole encrypted bonus area in bytes, which is then the payload. Else 0.
    pub raw_bonus_length: u32,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// Raw streams: the size of indirect blocks, as a power of two. Else 0.
    pub indirect_block_shift: u8,
    /// Raw streams: how many levels the block tree has. Else 0.
    pub levels: u8,
    /// Raw streams: how many block pointers the dnode has. Else 0.
    pub block_pointers: u8,
    /// Raw streams: the number of the last block. Else 0.
    pub max_block_id: u64,
}

impl Object {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            object: reader.u64()?,
            object_type: ObjectType(reader.u32()?),
            bonus_type: ObjectType(reader.u32()?),
            block_size: reader.u32()?,
            bonus_length: reader.u32()?,
            checksum: ChecksumType(reader.u8()?),
            compression: CompressionType(reader.u8()?),
            dnode_slots: reader.u8()?,
            flags: RecordFlags::from_bits_retain(reader.u8()?),
            raw_bonus_length: reader.u32()?,
            to_guid: reader.u64()?,
            indirect_block_shift: reader.u8()?,
            levels: reader.u8()?,
            block_pointers: reader.u8()?,
            max_block_id: {
                reader.skip(5)?;
                reader.u64()?
            },
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u32(self.object_type.0)
            .u32(self.bonus_type.0)
            .u32(self.block_size)
            .u32(self.bonus_length)
            .u8(self.checksum.0)
            .u8(self.compression.0)
            .u8(self.dnode_slots)
            .u8(self.flags.bits())
            .u32(self.raw_bonus_length)
            .u64(self.to_guid)
            .u8(self.indirect_block_shift)
            .u8(self.levels)
            .u8(self.block_pointers)
            .zeros(5)
            .u64(self.max_block_id);
    }

    /// The length of the bonus buffer behind the record: padded to 8 bytes, but a raw one as it is.
    #[must_use]
    pub const fn payload_length(&self) -> u64 {
        match self.raw_bonus_length {
            0 => round_up_to_8(self.bonus_length),
            raw => widen(raw),
        }
    }
}

/// A run of object numbers where nothing is (any more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreeObjects {
    /// The first number.
    pub first_object: u64,
    /// How many numbers.
    pub object_count: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
}

impl FreeObjects {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            first_object: reader.u64()?,
            object_count: reader.u64()?,
            to_guid: reader.u64()?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.first_object)
            .u64(self.object_count)
            .u64(self.to_guid);
    }
}

/// Raw streams: the block of dnodes that the objects after this lie in, and how it is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectRange {
    /// The number of the block's first dnode, a multiple of 32.
    pub first_object: u64,
    /// How many slots the block has: 32.
    pub slot_count: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// How the block is encrypted.
    pub crypt: CryptParameters,
    /// RAW_BYTESWAP.
    pub flags: RecordFlags,
}

impl ObjectRange {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            first_object: reader.u64()?,
            slot_count: reader.u64()?,
            to_guid: reader.u64()?,
            crypt: CryptParameters::decode(reader)?,
            flags: RecordFlags::from_bits_retain(reader.u8()?),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.first_object)
            .u64(self.slot_count)
            .u64(self.to_guid);
        self.crypt.encode(writer);
        writer.u8(self.flags.bits());
    }
}
