//! Writing a stream: every record gets the running checksum of all that went before it.
//!
//! For each record, in this order: its first 280 bytes are summed; the sum is laid down in the last 32; those are
//! summed as well; then the payload is. BEGIN starts a new sum, and its last 32 bytes are part of its name. END
//! states the sum a second time, as it stood before END's own first byte.
//!
//! A sum of one piece of the stream does not depend on the pieces before it and is appended in constant time. So the
//! sums of payloads can be made on many threads, while the one that writes sums headers only:
//!
//! ```
//! use zferry_wire::Endian;
//! use zferry_zstream::record::{Begin, End, Object, Record, StreamName};
//! use zferry_zstream::writer::{Fletcher4, Summer};
//! # use zferry_zstream::flags::*;
//! # use zferry_zstream::record::*;
//! # let begin = Begin { payload_length: 0, version_info: VersionInfo::new(HeaderType::SUBSTREAM, FeatureFlags::empty()),
//! #   creation_time: 0, objset_type: ObjsetType::ZFS, flags: BeginFlags::empty(), to_guid: 7, from_guid: 0,
//! #   to_name: StreamName::new("pool/fs@snap").unwrap() };
//!
//! let mut summer = Summer::new(Endian::Little);
//! let mut header = Record::Begin(Box::new(begin)).encode(Endian::Little);
//! summer.stamp(&mut header, &Fletcher4::new(Endian::Little));
//!
//! let bonus = [0; 168];
//! let object = Object { object: 1, bonus_length: 168, ..Object::default() };
//! let mut header = Record::Object(object).encode(Endian::Little);
//! summer.stamp(&mut header, &Fletcher4::of(&bonus, Endian::Little)); // the sum may come from another thread
//!
//! let mut header = Record::End(End { to_guid: 7, ..End::default() }).encode(Endian::Little);
//! summer.stamp(&mut header, &Fletcher4::new(Endian::Little)); // states both checksums
//! ```

use std::io::{self, Write};

use zferry_wire::{Endian, u64_from_usize};

pub use crate::fletcher::Fletcher4;
use crate::record::{Begin, CHECKSUM_OFFSET, End, Header, Record, RecordType};
use crate::{Checksum, checksum};

/// The running sum of a stream that is being written.
#[derive(Clone, Debug)]
pub struct Summer {
    sum: Fletcher4,
    endian: Endian,
}

impl Summer {
    /// Before the first byte of a stream in `endian` order.
    #[must_use]
    pub const fn new(endian: Endian) -> Self {
        Self {
            sum: Fletcher4::new(endian),
            endian,
        }
    }

    /// The sum of everything so far since the last BEGIN.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.sum.checksum()
    }

    /// Puts the checksums into `header` (one made by [`Record::encode`] in the same byte order) and moves on behind it
    /// and its payload, whose sum is `payload`.
    pub fn stamp(&mut self, header: &mut Header, payload: &Fletcher4) {
        match RecordType::of(header, self.endian) {
            RecordType::BEGIN => {
                self.sum = Fletcher4::of(header, self.endian);
            }
            record_type => {
                let before = self.checksum();
                if record_type == RecordType::END {
                    lay_down(header, End::CHECKSUM_OFFSET, before, self.endian);
                }
                let (fields, _) = header.split_at(CHECKSUM_OFFSET);
                self.sum.update(fields);
                let own = self.checksum();
                lay_down(header, CHECKSUM_OFFSET, own, self.endian);
                self.sum.update(&checksum::encode(own, self.endian));
            }
        }
        self.sum.append(payload);
    }

    /// The END behind a package's header: it states the sum of the header, no guid, and no checksum of its own.
    #[must_use]
    pub fn end_of_package_header(&self) -> Header {
        let end = End {
            checksum: self.checksum(),
            to_guid: 0,
        };
        Record::End(end).encode(self.endian)
    }
}

/// The END behind the last stream of a package: zero but for its type.
#[must_use]
pub fn end_of_package(endian: Endian) -> Header {
    Record::End(End::default()).encode(endian)
}

fn lay_down(header: &mut Header, offset: usize, checksum: Checksum, endian: Endian) {
    let bytes = checksum::encode(checksum, endian);
    for (to, from) in header.iter_mut().skip(offset).zip(bytes) {
        *to = from;
    }
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The payload is not as long as the record says.
    #[error("{name} record of {stated} bytes of payload written with {given}", name = record_type.name())]
    PayloadLength {
        /// The type of the record.
        record_type: RecordType,
        /// The length that the record states, in bytes.
        stated: u64,
        /// The length of what came with it, in bytes.
        given: u64,
    },
    /// The output failed.
    #[error("cannot write the stream: {0}")]
    Io(#[from] io::Error),
}

/// Writes a stream, or a package of streams, record by record.
#[derive(Debug)]
pub struct StreamWriter<W> {
    output: W,
    summer: Summer,
    endian: Endian,
    position: u64,
}

impl<W: Write> StreamWriter<W> {
    /// A writer of little-endian streams. It writes each record and each payload at once; give it a buffered output.
    pub const fn new(output: W) -> Self {
        Self::with_endian(output, Endian::OURS)
    }

    /// A writer of streams in `endian` order.
    pub const fn with_endian(output: W, endian: Endian) -> Self {
        Self {
            output,
            summer: Summer::new(endian),
            endian,
            position: 0,
        }
    }

    /// How many bytes have been written.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.output
    }

    /// Writes a record with its checksum, and its payload behind it. An END states the sum of the stream, whatever its
    /// own `checksum` holds.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn record(&mut self, record: &Record, payload: &[u8]) -> Result<(), WriteError> {
        let given = u64_from_usize(payload.len());
        let stated = record.payload_length();
        if stated != given {
            return Err(WriteError::PayloadLength {
                record_type: record.record_type(),
                stated,
                given,
            });
        }
        let mut header = record.encode(self.endian);
        self.summer
            .stamp(&mut header, &Fletcher4::of(payload, self.endian));
        self.put(&header)?;
        self.put(payload)
    }

    /// Opens a stream.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn begin(&mut self, begin: Begin, payload: &[u8]) -> Result<(), WriteError> {
        self.record(&Record::Begin(Box::new(begin)), payload)
    }

    /// Closes the stream of the snapshot with this guid.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn end(&mut self, to_guid: u64) -> Result<(), WriteError> {
        let end = End {
            to_guid,
            ..End::default()
        };
        self.record(&Record::End(end), &[])
    }

    /// Opens a package of streams: its BEGIN, the list that describes it, and the END behind that.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn begin_package(&mut self, begin: Begin, payload: &[u8]) -> Result<(), WriteError> {
        self.begin(begin, payload)?;
        let end = self.summer.end_of_package_header();
        self.put(&end)
    }

    /// Closes a package, behind its last stream.
    ///
    /// # Errors
    /// [`WriteError`]
    pub fn end_package(&mut self) -> Result<(), WriteError> {
        self.put(&end_of_package(self.endian))
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.output.write_all(bytes)?;
        self.position = self.position.saturating_add(u64_from_usize(bytes.len()));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
