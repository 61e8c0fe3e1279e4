//! BEGIN: opens a stream, or a package of streams.
//!
//! ```text
//!   8      16           24             32    36     40      48        56       312
//!   ┌──────┬────────────┬──────────────┬─────┬──────┬───────┬─────────┬──────────┐
//!   │ magic│ versioninfo│ creation_time│ type│ flags│ toguid│ fromguid│ toname   │
//!   └──────┴────────────┴──────────────┴─────┴──────┴───────┴─────────┴──────────┘
//! ```

use std::fmt;

use zferry_wire::{Endian, Reader, Writer};

use super::{Header, ObjsetType, RecordError};
use crate::flags::{BeginFlags, FeatureFlags, VersionInfo};

/// `DMU_BACKUP_MAGIC`. Its byte order is the stream's.
pub const MAGIC: u64 = 0x2_f5ba_cbac;

/// The first record of a stream. A packed name-value list may follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// How long the packed name-value list behind the record is, in bytes. 0: there is none.
    pub payload_length: u32,
    /// What kind of stream this is, and what its reader must know.
    pub version_info: VersionInfo,
    /// When the snapshot was made, in seconds since 1970. 0 in a package's header.
    pub creation_time: u64,
    /// What kind of dataset was sent.
    pub objset_type: ObjsetType,
    /// How the stream may be received.
    pub flags: BeginFlags,
    /// The guid of the snapshot that is sent. 0 in a package's header.
    pub to_guid: u64,
    /// The guid of the incremental source. 0: the stream is full.
    pub from_guid: u64,
    /// The name that the snapshot had where it was sent.
    pub to_name: StreamName,
}

impl Begin {
    /// The features that the stream uses.
    #[must_use]
    pub const fn features(&self) -> FeatureFlags {
        self.version_info.features()
    }

    /// Whether the stream is raw: of an encrypted dataset, as it is on disk.
    #[must_use]
    pub const fn is_raw(&self) -> bool {
        self.features().contains(FeatureFlags::RAW)
    }

    /// The byte order of the stream that this record opens, or `None` if it is not a BEGIN record. The type of a
    /// BEGIN is zero in either order; its magic tells.
    #[must_use]
    pub fn endian_of(header: &Header) -> Option<Endian> {
        [Endian::Little, Endian::Big].into_iter().find(|&endian| {
            let mut reader = Reader::new(header, endian);
            let (record_type, magic) = (reader.u32(), reader.skip(4).and_then(|()| reader.u64()));
            record_type == Ok(0) && magic == Ok(MAGIC)
        })
    }

    pub(super) fn decode(reader: &mut Reader<'_>, payload_length: u32) -> Result<Self, RecordError> {
        let magic = reader.u64()?;
        if magic != MAGIC {
            return Err(RecordError::BadMagic(magic));
        }
        Ok(Self {
            payload_length,
            version_info: VersionInfo(reader.u64()?),
            creation_time: reader.u64()?,
            objset_type: ObjsetType(reader.u32()?),
            flags: BeginFlags::from_bits_retain(reader.u32()?),
            to_guid: reader.u64()?,
            from_guid: reader.u64()?,
            to_name: StreamName(Box::new(reader.array()?)),
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(MAGIC)
            .u64(self.version_info.0)
            .u64(self.creation_time)
            .u32(self.objset_type.0)
            .u32(self.flags.bits())
            .u64(self.to_guid)
            .u64(self.from_guid)
            .bytes(&*self.to_name.0);
    }
}

/// The name field of BEGIN: `pool/fs@snap`, ended by a zero byte. What stands behind that is kept too.
///
/// It is kept apart: in place it would make every record as large as BEGIN.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StreamName(Box<[u8; 256]>);

/// A name that the field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Longer than 255 bytes.
    #[error("a stream holds names of up to 255 bytes, not {0}")]
    TooLong(usize),
    /// A zero byte would end the name early.
    #[error("a name cannot hold a zero byte")]
    Nul,
}

impl StreamName {
    /// The field for `name`, filled up with zeros.
    ///
    /// # Errors
    /// [`NameError`] for more than 255 bytes, and for a zero byte.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let name = name.as_bytes();
        if name.contains(&0) {
            return Err(NameError::Nul);
        }
        let mut field = Box::new([0; 256]);
        if name.len() >= field.len() {
            return Err(NameError::TooLong(name.len()));
        }
        for (to, from) in field.iter_mut().zip(name) {
            *to = *from;
        }
        Ok(Self(field))
    }

    /// The bytes before the first zero byte; all 256 where there is none, which no ZFS sends.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether a zero byte ends the name.
    #[must_use]
    pub fn is_terminated(&self) -> bool {
        self.0.contains(&0)
    }
}

/// As text; what is not UTF-8 is replaced.
impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.as_bytes()))
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
