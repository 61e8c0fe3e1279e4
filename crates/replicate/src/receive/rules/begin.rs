//! The checks on BEGIN: whether this pool can take this stream under this name.

use zferry_zpool::spa::Feature;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType};
use zferry_zstream::record::{Begin, ObjsetType};

use super::super::Errno;

/// How many types of object sets there are; from here on, none.
const OBJSET_TYPE_COUNT: u32 = 6;

/// Every feature of a stream that can be received, or could be by OpenZFS.
const KNOWN: FeatureFlags = FeatureFlags::DEDUP
    .union(FeatureFlags::DEDUPPROPS)
    .union(FeatureFlags::SA_SPILL)
    .union(FeatureFlags::EMBED_DATA)
    .union(FeatureFlags::LZ4)
    .union(FeatureFlags::LARGE_BLOCKS)
    .union(FeatureFlags::RESUMING)
    .union(FeatureFlags::REDACTED)
    .union(FeatureFlags::COMPRESSED)
    .union(FeatureFlags::LARGE_DNODE)
    .union(FeatureFlags::RAW)
    .union(FeatureFlags::ZSTD)
    .union(FeatureFlags::HOLDS)
    .union(FeatureFlags::SWITCH_TO_LARGE_BLOCKS)
    .union(FeatureFlags::LONGNAME)
    .union(FeatureFlags::LARGE_MICROZAP);

/// What of a stream needs which feature of the pool: such blocks and dnodes are stored as they come.
const NEEDS: [(FeatureFlags, Feature); 8] = [
    (FeatureFlags::LZ4, Feature::Lz4Compress),
    (FeatureFlags::ZSTD, Feature::ZstdCompress),
    (FeatureFlags::EMBED_DATA, Feature::EmbeddedData),
    (FeatureFlags::LARGE_BLOCKS, Feature::LargeBlocks),
    (FeatureFlags::LARGE_DNODE, Feature::LargeDnode),
    (FeatureFlags::LARGE_MICROZAP, Feature::LargeMicrozap),
    (FeatureFlags::REDACTED, Feature::RedactedDatasets),
    (FeatureFlags::LONGNAME, Feature::LongName),
];

/// Why a stream cannot be received at all, or not under this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// BEGIN opens a package where a stream should begin, or something unknown.
    #[error("the stream's BEGIN record opens no stream")]
    HeaderType,
    /// What was sent is of no type that there is.
    #[error("the stream holds an object set of unknown type {0}")]
    ObjsetType(u32),
    /// The stream is an incremental one from another dataset's snapshot, which is not at hand.
    #[error("the stream is that of a clone, and its origin is not known")]
    NoOrigin,
    /// Features that nobody knows.
    #[error("the stream has unknown features {0:#x}")]
    UnknownFeatures(u64),
    /// The pool lacks what the stream needs.
    #[error("the stream needs the feature '{}', which is not enabled on the pool", .0.name())]
    FeatureDisabled(Feature),
    /// Raw streams hold no embedded blocks.
    #[error("the stream claims to be raw and to embed data")]
    RawWithEmbedded,
    /// The sender of a raw stream does not mark which objects have spill blocks.
    #[error("the raw stream does not mark spill blocks")]
    NoSpillFlag,
    /// The target exists, and the stream is that of a new dataset.
    #[error("the target exists")]
    TargetExists,
    /// Something is being received into the target, or was and may be resumed.
    #[error("the target is being received into")]
    TargetBusy,
    /// The snapshot is there already.
    #[error("the snapshot exists")]
    SnapshotExists,
    /// Only file systems have children, and the target has some.
    #[error("the target has children, which a volume cannot have")]
    TargetHasChildren,
    /// The stream is incremental, and the target does not exist.
    #[error("the target does not exist")]
    TargetMissing,
    /// The target's parent does not exist.
    #[error("the target's parent does not exist")]
    ParentMissing,
    /// The target's parent is a volume.
    #[error("the target's parent is no file system")]
    ParentNoFileSystem,
    /// The target would be encrypted, and its key is not there.
    #[error("the target inherits encryption, and the key is not loaded")]
    NoKey,
}

impl BeginError {
    /// What OpenZFS's kernel module would say.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::HeaderType | Self::ObjsetType(_) | Self::NoOrigin | Self::RawWithEmbedded => Errno::EINVAL,
            Self::UnknownFeatures(_) => Errno::ZFS_ERR_UNKNOWN_SEND_STREAM_FEATURE,
            Self::FeatureDisabled(_) => Errno::ENOTSUP,
            Self::NoSpillFlag => Errno::ZFS_ERR_SPILL_BLOCK_FLAG_MISSING,
            Self::TargetExists | Self::SnapshotExists => Errno::EEXIST,
            Self::TargetBusy => Errno::EBUSY,
            Self::TargetHasChildren | Self::ParentNoFileSystem => Errno::ZFS_ERR_WRONG_PARENT,
            Self::TargetMissing | Self::ParentMissing => Errno::ENOENT,
            Self::NoKey => Errno::EACCES,
        }
    }
}

/// What is at the place where a stream is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing. The stream makes a new dataset.
    Missing(Parent),
    /// A file system or volume.
    Existing {
        /// Something is being received into it, or was and may be resumed.
        is_busy: bool,
        /// It has a snapshot of the wanted name.
        has_snapshot: bool,
        /// There are datasets below it.
        has_children: bool,
    },
}

/// What a new dataset is to be made under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Nothing.
    Missing,
    /// A file system.
    FileSystem {
        /// Whether what is made under it is encrypted, unless told otherwise.
        is_encrypted: bool,
    },
    /// A volume.
    Volume,
}

/// Checks what BEGIN says by itself, and against the features of the pool.
///
/// # Errors
/// The first reason against it, in OpenZFS's order.
pub fn check_stream(begin: &Begin, is_enabled: impl Fn(Feature) -> bool) -> Result<(), BeginError> {
    if begin.version_info.header_type() != HeaderType::SUBSTREAM {
        return Err(BeginError::HeaderType);
    }
    let ObjsetType(objset_type) = begin.objset_type;
    if objset_type >= OBJSET_TYPE_COUNT {
        return Err(BeginError::ObjsetType(objset_type));
    }
    if begin.flags.contains(BeginFlags::CLONE) {
        return Err(BeginError::NoOrigin);
    }
    let features = begin.version_info.features();
    let unknown = features.difference(KNOWN);
    if !unknown.is_empty() {
        return Err(BeginError::UnknownFeatures(unknown.bits()));
    }
    for (flag, feature) in NEEDS {
        if features.contains(flag) && !is_enabled(feature) {
            return Err(BeginError::FeatureDisabled(feature));
        }
    }
    if features.contains(FeatureFlags::RAW) {
        if !is_enabled(Feature::Encryption) {
            return Err(BeginError::FeatureDisabled(Feature::Encryption));
        }
        if features.contains(FeatureFlags::EMBED_DATA) {
            return Err(BeginError::RawWithEmbedded);
        }
        if !begin.flags.contains(BeginFlags::SPILL_BLOCK) {
            return Err(BeginError::NoSpillFlag);
        }
    }
    Ok(())
}

/// Checks whether the stream that BEGIN opens can go where `target` is.
///
/// # Errors
/// The first reason against it, in OpenZFS's order.
pub fn check_target(begin: &Begin, target: Target) -> Result<(), BeginError> {
    match target {
        Target::Existing {
            is_busy,
            has_snapshot,
            has_children,
        } => {
            if is_busy {
                return Err(BeginError::TargetBusy);
            }
            if has_snapshot {
                return Err(BeginError::SnapshotExists);
            }
            if begin.objset_type != ObjsetType::ZFS && has_children {
                return Err(BeginError::TargetHasChildren);
            }
            if begin.from_guid == 0 {
                return Err(BeginError::TargetExists);
            }
            Ok(())
        }
        Target::Missing(_) if begin.from_guid != 0 => Err(BeginError::TargetMissing),
        Target::Missing(Parent::Missing) => Err(BeginError::ParentMissing),
        Target::Missing(Parent::Volume) => Err(BeginError::ParentNoFileSystem),
        Target::Missing(Parent::FileSystem { is_encrypted }) => {
            if is_encrypted && !begin.version_info.features().contains(FeatureFlags::RAW) {
                return Err(BeginError::NoKey);
            }
            Ok(())
        }
    }
}
