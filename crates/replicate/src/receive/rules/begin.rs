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
    /// The target's name has a `%`.
    #[error("the target has a name that is kept for what is being received")]
    HiddenName,
    /// The stream is an incremental one from another dataset's snapshot, and nobody says which.
    #[error("the stream is that of a clone, and its origin is not known")]
    OriginUnknown,
    /// What is to become a clone is there already.
    #[error("the stream makes a clone, and the target exists")]
    CloneExists,
    /// The origin that is asked for does not exist.
    #[error("the origin does not exist")]
    OriginMissing,
    /// The origin that is asked for is in another pool.
    #[error("the origin is in another pool")]
    OriginElsewhere,
    /// The origin that is asked for is no snapshot.
    #[error("the origin is no snapshot")]
    OriginNoSnapshot,
    /// The origin that is asked for is not what the stream continues.
    #[error("the origin is not the snapshot that the stream continues")]
    OriginDiffers,
    /// A full stream that does not say what is not there cannot replace what an origin has.
    #[error("a stream without all its FREE records cannot go over an origin")]
    NoFreeRecords,
    /// No snapshot of the target is what the stream continues.
    #[error("no snapshot of the target is the one that the stream continues")]
    SourceMissing,
    /// The target was modified since the snapshot that the stream continues.
    #[error("the target has been modified since the snapshot that the stream continues")]
    Modified,
    /// The snapshot that the stream continues is redacted, and not as this stream expects.
    #[error("the snapshot that the stream continues is redacted otherwise")]
    Redacted,
    /// The stream is redacted and does not say for which snapshots.
    #[error("the stream is redacted, and does not say for which snapshots")]
    NoRedactionList,
    /// The snapshot that the stream continues has large blocks, and the stream splits them.
    #[error("the snapshot that the stream continues has large blocks, and the stream does not")]
    LargeBlocks,
    /// An encrypted target cannot be overwritten, nor an unencrypted one with an encrypted one.
    #[error("a full stream cannot overwrite what is encrypted")]
    OverEncrypted,
    /// A raw stream continues what is not encrypted.
    #[error("a raw stream cannot go over what is not encrypted")]
    RawOverPlain,
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
    /// A full stream goes on where one was to replace what the target has, and nobody says that it may.
    #[error("the stream goes on replacing what the target has")]
    ResumeExists,
    /// Nothing was received of the target that could be gone on with.
    #[error("no receive into the target was interrupted that could be gone on with")]
    NothingToResume,
    /// What was interrupted is the receive of another snapshot.
    #[error("the receive that was interrupted is of another snapshot")]
    ResumedSnapshot,
    /// What was interrupted continues another snapshot, or none.
    #[error("the receive that was interrupted continues another snapshot")]
    ResumedSource,
    /// What was interrupted is redacted otherwise.
    #[error("the receive that was interrupted is redacted otherwise")]
    ResumedRedaction,
    /// The stream goes on at another place than the receive stopped.
    #[error("the stream goes on at another place than where the receive was interrupted")]
    ResumePoint,
    /// The target has snapshots since the one that the interrupted receive continues.
    #[error("the target has newer snapshots than the one that the interrupted receive continues")]
    Overtaken,
    /// Blocks that lie in their pointers cannot be encrypted.
    #[error("the stream embeds data, and the target is encrypted")]
    EmbeddedIntoEncrypted,
    /// There is nothing where something is to be healed.
    #[error("the target that is to be healed does not exist")]
    NothingToHeal,
    /// The snapshot that is to be healed is not there.
    #[error("the snapshot that is to be healed does not exist")]
    SnapshotMissing,
    /// The snapshot that is to be healed is not the one that the stream holds.
    #[error("the snapshot that is to be healed is not the one in the stream")]
    SnapshotDiffers,
    /// What is to be healed is encrypted, and its key is not there.
    #[error("the target is encrypted, and the key is not loaded")]
    KeyToHeal,
    /// The target would be encrypted, and its key is not there.
    #[error("the target inherits encryption, and the key is not loaded")]
    NoKey,
}

impl BeginError {
    /// What OpenZFS's kernel module would say.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::HeaderType
            | Self::ObjsetType(_)
            | Self::OriginUnknown
            | Self::OriginNoSnapshot
            | Self::CloneExists
            | Self::NoFreeRecords
            | Self::Redacted
            | Self::NoRedactionList
            | Self::EmbeddedIntoEncrypted
            | Self::OverEncrypted
            | Self::RawOverPlain
            | Self::HiddenName
            | Self::RawWithEmbedded
            | Self::NothingToResume
            | Self::ResumedSnapshot
            | Self::ResumedSource
            | Self::ResumedRedaction
            | Self::ResumePoint
            | Self::Overtaken => Errno::EINVAL,
            Self::ResumeExists => Errno::ZFS_ERR_RESUME_EXISTS,
            Self::OriginElsewhere => Errno::EXDEV,
            Self::OriginDiffers | Self::SourceMissing => Errno::ENODEV,
            Self::Modified => Errno::ETXTBSY,
            Self::LargeBlocks => Errno::ZFS_ERR_STREAM_LARGE_BLOCK_MISMATCH,
            Self::UnknownFeatures(_) => Errno::ZFS_ERR_UNKNOWN_SEND_STREAM_FEATURE,
            Self::FeatureDisabled(_) | Self::NothingToHeal | Self::SnapshotDiffers => Errno::ENOTSUP,
            Self::NoSpillFlag => Errno::ZFS_ERR_SPILL_BLOCK_FLAG_MISSING,
            Self::TargetExists | Self::SnapshotExists => Errno::EEXIST,
            Self::TargetBusy => Errno::EBUSY,
            Self::TargetHasChildren | Self::ParentNoFileSystem => Errno::ZFS_ERR_WRONG_PARENT,
            Self::TargetMissing | Self::ParentMissing | Self::OriginMissing | Self::SnapshotMissing => {
                Errno::ENOENT
            }
            Self::NoKey | Self::KeyToHeal => Errno::EACCES,
        }
    }
}

/// What is asked for beside what the stream says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What is in the way goes.
    pub is_forced: bool,
    /// What was received is kept when the stream is cut.
    pub is_resumable: bool,
    /// The key is there that an encrypted target takes.
    pub is_unlocked: bool,
    /// Whether what is new is encrypted; otherwise it is as what it lies below.
    pub encrypts: Option<bool>,
    /// What the new dataset is to be a clone of.
    pub origin: Option<Origin>,
}

/// What a new dataset is to be a clone of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is not there.
    Missing,
    /// It is in another pool.
    Elsewhere,
    /// It is a file system or volume.
    NoSnapshot,
    /// A snapshot.
    Snapshot {
        /// What it is.
        base: Base,
        /// Its guid.
        guid: u64,
    },
}

/// A snapshot that a stream builds on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Base {
    /// It has blocks of more than 128 KiB.
    pub has_large_blocks: bool,
    /// It is redacted, and not as the stream expects.
    pub is_redacted_otherwise: bool,
    /// It is encrypted.
    pub is_encrypted: bool,
}

/// What is at the place where a stream is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Nothing. The stream makes a new dataset.
    Missing(Parent),
    /// A file system or volume.
    Existing(Existing),
}

/// A file system or volume that a stream is to go into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// Something is being received into it, or was and may be resumed.
    pub is_busy: bool,
    /// It has a snapshot of the wanted name.
    pub has_snapshot: bool,
    /// There are datasets below it.
    pub has_children: bool,
    /// It is encrypted.
    pub is_encrypted: bool,
    /// Its snapshot that the stream continues, where it has that.
    pub base: Option<Base>,
    /// It was modified since that.
    pub is_modified: bool,
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
pub fn check_stream(
    begin: &Begin,
    wanted: Wanted,
    is_enabled: impl Fn(Feature) -> bool,
) -> Result<(), BeginError> {
    if begin.version_info.header_type() != HeaderType::SUBSTREAM {
        return Err(BeginError::HeaderType);
    }
    let ObjsetType(objset_type) = begin.objset_type;
    if objset_type >= OBJSET_TYPE_COUNT {
        return Err(BeginError::ObjsetType(objset_type));
    }
    let features = begin.features();
    let is_resuming = features.contains(FeatureFlags::RESUMING);
    if begin.flags.contains(BeginFlags::CLONE) && wanted.origin.is_none() && !is_resuming {
        return Err(BeginError::OriginUnknown);
    }
    let unknown = features.difference(KNOWN);
    if !unknown.is_empty() {
        return Err(BeginError::UnknownFeatures(unknown.bits()));
    }
    for (flag, feature) in NEEDS {
        if features.contains(flag) && !is_enabled(feature) {
            return Err(BeginError::FeatureDisabled(feature));
        }
    }
    if wanted.is_resumable && !is_resuming && !is_enabled(Feature::ExtensibleDataset) {
        return Err(BeginError::FeatureDisabled(Feature::ExtensibleDataset));
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
pub fn check_target(begin: &Begin, wanted: Wanted, target: Target) -> Result<(), BeginError> {
    match target {
        Target::Existing(existing) => {
            let is_raw = begin.is_raw();
            if existing.is_encrypted && !is_raw && !wanted.is_unlocked {
                return Err(BeginError::NoKey);
            }
            if begin.flags.contains(BeginFlags::CLONE) || wanted.origin.is_some() {
                return Err(BeginError::CloneExists);
            }
            check_existing(begin, wanted, existing)
        }
        Target::Missing(parent) => check_missing(begin, wanted, parent),
    }
}

fn check_existing(begin: &Begin, wanted: Wanted, existing: Existing) -> Result<(), BeginError> {
    let is_raw = begin.is_raw();
    if existing.is_busy {
        return Err(BeginError::TargetBusy);
    }
    if existing.has_snapshot {
        return Err(BeginError::SnapshotExists);
    }
    if begin.objset_type != ObjsetType::ZFS && existing.has_children {
        return Err(BeginError::TargetHasChildren);
    }
    if begin.from_guid == 0 {
        return match existing {
            _ if !wanted.is_forced => Err(BeginError::TargetExists),
            Existing { is_encrypted, .. } if is_raw || is_encrypted => Err(BeginError::OverEncrypted),
            _ => Ok(()),
        };
    }
    if is_raw && !existing.is_encrypted {
        return Err(BeginError::RawOverPlain);
    }
    let embeds = begin.features().contains(FeatureFlags::EMBED_DATA);
    if existing.is_encrypted && embeds {
        return Err(BeginError::EmbeddedIntoEncrypted);
    }
    let base = existing.base.ok_or(BeginError::SourceMissing)?;
    if existing.is_modified && !wanted.is_forced {
        return Err(BeginError::Modified);
    }
    check_base(begin, base)
}

fn check_missing(begin: &Begin, wanted: Wanted, parent: Parent) -> Result<(), BeginError> {
    let features = begin.features();
    let is_clone = begin.flags.contains(BeginFlags::CLONE) || wanted.origin.is_some();
    if begin.from_guid != 0 && !is_clone {
        return Err(BeginError::TargetMissing);
    }
    let has_free_records = begin.flags.contains(BeginFlags::FREERECORDS);
    if begin.from_guid == 0 && wanted.origin.is_some() && !has_free_records {
        return Err(BeginError::NoFreeRecords);
    }
    match parent {
        Parent::Missing => return Err(BeginError::ParentMissing),
        Parent::Volume => return Err(BeginError::ParentNoFileSystem),
        Parent::FileSystem { is_encrypted } => {
            let is_new = wanted.origin.is_none() && !features.contains(FeatureFlags::RAW);
            if is_new && is_encrypted && wanted.encrypts.is_none() && !wanted.is_unlocked {
                return Err(BeginError::NoKey);
            }
            let embeds = features.contains(FeatureFlags::EMBED_DATA);
            if is_new && embeds && wanted.encrypts.unwrap_or(is_encrypted) {
                return Err(BeginError::EmbeddedIntoEncrypted);
            }
        }
    }
    match wanted.origin {
        None => Ok(()),
        Some(Origin::Missing) => Err(BeginError::OriginMissing),
        Some(Origin::Elsewhere) => Err(BeginError::OriginElsewhere),
        Some(Origin::NoSnapshot) => Err(BeginError::OriginNoSnapshot),
        Some(Origin::Snapshot { base, .. })
            if base.is_encrypted && features.contains(FeatureFlags::EMBED_DATA) =>
        {
            Err(BeginError::EmbeddedIntoEncrypted)
        }
        Some(Origin::Snapshot { base, .. })
            if base.is_encrypted && !features.contains(FeatureFlags::RAW) && !wanted.is_unlocked =>
        {
            Err(BeginError::NoKey)
        }
        Some(Origin::Snapshot { guid, .. }) if begin.from_guid != 0 && guid != begin.from_guid => {
            Err(BeginError::OriginDiffers)
        }
        Some(Origin::Snapshot { base, .. }) => check_base(begin, base),
    }
}

/// Whether the stream fits what it builds on.
fn check_base(begin: &Begin, base: Base) -> Result<(), BeginError> {
    if begin.from_guid != 0 && base.is_redacted_otherwise {
        return Err(BeginError::Redacted);
    }
    let splits = !begin.features().contains(FeatureFlags::LARGE_BLOCKS);
    if begin.from_guid != 0 && base.has_large_blocks && splits {
        return Err(BeginError::LargeBlocks);
    }
    Ok(())
}
