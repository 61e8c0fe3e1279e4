//! SPILL: the block that takes what does not fit into an object's bonus buffer.
//!
//! ```text
//!   8      16      24      32     33         34    40               48    56  68   84    88
//!   ┌──────┬───────┬───────┬──────┬──────────┬─────┬────────────────┬─────┬───┬────┬─────┐
//!   │object│ length│ toguid│ flags│ compress │ pad │ compressed_size│ salt│ iv│ mac│ type│
//!   └──────┴───────┴───────┴──────┴──────────┴─────┴────────────────┴─────┴───┴────┴─────┘
//! ```

use zferry_wire::{Reader, ShortRead, Writer};

use super::{CompressionType, CryptParameters, ObjectType};
use crate::flags::RecordFlags;

/// A spill block. Its contents follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spill {
    /// The number of the object that it belongs to.
    pub object: u64,
    /// Its logical size in bytes.
    pub length: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
    /// RAW_BYTESWAP, SPILL_UNMODIFIED.
    pub flags: RecordFlags,
    /// Raw streams: how the payload is compressed. Else 0.
    pub compression: CompressionType,
    /// Raw streams: the payload's length in bytes. Else 0.
    pub compressed_size: u64,
    /// Raw streams: how the block is encrypted.
    pub crypt: CryptParameters,
    /// What the block holds: no release ever filled it in, it is always 0.
    pub object_type: ObjectType,
}

impl Spill {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            object: reader.u64()?,
            length: reader.u64()?,
            to_guid: reader.u64()?,
            flags: RecordFlags::from_bits_retain(reader.u8()?),
            compression: CompressionType(reader.u8()?),
            compressed_size: {
                reader.skip(6)?;
                reader.u64()?
            },
            crypt: CryptParameters::decode(reader)?,
            object_type: ObjectType(reader.u32()?),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u64(self.length)
            .u64(self.to_guid)
            .u8(self.flags.bits())
            .u8(self.compression.0)
            .zeros(6)
            .u64(self.compressed_size);
        self.crypt.encode(writer);
        writer.u32(self.object_type.0);
    }

    /// The length of the block behind the record.
    #[must_use]
    pub const fn payload_length(&self) -> u64 {
        match self.compressed_size {
            0 => self.length,
            compressed => compressed,
        }
    }
}
