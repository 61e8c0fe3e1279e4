//! WRITE, WRITE_BYREF and WRITE_EMBEDDED: the records about data.
//!
//! ```text
//! WRITE
//!   8      16    20   24      32            40      48        49     50        51   56
//!   ┌──────┬─────┬────┬───────┬─────────────┬───────┬─────────┬──────┬─────────┬────┐
//!   │object│ type│ pad│ offset│ logical_size│ toguid│ checksum│ flags│ compress│ pad│
//!   └──────┴─────┴────┴───────┴─────────────┴───────┴─────────┴──────┴─────────┴────┘
//!   56                 88    96               104   112 124  140
//!   ┌──────────────────┬─────┬────────────────┬─────┬───┬────┐
//!   │ block's checksum │ prop│ compressed_size│ salt│ iv│ mac│
//!   └──────────────────┴─────┴────────────────┴─────┴───┴────┘
//! WRITE_BYREF
//!   8      16      24      32      40       48         56         64        65     66   72        104   112
//!   ┌──────┬───────┬───────┬───────┬────────┬──────────┬──────────┬─────────┬──────┬────┬─────────┬─────┐
//!   │object│ offset│ length│ toguid│ refguid│ refobject│ refoffset│ checksum│ flags│ pad│ checksum│ prop│
//!   └──────┴───────┴───────┴───────┴────────┴──────────┴──────────┴─────────┴──────┴────┴─────────┴─────┘
//! WRITE_EMBEDDED
//!   8      16      24      32      40        41     42   48     52     56
//!   ┌──────┬───────┬───────┬───────┬─────────┬──────┬────┬──────┬──────┐
//!   │object│ offset│ length│ toguid│ compress│ etype│ pad│ lsize│ psize│
//!   └──────┴───────┴───────┴───────┴─────────┴──────┴────┴──────┴──────┘
//! ```

use zferry_wire::{Reader, ShortRead, Writer};

use super::{ChecksumType, CompressionType, CryptParameters, EmbeddedType, ObjectType, round_up_to_8};
use crate::flags::RecordFlags;
use crate::{Checksum, checksum};

/// `ddt_key_t`: what the sender's pool knew about a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DedupKey {
    /// The block's checksum, as its block pointer states it. Zero where the record states none.
    pub checksum: Checksum,
    /// Bits 0-15: logical size in sectors less one; 16-31: physical size likewise; 32-38: compression; 39: encrypted.
    pub properties: u64,
}

impl DedupKey {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            checksum: checksum::read(reader)?,
            properties: reader.u64()?,
        })
    }

    fn encode(&self, writer: &mut Writer) {
        checksum::write(self.checksum, writer);
        writer.u64(self.properties);
    }
}

/// A block of an object. Its contents follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Write {
    /// The object's number.
    pub object: u64,
    /// What the object holds.
    pub object_type: ObjectType,
    /// Where the block lies in the object, in bytes.
    pub offset: u64,
    /// Its size in bytes, uncompressed.
    pub logical_size: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// The algorithm of the checksum in `key`, or [`ChecksumType::OFF`] where there is none.
    pub checksum: ChecksumType,
    /// CHECKSUM_DEDUP, RAW_BYTESWAP.
    pub flags: RecordFlags,
    /// How the payload is compressed. [`CompressionType::NONE`]: it is the block's logical contents. Raw streams
    /// never say that, but [`CompressionType::OFF`].
    pub compression: CompressionType,
    /// What the sender's pool knew about the block. For information.
    pub key: DedupKey,
    /// The payload's length in bytes where `compression` is not [`CompressionType::NONE`], else 0.
    pub compressed_size: u64,
    /// Raw streams: how the block is encrypted.
    pub crypt: CryptParameters,
}

impl Write {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            object: reader.u64()?,
            object_type: ObjectType(reader.u32()?),
            offset: {
                reader.skip(4)?;
                reader.u64()?
            },
            logical_size: reader.u64()?,
            to_guid: reader.u64()?,
            checksum: ChecksumType(reader.u8()?),
            flags: RecordFlags::from_bits_retain(reader.u8()?),
            compression: CompressionType(reader.u8()?),
            key: {
                reader.skip(5)?;
                DedupKey::decode(reader)?
            },
            compressed_size: reader.u64()?,
            crypt: CryptParameters::decode(reader)?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u32(self.object_type.0)
            .zeros(4)
            .u64(self.offset)
            .u64(self.logical_size)
            .u64(self.to_guid)
            .u8(self.checksum.0)
            .u8(self.flags.bits())
            .u8(self.compression.0)
            .zeros(5);
        self.key.encode(writer);
        writer.u64(self.compressed_size);
        self.crypt.encode(writer);
    }

    /// The length of the block behind the record.
    #[must_use]
    pub const fn payload_length(&self) -> u64 {
        match self.compression {
            CompressionType::NONE => self.logical_size,
            _ => self.compressed_size,
        }
    }
}

/// A block with the same contents as one that was sent before. Only in deduplicated streams of releases before 2.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteByRef {
    /// The object's number.
    pub object: u64,
    /// Where the block lies in the object, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub length: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// The guid of the snapshot that holds the earlier block.
    pub ref_guid: u64,
    /// The number of its object there.
    pub ref_object: u64,
    /// Where it lies in that, in bytes.
    pub ref_offset: u64,
    /// The algorithm of the checksum in `key`.
    pub checksum: ChecksumType,
    /// CHECKSUM_DEDUP; but old senders put the number of the algorithm here.
    pub flags: RecordFlags,
    /// What the two blocks have in common.
    pub key: DedupKey,
}

impl WriteByRef {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            object: reader.u64()?,
            offset: reader.u64()?,
            length: reader.u64()?,
            to_guid: reader.u64()?,
            ref_guid: reader.u64()?,
            ref_object: reader.u64()?,
            ref_offset: reader.u64()?,
            checksum: ChecksumType(reader.u8()?),
            flags: RecordFlags::from_bits_retain(reader.u8()?),
            key: {
                reader.skip(6)?;
                DedupKey::decode(reader)?
            },
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u64(self.offset)
            .u64(self.length)
            .u64(self.to_guid)
            .u64(self.ref_guid)
            .u64(self.ref_object)
            .u64(self.ref_offset)
            .u8(self.checksum.0)
            .u8(self.flags.bits())
            .zeros(6);
        self.key.encode(writer);
    }
}

/// A block so small that it lies in its block pointer. The payload is what lies there, padded to 8 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteEmbedded {
    /// The object's number.
    pub object: u64,
    /// Where the block lies in the object, in bytes.
    pub offset: u64,
    /// The size of the object's blocks in bytes.
    pub length: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// How the payload is compressed.
    pub compression: CompressionType,
    /// What the payload is.
    pub embedded_type: EmbeddedType,
    /// The size of the contents in bytes, uncompressed.
    pub logical_size: u32,
    /// The size of the payload in bytes without its padding, at most 112.
    pub physical_size: u32,
}

impl WriteEmbedded {
    /// Whether this is a spill block: OpenZFS's `zfs send -e` sends such a one as if it were data, at the offset where the
    /// number of a spill block, -2, would lie. OpenZFS's own receiver writes it there, and the attributes in it are lost.
    #[must_use]
    pub fn is_spill(&self) -> bool {
        let is_block = self.length >= 512 && self.length.is_multiple_of(512);
        let offset = 0_u64.wrapping_sub(self.length.wrapping_mul(2));
        is_block && u64::from(self.logical_size) == self.length && self.offset == offset
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            object: reader.u64()?,
            offset: reader.u64()?,
            length: reader.u64()?,
            to_guid: reader.u64()?,
            compression: CompressionType(reader.u8()?),
            embedded_type: EmbeddedType(reader.u8()?),
            logical_size: {
                reader.skip(6)?;
                reader.u32()?
            },
            physical_size: reader.u32()?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u64(self.offset)
            .u64(self.length)
            .u64(self.to_guid)
            .u8(self.compression.0)
            .u8(self.embedded_type.0)
            .zeros(6)
            .u32(self.logical_size)
            .u32(self.physical_size);
    }

    /// The length of what follows the record, padding included.
    #[must_use]
    pub const fn payload_length(&self) -> u64 {
        round_up_to_8(self.physical_size)
    }
}
