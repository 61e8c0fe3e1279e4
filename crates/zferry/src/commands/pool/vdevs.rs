//! The vdevs of a pool, as they are named in lists.

use super::Handle;
use crate::pools::FoundDevice;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use zferry_nvlist::NvList;
use zferry_zpool::vdev::{VdevKind, VdevNode, VdevReason, VdevState, VdevStatus};

/// How vdevs are named.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct VdevNames {
    /// Name vdevs by their guids
    #[arg(short = 'g')]
    pub(super) guids: bool,
    /// Follow symbolic links in the paths of vdevs
    #[arg(short = 'L')]
    pub(super) follow_links: bool,
    /// Name vdevs by their full paths
    #[arg(short = 'P')]
    pub(super) full_paths: bool,
    /// Name what was not found by the path that it had, not by its guid
    #[arg(skip)]
    pub(super) recorded_paths: bool,
}

/// A vdev in its place below others.
#[derive(Clone, Debug)]
pub(super) struct Vdev {
    /// What it is called.
    pub(super) name: String,
    /// Where a leaf is, or was.
    pub(super) path: Option<String>,
    /// How deep it lies: 1 for a top-level vdev.
    pub(super) depth: usize,
    /// What it is, as the configuration calls it.
    pub(super) kind: String,
    /// Its number among its neighbours.
    pub(super) id: u64,
    /// Its guid.
    pub(super) guid: u64,
    /// For what it is used, if not for everything.
    pub(super) class: Option<Class>,
    /// Its state, in `zpool`'s word.
    pub(super) state: String,
    /// Why it is in that state.
    pub(super) reason: Option<VdevReason>,
    /// Whether it is a leaf that was not found, and so is called by its guid.
    pub(super) is_absent: bool,
    /// The size of the device that was found and is in use, in bytes.
    pub(super) size: Option<u64>,
}

/// For what vdevs are used that are not used for everything, in the order of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// The table of deduplicated blocks.
    Dedup,
    /// Metadata and small blocks.
    Special,
    /// The intent log.
    Logs,
    /// Copies of what was read.
    Cache,
    /// Devices that stand by, or stand in.
    Spare,
}

impl Class {
    pub(super) const ALL: [Self; 5] = [Self::Dedup, Self::Special, Self::Logs, Self::Cache, Self::Spare];

    /// Its heading in lists of pools; that of spares is another in `zpool status`.
    pub(super) const fn heading(self) -> &'static str {
        match self {
            Self::Dedup => "dedup",
            Self::Special => "special",
            Self::Logs => "logs",
            Self::Cache => "cache",
            Self::Spare => "spare",
        }
    }

    /// Under what JSON has its vdevs.
    pub(super) const fn json_key(self) -> &'static str {
        match self {
            Self::Cache => "l2cache",
            Self::Spare => "spares",
            other => other.heading(),
        }
    }

    /// What JSON calls the class of its vdevs.
    pub(super) const fn json_class(self) -> &'static str {
        match self {
            Self::Cache => "l2cache",
            other => other.heading(),
        }
    }
}

/// The vdevs of a pool, as far as lists have them.
pub(super) struct Tree<'t> {
    /// The state of each, the pool itself first.
    pub(super) vdevs: &'t [VdevStatus],
    /// Hot spares and caches.
    pub(super) spares: Vec<NvList>,
    pub(super) caches: Vec<NvList>,
    /// The devices that were found, by guid.
    pub(super) devices: &'t BTreeMap<u64, FoundDevice>,
}

impl<'t> Tree<'t> {
    pub(super) fn of(handle: &Handle<'t>) -> Result<Self, zferry_zpool::Error> {
        let pool = &handle.open.pool;
        Ok(Self {
            vdevs: pool.vdevs(),
            spares: pool.spares()?,
            caches: pool.caches()?,
            devices: handle.open.devices(),
        })
    }

    /// The vdevs below the root, each before what lies below it; those with a class come last, class by class.
    pub(super) fn list(&self, names: VdevNames) -> Vec<Vdev> {
        let mut by_class: BTreeMap<Option<Class>, Vec<Vdev>> = BTreeMap::new();
        let mut class = None;
        let mut is_hidden = false;
        for status in self.vdevs.iter().skip(1) {
            if status.depth == 1 {
                class = class_of(&status.node);
                is_hidden = matches!(status.node.kind, VdevKind::Hole | VdevKind::Missing);
            }
            if !is_hidden {
                let vdev = self.vdev(status, class, names);
                by_class.entry(class).or_default().push(vdev);
            }
        }
        for (class, lists) in [(Class::Cache, &self.caches), (Class::Spare, &self.spares)] {
            let vdevs = lists.iter().map(|list| self.auxiliary(list, class, names));
            by_class.entry(Some(class)).or_default().extend(vdevs);
        }
        by_class.into_values().flatten().collect()
    }

    fn vdev(&self, status: &VdevStatus, class: Option<Class>, names: VdevNames) -> Vdev {
        let node = &status.node;
        let device = self.devices.get(&node.guid).filter(|_| node.guid != 0);
        let path = self.path(node.guid, node.path.as_deref(), names);
        let is_absent = node.is_leaf() && status.state == VdevState::Unavail;
        let name = if names.guids || (is_absent && !names.recorded_paths) {
            node.guid.to_string()
        } else if let Some(path) = &path {
            leaf_name(path, node.is_whole_disk, node.kind == VdevKind::Disk, names)
        } else {
            status.name.clone()
        };
        let in_use = matches!(status.state, VdevState::Online | VdevState::Degraded);
        let size = match node.kind {
            VdevKind::DistributedSpare { .. } => self.smallest(),
            _ => device.map(|device| device.size),
        };
        Vdev {
            name,
            path,
            depth: status.depth,
            kind: node.kind.name().to_owned(),
            id: node.id,
            guid: node.guid,
            class,
            state: status.state.to_string(),
            reason: status.reason,
            is_absent,
            size: size.filter(|_| in_use && node.is_leaf()).map(whole_labels),
        }
    }

    /// A hot spare or a cache.
    fn auxiliary(&self, list: &NvList, class: Class, names: VdevNames) -> Vdev {
        let number = |name: &str| list.u64(name).unwrap_or(0);
        let guid = number("guid");
        let kind = list.str("type").unwrap_or("unknown").to_owned();
        let is_distributed = kind == "dspare";
        let recorded = list.str("path");
        let device = self.devices.get(&guid);
        let is_there = is_distributed || device.is_some();
        let is_in_use = self.vdevs.iter().any(|vdev| vdev.node.guid == guid);
        let state = match class {
            _ if !is_there => "UNAVAIL",
            Class::Spare if is_in_use => "INUSE",
            Class::Spare => "AVAIL",
            _ => "ONLINE",
        };
        let path = self.path(guid, recorded, names);
        let name = match &path {
            Some(path) if !names.guids => leaf_name(path, number("whole_disk") != 0, kind == "disk", names),
            _ => guid.to_string(),
        };
        let size = if is_distributed {
            self.smallest()
        } else {
            device.map(|device| device.size)
        };
        Vdev {
            name,
            path,
            depth: 1,
            kind,
            id: number("id"),
            guid,
            class: Some(class),
            state: state.to_owned(),
            reason: (!is_there).then_some(VdevReason::CannotOpen),
            is_absent: false,
            size: size.map(whole_labels),
        }
    }

    /// Where a leaf is: where it was found, or else where the pool says.
    fn path(&self, guid: u64, recorded: Option<&str>, names: VdevNames) -> Option<String> {
        let found = self.devices.get(&guid).filter(|_| guid != 0);
        let path = match found {
            Some(device) => device.path.clone(),
            None => PathBuf::from(recorded?),
        };
        let path = if names.follow_links {
            fs::canonicalize(&path).unwrap_or(path)
        } else {
            path
        };
        Some(path.display().to_string())
    }

    /// The size of the smallest device, which that of a distributed spare follows, in bytes.
    fn smallest(&self) -> Option<u64> {
        let own = self.vdevs.iter().filter(|vdev| vdev.node.is_leaf());
        let sizes = own.filter_map(|vdev| Some(self.devices.get(&vdev.node.guid)?.size));
        sizes.min()
    }
}

/// A device's size in whole labels, in bytes.
fn whole_labels(size: u64) -> u64 {
    /// The size of a label, in bytes.
    const LABEL: u64 = 256 << 10;
    size.saturating_sub(size % LABEL)
}

fn class_of(top: &VdevNode) -> Option<Class> {
    if top.is_log {
        return Some(Class::Logs);
    }
    match top.allocation_bias.as_deref()? {
        "dedup" => Some(Class::Dedup),
        "special" => Some(Class::Special),
        _ => None,
    }
}

/// What a leaf is called: its path, or a disk's last part of it.
fn leaf_name(path: &str, is_whole_disk: bool, is_disk: bool, names: VdevNames) -> String {
    if !is_disk || names.full_paths {
        return path.to_owned();
    }
    let device = path.rsplit('/').next().unwrap_or(path);
    let device = if is_whole_disk {
        without_partition(device)
    } else {
        device
    };
    device.to_owned()
}

/// A device's name without its partition: `sda` of `sda1`, `nvme0n1` of `nvme0n1p1`, `disk` of `disk-part1`.
fn without_partition(device: &str) -> &str {
    let base = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if base.len() == device.len() {
        return device;
    }
    if let Some(disk) = base.strip_suffix("-part") {
        return disk;
    }
    match base.strip_suffix('p') {
        Some(disk) if disk.ends_with(|c: char| c.is_ascii_digit()) => disk,
        _ if base.starts_with("sd")
            || base.starts_with("hd")
            || base.starts_with("vd")
            || base.starts_with("xvd") =>
        {
            base
        }
        _ => device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_disk_is_named_without_its_partition() {
        for (device, disk) in [
            ("sda1", "sda"),
            ("nvme0n1p1", "nvme0n1"),
            ("ata-WDC_1-part9", "ata-WDC_1"),
            ("loop0", "loop0"),
            ("dm-3", "dm-3"),
            ("sda", "sda"),
        ] {
            assert_eq!(without_partition(device), disk);
        }
    }
}
