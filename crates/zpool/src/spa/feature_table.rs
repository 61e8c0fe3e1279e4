//! The table of the features that OpenZFS 2.3 knows.
//!
//! Their order is that in which `zpool get all` shows them.

use std::fmt;

/// What is known of a feature beside its name.
#[derive(Clone, Copy, Debug)]
pub struct FeatureDescription {
    /// Its name on disk: who introduced it, a colon, and its short name.
    pub guid: &'static str,
    /// Whether a pool in which it is active can be read, though not written, by those who do not know it. It is then
    /// counted in `features_for_write`, else in `features_for_read`.
    pub write_only: bool,
    /// Whether it must be known to read the pool's own metadata, so that the labels name it while it is active.
    pub in_label: bool,
    /// Whether it is active as soon as it is enabled.
    pub active_when_enabled: bool,
    /// Whether it is counted by dataset: each that uses it has its guid as a key.
    pub per_dataset: bool,
    /// Which others it needs.
    pub needs: &'static [Feature],
}

const fn feature(guid: &'static str) -> FeatureDescription {
    FeatureDescription {
        guid,
        write_only: false,
        in_label: false,
        active_when_enabled: false,
        per_dataset: false,
        needs: &[],
    }
}

impl FeatureDescription {
    const fn write_only(self) -> Self {
        Self {
            write_only: true,
            ..self
        }
    }

    const fn in_label(self) -> Self {
        Self {
            in_label: true,
            ..self
        }
    }

    const fn active_when_enabled(self) -> Self {
        Self {
            active_when_enabled: true,
            ..self
        }
    }

    const fn per_dataset(self) -> Self {
        Self {
            per_dataset: true,
            ..self
        }
    }

    const fn needs(self, needs: &'static [Feature]) -> Self {
        Self { needs, ..self }
    }
}

macro_rules! features {
    ($($(#[$doc:meta])* $feature:ident = $constructor:ident($guid:literal)$(.$method:ident($($argument:expr)?))*;)*) => {
        /// A feature of a pool of version 5000.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature {
            $($(#[$doc])* $feature,)*
        }

        impl Feature {
            /// Every feature, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$feature),*];

            /// What is known of it.
            #[must_use]
            pub const fn description(self) -> &'static FeatureDescription {
                match self {
                    $(Self::$feature => {
                        const DESCRIPTION: FeatureDescription = $constructor($guid)$(.$method($($argument)?))*;
                        &DESCRIPTION
                    })*
                }
            }
        }
    };
}

features! {
    /// Destruction goes on in the background.
    AsyncDestroy = feature("com.delphix:async_destroy").write_only();
    /// Empty lists of block pointers share one object.
    EmptyBpobj = feature("com.delphix:empty_bpobj").write_only();
    /// Blocks may be compressed with LZ4.
    Lz4Compress = feature("org.illumos:lz4_compress").active_when_enabled();
    /// Crash dumps may go to pools of several vdevs. Unused on Linux.
    MultiVdevCrashDump = feature("com.joyent:multi_vdev_crash_dump");
    /// Space maps count their free segments by size.
    SpacemapHistogram = feature("com.delphix:spacemap_histogram").write_only();
    /// It is known since when a feature is enabled.
    EnabledTxg = feature("com.delphix:enabled_txg").write_only();
    /// Holes know when they came to be.
    HoleBirth = feature("com.delphix:hole_birth").in_label().active_when_enabled()
        .needs(&[Feature::EnabledTxg]);
    /// Datasets and directories may be ZAPs too.
    ExtensibleDataset = feature("com.delphix:extensible_dataset");
    /// Small blocks may lie in their pointers.
    EmbeddedData = feature("com.delphix:embedded_data").in_label().active_when_enabled();
    /// There are bookmarks.
    Bookmarks = feature("com.delphix:bookmarks").write_only().needs(&[Feature::ExtensibleDataset]);
    /// File systems and snapshots are counted and limited.
    FilesystemLimits = feature("com.joyent:filesystem_limits").write_only()
        .needs(&[Feature::ExtensibleDataset]);
    /// Blocks may be larger than 128 KiB.
    LargeBlocks = feature("org.open-zfs:large_blocks").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Dnodes may be larger than 512 bytes.
    LargeDnode = feature("org.zfsonlinux:large_dnode").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Blocks may be summed with SHA-512/256.
    Sha512 = feature("org.illumos:sha512").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Blocks may be summed with Skein.
    Skein = feature("org.illumos:skein").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Blocks may be summed with Edon-R.
    EdonR = feature("org.illumos:edonr").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Objects are counted by user and group.
    UserObjAccounting = feature("org.zfsonlinux:userobj_accounting").write_only().per_dataset()
        .needs(&[Feature::ExtensibleDataset]);
    /// Datasets may be encrypted.
    Encryption = feature("com.datto:encryption").per_dataset()
        .needs(&[Feature::ExtensibleDataset, Feature::BookmarkV2]);
    /// Space and objects are counted by project.
    ProjectQuota = feature("org.zfsonlinux:project_quota").write_only().per_dataset()
        .needs(&[Feature::ExtensibleDataset]);
    /// Top-level vdevs were removed, and their blocks moved.
    DeviceRemoval = feature("com.delphix:device_removal").in_label();
    /// Moved blocks that are no longer needed are counted.
    ObsoleteCounts = feature("com.delphix:obsolete_counts").write_only()
        .needs(&[Feature::ExtensibleDataset, Feature::DeviceRemoval]);
    /// The pool's state at a moment is kept.
    ZpoolCheckpoint = feature("com.delphix:zpool_checkpoint").write_only();
    /// Space maps have entries for large segments.
    SpacemapV2 = feature("com.delphix:spacemap_v2").write_only().active_when_enabled();
    /// Some vdevs are for metadata, small blocks or dedup tables.
    AllocationClasses = feature("org.zfsonlinux:allocation_classes").write_only();
    /// A resilver may wait for another.
    ResilverDefer = feature("com.datto:resilver_defer").write_only();
    /// Bookmarks may hold more than three numbers.
    BookmarkV2 = feature("com.datto:bookmark_v2").needs(&[Feature::ExtensibleDataset, Feature::Bookmarks]);
    /// Bookmarks may hold what is to be left out of a stream.
    RedactionBookmarks = feature("com.delphix:redaction_bookmarks")
        .needs(&[Feature::BookmarkV2, Feature::ExtensibleDataset, Feature::Bookmarks]);
    /// Datasets may lack what was left out of their stream.
    RedactedDatasets = feature("com.delphix:redacted_datasets").per_dataset()
        .needs(&[Feature::ExtensibleDataset]);
    /// Bookmarks know what was written since.
    BookmarkWritten = feature("com.delphix:bookmark_written")
        .needs(&[Feature::BookmarkV2, Feature::ExtensibleDataset, Feature::Bookmarks]);
    /// Changes of space maps are logged first.
    LogSpacemap = feature("com.delphix:log_spacemap").write_only().needs(&[Feature::SpacemapV2]);
    /// Clones list their own blocks.
    Livelist = feature("com.delphix:livelist").write_only().needs(&[Feature::ExtensibleDataset]);
    /// Mirrors and dRAID may be rebuilt in sequence.
    DeviceRebuild = feature("org.openzfs:device_rebuild").write_only();
    /// Blocks may be compressed with Zstandard.
    ZstdCompress = feature("org.freebsd:zstd_compress").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// There are dRAID vdevs.
    Draid = feature("org.openzfs:draid").in_label();
    /// The intent log has records for extended attributes.
    ZilSaXattr = feature("org.openzfs:zilsaxattr").write_only().per_dataset()
        .needs(&[Feature::ExtensibleDataset]);
    /// Errors are logged by the dataset that they are in.
    HeadErrlog = feature("com.delphix:head_errlog").active_when_enabled();
    /// Blocks may be summed with BLAKE3.
    Blake3 = feature("org.openzfs:blake3").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Blocks may be referenced more than once.
    BlockCloning = feature("com.fudosecurity:block_cloning").write_only();
    /// The root vdev has a ZAP.
    VdevZapsV2 = feature("com.klarasystems:vdev_zaps_v2").in_label();
    /// Redaction lists may have a spill block.
    RedactionListSpill = feature("com.delphix:redaction_list_spill").needs(&[Feature::RedactionBookmarks]);
    /// A raidz vdev was widened.
    RaidzExpansion = feature("org.openzfs:raidz_expansion").in_label();
    /// Dedup tables have a log.
    FastDedup = feature("com.klarasystems:fast_dedup").write_only();
    /// File names may be longer than 255 bytes.
    LongName = feature("org.zfsonlinux:longname").per_dataset().needs(&[Feature::ExtensibleDataset]);
    /// Micro ZAPs may be larger than 128 KiB.
    LargeMicrozap = feature("com.klarasystems:large_microzap").write_only().per_dataset()
        .needs(&[Feature::ExtensibleDataset, Feature::LargeBlocks]);
}

impl Feature {
    /// Its name on disk.
    #[must_use]
    pub const fn guid(self) -> &'static str {
        self.description().guid
    }

    /// Its short name: what stands behind the colon of its guid.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.guid().split_once(':').map_or("", |(_, name)| name)
    }

    /// Finds a feature by its name on disk.
    #[must_use]
    pub fn by_guid(guid: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.guid() == guid)
    }

    /// Finds a feature by its short name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|feature| feature.name() == name)
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_found_by_both_names() {
        for feature in Feature::ALL {
            assert_eq!(Feature::by_guid(feature.guid()), Some(*feature));
            assert_eq!(Feature::by_name(feature.name()), Some(*feature));
            assert!(!feature.name().is_empty());
        }
        assert_eq!(Feature::by_guid("org.example:none"), None);
    }

    #[test]
    fn what_is_counted_by_dataset_needs_extensible_datasets() {
        for feature in Feature::ALL {
            let description = feature.description();
            assert!(
                !description.per_dataset || description.needs.contains(&Feature::ExtensibleDataset),
                "{feature}"
            );
        }
    }
}
