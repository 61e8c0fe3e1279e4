//! The labels of a leaf vdev: four copies, two at each end of the device.
//!
//! ```text
//! device   | label 0 | label 1 | boot area, to 4 MiB | data … | label 2 | label 3 |
//! label    256 KiB:  0 pad | 8 K boot environment | 16 K configuration (112 K) | 128 K uberblock ring (128 K)
//! ```
//!
//! The configuration is an XDR nvlist; it and each slot of the ring end in a checksum of their own, whose verifier is
//! the place of the block on the device, so a label that was copied elsewhere is not taken for valid.

use super::{Disk, Uberblock};
use crate::{Corrupt, Error, Txg};
use std::cmp::Reverse;
use std::fmt::Display;
use std::ops::RangeInclusive;
use zferry_blocks::checksum::{EMBEDDED_SIZE, embedded_endian, verify_embedded};
use zferry_nvlist::{Limits, NvList};
use zferry_wire::u64_from_usize;

/// The size of one label, in bytes.
const LABEL_BYTES: u64 = 256 << 10;
/// Where the first two labels end, in bytes from the start of the device.
const LABELS_END: u64 = LABEL_BYTES * 2;
/// Where the configuration lies in a label, and its size, in bytes.
pub(super) const CONFIG_OFFSET: u64 = 16 << 10;
pub(super) const CONFIG_BYTES: usize = 112 << 10;
/// Where the uberblock ring lies in a label, and its size, in bytes.
pub(super) const RING_OFFSET: u64 = 128 << 10;
pub(super) const RING_BYTES: usize = 128 << 10;
/// Where the data of a leaf vdev begins: offset 0 of a block pointer, in bytes from the start of the device.
pub(crate) const DATA_OFFSET: u64 = 4 << 20;

/// What the label says the pool's fate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelState(pub u64);

impl LabelState {
    /// The pool is in use, or was not exported.
    pub const ACTIVE: Self = Self(0);
    /// The pool was exported.
    pub const EXPORTED: Self = Self(1);
    /// The pool was destroyed.
    pub const DESTROYED: Self = Self(2);
    /// The device is a hot spare.
    pub const SPARE: Self = Self(3);
    /// The device is a cache.
    pub const L2CACHE: Self = Self(4);
}

/// The labels of one device, as far as they are valid: the newest configuration and every uberblock.
#[derive(Clone, Debug)]
pub struct Label {
    /// The configuration with the highest transaction group.
    pub config: NvList,
    /// Configurations of earlier transaction groups, the newest first: a change of the configuration reaches two
    /// labels before the uberblock that makes it valid, and the other two after it.
    pub older_configs: Vec<NvList>,
    /// Every valid uberblock, the newest first, each once. Hot spares and caches have none.
    pub uberblocks: Vec<Uberblock>,
}

impl Label {
    /// The newest configuration that the uberblock of a transaction group has made valid; the oldest, where all are
    /// newer than that.
    #[must_use]
    pub fn config_at(&self, txg: Txg) -> &NvList {
        let is_valid = |config: &&NvList| config_txg(config) <= txg;
        let mut configs = std::iter::once(&self.config).chain(&self.older_configs);
        configs
            .find(is_valid)
            .or_else(|| self.older_configs.last())
            .unwrap_or(&self.config)
    }

    /// The guid of the device.
    #[must_use]
    pub fn guid(&self) -> Option<u64> {
        self.config.u64("guid")
    }

    /// What the label says the pool's fate is.
    #[must_use]
    pub fn state(&self) -> LabelState {
        LabelState(self.config.u64("state").unwrap_or(0))
    }

    /// The pool's name.
    #[must_use]
    pub fn pool_name(&self) -> Option<&str> {
        self.config.str("name")
    }

    /// The pool's guid.
    #[must_use]
    pub fn pool_guid(&self) -> Option<u64> {
        self.config.u64("pool_guid")
    }
}

/// Where the four labels of a device of `size` bytes begin. The size counts in whole labels.
pub(super) fn label_offsets(size: u64) -> Option<[u64; 4]> {
    let end = size.checked_sub(size % LABEL_BYTES)?;
    let third = end.checked_sub(LABEL_BYTES.checked_mul(2)?)?;
    let fourth = end.checked_sub(LABEL_BYTES)?;
    (end >= DATA_OFFSET).then_some([0, LABEL_BYTES, third, fourth])
}

/// Reads the labels of a device.
///
/// # Errors
/// [`Error::NoLabel`] where none of the four holds a valid configuration.
pub fn read_labels(disk: &dyn Disk) -> Result<Label, Error> {
    let no_label = || Error::NoLabel {
        disk: disk.name().to_owned(),
    };
    let offsets = label_offsets(disk.size()).ok_or_else(no_label)?;
    // An unreadable or damaged copy is what the other three are for. Sums cost, and of what is the same one is enough.
    let found = offsets
        .iter()
        .filter_map(|&offset| StoredConfig::read(disk, offset).ok());
    let mut found: Vec<StoredConfig> = found.collect();
    found.sort_by_key(|stored| Reverse(config_txg(&stored.config)));
    let mut configs: Vec<NvList> = Vec::new();
    for stored in found {
        if configs.last().map(config_txg) != Some(config_txg(&stored.config)) && stored.is_sealed() {
            configs.push(stored.config);
        }
    }
    let mut configs = configs.into_iter();
    let config = configs.next().ok_or_else(no_label)?;
    let shift = ashift(&config);
    let mut uberblocks = read_rings(disk, offsets, shift..=shift);
    // Where the configuration's ashift is wrong (a label written by a damaged or foreign tool), the other slot sizes
    // still find them.
    if uberblocks.is_empty() {
        uberblocks = read_rings(disk, offsets, SLOT_SHIFT_MIN..=SLOT_SHIFT_MAX);
    }
    Ok(Label {
        config,
        older_configs: configs.collect(),
        uberblocks,
    })
}

/// In what state one of the four labels of a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LabelCopy {
    /// It holds a valid configuration.
    Sound,
    /// It holds something else: it was damaged, or written in part.
    Torn,
    /// It holds nothing but zeros: it was never written, or wiped.
    Empty,
}

/// The states of the four labels of a device; none where it is too small to have any.
pub(crate) fn label_copies(disk: &dyn Disk) -> Vec<LabelCopy> {
    let offsets = label_offsets(disk.size());
    let copy = |offset: u64| {
        if StoredConfig::read(disk, offset).is_ok_and(|stored| stored.is_sealed()) {
            return LabelCopy::Sound;
        }
        let mut config = vec![0; CONFIG_BYTES];
        let read = disk.read_at(&mut config, offset.saturating_add(CONFIG_OFFSET));
        if read.is_ok() && config.iter().all(|byte| *byte == 0) {
            LabelCopy::Empty
        } else {
            LabelCopy::Torn
        }
    };
    offsets.into_iter().flatten().map(copy).collect()
}

/// Every valid uberblock of a device, the newest first, each once, whatever its labels' configurations say.
pub(crate) fn read_uberblocks(disk: &dyn Disk) -> Vec<Uberblock> {
    label_offsets(disk.size()).map_or_else(Vec::new, |offsets| {
        read_rings(disk, offsets, SLOT_SHIFT_MIN..=SLOT_SHIFT_MAX)
    })
}

/// Whether a device by now has a valid uberblock that is newer than one of this age. Hardly any has to be summed for that.
pub(crate) fn has_newer_uberblock(disk: &dyn Disk, label: &Label, age: (Txg, u64)) -> bool {
    let shift = ashift(&label.config);
    let mut offsets = label_offsets(disk.size()).into_iter().flatten();
    offsets.any(|label| {
        Ring::read(disk, label, shift).is_some_and(|ring| {
            let mut newer = ring.uberblocks().filter(|(found, _)| found.age_key() > age);
            newer.any(|(_, slot)| ring.is_sealed(slot))
        })
    })
}

/// The valid uberblocks in the rings of labels, the newest first, each once. A ring that cannot be read has none.
fn read_rings(disk: &dyn Disk, labels: [u64; 4], shifts: RangeInclusive<u32>) -> Vec<Uberblock> {
    let rings = shifts.flat_map(|shift| labels.map(|label| Ring::read(disk, label, shift)));
    let rings: Vec<Ring> = rings.flatten().collect();
    let stored = rings.iter().flat_map(|ring| {
        ring.uberblocks()
            .map(move |(uberblock, slot)| (uberblock, slot, ring))
    });
    let mut stored: Vec<_> = stored.collect();
    stored.sort_by_key(|(uberblock, ..)| Reverse(uberblock.age_key()));
    let mut uberblocks: Vec<Uberblock> = Vec::new();
    for (uberblock, slot, ring) in stored {
        // Each label has a copy, of which one is summed.
        let is_known = uberblocks
            .last()
            .is_some_and(|last| last.age_key() == uberblock.age_key());
        if !is_known && ring.is_sealed(slot) {
            uberblocks.push(uberblock);
        }
    }
    uberblocks
}

/// The transaction group with which a configuration was written.
fn config_txg(config: &NvList) -> Txg {
    Txg(config.u64("txg").unwrap_or(0))
}

/// An uberblock slot is as large as a sector of the vdev, within these bounds (powers of two).
const SLOT_SHIFT_MIN: u32 = 10;
const SLOT_SHIFT_MAX: u32 = 13;

/// The size of an uberblock's slot on a vdev with sectors of 2^`ashift` bytes.
pub(super) fn slot_bytes(ashift: u32) -> usize {
    1_usize << ashift.clamp(SLOT_SHIFT_MIN, SLOT_SHIFT_MAX)
}

/// The sector size that the label's vdev tree names, as a power of two.
fn ashift(config: &NvList) -> u32 {
    let ashift = config
        .list("vdev_tree")
        .and_then(|tree| tree.u64("ashift"))
        .unwrap_or(9);
    u32::try_from(ashift).unwrap_or(u32::MAX)
}

/// A configuration as a label holds it, whether or not its checksum is right.
struct StoredConfig {
    config: NvList,
    block: Vec<u8>,
    /// Where in the device the block lies, in bytes.
    offset: u64,
}

impl StoredConfig {
    fn read(disk: &dyn Disk, label: u64) -> Result<Self, Error> {
        let offset = label.saturating_add(CONFIG_OFFSET);
        let read = |buffer: &mut [u8], at: u64| {
            disk.read_at(buffer, at)
                .map_err(|source| Error::io(disk.name(), source))
        };
        // Most files of a folder are no vdevs, which their last bytes tell.
        let mut trailer = [0; EMBEDDED_SIZE];
        let end = offset.saturating_add(u64_from_usize(CONFIG_BYTES));
        read(&mut trailer, end.saturating_sub(u64_from_usize(EMBEDDED_SIZE)))?;
        let failed =
            |reason: &dyn Display| Corrupt::new(format!("{}: label at {offset}: {reason}", disk.name()));
        if embedded_endian(&trailer).is_none() {
            return Err(failed(&"no checksum").into());
        }
        let mut block = vec![0; CONFIG_BYTES];
        read(&mut block, offset)?;
        let decoded = NvList::decode(&block, &Limits::default());
        let (config, _) = decoded.map_err(|error| failed(&error))?;
        Ok(Self {
            config,
            block,
            offset,
        })
    }

    fn is_sealed(&self) -> bool {
        is_sealed(&self.block, self.offset)
    }
}

/// The ring of a label, as it was read.
struct Ring {
    bytes: Vec<u8>,
    slot_bytes: usize,
    /// Where in the device it begins, in bytes.
    start: u64,
}

impl Ring {
    /// `None` where it cannot be read.
    fn read(disk: &dyn Disk, label: u64, ashift: u32) -> Option<Self> {
        let start = label.saturating_add(RING_OFFSET);
        let mut bytes = vec![0; RING_BYTES];
        disk.read_at(&mut bytes, start).ok()?;
        Some(Self {
            bytes,
            slot_bytes: slot_bytes(ashift),
            start,
        })
    }

    /// What looks like an uberblock, with its slot, whether or not its checksum is right.
    fn uberblocks(&self) -> impl Iterator<Item = (Uberblock, usize)> {
        let slots = self.bytes.chunks_exact(self.slot_bytes);
        let decoded = slots.map(|slot| Uberblock::decode(slot).ok().flatten());
        decoded
            .enumerate()
            .filter_map(|(slot, uberblock)| Some((uberblock?, slot)))
    }

    fn is_sealed(&self, slot: usize) -> bool {
        let offset = slot.saturating_mul(self.slot_bytes);
        let bytes = self
            .bytes
            .get(offset..)
            .and_then(|rest| rest.get(..self.slot_bytes));
        bytes.is_some_and(|bytes| is_sealed(bytes, self.start.saturating_add(u64_from_usize(offset))))
    }
}

/// Whether a block of a label ends in the checksum that belongs to its bytes and its place, in whichever byte order.
fn is_sealed(block: &[u8], offset: u64) -> bool {
    embedded_endian(block).is_some_and(|endian| verify_embedded(block, [offset, 0, 0, 0], endian))
}

/// The bytes of a device that hold data, in bytes from [`DATA_OFFSET`] on.
pub(crate) fn data_bytes(size: u64) -> u64 {
    let end = size.saturating_sub(size % LABEL_BYTES);
    end.saturating_sub(LABELS_END).saturating_sub(DATA_OFFSET)
}

/// Whether a range lies between the labels of a device of `size` bytes: in its data, or in the area before it that a
/// raidz expansion uses.
pub(super) fn is_between_labels(place: u64, len: u64, size: u64) -> bool {
    let end = size.saturating_sub(size % LABEL_BYTES);
    place >= LABELS_END
        && place
            .checked_add(len)
            .is_some_and(|after| after <= end.saturating_sub(LABELS_END))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_lie_two_at_each_end() {
        assert_eq!(
            label_offsets((64 << 20) + 77),
            Some([0, 256 << 10, (64 << 20) - (512 << 10), (64 << 20) - (256 << 10)])
        );
        assert_eq!(label_offsets(1 << 20), None);
        let (size, end) = ((64 << 20) + 77, (64 << 20) - (512 << 10));
        assert!(is_between_labels(512 << 10, end - (512 << 10), size));
        assert!(!is_between_labels((512 << 10) - 1, 1, size));
        assert!(!is_between_labels(end, 1, size));
        assert!(!is_between_labels(u64::MAX, 1, size));
        assert!(!is_between_labels(0, 0, 0));
    }
}
