//! How much room a pool has: the sizes of its top-level vdevs, and what of them can be written.
//!
//! A top-level vdev is cut into metaslabs of one size. What raidz and dRAID need for parity is taken off by a ratio that
//! is fixed for the vdev: the bytes of data per 512 bytes of space that a block of 128 KiB gets.

use super::space_map::SpaceMapPhys;
use crate::zap;
use crate::{Error, ObjectNumber, Pool};
use zferry_nvlist::NvList;
use zferry_wire::{Reader, u64_from_usize};

/// A block from which the ratio is computed, in bytes.
const DEFLATE_BLOCK: u64 = 1 << 17;
/// A vdev with more metaslabs than this keeps one for the intent log.
const EMBEDDED_LOG_METASLABS_MIN: u64 = 64;
/// Room that is never given away: a part of the pool, at least and at most so many bytes.
const SLOP_SHIFT: u32 = 5;
const SLOP_MIN: u64 = 128 << 20;
const SLOP_MAX: u64 = 128 << 30;

/// No pool has more metaslabs: of each vdev OpenZFS aims at 200, and stops at 2^17 unless it is told otherwise. What
/// goes beyond is not counted.
const METASLABS_MAX: u64 = 1 << 20;
/// No vdev has more children, and none more parity.
const WIDTH_MAX: u64 = 255;
const PARITY_MAX: u64 = 3;
/// The largest sector, as a power of two.
const ASHIFT_MAX: u32 = 16;

/// For what a top-level vdev is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllocationClass {
    /// For everything.
    Normal,
    /// For the intent log alone.
    Log,
    /// For metadata and small blocks (`special`), or for tables of equal blocks (`dedup`).
    Bias(String),
}

/// The measures of a top-level vdev, as the pool's configuration has them.
#[derive(Clone, Debug)]
pub struct TopVdevSpace {
    /// Its number in the pool.
    pub id: u64,
    /// For what it is used.
    pub class: AllocationClass,
    /// The sector size, as a power of two.
    pub ashift: u32,
    /// The size of a metaslab, as a power of two.
    pub metaslab_shift: u32,
    /// How many metaslabs it has.
    pub metaslab_count: u64,
    /// The object that leads to the space maps.
    pub metaslab_array: Option<ObjectNumber>,
    /// The table of the vdev.
    pub table: Option<ObjectNumber>,
    /// The width of a group of sectors to which dRAID aligns metaslabs, in bytes; 1 for others.
    group_bytes: u64,
    /// Bytes of data per 512 bytes of space.
    deflate_ratio: u64,
    /// Whether nothing new is written to it.
    pub is_non_allocating: bool,
}

impl TopVdevSpace {
    /// Reads the measures from the vdev's part of the configuration. `None` for a vdev that is gone, whose place is
    /// merely kept, and for one whose measures cannot be.
    #[must_use]
    pub fn of_config(vdev: &NvList) -> Option<Self> {
        let kind = vdev.str("type")?;
        if matches!(kind, "indirect" | "hole" | "missing") {
            return None;
        }
        let shift = |name: &str| {
            vdev.u64(name)
                .and_then(|shift| u32::try_from(shift).ok())
                .filter(|shift| *shift < 64)
        };
        let metaslab_shift = shift("metaslab_shift").filter(|shift| *shift > 0)?;
        let ashift = shift("ashift").filter(|shift| *shift <= ASHIFT_MAX)?;
        let metaslab_count = vdev.u64("asize")? >> metaslab_shift;
        if metaslab_count > METASLABS_MAX {
            return None;
        }
        let class = match (vdev.u64("is_log"), vdev.str("alloc_bias")) {
            (Some(1..), _) => AllocationClass::Log,
            (_, Some(bias)) => AllocationClass::Bias(bias.to_owned()),
            (_, None) => AllocationClass::Normal,
        };
        // The ratio is that of the width that the vdev had before it grew.
        let grown = vdev.u64s("raidz_expand_txgs").map_or(0, <[_]>::len);
        let grown = grown.saturating_add(usize::from(vdev.contains("raidz_expanding")));
        let width = u64_from_usize(vdev.lists("children").map_or(0, <[_]>::len).saturating_sub(grown));
        let parity = vdev.u64("nparity").unwrap_or(0).min(PARITY_MAX);
        let (block, group_bytes) = match kind {
            "raidz" => (raidz_size(DEFLATE_BLOCK, ashift, width, parity), 1),
            "draid" => {
                let data = vdev.u64("draid_ndata").unwrap_or(1).min(WIDTH_MAX);
                let group = data.saturating_add(parity);
                (
                    draid_size(DEFLATE_BLOCK, ashift, data, group),
                    group.checked_shl(ashift).unwrap_or(1),
                )
            }
            _ => (DEFLATE_BLOCK, 1),
        };
        Some(Self {
            id: vdev.u64("id")?,
            class,
            ashift,
            metaslab_shift,
            metaslab_count,
            metaslab_array: vdev
                .u64("metaslab_array")
                .filter(|number| *number != 0)
                .map(ObjectNumber),
            table: vdev
                .u64("com.delphix:vdev_zap_top")
                .filter(|number| *number != 0)
                .map(ObjectNumber),
            group_bytes: group_bytes.max(1),
            deflate_ratio: DEFLATE_BLOCK.checked_div(block >> 9).unwrap_or(0),
            is_non_allocating: vdev.u64("non_allocating").is_some_and(|flag| flag != 0),
        })
    }

    /// The size of a metaslab, in bytes.
    #[must_use]
    pub const fn metaslab_bytes(&self) -> u64 {
        1 << self.metaslab_shift
    }

    /// Where the metaslab with this number begins, in bytes: that of a dRAID with a group.
    #[must_use]
    pub fn start_of_metaslab(&self, index: u64) -> u64 {
        let start = index.saturating_mul(self.metaslab_bytes());
        start
            .checked_next_multiple_of(self.group_bytes)
            .unwrap_or(u64::MAX)
    }

    /// The size of the metaslab with this number, in bytes: dRAID leaves out what does not fill a group.
    #[must_use]
    pub fn size_of_metaslab(&self, index: u64) -> u64 {
        let start = index.saturating_mul(self.metaslab_bytes());
        let skipped = self.start_of_metaslab(index).saturating_sub(start);
        let left = self.metaslab_bytes().saturating_sub(skipped);
        left.saturating_sub(left.checked_rem(self.group_bytes).unwrap_or(0))
    }

    /// The size of all its metaslabs, in bytes.
    #[must_use]
    pub fn space(&self) -> u64 {
        if self.group_bytes == 1 {
            return self.metaslab_count.saturating_mul(self.metaslab_bytes());
        }
        (0..self.metaslab_count)
            .map(|index| self.size_of_metaslab(index))
            .fold(0, u64::saturating_add)
    }

    /// The size of the metaslab that is kept for the intent log, in bytes; 0 where there is none.
    #[must_use]
    pub fn embedded_log_space(&self) -> u64 {
        let keeps_one =
            self.class == AllocationClass::Normal && self.metaslab_count > EMBEDDED_LOG_METASLABS_MIN;
        if keeps_one { self.metaslab_bytes() } else { 0 }
    }

    /// How much data fits into so many bytes of its space.
    #[must_use]
    pub const fn deflated(&self, space: u64) -> u64 {
        (space >> 9).saturating_mul(self.deflate_ratio)
    }
}

/// How many bytes a block takes on a raidz vdev.
fn raidz_size(psize: u64, ashift: u32, width: u64, parity: u64) -> u64 {
    let sectors = psize >> ashift;
    let rows = sectors.div_ceil(width.saturating_sub(parity).max(1));
    let sectors = sectors.saturating_add(parity.saturating_mul(rows));
    sectors
        .checked_next_multiple_of(parity.saturating_add(1))
        .and_then(|sectors| sectors.checked_shl(ashift))
        .unwrap_or(u64::MAX)
}

/// How many bytes a block takes on a dRAID vdev.
fn draid_size(psize: u64, ashift: u32, data: u64, group: u64) -> u64 {
    let rows = psize.div_ceil(data.checked_shl(ashift).unwrap_or(0).max(1));
    rows.saturating_mul(group).checked_shl(ashift).unwrap_or(u64::MAX)
}

/// What equal blocks and clones of blocks save, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Savings {
    /// What is stored, of all that is stored once for several.
    pub stored: u64,
    /// What it would take if it were stored as often as it is referenced.
    pub referenced: u64,
}

impl Savings {
    /// What is saved, in bytes.
    #[must_use]
    pub const fn saved(&self) -> u64 {
        self.referenced.saturating_sub(self.stored)
    }

    /// How often a stored byte is referenced on average, in hundredths.
    #[must_use]
    pub fn ratio(&self) -> u64 {
        self.referenced
            .saturating_mul(100)
            .checked_div(self.stored)
            .unwrap_or(100)
    }
}

impl Pool {
    /// The measures of the pool's top-level vdevs, those that are gone left out.
    #[must_use]
    pub fn top_vdevs(&self) -> Vec<TopVdevSpace> {
        let tree = self.config().list("vdev_tree");
        let children = tree.and_then(|tree| tree.lists("children")).unwrap_or_default();
        let mut room = METASLABS_MAX;
        let mut tops = Vec::new();
        for top in children.iter().filter_map(TopVdevSpace::of_config) {
            let Some(left) = room.checked_sub(top.metaslab_count) else {
                break;
            };
            room = left;
            tops.push(top);
        }
        tops
    }

    /// What deduplication saves.
    ///
    /// # Errors
    /// Where its statistics cannot be read.
    pub fn dedup_savings(&self) -> Result<Savings, Error> {
        // A table's histogram: 64 rows by number of references, each of eight sums: blocks, logical, physical and
        // allocated bytes, stored and then referenced.
        const ROW: usize = 8;
        let mut savings = Savings::default();
        let Some(number) = self
            .directory_entry("DDT-statistics")?
            .and_then(|value| value.as_u64())
        else {
            return Ok(savings);
        };
        let table = self.meta_object(ObjectNumber(number))?;
        for entry in zap::entries(self.reader(), &table)? {
            let histogram = entry.value.as_u64s().unwrap_or_default();
            for row in histogram.chunks_exact(ROW) {
                if let [_, _, _, stored, _, _, _, referenced] = row {
                    savings.stored = savings.stored.saturating_add(*stored);
                    savings.referenced = savings.referenced.saturating_add(*referenced);
                }
            }
        }
        Ok(savings)
    }

    /// What cloned blocks save.
    ///
    /// # Errors
    /// Where the tables of cloned blocks cannot be read.
    pub fn clone_savings(&self) -> Result<Savings, Error> {
        let mut savings = Savings::default();
        for vdev in self.top_vdevs() {
            let name = format!("com.fudosecurity:brt:vdev:{}", vdev.id);
            let Some(number) = self.directory_entry(&name)?.and_then(|value| value.as_u64()) else {
                continue;
            };
            let object = self.meta_object(ObjectNumber(number))?;
            let mut reader = Reader::new(object.dnode.bonus(), object.dnode.endian);
            let [_entries, _size, _order, _total, _range, used, saved] = reader.u64s()?;
            savings.stored = savings.stored.saturating_add(used);
            savings.referenced = savings.referenced.saturating_add(used).saturating_add(saved);
        }
        Ok(savings)
    }

    /// How much data the pool has room for, written or not, in bytes. What OpenZFS keeps back for its own needs is
    /// taken off.
    ///
    /// # Errors
    /// Where the tables that count towards it cannot be read.
    pub fn usable_space(&self) -> Result<u64, Error> {
        let deflates = self.directory_entry("deflate")?.is_some();
        let (mut data, mut log) = (0_u64, 0_u64);
        for vdev in self.top_vdevs() {
            if vdev.class != AllocationClass::Normal || vdev.is_non_allocating {
                continue;
            }
            let measure = |space: u64| if deflates { vdev.deflated(space) } else { space };
            let embedded = vdev.embedded_log_space();
            data = data.saturating_add(measure(vdev.space().saturating_sub(embedded)));
            log = log.saturating_add(measure(embedded));
        }
        let saved = self
            .dedup_savings()?
            .saved()
            .saturating_add(self.clone_savings()?.saved());
        let space = data
            .saturating_add(saved)
            .saturating_sub(self.checkpoint_space()?)
            .saturating_sub(self.deferred_frees()?);
        Ok(space.saturating_sub(slop(data, log)))
    }

    /// Space that only the pool's checkpoint needs, in bytes.
    ///
    /// # Errors
    /// Where the space maps of the checkpoint cannot be read.
    pub fn checkpoint_space(&self) -> Result<u64, Error> {
        let mut space = 0_u64;
        for vdev in self.top_vdevs() {
            let Some(table) = vdev.table else { continue };
            let number = zap::lookup_u64(
                self.reader(),
                &self.meta_object(table)?,
                "com.delphix:pool_checkpoint_sm",
            )?;
            if let Some(number) = number.filter(|number| *number != 0) {
                let map = SpaceMapPhys::decode(&self.meta_object(ObjectNumber(number))?)?;
                space = space.saturating_add(map.allocated.unsigned_abs());
            }
        }
        Ok(space)
    }

    /// Whether the pool has a checkpoint.
    ///
    /// # Errors
    /// Where the object directory cannot be read.
    pub fn has_checkpoint(&self) -> Result<bool, Error> {
        Ok(self.directory_entry("com.delphix:zpool_checkpoint")?.is_some())
    }

    /// Space that was freed in the last transaction group and is given back in the next, in bytes.
    fn deferred_frees(&self) -> Result<u64, Error> {
        self.list_bytes("sync_bplist")
    }

    /// Space that is being freed in the background, in bytes.
    ///
    /// # Errors
    /// Where the lists of what is to be freed cannot be read.
    pub fn freeing(&self) -> Result<u64, Error> {
        self.list_bytes("free_bpobj")
    }

    /// What the block pointers in a list lead to, in bytes.
    fn list_bytes(&self, name: &str) -> Result<u64, Error> {
        let Some(number) = self.directory_entry(name)?.and_then(|value| value.as_u64()) else {
            return Ok(0);
        };
        let object = self.meta_object(ObjectNumber(number))?;
        let [_count, bytes] = Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
        Ok(bytes)
    }
}

/// What is kept back of a pool that has room for `data` bytes, and for `log` bytes of intent log.
fn slop(data: u64, log: u64) -> u64 {
    let slop = (data >> SLOP_SHIFT).min(SLOP_MAX);
    let slop = slop.saturating_sub(log.min(slop >> 1));
    slop.max((data >> 1).min(SLOP_MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parity_takes_its_part() {
        // 32 sectors of data in 11 rows of 3, with a sector of parity each, and padded to an even number.
        assert_eq!(raidz_size(1 << 17, 12, 4, 1) >> 12, 44);
        assert_eq!(raidz_size(1 << 17, 9, 5, 3) >> 9, 256 + 128 * 3);
        assert_eq!(draid_size(1 << 17, 12, 3, 4) >> 12, 44);
    }

    #[test]
    fn half_of_a_small_pool_is_kept_back() {
        assert_eq!(slop(64 << 20, 0), 32 << 20);
        assert_eq!(slop(1 << 30, 0), 128 << 20);
        assert_eq!(slop(1 << 40, 0), 1 << 35);
        assert_eq!(slop(1 << 40, 1 << 33), (1 << 35) - (1 << 33));
        assert_eq!(slop(1 << 50, 0), SLOP_MAX);
    }

    #[test]
    fn savings_are_a_ratio_in_hundredths() {
        let savings = Savings {
            stored: 100,
            referenced: 300,
        };
        assert_eq!((savings.saved(), savings.ratio()), (200, 300));
        assert_eq!(Savings::default().ratio(), 100);
    }
}
