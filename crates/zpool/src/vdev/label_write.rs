//! Writing labels: the configuration of a leaf, and the uberblocks of its ring.
//!
//! Each region ends in a checksum of its own, whose verifier is the region's place on the device. A transaction group
//! whose configuration did not change writes one slot of each ring and nothing else. One that changes it writes the
//! labels of even number before the uberblock and those of odd number after it, so that at every moment either an old
//! uberblock with old labels or a new one with new labels is whole.

use super::label::{CONFIG_BYTES, CONFIG_OFFSET, RING_BYTES, RING_OFFSET, label_offsets, slot_bytes};
use super::{Uberblock, WritableDisk};
use crate::{Corrupt, Error};
use zferry_blocks::checksum::{EMBEDDED_SIZE, seal_embedded};
use zferry_nvlist::{Encoding, NvList};
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

/// Where the boot environment lies in a label, and its size, in bytes.
const BOOT_ENVIRONMENT_OFFSET: u64 = 8 << 10;
const BOOT_ENVIRONMENT_BYTES: usize = 8 << 10;

/// Which two of the four labels of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Labels {
    /// The first of each pair: written before the uberblock.
    Even,
    /// The second of each pair: written after it.
    Odd,
}

fn offsets(disk: &dyn WritableDisk) -> Result<[u64; 4], Error> {
    label_offsets(disk.size()).ok_or_else(|| {
        let (name, size) = (disk.name(), disk.size());
        Error::Invalid(format!("{name}: {size} bytes are too few for a pool"))
    })
}

fn write(disk: &dyn WritableDisk, mut block: Vec<u8>, offset: u64) -> Result<(), Error> {
    seal_embedded(&mut block, [offset, 0, 0, 0], Endian::Little);
    disk.write_at(&block, offset)
        .map_err(|source| Error::io(disk.name(), source))
}

/// Writes the configuration of a leaf to two of its labels.
///
/// # Errors
/// Where the disk cannot be written, or the configuration does not fit.
pub(crate) fn write_config(disk: &dyn WritableDisk, config: &NvList, labels: Labels) -> Result<(), Error> {
    let mut packed = config.encode(Encoding::Xdr, Endian::Little);
    if packed.len() > CONFIG_BYTES.saturating_sub(EMBEDDED_SIZE) {
        let len = packed.len();
        return Err(Corrupt::new(format!(
            "a configuration of {len} bytes does not fit into a label"
        ))
        .into());
    }
    packed.resize(CONFIG_BYTES, 0);
    let [first, second, third, fourth] = offsets(disk)?;
    let pair = match labels {
        Labels::Even => [first, third],
        Labels::Odd => [second, fourth],
    };
    for label in pair {
        write(disk, packed.clone(), label.saturating_add(CONFIG_OFFSET))?;
    }
    Ok(())
}

/// Makes the labels of a device that never had any, or whose old ones are to be forgotten: empty boot environments and
/// empty rings.
///
/// # Errors
/// Where the disk cannot be written.
pub(crate) fn clear_labels(disk: &dyn WritableDisk) -> Result<(), Error> {
    for label in offsets(disk)? {
        let ring = label.saturating_add(RING_OFFSET);
        disk.write_at(&vec![0; RING_BYTES], ring)
            .map_err(|source| Error::io(disk.name(), source))?;
        let boot = label.saturating_add(BOOT_ENVIRONMENT_OFFSET);
        write(disk, vec![0; BOOT_ENVIRONMENT_BYTES], boot)?;
    }
    Ok(())
}

/// Writes an uberblock to the four labels of a leaf.
///
/// # Errors
/// Where the disk cannot be written.
pub(crate) fn write_uberblock(
    disk: &dyn WritableDisk,
    uberblock: &Uberblock,
    ashift: u32,
) -> Result<(), Error> {
    let slot_bytes = slot_bytes(ashift);
    let slots = RING_BYTES.checked_div(slot_bytes).unwrap_or(1);
    let slot = usize_from_u64(uberblock.txg.0.checked_rem(u64_from_usize(slots)).unwrap_or(0));
    let mut bytes = uberblock.encode();
    bytes.resize(slot_bytes, 0);
    for label in offsets(disk)? {
        let within = u64_from_usize(slot.saturating_mul(slot_bytes));
        let offset = label.saturating_add(RING_OFFSET).saturating_add(within);
        write(disk, bytes.clone(), offset)?;
    }
    Ok(())
}
