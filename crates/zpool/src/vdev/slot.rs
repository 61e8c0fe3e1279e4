//! What holds one set of bytes: a disk, or several that ought to be equal because they are mirrored or because one takes
//! the place of another.

use super::Disk;
use super::label::is_between_labels;
use std::sync::Arc;
use zferry_wire::u64_from_usize;

/// A leaf vdev.
#[derive(Debug)]
pub(super) enum Leaf {
    /// A device that was found.
    Device {
        /// The device.
        disk: Arc<dyn Disk>,
        /// Whether it lacks writes, or is in bad standing: others are asked first.
        is_stale: bool,
    },
    /// A device that was not found.
    Missing {
        /// What it is called.
        name: String,
    },
    /// Room that a dRAID vdev keeps free, by the number of the spare.
    DistributedSpare(u64),
}

/// The leaves that hold the same bytes, those first that are asked first.
#[derive(Debug)]
pub(super) struct Slot {
    leaves: Vec<Leaf>,
}

impl Slot {
    pub(super) fn new(mut leaves: Vec<Leaf>) -> Self {
        leaves.sort_by_key(|leaf| match leaf {
            Leaf::Device { is_stale: false, .. } | Leaf::DistributedSpare(_) => 0,
            Leaf::Device { is_stale: true, .. } => 1,
            Leaf::Missing { .. } => 2,
        });
        Self { leaves }
    }

    /// The leaves, those first that are asked first.
    pub(super) fn leaves(&self) -> &[Leaf] {
        &self.leaves
    }

    /// The devices in the order in which a mirror asks them: neighbouring megabytes begin with different ones, so that
    /// all of them share the work.
    pub(super) fn devices_at(&self, place: u64) -> impl Iterator<Item = &Arc<dyn Disk>> {
        let sound = self.leaves.iter().take_while(|leaf| {
            matches!(
                leaf,
                Leaf::Device { is_stale: false, .. } | Leaf::DistributedSpare(_)
            )
        });
        let sound = sound.count();
        let (sound, others) = self.leaves.split_at_checked(sound).unwrap_or_default();
        let turn = u64_from_usize(sound.len());
        let first = (place >> MIRROR_TURN_SHIFT).checked_rem(turn).unwrap_or(0);
        let first = usize::try_from(first).unwrap_or(0);
        let (head, tail) = sound.split_at_checked(first).unwrap_or_default();
        tail.iter()
            .chain(head)
            .chain(others)
            .filter_map(|leaf| match leaf {
                Leaf::Device { disk, .. } => Some(disk),
                Leaf::Missing { .. } | Leaf::DistributedSpare(_) => None,
            })
    }

    /// What the leaves are called that were not found.
    pub(super) fn missing(&self) -> impl Iterator<Item = &str> {
        self.leaves.iter().filter_map(|leaf| match leaf {
            Leaf::Missing { name } => Some(name.as_str()),
            Leaf::Device { .. } | Leaf::DistributedSpare(_) => None,
        })
    }
}

/// How many bytes, as a power of two, are read from one side of a mirror before it is the next one's turn.
const MIRROR_TURN_SHIFT: u32 = 20;

/// Reads a range of a device, counted in bytes from its start, that must not touch its labels.
pub(super) fn read_device(disk: &dyn Disk, place: u64, buffer: &mut [u8]) -> Result<(), String> {
    let len = u64_from_usize(buffer.len());
    if !is_between_labels(place, len, disk.size()) {
        return Err(format!(
            "{}: {len} bytes at {place} are outside of its data",
            disk.name()
        ));
    }
    disk.read_at(buffer, place)
        .map_err(|error| format!("{}: {error}", disk.name()))
}
