//! FREE and REDACT: ranges of an object where there is nothing, or nothing that may be seen.
//!
//! ```text
//!   8      16      24      32      40
//!   ┌──────┬───────┬───────┬───────┐
//!   │object│ offset│ length│ toguid│
//!   └──────┴───────┴───────┴───────┘
//! ```

use zferry_wire::{Reader, ShortRead, Writer};

/// The length of a range that reaches to the end of the object, wherever that is.
pub const TO_END: u64 = u64::MAX;

/// A range of an object holds nothing (any more).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Free {
    /// The object's number.
    pub object: u64,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes; [`TO_END`] for the rest of the object.
    pub length: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
}

/// A range of an object is left out of the stream because it is redacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// The object's number.
    pub object: u64,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// How long it is, in bytes.
    pub length: u64,
    /// The guid of the snapshot that is sent.
    pub to_guid: u64,
}

impl Free {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        let [object, offset, length, to_guid] = reader.u64s()?;
        Ok(Self {
            object,
            offset,
            length,
            to_guid,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u64(self.offset)
            .u64(self.length)
            .u64(self.to_guid);
    }
}

impl Redact {
    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        let [object, offset, length, to_guid] = reader.u64s()?;
        Ok(Self {
            object,
            offset,
            length,
            to_guid,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        writer
            .u64(self.object)
            .u64(self.offset)
            .u64(self.length)
            .u64(self.to_guid);
    }
}
