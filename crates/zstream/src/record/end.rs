//! END: closes a stream, or a package's header, or the package.
//!
//! ```text
//!   8                        40      48         280            312
//!   ┌────────────────────────┬───────┬───────────┬──────────────┐
//!   │ sum of all before this │ toguid│ zeros     │ own checksum │
//!   └────────────────────────┴───────┴───────────┴──────────────┘
//! ```
//!
//! Two checksums, and they differ: the first leaves this record out, the second covers its first 280 bytes. In a
//! package, the ENDs that libzfs writes have only the first, and the last END of all is zero but for its type.

use zferry_wire::{Reader, ShortRead, Writer};

use crate::{Checksum, checksum};

/// The last record of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// The running sum behind the record before this one and its payload.
    pub checksum: Checksum,
    /// The guid of the snapshot that was sent.
    pub to_guid: u64,
}

impl End {
    /// Where the sum of the stream lies in the record.
    pub(crate) const CHECKSUM_OFFSET: usize = 8;

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            checksum: checksum::read(reader)?,
            to_guid: reader.u64()?,
        })
    }

    pub(super) fn encode(&self, writer: &mut Writer) {
        checksum::write(self.checksum, writer);
        writer.u64(self.to_guid);
    }
}
