//! Why bytes are not a stream, and where.

use std::io;

use zferry_blocks::checksum::Checksum;

use crate::checksum::Slashed;
use crate::record::{RecordError, RecordType};

/// Something is wrong with a stream.
#[derive(Debug, thiserror::Error)]
#[error("at offset {position}: {kind}")]
pub struct StreamError {
    /// Where: for a record its first byte, for an input that ends early its end; in bytes from the stream's first.
    pub position: u64,
    /// What.
    #[source]
    pub kind: StreamErrorKind,
}

impl StreamError {
    pub(crate) fn new(position: u64, kind: impl Into<StreamErrorKind>) -> Self {
        Self {
            position,
            kind: kind.into(),
        }
    }
}

/// What is wrong with a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamErrorKind {
    /// The input could not be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// There is not one byte.
    #[error("the input is empty")]
    Empty,
    /// The first record is no BEGIN with the magic number.
    #[error("this is not a ZFS send stream (bad magic number)")]
    BadMagic,
    /// The input ends within a record.
    #[error("the stream is cut: {got} of the 312 bytes of a record are there")]
    CutRecord {
        /// How many bytes of the record are there.
        got: u64,
    },
    /// The input ends within a payload.
    #[error("the stream is cut: {got} of the {length} bytes that follow the {} record at offset {record} are there", record_type.name())]
    CutPayload {
        /// The type of the record that the payload belongs to.
        record_type: RecordType,
        /// Where that record begins.
        record: u64,
        /// How long the payload should be, in bytes.
        length: u64,
        /// How many bytes of it are there.
        got: u64,
    },
    /// The input ends behind a whole record, but the stream does not.
    #[error("the stream is cut: {expected} is missing")]
    Cut {
        /// What should follow.
        expected: &'static str,
    },
    /// A record that cannot be decoded.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A record's own checksum is not that of everything before it.
    #[error("checksum mismatch at the {} record: it states {}, the stream up to there has {}", record_type.name(), Slashed(*stated), Slashed(*computed))]
    Checksum {
        /// The type of the record.
        record_type: RecordType,
        /// The checksum in the record.
        stated: Checksum,
        /// The checksum of what was read.
        computed: Checksum,
    },
    /// The checksum that END states for the stream is not that of the stream.
    #[error("checksum mismatch at the end of the stream: END states {}, the stream has {}", Slashed(*stated), Slashed(*computed))]
    EndChecksum {
        /// The checksum in END.
        stated: Checksum,
        /// The checksum of what was read.
        computed: Checksum,
    },
    /// A payload is longer than any ZFS sends.
    #[error("{} record with a payload of {length} bytes, of which {limit} are allowed", record_type.name())]
    PayloadTooLong {
        /// The type of the record.
        record_type: RecordType,
        /// The length that it states, in bytes.
        length: u64,
        /// The longest that is allowed, in bytes.
        limit: u64,
    },
    /// A payload is not made of whole 32-bit words, as every payload is that ZFS sends.
    #[error("{} record with a payload of {length} bytes, which is no multiple of 4", record_type.name())]
    OddPayload {
        /// The type of the record.
        record_type: RecordType,
        /// The length that it states, in bytes.
        length: u64,
    },
    /// A record stands where it cannot.
    #[error("{} record where {expected} should be", record_type.name())]
    Unexpected {
        /// The type of the record.
        record_type: RecordType,
        /// What should stand there.
        expected: &'static str,
    },
    /// BEGIN opens neither a stream nor a package.
    #[error("BEGIN record of unknown header type {0}")]
    UnknownHeaderType(u8),
    /// A package lies within a package.
    #[error("a package of streams within a package")]
    NestedPackage,
}
