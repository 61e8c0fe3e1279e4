//! Why a receive failed.

use super::rules::begin::BeginError;
use super::rules::key_data::KeyDataError;
use super::rules::record::RecordFault;
use super::{Errno, HealReport};
use std::io;
use zferry_nvlist::ErrorKind;
use zferry_zpool::{Error as PoolError, HealError};
use zferry_zstream::record::{Record, RecordType};
use zferry_zstream::{StreamError, StreamErrorKind};

/// Why a receive failed. Whatever it is, the pool is as it was before, unless what was received is kept on request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// The stream is damaged, cut, or none at all.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The stream cannot go into this pool, or not to this place.
    #[error(transparent)]
    Begin(#[from] BeginError),
    /// What a raw stream says of its encryption cannot be received, or not to this place.
    #[error(transparent)]
    KeyData(#[from] KeyDataError),
    /// The list behind BEGIN cannot be read.
    #[error("the list in the stream's BEGIN record cannot be read: {0}")]
    BeginList(zferry_nvlist::DecodeError),
    /// A record that breaks a rule.
    #[error("at offset {position}: {} record: {fault}", record_type.name())]
    Record {
        /// Where in the stream the record begins, in bytes.
        position: u64,
        /// Its type.
        record_type: RecordType,
        /// What is wrong with it.
        fault: RecordFault,
    },
    /// The pool cannot be read or written, or is full.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// A quota is used up.
    #[error("the quota of {0} is used up")]
    Quota(String),
    /// What came is larger than the `refquota` of the target allows.
    #[error("what was received is larger than the refquota of {0}")]
    RefQuota(String),
    /// The pool is full, but for what is reserved, and kept back.
    #[error("the pool is full, but for what is reserved or kept back")]
    Full,
    /// Blocks are damaged that could not be healed.
    #[error("{0}")]
    Unhealed(Box<HealReport>),
    /// The system gives no more threads.
    #[error("cannot start a thread: {0}")]
    Threads(io::Error),
    /// A thread of the receive ended without a word.
    #[error("a thread of the receive ended unexpectedly; please report this")]
    Internal,
}

impl ReceiveError {
    /// A record that breaks a rule.
    pub(super) const fn record(position: u64, record: &Record, fault: RecordFault) -> Self {
        Self::Record {
            position,
            record_type: record.record_type(),
            fault,
        }
    }

    /// Whether it is no fault of the stream's, so that what was last changed in the pool may be half done.
    pub(super) const fn is_of_pool(&self) -> bool {
        matches!(self, Self::Pool(_) | Self::Threads(_) | Self::Internal)
    }

    /// The errno with which OpenZFS refuses the same; for what only happens here, the nearest.
    #[must_use]
    pub fn errno(&self) -> Errno {
        match self {
            Self::Stream(error) => stream_errno(&error.kind),
            Self::Begin(error) => error.errno(),
            Self::KeyData(error) => error.errno(),
            Self::BeginList(error) => match error.kind() {
                ErrorKind::Corrupt => Errno::EFAULT,
                ErrorKind::Unsupported => Errno::ENOTSUP,
                ErrorKind::Limit => Errno::EINVAL,
            },
            Self::Record { fault, .. } => fault.errno(),
            Self::Pool(error) => pool_errno(error),
            Self::Quota(_) | Self::RefQuota(_) => Errno::EDQUOT,
            Self::Full => Errno::ENOSPC,
            Self::Unhealed(report) => report
                .first_failure
                .as_ref()
                .map_or(Errno::EIO, |failure| heal_errno(&failure.why)),
            Self::Threads(error) => io_errno(error),
            Self::Internal => Errno::EIO,
        }
    }
}

fn stream_errno(kind: &StreamErrorKind) -> Errno {
    match kind {
        StreamErrorKind::Io(error) => io_errno(error),
        StreamErrorKind::Empty
        | StreamErrorKind::CutRecord { .. }
        | StreamErrorKind::CutPayload { .. }
        | StreamErrorKind::Cut { .. } => Errno::ZFS_ERR_STREAM_TRUNCATED,
        StreamErrorKind::Checksum { .. } | StreamErrorKind::EndChecksum { .. } => Errno::ECKSUM,
        StreamErrorKind::PayloadTooLong { record_type, .. } if *record_type == RecordType::BEGIN => {
            Errno::E2BIG
        }
        _ => Errno::EINVAL,
    }
}

fn heal_errno(error: &HealError) -> Errno {
    match error {
        HealError::NoObject(_) => Errno::ENOENT,
        HealError::Size { .. } => Errno::ENOTSUP,
        HealError::Differs => Errno::ECKSUM,
        HealError::NoKey => Errno::EACCES,
        HealError::Pool(error) => pool_errno(error),
        _ => Errno::EIO,
    }
}

fn pool_errno(error: &PoolError) -> Errno {
    match error {
        PoolError::Io { source, .. } => io_errno(source),
        PoolError::At { source, .. } => pool_errno(source),
        PoolError::Missing(_) => Errno::ENOENT,
        PoolError::Exists(_) => Errno::EEXIST,
        PoolError::NoSpace { .. } => Errno::ENOSPC,
        PoolError::Busy(_) | PoolError::Held(_) => Errno::EBUSY,
        PoolError::Invalid(_) => Errno::EINVAL,
        PoolError::FeatureDisabled(_) => Errno::ENOTSUP,
        PoolError::ReadOnly(_) => Errno::EROFS,
        _ => Errno::EIO,
    }
}

fn io_errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno)
}
