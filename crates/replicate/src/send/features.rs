//! Which features a stream uses: asked for by the user, and needed by what is in the dataset.

use super::{SendError, Source};
use zferry_zpool::dmu::{ObjectSet, ObjectSetType};
use zferry_zpool::spa::BlockReader;
use zferry_zpool::{Error, ObjectNumber, Pool, zap};
use zferry_zstream::flags::FeatureFlags;

/// What the sender of a stream may take for granted of its receiver: `zfs send`'s flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOptions {
    /// `-L`: blocks above 128 KiB may be sent whole.
    pub large_blocks: bool,
    /// `-e`: blocks that lie in their pointers may be sent so.
    pub embedded: bool,
    /// `-c`: blocks may be sent compressed as they are stored.
    pub compressed: bool,
    /// `-w`: blocks are sent as they are stored. Of an unencrypted dataset that is all of the above; of an encrypted one
    /// it takes no key.
    pub raw: bool,
}

impl SendOptions {
    /// Whether blocks may be sent compressed as they are stored.
    pub(super) const fn sends_compressed(self) -> bool {
        self.compressed || self.raw
    }
}

/// A feature that is counted for each dataset that uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DatasetFeature {
    /// Blocks above 128 KiB.
    LargeBlocks,
    /// Dnodes of more than one slot.
    LargeDnode,
    /// Blocks compressed by zstd.
    ZstdCompress,
    /// Names above 255 bytes.
    LongName,
    /// Micro ZAPs above 128 KiB.
    LargeMicrozap,
    /// The dataset was received from a redacted stream; carries the guids of the snapshots it was redacted for.
    RedactedDatasets,
}

impl DatasetFeature {
    /// Every one of them.
    pub const ALL: [Self; 6] = [
        Self::LargeBlocks,
        Self::LargeDnode,
        Self::ZstdCompress,
        Self::LongName,
        Self::LargeMicrozap,
        Self::RedactedDatasets,
    ];

    /// The name under which a dataset's object holds it.
    #[must_use]
    pub const fn guid(self) -> &'static str {
        match self {
            Self::LargeBlocks => "org.open-zfs:large_blocks",
            Self::LargeDnode => "org.zfsonlinux:large_dnode",
            Self::ZstdCompress => "org.freebsd:zstd_compress",
            Self::LongName => "org.zfsonlinux:longname",
            Self::LargeMicrozap => "com.klarasystems:large_microzap",
            Self::RedactedDatasets => "com.delphix:redacted_datasets",
        }
    }
}

/// The first version of file systems whose files keep their attributes in bonus buffers and spill blocks.
const ZPL_VERSION_SA: u64 = 5;
/// The object that names a file system's parts.
const MASTER_NODE: ObjectNumber = ObjectNumber(1);

/// The features of the stream that sends `source`.
pub(super) fn of_stream(
    pool: &Pool,
    reader: &BlockReader,
    source: &Source,
    set: &ObjectSet,
    options: SendOptions,
) -> Result<FeatureFlags, SendError> {
    let pool_error = |error| SendError::Pool {
        dataset: source.name.clone(),
        source: error,
    };
    let uses = |feature: DatasetFeature| source.features.contains_key(&feature);
    let mut features = FeatureFlags::empty();
    if set.set_type == ObjectSetType::ZFS && zpl_version(reader, set).map_err(pool_error)? >= ZPL_VERSION_SA {
        features |= FeatureFlags::SA_SPILL;
    }
    features.set(
        FeatureFlags::LARGE_BLOCKS,
        (options.large_blocks || options.raw) && uses(DatasetFeature::LargeBlocks),
    );
    if (options.embedded || options.raw) && !set.is_encrypted {
        let active = pool
            .is_feature_active("com.delphix:embedded_data")
            .map_err(pool_error)?;
        features.set(FeatureFlags::EMBED_DATA, active);
    }
    features.set(FeatureFlags::COMPRESSED, options.sends_compressed());
    features.set(FeatureFlags::RAW, options.raw && set.is_encrypted);
    if features.intersects(FeatureFlags::EMBED_DATA | FeatureFlags::COMPRESSED) {
        let active = pool
            .is_feature_active("org.illumos:lz4_compress")
            .map_err(pool_error)?;
        features.set(FeatureFlags::LZ4, active);
    }
    features.set(
        FeatureFlags::ZSTD,
        options.sends_compressed() && uses(DatasetFeature::ZstdCompress),
    );
    features.set(FeatureFlags::LARGE_DNODE, uses(DatasetFeature::LargeDnode));
    features.set(FeatureFlags::LONGNAME, uses(DatasetFeature::LongName));
    features.set(FeatureFlags::REDACTED, source.redact.is_some());
    features.set(FeatureFlags::RESUMING, source.resume.is_some());
    if uses(DatasetFeature::LargeMicrozap) {
        // Such a directory is one block, which cannot be split.
        if !features.contains(FeatureFlags::LARGE_BLOCKS) {
            return Err(SendError::LargeMicrozap(source.name.clone()));
        }
        features |= FeatureFlags::LARGE_MICROZAP;
    }
    Ok(features)
}

/// The version of a file system.
fn zpl_version(reader: &BlockReader, set: &ObjectSet) -> Result<u64, Error> {
    let master = set.object(reader, MASTER_NODE)?;
    let version = zap::lookup_u64(reader, &master, "VERSION")?;
    version.ok_or_else(|| Error::Missing("the version of the file system".to_owned()))
}
