//! How bytes for a top-level vdev reach its leaves: a single file or device, or every side of a mirror.

use super::label::DATA_OFFSET;
use super::{WritableDisk, data_bytes};
use crate::{Error, Txg};
use std::sync::Arc;
use zferry_wire::{u64_from_usize, usize_from_u32};

/// A leaf of a top-level vdev.
#[derive(Clone, Debug)]
pub(crate) struct WriteLeaf {
    /// Its guid.
    pub(crate) guid: u64,
    /// The disk.
    pub(crate) disk: Arc<dyn WritableDisk>,
}

/// A top-level vdev that is written.
#[derive(Clone, Debug)]
pub(crate) struct WriteTop {
    /// Its guid.
    pub(crate) guid: u64,
    /// The sector size, as a power of two.
    pub(crate) ashift: u32,
    /// The size of its data, in bytes.
    pub(crate) asize: u64,
    /// Its leaves, which all hold the same.
    pub(crate) leaves: Vec<WriteLeaf>,
}

/// All top-level vdevs of a pool, by their number.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteTree {
    pub(crate) tops: Vec<WriteTop>,
}

impl WriteTop {
    /// The size of the data of a vdev with these leaves: that of the smallest.
    pub(crate) fn asize_of(leaves: &[WriteLeaf]) -> u64 {
        let sizes = leaves.iter().map(|leaf| data_bytes(leaf.disk.size()));
        sizes.min().unwrap_or(0)
    }
}

impl WriteTree {
    pub(crate) fn leaves(&self) -> impl Iterator<Item = (&WriteTop, &WriteLeaf)> {
        self.tops
            .iter()
            .flat_map(|top| top.leaves.iter().map(move |leaf| (top, leaf)))
    }

    fn top(&self, vdev: u32) -> Result<&WriteTop, Error> {
        let top = self.tops.get(usize_from_u32(vdev));
        top.ok_or_else(|| Error::Invalid(format!("no vdev {vdev} to write to")))
    }

    /// The vdev of a range, and where the range lies on each of its leaves; `offset` is that of a block pointer, in bytes.
    pub(crate) fn place(&self, vdev: u32, offset: u64, len: u64) -> Result<(&WriteTop, u64), Error> {
        let top = self.top(vdev)?;
        if offset.checked_add(len).is_none_or(|end| end > top.asize) {
            return Err(Error::Invalid(format!(
                "{len} bytes at {offset} lie outside of vdev {vdev}"
            )));
        }
        Ok((top, offset.saturating_add(DATA_OFFSET)))
    }

    /// Writes to every leaf of a vdev; `offset` is that of a block pointer, in bytes.
    pub(crate) fn write(&self, vdev: u32, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let (top, place) = self.place(vdev, offset, u64_from_usize(bytes.len()))?;
        for leaf in &top.leaves {
            leaf.disk
                .write_at(bytes, place)
                .map_err(|source| Error::io(leaf.disk.name(), source))?;
        }
        Ok(())
    }

    /// Gives the space of a range of a vdev back.
    pub(crate) fn punch(&self, vdev: u32, offset: u64, len: u64) -> Result<(), Error> {
        for leaf in &self.top(vdev)?.leaves {
            let place = offset.saturating_add(DATA_OFFSET);
            leaf.disk
                .punch(place, len)
                .map_err(|source| Error::io(leaf.disk.name(), source))?;
        }
        Ok(())
    }

    /// The oldest transaction group whose space a reader holds; where that cannot be told, all is taken for held.
    pub(crate) fn oldest_held(&self) -> Option<Txg> {
        let held = self.leaves().map(|(_, leaf)| leaf.disk.oldest_held());
        held.filter_map(|held| held.unwrap_or(Some(Txg(0)))).min()
    }

    /// Returns when all that was written is safe.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        for (_, leaf) in self.leaves() {
            leaf.disk
                .flush()
                .map_err(|source| Error::io(leaf.disk.name(), source))?;
        }
        Ok(())
    }
}
