//! Feature flags: what a pool of version 5000 says that its readers must understand.
//!
//! Two ZAPs in the meta object set, `features_for_read` and `features_for_write`, count the uses of each feature by its
//! guid (`org.example:name`). A count above zero means active: whoever does not know an active feature of the first
//! must not read the pool.

use crate::Unsupported;

/// The features that change what a reader meets, and that zferry reads.
const READABLE: &[&str] = &[
    "com.datto:bookmark_v2",
    "com.datto:encryption",
    "com.datto:resilver_defer",
    "com.delphix:async_destroy",
    "com.delphix:bookmark_written",
    "com.delphix:bookmarks",
    "com.delphix:device_removal",
    "com.delphix:embedded_data",
    "com.delphix:empty_bpobj",
    "com.delphix:enabled_txg",
    "com.delphix:extensible_dataset",
    "com.delphix:head_errlog",
    "com.delphix:hole_birth",
    "com.delphix:livelist",
    "com.delphix:log_spacemap",
    "com.delphix:obsolete_counts",
    "com.delphix:redacted_datasets",
    "com.delphix:redaction_bookmarks",
    "com.delphix:redaction_list_spill",
    "com.delphix:spacemap_histogram",
    "com.delphix:spacemap_v2",
    "com.delphix:zpool_checkpoint",
    "com.fudosecurity:block_cloning",
    "com.fudosecurity:block_cloning_endian",
    "com.joyent:filesystem_limits",
    "com.joyent:multi_vdev_crash_dump",
    "com.klarasystems:dynamic_gang_header",
    "com.klarasystems:fast_dedup",
    "com.klarasystems:large_microzap",
    "com.klarasystems:vdev_zaps_v2",
    "com.truenas:physical_rewrite",
    "org.freebsd:zstd_compress",
    "org.illumos:edonr",
    "org.illumos:lz4_compress",
    "org.illumos:sha512",
    "org.illumos:skein",
    "org.open-zfs:large_blocks",
    "org.openzfs:blake3",
    "org.openzfs:device_rebuild",
    "org.openzfs:draid",
    "org.openzfs:raidz_expansion",
    "org.openzfs:zilsaxattr",
    "org.zfsonlinux:allocation_classes",
    "org.zfsonlinux:large_dnode",
    "org.zfsonlinux:longname",
    "org.zfsonlinux:project_quota",
    "org.zfsonlinux:userobj_accounting",
];

/// Checks that every active feature of `features_for_read` is known.
///
/// # Errors
/// [`Unsupported::Features`] naming those that are not, in order.
pub fn check_readable<'a>(active: impl Iterator<Item = &'a str>) -> Result<(), Unsupported> {
    let mut unknown: Vec<String> = active
        .filter(|guid| READABLE.binary_search(guid).is_err())
        .map(str::to_owned)
        .collect();
    unknown.sort_unstable();
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Unsupported::Features(unknown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_unknown_features_are_named() {
        assert!(READABLE.is_sorted());
        assert_eq!(check_readable(["org.illumos:lz4_compress"].into_iter()), Ok(()));
        let refused =
            check_readable(["org.example:b", "org.illumos:lz4_compress", "org.example:a"].into_iter());
        assert_eq!(
            refused,
            Err(Unsupported::Features(vec![
                "org.example:a".into(),
                "org.example:b".into()
            ]))
        );
    }
}
