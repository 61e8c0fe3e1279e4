//! The vdevs of a pool, and how an address in a top-level vdev becomes bytes of its leaves.

use super::Disk;
use super::label::{DATA_OFFSET, data_bytes};
use crate::{Attempt, Corrupt, Error, Unsupported};
use std::sync::Arc;
use zferry_nvlist::NvList;
use zferry_wire::u64_from_usize;

/// All top-level vdevs of a pool, by their number.
#[derive(Debug)]
pub struct VdevTree {
    tops: Vec<TopVdev>,
}

/// A top-level vdev: what a block pointer's address names.
#[derive(Debug)]
pub struct TopVdev {
    /// Its guid.
    pub guid: u64,
    /// The sector size, as a power of two.
    pub ashift: u32,
    layout: Layout,
}

/// How the bytes of a top-level vdev lie on its leaves.
#[derive(Debug)]
enum Layout {
    /// One leaf.
    Disk(Arc<dyn Disk>),
}

impl VdevTree {
    /// Builds the tree of a pool from its configuration's `vdev_tree` (of type `root`) and the one device that was
    /// opened.
    ///
    /// # Errors
    /// [`Unsupported`] where the pool has several top-level vdevs or one that is not a single file or disk.
    pub fn single(tree: &NvList, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let tops = tree.lists("children").unwrap_or_default();
        let [top] = tops else {
            let wanted = u64_from_usize(tops.len());
            return Err(Unsupported::MissingVdevs { wanted, found: 1 }.into());
        };
        match top.str("type") {
            Some("file" | "disk") => {}
            other => return Err(Unsupported::VdevType(other.unwrap_or("none").to_owned()).into()),
        }
        let ashift = top.u64("ashift").and_then(|ashift| u32::try_from(ashift).ok());
        let ashift = ashift.filter(|ashift| (9..=16).contains(ashift));
        let ashift = ashift.ok_or_else(|| Corrupt::new("vdev without a sensible ashift"))?;
        let guid = top
            .u64("guid")
            .ok_or_else(|| Corrupt::new("vdev without a guid"))?;
        Ok(Self {
            tops: vec![TopVdev {
                guid,
                ashift,
                layout: Layout::Disk(disk),
            }],
        })
    }

    /// The tree of a pool whose disks are open for writing.
    pub(crate) fn for_writer(config: &NvList, vdevs: &super::WriteTree) -> Result<Self, Error> {
        let mut leaves = vdevs.leaves().map(|(_, leaf)| leaf);
        let (Some(leaf), None) = (leaves.next(), leaves.next()) else {
            return Err(Unsupported::MissingVdevs { wanted: 2, found: 1 }.into());
        };
        let disk: Arc<dyn Disk> = Arc::<dyn super::WritableDisk>::clone(&leaf.disk);
        let tree = config.list("vdev_tree").cloned().unwrap_or_default();
        Self::single(&tree, disk)
    }

    /// Reads a range of a top-level vdev, in every way that the layout knows, until `accept` says that the bytes are
    /// the right ones.
    ///
    /// `offset` is in bytes, as in a block pointer. Returns whether a reading was accepted; what failed is added to
    /// `attempts`.
    pub(crate) fn read(
        &self,
        vdev: u32,
        offset: u64,
        buffer: &mut [u8],
        accept: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
        attempts: &mut Vec<Attempt>,
    ) -> bool {
        let reading = match usize::try_from(vdev).ok().and_then(|vdev| self.tops.get(vdev)) {
            None => Err("no such vdev".to_owned()),
            Some(top) => top.read(offset, buffer).and_then(|()| accept(buffer)),
        };
        match reading {
            Ok(()) => true,
            Err(reason) => {
                attempts.push(Attempt { vdev, offset, reason });
                false
            }
        }
    }

    /// How much room the pool has, in bytes.
    pub(crate) fn data_bytes(&self) -> u64 {
        self.tops
            .iter()
            .map(TopVdev::data_bytes)
            .fold(0, u64::saturating_add)
    }

    /// The top-level vdevs, by their number.
    #[must_use]
    pub fn tops(&self) -> &[TopVdev] {
        &self.tops
    }
}

impl TopVdev {
    /// How much room it has, in bytes.
    fn data_bytes(&self) -> u64 {
        let Layout::Disk(disk) = &self.layout;
        data_bytes(disk.size())
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), String> {
        let Layout::Disk(disk) = &self.layout;
        let len = u64_from_usize(buffer.len());
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > self.data_bytes()) {
            return Err(format!("{len} bytes at {offset} lie outside of the device"));
        }
        let place = offset.saturating_add(DATA_OFFSET);
        disk.read_at(buffer, place)
            .map_err(|error| format!("{}: {error}", disk.name()))
    }
}
