//! The pool's configuration: as the pool holds it, as its labels do, and what it says of vdevs and their space.

use super::{PoolWriter, for_reading};
use crate::spa::{Allocator, Feature, ScanFunction, ScanState, TopVdevSpace};
use crate::vdev::{
    LabelState, Labels, Uberblock, VdevKind, VdevState, VdevStatus, WritableDisk, WriteLeaf, WriteTop,
    WriteTree, write_config,
};
use crate::{Corrupt, Error, ObjectNumber, OpenOptions, Pool};
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_nvlist::{Encoding, NvList, Value};
use zferry_wire::{Endian, u64_from_usize};

/// A pool with more than this is not written, as no list of space maps could hold it.
const METASLABS_MAX: u64 = 1 << 17;
/// What datasets leave free: a part of the pool, at least and at most so many bytes.
const SLOP_SHIFT: u32 = 5;
const SLOP_MIN: u64 = 128 << 20;
const SLOP_MAX: u64 = 128 << 30;

/// The features that a pool may use and still be written.
const WRITABLE: &[Feature] = &[
    Feature::AsyncDestroy,
    Feature::EmptyBpobj,
    Feature::Lz4Compress,
    Feature::SpacemapHistogram,
    Feature::EnabledTxg,
    Feature::HoleBirth,
    Feature::ExtensibleDataset,
    Feature::EmbeddedData,
    Feature::Bookmarks,
    Feature::FilesystemLimits,
    Feature::LargeBlocks,
    Feature::LargeDnode,
    Feature::Sha512,
    Feature::Skein,
    Feature::EdonR,
    Feature::UserObjAccounting,
    Feature::Encryption,
    Feature::ProjectQuota,
    Feature::SpacemapV2,
    Feature::LogSpacemap,
    Feature::Livelist,
    Feature::VdevZapsV2,
    Feature::ResilverDefer,
    Feature::BookmarkV2,
    Feature::BookmarkWritten,
    Feature::RedactionBookmarks,
    Feature::RedactedDatasets,
    Feature::ZstdCompress,
    Feature::ZilSaXattr,
    Feature::HeadErrlog,
    Feature::Blake3,
    Feature::RedactionListSpill,
    Feature::LongName,
    Feature::LargeMicrozap,
];

pub(super) fn open_for_reading(
    disks: &[Arc<dyn WritableDisk>],
    options: &OpenOptions,
) -> Result<Pool, Error> {
    let disks = disks.iter().map(for_reading).collect();
    Pool::open_disks(disks, options)
}

/// Refuses a pool that somebody else seems to use, and one that uses what is not written yet.
pub(super) fn check_writable(pool: &Pool, is_forced: bool) -> Result<(), Error> {
    if pool.label().state() == LabelState::ACTIVE && !is_forced {
        let host = pool.config().str("hostname").unwrap_or("an unknown host");
        return Err(Error::ReadOnly(format!(
            "it was not exported, and may be in use by {host}"
        )));
    }
    if pool.label().state() == LabelState::DESTROYED && !is_forced {
        return Err(Error::ReadOnly("it was destroyed".to_owned()));
    }
    if pool.version() != 5000 {
        let version = pool.version();
        return Err(Error::ReadOnly(format!(
            "it has version {version}, from before feature flags"
        )));
    }
    if pool.uberblock().endian != Endian::Little {
        return Err(Error::ReadOnly(
            "it was written by a big-endian machine".to_owned(),
        ));
    }
    if pool.uberblock().checkpoint_txg.0 != 0 {
        return Err(Error::ReadOnly("it has a checkpoint".to_owned()));
    }
    // A scan keeps what it has still to visit, which only OpenZFS keeps right when datasets come and go.
    if let Some(scan) = pool.scan()?.filter(|scan| scan.state == ScanState::SCANNING) {
        let what = if scan.function == ScanFunction::RESILVER {
            "resilver"
        } else {
            "scrub"
        };
        return Err(Error::ReadOnly(format!(
            "a {what} is under way; let OpenZFS finish it, or stop it with zpool scrub -s"
        )));
    }
    check_vdevs(pool.vdevs())?;
    let directory = pool.meta_object(ObjectNumber(1))?;
    let entries = crate::zap::entries(pool.reader(), &directory)?;
    if entries.iter().any(|entry| entry.name.starts_with(b"DDT-")) {
        return Err(Error::ReadOnly("it has deduplicated blocks".to_owned()));
    }
    let mut unknown = Vec::new();
    for table in ["features_for_read", "features_for_write"] {
        let table = pool.directory_object(table)?;
        for entry in crate::zap::entries(pool.reader(), &table)? {
            let is_active = entry.value.as_u64().is_some_and(|count| count > 0);
            let name = entry.name_lossy();
            let is_known = Feature::by_guid(&name).is_some_and(|feature| WRITABLE.contains(&feature));
            if is_active && !is_known {
                unknown.push(name);
            }
        }
    }
    if unknown.is_empty() {
        Ok(())
    } else {
        unknown.sort_unstable();
        Err(Error::ReadOnly(format!("it uses {}", unknown.join(", "))))
    }
}

/// The measures of all top-level vdevs.
pub(super) fn top_spaces(config: &NvList) -> Result<Vec<TopVdevSpace>, Error> {
    let tops = config
        .list("vdev_tree")
        .and_then(|tree| tree.lists("children"))
        .unwrap_or_default();
    let mut spaces = Vec::new();
    for top in tops {
        let kind = top.str("type").unwrap_or("none");
        let space = TopVdevSpace::of_config(top).filter(|_| matches!(kind, "file" | "disk" | "mirror"));
        let space = space.ok_or_else(|| Error::ReadOnly(format!("it has a vdev of type '{kind}'")))?;
        if space.metaslab_count > METASLABS_MAX {
            return Err(Corrupt::new(format!("a vdev of {} metaslabs", space.metaslab_count)).into());
        }
        if space.class != crate::spa::AllocationClass::Normal || space.is_non_allocating {
            return Err(Error::ReadOnly("it has vdevs for special purposes".to_owned()));
        }
        spaces.push(space);
    }
    Ok(spaces)
}

/// What datasets may fill of these vdevs, in bytes.
pub(super) fn room(spaces: &[TopVdevSpace]) -> u64 {
    let total = spaces
        .iter()
        .map(TopVdevSpace::space)
        .fold(0, u64::saturating_add);
    let slop = (total >> SLOP_SHIFT)
        .min(SLOP_MAX)
        .max((total >> 1).min(SLOP_MIN));
    total.saturating_sub(slop)
}

/// Learns which object is the space map of each metaslab.
pub(super) fn find_space_maps(
    pool: &Pool,
    spaces: &[TopVdevSpace],
    allocator: &mut Allocator,
) -> Result<(), Error> {
    for (space, top) in spaces.iter().zip(&mut allocator.tops) {
        let numbers = pool.space_maps(space)?;
        for (metaslab, number) in top.metaslabs.iter_mut().zip(numbers) {
            metaslab.map = (number != 0).then_some(ObjectNumber(number));
        }
    }
    Ok(())
}

/// Refuses layouts that are not written yet, and pools of which a part is away.
fn check_vdevs(vdevs: &[VdevStatus]) -> Result<(), Error> {
    for vdev in vdevs.iter().skip(1) {
        let node = &vdev.node;
        let is_written = match node.kind {
            VdevKind::File | VdevKind::Disk => vdev.depth <= 2,
            VdevKind::Mirror => vdev.depth == 1,
            _ => false,
        };
        let name = &vdev.name;
        if !is_written || node.is_log || node.allocation_bias.is_some() {
            return Err(Error::ReadOnly(format!(
                "'{name}' is neither a file, a device nor a mirror that holds all kinds of data"
            )));
        }
        if vdev.state != VdevState::Online {
            return Err(Error::ReadOnly(format!("'{name}' is not there, or not well")));
        }
    }
    Ok(())
}

/// Which disks the vdevs of a configuration are written to, found by the guids in their labels.
pub(super) fn write_tree(config: &NvList, disks: &[Arc<dyn WritableDisk>]) -> Result<WriteTree, Error> {
    let mut by_guid: BTreeMap<u64, Arc<dyn WritableDisk>> = BTreeMap::new();
    for disk in disks {
        let label = crate::vdev::read_labels(&*for_reading(disk))?;
        if let Some(guid) = label.config.u64("guid") {
            by_guid.insert(guid, Arc::clone(disk));
        }
    }
    tree_of(config, &by_guid)
}

/// The same with the disks by their guids.
pub(super) fn tree_of(
    config: &NvList,
    by_guid: &BTreeMap<u64, Arc<dyn WritableDisk>>,
) -> Result<WriteTree, Error> {
    let tops = config
        .list("vdev_tree")
        .and_then(|tree| tree.lists("children"))
        .unwrap_or_default();
    let mut tree = WriteTree::default();
    for top in tops {
        let leaves = top.lists("children").unwrap_or(std::slice::from_ref(top));
        let leaves = leaves.iter().map(|leaf| {
            let guid = leaf.u64("guid").unwrap_or(0);
            let disk = by_guid.get(&guid).map(Arc::clone);
            let name = leaf.str("path").unwrap_or("a device").to_owned();
            let disk = disk.ok_or_else(|| Error::ReadOnly(format!("{name} is missing")))?;
            Ok(WriteLeaf { guid, disk })
        });
        let leaves = leaves.collect::<Result<Vec<_>, Error>>()?;
        let ashift = top.u64("ashift").and_then(|ashift| u32::try_from(ashift).ok());
        tree.tops.push(WriteTop {
            guid: top.u64("guid").unwrap_or(0),
            ashift: ashift.unwrap_or(9),
            asize: WriteTop::asize_of(&leaves),
            leaves,
        });
    }
    Ok(tree)
}

/// The sum of the guids of every vdev, modulo 2^64.
pub(super) fn guid_sum(tree: &NvList) -> u64 {
    let mut sum = 0_u64;
    let mut stack = vec![tree];
    while let Some(vdev) = stack.pop() {
        sum = sum.wrapping_add(vdev.u64("guid").unwrap_or(0));
        stack.extend(vdev.lists("children").unwrap_or_default());
    }
    sum
}

/// A vdev's part of the configuration as labels have it: without what only the pool itself knows.
fn for_label(vdev: &NvList) -> NvList {
    let mut list = NvList::new();
    for (name, value) in vdev.iter() {
        match value {
            Value::NvListArray(children) if name == "children" => {
                list.insert(name, Value::NvListArray(children.iter().map(for_label).collect()));
            }
            _ if name.starts_with("com.delphix:vdev_zap") || name.starts_with("com.klarasystems:") => {}
            _ => {
                list.insert(name, value.clone());
            }
        }
    }
    list
}

impl PoolWriter {
    /// Brings the configuration up to date with the open group, and says whether it has to be written.
    pub(super) fn refresh_config(&mut self) {
        let mut config = NvList::new();
        let replaced = ["state", "txg", "hostid", "hostname", "features_for_read"];
        for (name, value) in self.config.iter() {
            if !replaced.contains(&name) {
                config.insert(name, value.clone());
            }
            if name == "name" {
                config.insert("state", self.state.0);
                config.insert("txg", self.io.txg.0);
            }
        }
        let features = self.config.list("features_for_read").cloned();
        config.insert("features_for_read", Value::NvList(features.unwrap_or_default()));
        self.config = config;
    }

    /// The configuration as it is stored in the pool.
    pub(super) fn packed_config(&self) -> Vec<u8> {
        self.config.encode(Encoding::Xdr, Endian::Little)
    }

    /// What the label of a leaf says.
    fn label_of(&self, top: &NvList, leaf_guid: u64) -> NvList {
        let mut label = NvList::new();
        for (name, value) in self.config.iter() {
            let is_own = matches!(name, "vdev_tree" | "vdev_children" | "features_for_read")
                || name == "com.delphix:has_per_vdev_zaps";
            if !is_own {
                label.insert(name, value.clone());
            }
        }
        label.insert("top_guid", top.u64("guid").unwrap_or(0));
        label.insert("guid", leaf_guid);
        let children = self.config.u64("vdev_children").unwrap_or(1);
        label.insert("vdev_children", children);
        label.insert("vdev_tree", Value::NvList(for_label(top)));
        if let Some(features) = self.config.get("features_for_read") {
            label.insert("features_for_read", features.clone());
        }
        label
    }

    /// Writes the labels of every leaf.
    pub(super) fn write_labels(&self, labels: Labels) -> Result<(), Error> {
        let tops = self
            .config
            .list("vdev_tree")
            .and_then(|tree| tree.lists("children"))
            .unwrap_or_default();
        for (top, leaf) in self.io.vdevs.leaves() {
            let config = tops.iter().find(|config| config.u64("guid") == Some(top.guid));
            let Some(config) = config else { continue };
            write_config(&*leaf.disk, &self.label_of(config, leaf.guid), labels)?;
        }
        Ok(())
    }

    /// Writes an uberblock to every leaf.
    pub(super) fn write_uberblocks(&self, uberblock: &Uberblock) -> Result<(), Error> {
        for (top, leaf) in self.io.vdevs.leaves() {
            crate::vdev::write_uberblock(&*leaf.disk, uberblock, top.ashift)?;
        }
        Ok(())
    }

    /// The sum of the guids of every vdev.
    pub(super) fn guid_sum(&self) -> u64 {
        self.config.list("vdev_tree").map_or(0, guid_sum)
    }
}

/// How a vdev of so many bytes is cut into metaslabs: the power of two of their size.
pub(super) fn metaslab_shift(asize: u64) -> u32 {
    const USUAL: u32 = 29;
    const COUNT_MIN: u64 = 16;
    const COUNT_MAX: u64 = 200;
    const SHIFT_MIN: u32 = 24;
    const SHIFT_MAX: u32 = 34;
    let highest = |size: u64| size.checked_ilog2().map_or(0, |bit| bit.saturating_add(1));
    let count = asize >> USUAL;
    let shift = if count < COUNT_MIN {
        highest(asize / COUNT_MIN)
    } else if count > COUNT_MAX {
        highest(asize / COUNT_MAX)
    } else {
        USUAL
    };
    let shift = shift.clamp(SHIFT_MIN, SHIFT_MAX);
    let needed = highest(asize / METASLABS_MAX);
    shift.max(needed)
}

/// The length of a list of numbers as a `u64`.
pub(super) fn count(list: &[NvList]) -> u64 {
    u64_from_usize(list.len())
}
