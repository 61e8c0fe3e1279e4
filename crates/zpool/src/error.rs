//! What can go wrong with a pool, told apart by who could mend it.

use crate::spa::BlockPointer;
use crate::vdev::MissingDevices;
use crate::{BlockId, ObjectNumber};
use std::fmt;

/// Why a pool could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused or failed.
    #[error("{what}: {source}")]
    Io {
        /// The file, and what was asked of it.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file or device holds no ZFS label.
    #[error("{disk}: no ZFS pool found: none of the four labels is valid")]
    NoLabel {
        /// The file or device.
        disk: String,
    },
    /// A label was found, but no uberblock that can be opened.
    #[error("{disk}: the labels are there, but none of their uberblocks is valid")]
    NoUberblock {
        /// The file or device.
        disk: String,
    },
    /// More devices are missing than the pool's redundancy makes up for.
    #[error(transparent)]
    MissingDevices(Box<MissingDevices>),
    /// The devices that were given belong to several pools.
    #[error("there are several pools: {}", .0.join(", "))]
    SeveralPools(Vec<String>),
    /// The pool is sound but uses something that this version of zferry does not know.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// Something on disk contradicts itself or its format.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// No copy of a block could be read.
    #[error(transparent)]
    Unreadable(#[from] Box<Unreadable>),
    /// Another process writes to the pool.
    #[error("{0} is in use by another process")]
    Busy(String),
    /// A snapshot is held, and so neither destroyed nor passed over.
    #[error("snapshot {0} is held")]
    Held(ObjectNumber),
    /// There is not enough room.
    #[error("out of space: {wanted} bytes wanted, {available} available")]
    NoSpace {
        /// How many bytes were asked for.
        wanted: u64,
        /// How many there are, in bytes.
        available: u64,
    },
    /// What was to be made is there already.
    #[error("{0} already exists")]
    Exists(String),
    /// A feature of the pool is needed that is not enabled.
    #[error("the pool's feature {0} is not enabled")]
    FeatureDisabled(crate::spa::Feature),
    /// What was asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The pool can be read, but not written: why.
    #[error("the pool cannot be written: {0}")]
    ReadOnly(String),
    /// What was named is not there.
    #[error("{0} does not exist")]
    Missing(String),
    /// What went wrong, with the block of which object it happened at.
    #[error("{place}: {source}")]
    At {
        /// The block.
        place: Place,
        /// What went wrong.
        source: Box<Self>,
    },
}

/// A block in an object set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The object; 0 is the meta-dnode.
    pub object: ObjectNumber,
    /// The block's height in the object's tree: 0 for data.
    pub level: u8,
    /// The block's number at that height; [`BlockId::SPILL`] for the spill block.
    pub block: BlockId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "object {}, ", self.object)?;
        match (self.level, self.block) {
            (_, BlockId::SPILL) => write!(f, "spill block"),
            (0, block) => write!(f, "block {block}"),
            (level, block) => write!(f, "block {block} of level {level}"),
        }
    }
}

impl Error {
    /// An I/O error with the place.
    #[must_use]
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            what: what.into(),
            source,
        }
    }

    /// Whether what lies on the devices is to blame: it cannot be read, or makes no sense.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        let mut error = self;
        while let Self::At { source, .. } = error {
            error = source;
        }
        matches!(error, Self::Io { .. } | Self::Corrupt(_) | Self::Unreadable(_))
    }

    /// The same with the block at which it happened.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        match self {
            placed @ Self::At { .. } => placed,
            source => Self::At {
                place,
                source: Box::new(source),
            },
        }
    }
}

/// Something that OpenZFS may know, and this version of zferry does not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsupported {
    /// A pool version outside 1–28 and 5000.
    #[error("the pool has version {0}, which is not known")]
    PoolVersion(u64),
    /// Features that are active and needed for reading.
    #[error("the pool uses features that are not known: {}", .0.join(", "))]
    Features(Vec<String>),
    /// A kind of virtual device.
    #[error("the pool has a vdev of type '{0}', which is not supported")]
    VdevType(String),
    /// A table with more entries than are kept in memory.
    #[error("object {object} is a table that takes more than {bytes_max} bytes of memory")]
    TableSize {
        /// The table.
        object: ObjectNumber,
        /// How much memory its entries may take, in bytes.
        bytes_max: usize,
    },
    /// More damage is known than is kept in memory.
    #[error("the pool knows of more than {0} errors")]
    KnownErrors(usize),
    /// A block was left out of the redacted stream that made its dataset.
    #[error("the block was redacted")]
    Redacted,
    /// A block is encrypted and no key is at hand.
    #[error("the block is encrypted, and the key is not loaded")]
    Encrypted,
    /// A cipher.
    #[error("the encryption suite {0} is not known")]
    Suite(u64),
    /// What is authenticated under a key.
    #[error("the key has version {0}, which is not known")]
    KeyVersion(u64),
    /// A function of a block pointer: checksum or compression.
    #[error("block pointer with unknown {what} {id}")]
    BlockFunction {
        /// Which function.
        what: &'static str,
        /// Its number.
        id: u8,
    },
}

/// Something on disk that contradicts itself or its format: what, and the numbers.
///
/// Opaque on purpose: checks can be added without breaking anybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Corrupt(String);

impl Corrupt {
    /// A finding, as a sentence with its numbers.
    #[must_use]
    pub fn new(finding: impl Into<String>) -> Self {
        Self(finding.into())
    }
}

/// A field lies outside the structure that should hold it.
impl From<zferry_wire::ShortRead> for Corrupt {
    fn from(short: zferry_wire::ShortRead) -> Self {
        Self(format!("structure cut short: {short}"))
    }
}

impl From<zferry_wire::ShortRead> for Error {
    fn from(short: zferry_wire::ShortRead) -> Self {
        Self::Corrupt(short.into())
    }
}

/// A block of which no copy could be read.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// The pointer that leads to it.
    pub pointer: BlockPointer,
    /// What was tried, and how each attempt failed.
    pub attempts: Vec<Attempt>,
}

/// One attempt to read a copy of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The top-level vdev.
    pub vdev: u32,
    /// The offset in it, in bytes, as in the block pointer.
    pub offset: u64,
    /// What went wrong.
    pub reason: String,
}

/// How many attempts a message tells of.
const ATTEMPTS_SHOWN: usize = 8;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no copy of the block can be read (")?;
        for (index, attempt) in self.attempts.iter().take(ATTEMPTS_SHOWN).enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}{:x}:{:x}: {}",
                attempt.vdev, attempt.offset, attempt.reason
            )?;
        }
        match self.attempts.len().checked_sub(ATTEMPTS_SHOWN) {
            None | Some(0) => write!(f, ")"),
            Some(more) => write!(f, "; and {more} more)"),
        }
    }
}

impl std::error::Error for Unreadable {}
