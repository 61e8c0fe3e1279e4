//! The space map: what is allocated of a metaslab, as a log of what was taken and given back.
//!
//! ```text
//! word  field                 the bonus buffer of a space map's object: 24 bytes, or 320 with the histogram
//!    0  smp_object
//!    1  smp_length            bytes of entries
//!    2  smp_alloc             the net effect of the entries, in bytes, signed
//!    8  smp_histogram[32]     how many free segments there are of 2^(n + shift) bytes and more
//!
//! entry, one word   0 | offset 47 bits | type 1 | run − 1, 15 bits
//! entry, two words  11 | pad 2 | run − 1, 36 bits | vdev 24 bits ; type 1 | offset 63 bits
//! remark            10 | …
//! ```
//!
//! Type 0 takes, type 1 gives back; offsets and runs are in sectors, those of the logs below in units of 512 bytes.

use super::{AllocationClass, TopVdevSpace};
use crate::dmu::{Allowance, Object};
use crate::zap;
use crate::{BlockId, Corrupt, Error, ObjectNumber, Pool};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use zferry_wire::{Reader, u64_from_usize, usize_from_u64};

const HISTOGRAM: usize = 32;
/// The size of a sector in the logs, as a power of two.
const LOG_SHIFT: u32 = 9;

/// A space map's header.
#[derive(Clone, Debug)]
pub struct SpaceMapPhys {
    /// How many bytes of entries there are.
    pub length: u64,
    /// Their net effect, in bytes.
    pub allocated: i64,
    /// How many free segments there are by size, where that is counted.
    pub histogram: Option<Vec<u64>>,
}

impl SpaceMapPhys {
    /// Decodes the bonus buffer of a space map's object.
    ///
    /// # Errors
    /// [`Corrupt`] where it is cut short.
    pub fn decode(object: &Object) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(object.dnode.bonus(), object.dnode.endian);
        let [_object, length, allocated] = reader.u64s()?;
        let histogram = if reader.skip(5 * 8).is_ok() && !reader.is_empty() {
            Some(
                (0..HISTOGRAM)
                    .map(|_| reader.u64())
                    .collect::<Result<Vec<_>, _>>()?,
            )
        } else {
            None
        };
        Ok(Self {
            length,
            allocated: allocated.cast_signed(),
            histogram,
        })
    }
}

/// How fragmented free space is when it comes in segments of 512 bytes, of 1 KiB, and so on, in percent.
const FRAGMENTATION: [u64; 21] = [
    100, 99, 97, 93, 88, 83, 77, 71, 64, 57, 50, 43, 36, 29, 23, 17, 12, 7, 3, 1, 0,
];

/// How fragmented the free space of a metaslab is, in percent.
fn fragmentation(histogram: &[u64], shift: u32) -> u64 {
    let (mut total, mut weighted) = (0_u128, 0_u128);
    for (size_shift, &count) in (shift..).zip(histogram) {
        let space = u128::from(count) << size_shift.min(63);
        let index = usize::try_from(size_shift.saturating_sub(9)).unwrap_or(usize::MAX);
        let percent = FRAGMENTATION.get(index).copied().unwrap_or(0);
        total = total.saturating_add(space);
        weighted = weighted.saturating_add(space.saturating_mul(u128::from(percent)));
    }
    weighted
        .checked_div(total)
        .and_then(|percent| u64::try_from(percent).ok())
        .unwrap_or(0)
}

/// What is allocated of a top-level vdev.
#[derive(Clone, Debug)]
pub struct VdevUsage {
    /// Its measures.
    pub vdev: TopVdevSpace,
    /// The size of its metaslabs, in bytes.
    pub size: u64,
    /// What of them is allocated, in bytes.
    pub allocated: u64,
    /// How fragmented the rest is, in percent, where that is known.
    pub fragmentation: Option<u64>,
}

/// What is allocated of a pool, log vdevs left out.
#[derive(Clone, Debug)]
pub struct PoolUsage {
    /// The usage of each top-level vdev, log vdevs too.
    pub vdevs: Vec<VdevUsage>,
    /// The size of the pool, in bytes.
    pub size: u64,
    /// What of it is allocated, in bytes.
    pub allocated: u64,
    /// How fragmented the rest is, in percent, where that is known.
    pub fragmentation: Option<u64>,
}

impl PoolUsage {
    /// How full the pool is, in percent.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        self.allocated
            .saturating_mul(100)
            .checked_div(self.size)
            .unwrap_or(0)
    }

    /// What is free, in bytes.
    #[must_use]
    pub const fn free(&self) -> u64 {
        self.size.saturating_sub(self.allocated)
    }
}

/// What a log of space maps says of a range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    /// The top-level vdev.
    pub(crate) vdev: u64,
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    /// How long it is, in bytes; negative where it was given back.
    pub(crate) bytes: i64,
}

/// What the logs add to the space maps: bytes by vdev and metaslab, since that metaslab's map was last written.
type Unflushed = HashMap<(u64, u64), i64>;

impl Pool {
    /// Adds up the pool's space maps.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn usage(&self) -> Result<PoolUsage, Error> {
        let vdevs = self.top_vdevs();
        let unflushed = self.unflushed()?;
        let usages = vdevs.into_iter().map(|vdev| self.vdev_usage(vdev, &unflushed));
        let vdevs = usages.collect::<Result<Vec<_>, Error>>()?;
        let sum = |value: fn(&VdevUsage) -> u64| {
            let counted = vdevs
                .iter()
                .filter(|usage| usage.vdev.class != AllocationClass::Log);
            counted.map(value).fold(0, u64::saturating_add)
        };
        let (size, allocated) = (sum(|usage| usage.size), sum(|usage| usage.allocated));
        let fragmentation = pool_fragmentation(&vdevs);
        Ok(PoolUsage {
            vdevs,
            size,
            allocated,
            fragmentation,
        })
    }

    fn vdev_usage(&self, vdev: TopVdevSpace, unflushed: &Unflushed) -> Result<VdevUsage, Error> {
        let maps = self.space_maps(&vdev)?;
        let (mut allocated, mut free_units, mut weighted, mut known) = (0_u64, 0_u128, 0_u128, 0_u64);
        for index in 0..vdev.metaslab_count {
            let map = maps.get(usize_from_u64(index)).copied().unwrap_or(0);
            let phys = match map {
                0 => None,
                number => Some(SpaceMapPhys::decode(&self.meta_object(ObjectNumber(number))?)?),
            };
            let delta = unflushed.get(&(vdev.id, index)).copied().unwrap_or(0);
            let stored = phys.as_ref().map_or(0, |phys| phys.allocated);
            let taken = u64::try_from(stored.saturating_add(delta)).unwrap_or(0);
            allocated = allocated.saturating_add(taken);
            let percent = match phys {
                None => Some(0),
                Some(phys) => phys
                    .histogram
                    .map(|histogram| fragmentation(&histogram, vdev.ashift)),
            };
            if let Some(percent) = percent {
                known = known.saturating_add(1);
                let free = u128::from(vdev.size_of_metaslab(index).saturating_sub(taken) >> 9);
                free_units = free_units.saturating_add(free);
                weighted = weighted.saturating_add(free.saturating_mul(u128::from(percent)));
            }
        }
        let fragmentation = if known < vdev.metaslab_count.div_ceil(2) {
            None
        } else {
            weighted
                .checked_div(free_units)
                .and_then(|percent| u64::try_from(percent).ok())
        };
        Ok(VdevUsage {
            size: vdev.space(),
            allocated,
            fragmentation,
            vdev,
        })
    }

    /// The objects of a vdev's space maps, by metaslab; 0 where nothing was ever allocated.
    pub(crate) fn space_maps(&self, vdev: &TopVdevSpace) -> Result<Vec<u64>, Error> {
        let Some(array) = vdev.metaslab_array else {
            return Ok(Vec::new());
        };
        self.numbers(array, vdev.metaslab_count)
    }

    /// The first numbers of an object that is an array of them; fewer where it is shorter.
    pub(crate) fn numbers(&self, number: ObjectNumber, count: u64) -> Result<Vec<u64>, Error> {
        let object = self.meta_object(number)?;
        let per_block = object.dnode.data_bytes() / 8;
        let count = count.min(object.dnode.content_bytes() / 8);
        let mut numbers = Vec::new();
        let mut id = 0_u64;
        while u64_from_usize(numbers.len()) < count {
            let wanted = count.saturating_sub(u64_from_usize(numbers.len())).min(per_block);
            match object.block(self.reader(), BlockId(id))? {
                Some(block) => {
                    let mut reader = Reader::new(&block.bytes, block.endian);
                    for _ in 0..wanted {
                        numbers.push(reader.u64()?);
                    }
                }
                None => numbers.resize(numbers.len().saturating_add(usize_from_u64(wanted)), 0),
            }
            id = id.saturating_add(1);
        }
        Ok(numbers)
    }

    /// What the logs of space maps add to the maps themselves.
    fn unflushed(&self) -> Result<Unflushed, Error> {
        let vdevs = self.top_vdevs();
        let shifts: HashMap<u64, u32> = vdevs.iter().map(|vdev| (vdev.id, vdev.metaslab_shift)).collect();
        let mut unflushed = Unflushed::new();
        for entry in self.logged()? {
            if let Some(shift) = shifts.get(&entry.vdev) {
                let sum = unflushed.entry((entry.vdev, entry.offset >> shift)).or_default();
                *sum = sum.saturating_add(entry.bytes);
            }
        }
        Ok(unflushed)
    }

    /// What logs of space maps say that is not in the maps of their metaslabs yet, in the order of time.
    pub(crate) fn logged(&self) -> Result<Vec<Logged>, Error> {
        let Some(table) = self
            .directory_entry("com.delphix:log_spacemap_zap")?
            .and_then(|value| value.as_u64())
        else {
            return Ok(Vec::new());
        };
        let mut since = HashMap::new();
        let vdevs = self.top_vdevs();
        for vdev in &vdevs {
            since.insert(vdev.id, (vdev, self.unflushed_since(vdev)?));
        }
        let table = self.meta_object(ObjectNumber(table))?;
        let mut logs = BTreeMap::new();
        for entry in zap::entries(self.reader(), &table)? {
            let name = entry.name_lossy();
            let txg = u64::from_str_radix(&name, 16).ok();
            let txg = txg.ok_or_else(|| Corrupt::new(format!("log of space maps for the group '{name}'")))?;
            let log = entry
                .value
                .as_u64()
                .ok_or_else(|| Corrupt::new("log of space maps that is no object"))?;
            logs.insert(txg, ObjectNumber(log));
        }
        let allowance = Allowance::of_pool(self.reader());
        let mut logged = Vec::new();
        for (txg, log) in logs {
            self.for_each_logged(log, &allowance, &mut |vdev, offset, bytes| {
                let Some((top, since)) = since.get(&vdev) else {
                    return;
                };
                let metaslab = usize_from_u64(offset >> top.metaslab_shift);
                if since.get(metaslab).is_some_and(|since| txg >= *since) {
                    logged.push(Logged { vdev, offset, bytes });
                }
            })?;
        }
        Ok(logged)
    }

    /// By metaslab, the transaction group from which on the logs add to its map.
    pub(crate) fn unflushed_since(&self, vdev: &TopVdevSpace) -> Result<Vec<u64>, Error> {
        const UNFLUSHED: &str = "com.delphix:ms_unflushed_phys_txgs";
        let Some(table) = vdev.table else {
            return Ok(Vec::new());
        };
        let number = zap::lookup_u64(self.reader(), &self.meta_object(table)?, UNFLUSHED)?;
        match number {
            Some(number) if number != 0 => self.numbers(ObjectNumber(number), vdev.metaslab_count),
            _ => Ok(Vec::new()),
        }
    }

    /// Calls `each` with the vdev, the offset and the bytes (negative: given back) of every entry of a log.
    fn for_each_logged(
        &self,
        number: ObjectNumber,
        allowance: &Allowance,
        each: &mut dyn FnMut(u64, u64, i64),
    ) -> Result<(), Error> {
        let object = self.meta_object(number)?;
        let length = SpaceMapPhys::decode(&object)?.length;
        let mut offset = 0_u64;
        object.for_each_block(self.reader(), allowance, &mut |block| {
            let bytes = usize_from_u64(length.saturating_sub(offset));
            let mut reader = Reader::new(block.bytes.get(..bytes).unwrap_or(&block.bytes), block.endian);
            while !reader.is_empty() {
                let word = reader.u64()?;
                if word >> 62 == 0b11 {
                    let place = reader.u64()?;
                    let run = ((word >> 24) & ((1 << 36) - 1)).saturating_add(1);
                    let bytes = i64::try_from(run << LOG_SHIFT).unwrap_or(i64::MAX);
                    let taken = if place >> 63 == 0 {
                        bytes
                    } else {
                        bytes.saturating_neg()
                    };
                    each(word & ((1 << 24) - 1), (place & !(1 << 63)) << LOG_SHIFT, taken);
                }
            }
            offset = offset.saturating_add(u64_from_usize(block.bytes.len()));
            Ok(if offset < length {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })
    }
}

/// The fragmentation of a pool's normal vdevs, weighed by their sizes.
fn pool_fragmentation(vdevs: &[VdevUsage]) -> Option<u64> {
    let (mut size, mut weighted) = (0_u128, 0_u128);
    for usage in vdevs
        .iter()
        .filter(|usage| usage.vdev.class == AllocationClass::Normal)
    {
        let space = u128::from(usage.size.saturating_sub(usage.vdev.embedded_log_space()));
        size = size.saturating_add(space);
        weighted = weighted.saturating_add(space.saturating_mul(u128::from(usage.fragmentation?)));
    }
    weighted
        .checked_div(size)
        .and_then(|percent| u64::try_from(percent).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_space_in_small_segments_is_fragmented() {
        let mut histogram = vec![0; HISTOGRAM];
        assert_eq!(fragmentation(&histogram, 9), 0);
        histogram[0] = 7;
        assert_eq!(fragmentation(&histogram, 9), 100);
        assert_eq!(fragmentation(&histogram, 12), 93);
        histogram[15] = 1;
        // 7 × 512 bytes at 100 %, 16 MiB at 17 %
        assert_eq!(fragmentation(&histogram, 9), 17);
        histogram[31] = u64::MAX;
        assert_eq!(fragmentation(&histogram, 9), 0);
    }
}
