//! The records of a stream: `dmu_replay_record_t` in `include/sys/zfs_ioctl.h`.
//!
//! ```text
//!   0       4            8                                    280        312
//!   ┌───────┬────────────┬─────────────────────────────────────┬──────────┐
//!   │ type  │ payloadlen │ fields of that type, zeros behind   │ checksum │
//!   └───────┴────────────┴─────────────────────────────────────┴──────────┘
//! ```
//!
//! Every record is this long, whatever its type. Only BEGIN states its payload's length in the common part, and only
//! BEGIN has no checksum of its own: its name reaches to the end. Bytes that no field claims are zero.

mod begin;
mod end;
mod ids;
mod object;
mod range;
mod spill;
mod write;

use zferry_wire::{Endian, Reader, ShortRead, Writer};

pub use begin::{Begin, MAGIC, NameError, StreamName};
pub use end::End;
pub use ids::{ChecksumType, CompressionType, CryptParameters, EmbeddedType, ObjectType, ObjsetType};
pub use object::{FreeObjects, Object, ObjectRange};
pub use range::{Free, Redact, TO_END};
pub use spill::Spill;
pub use write::{DedupKey, Write, WriteByRef, WriteEmbedded};

use crate::{Checksum, checksum};

/// The length of every record, in bytes; a payload follows it.
pub const RECORD_SIZE: usize = 312;

/// Where a record's own checksum begins. Everything before it is summed to make it.
pub const CHECKSUM_OFFSET: usize = 280;

/// A record as it lies in a stream.
pub type Header = [u8; RECORD_SIZE];

/// The type of a record. Unknown values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u32);

impl RecordType {
    /// DRR_BEGIN
    pub const BEGIN: Self = Self(0);
    /// DRR_OBJECT
    pub const OBJECT: Self = Self(1);
    /// DRR_FREEOBJECTS
    pub const FREEOBJECTS: Self = Self(2);
    /// DRR_WRITE
    pub const WRITE: Self = Self(3);
    /// DRR_FREE
    pub const FREE: Self = Self(4);
    /// DRR_END
    pub const END: Self = Self(5);
    /// DRR_WRITE_BYREF
    pub const WRITE_BYREF: Self = Self(6);
    /// DRR_SPILL
    pub const SPILL: Self = Self(7);
    /// DRR_WRITE_EMBEDDED
    pub const WRITE_EMBEDDED: Self = Self(8);
    /// DRR_OBJECT_RANGE
    pub const OBJECT_RANGE: Self = Self(9);
    /// DRR_REDACT
    pub const REDACT: Self = Self(10);

    /// The type that a record states.
    #[must_use]
    pub fn of(header: &Header, endian: Endian) -> Self {
        let [a, b, c, d, ..] = *header;
        Self(endian.u32([a, b, c, d]))
    }

    /// The name that `zstream dump` prints, or "unknown".
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::BEGIN => "BEGIN",
            Self::OBJECT => "OBJECT",
            Self::FREEOBJECTS => "FREEOBJECTS",
            Self::WRITE => "WRITE",
            Self::FREE => "FREE",
            Self::END => "END",
            Self::WRITE_BYREF => "WRITE_BYREF",
            Self::SPILL => "SPILL",
            Self::WRITE_EMBEDDED => "WRITE_EMBEDDED",
            Self::OBJECT_RANGE => "OBJECT_RANGE",
            Self::REDACT => "REDACT",
            _ => "unknown",
        }
    }
}

/// What is wrong with a record's 312 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// No release of ZFS sends records of this type.
    #[error("record of unknown type {0}")]
    UnknownType(u32),
    /// A BEGIN record without the magic number of its byte order.
    #[error("BEGIN record with magic {0:#x}, which should be {MAGIC:#x}")]
    BadMagic(u64),
    /// A field reaches past the record. No record type does that.
    #[error("record too short: {0}")]
    Short(#[from] ShortRead),
}

/// One record, without its payload and its checksum.
///
/// A BEGIN is several times as large as any other and there is but one in a stream, so it lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is the structure of that name")]
pub enum Record {
    Begin(Box<Begin>),
    Object(Object),
    FreeObjects(FreeObjects),
    Write(Write),
    Free(Free),
    End(End),
    WriteByRef(WriteByRef),
    Spill(Spill),
    WriteEmbedded(WriteEmbedded),
    ObjectRange(ObjectRange),
    Redact(Redact),
}

impl Record {
    /// Where this record brings a receive that may be interrupted: an object, and an offset in it, in bytes. Most bring it
    /// nowhere.
    ///
    /// It does not matter that OpenZFS takes a spill block that was sent embedded for data of the file: its offset lies
    /// behind the end of any file, and a receive that went on there would lose what comes before.
    #[must_use]
    pub fn resume_point(&self) -> Option<(u64, u64)> {
        match self {
            Self::Object(object) => Some((object.object, 0)),
            Self::Write(write) => Some((write.object, write.offset)),
            Self::WriteEmbedded(write) if !write.is_spill() => Some((write.object, write.offset)),
            _ => None,
        }
    }

    /// Decodes a record whose numbers are in `endian` order.
    ///
    /// # Errors
    /// [`RecordError`] for an unknown type, and for a BEGIN without its magic.
    pub fn decode(header: &Header, endian: Endian) -> Result<Self, RecordError> {
        let reader = &mut Reader::new(header, endian);
        let record_type = RecordType(reader.u32()?);
        let payload_length = reader.u32()?;
        Ok(match record_type {
            RecordType::BEGIN => Self::Begin(Box::new(Begin::decode(reader, payload_length)?)),
            RecordType::OBJECT => Self::Object(Object::decode(reader)?),
            RecordType::FREEOBJECTS => Self::FreeObjects(FreeObjects::decode(reader)?),
            RecordType::WRITE => Self::Write(Write::decode(reader)?),
            RecordType::FREE => Self::Free(Free::decode(reader)?),
            RecordType::END => Self::End(End::decode(reader)?),
            RecordType::WRITE_BYREF => Self::WriteByRef(WriteByRef::decode(reader)?),
            RecordType::SPILL => Self::Spill(Spill::decode(reader)?),
            RecordType::WRITE_EMBEDDED => Self::WriteEmbedded(WriteEmbedded::decode(reader)?),
            RecordType::OBJECT_RANGE => Self::ObjectRange(ObjectRange::decode(reader)?),
            RecordType::REDACT => Self::Redact(Redact::decode(reader)?),
            RecordType(unknown) => return Err(RecordError::UnknownType(unknown)),
        })
    }

    /// Encodes the record with its numbers in `endian` order. Its checksum is left zero: that depends on
    /// everything before it, and is the writer's business.
    #[must_use]
    pub fn encode(&self, endian: Endian) -> Header {
        let mut writer = Writer::with_capacity(RECORD_SIZE, endian);
        let payload_length = match self {
            Self::Begin(begin) => begin.payload_length,
            _ => 0,
        };
        writer.u32(self.record_type().0).u32(payload_length);
        match self {
            Self::Begin(begin) => begin.encode(&mut writer),
            Self::Object(object) => object.encode(&mut writer),
            Self::FreeObjects(free) => free.encode(&mut writer),
            Self::Write(write) => write.encode(&mut writer),
            Self::Free(free) => free.encode(&mut writer),
            Self::End(end) => end.encode(&mut writer),
            Self::WriteByRef(write) => write.encode(&mut writer),
            Self::Spill(spill) => spill.encode(&mut writer),
            Self::WriteEmbedded(write) => write.encode(&mut writer),
            Self::ObjectRange(range) => range.encode(&mut writer),
            Self::Redact(redact) => redact.encode(&mut writer),
        }
        let mut header = [0; RECORD_SIZE];
        for (to, from) in header.iter_mut().zip(writer.as_slice()) {
            *to = *from;
        }
        header
    }

    /// The record's type.
    #[must_use]
    pub const fn record_type(&self) -> RecordType {
        match self {
            Self::Begin(_) => RecordType::BEGIN,
            Self::Object(_) => RecordType::OBJECT,
            Self::FreeObjects(_) => RecordType::FREEOBJECTS,
            Self::Write(_) => RecordType::WRITE,
            Self::Free(_) => RecordType::FREE,
            Self::End(_) => RecordType::END,
            Self::WriteByRef(_) => RecordType::WRITE_BYREF,
            Self::Spill(_) => RecordType::SPILL,
            Self::WriteEmbedded(_) => RecordType::WRITE_EMBEDDED,
            Self::ObjectRange(_) => RecordType::OBJECT_RANGE,
            Self::Redact(_) => RecordType::REDACT,
        }
    }

    /// How many bytes of payload follow the record, padding included. Any number at all: it is what the record
    /// says, unchecked.
    #[must_use]
    pub const fn payload_length(&self) -> u64 {
        match self {
            Self::Begin(begin) => widen(begin.payload_length),
            Self::Object(object) => object.payload_length(),
            Self::Write(write) => write.payload_length(),
            Self::Spill(spill) => spill.payload_length(),
            Self::WriteEmbedded(write) => write.payload_length(),
            Self::FreeObjects(_)
            | Self::Free(_)
            | Self::End(_)
            | Self::WriteByRef(_)
            | Self::ObjectRange(_)
            | Self::Redact(_) => 0,
        }
    }

    /// The guid of the snapshot that the record says it belongs to.
    #[must_use]
    pub const fn to_guid(&self) -> u64 {
        match self {
            Self::Begin(begin) => begin.to_guid,
            Self::Object(object) => object.to_guid,
            Self::FreeObjects(free) => free.to_guid,
            Self::Write(write) => write.to_guid,
            Self::Free(free) => free.to_guid,
            Self::End(end) => end.to_guid,
            Self::WriteByRef(write) => write.to_guid,
            Self::Spill(spill) => spill.to_guid,
            Self::WriteEmbedded(write) => write.to_guid,
            Self::ObjectRange(range) => range.to_guid,
            Self::Redact(redact) => redact.to_guid,
        }
    }
}

/// The checksum that a record states at [`CHECKSUM_OFFSET`]; zero where it states none. A BEGIN record has no such
/// field: there these bytes are part of its name.
#[must_use]
pub fn stored_checksum(header: &Header, endian: Endian) -> Checksum {
    let mut reader = Reader::new(header, endian);
    reader
        .skip(CHECKSUM_OFFSET)
        .and_then(|()| checksum::read(&mut reader))
        .unwrap_or_default()
}

const fn widen(length: u32) -> u64 {
    zferry_wire::u64_from_usize(zferry_wire::usize_from_u32(length))
}

const fn round_up_to_8(length: u32) -> u64 {
    widen(length).next_multiple_of(8)
}

#[cfg(test)]
mod tests;
