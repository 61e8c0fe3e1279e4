//! The allocated side: what the space maps say, read entry by entry and compared with what is referenced.
//!
//! ```text
//! entry, one word   0 | offset 47 bits | type 1 | run − 1, 15 bits
//! entry, two words  11 | pad 2 | run − 1, 36 bits | vdev 24 bits ; type 1 | offset 63 bits
//! remark            10 | …
//! ```
//!
//! Type 0 takes, type 1 gives back. In the map of a metaslab, offsets and runs are in sectors of the vdev from the
//! metaslab's beginning; in a log, in units of 512 bytes from the vdev's.

use super::claims::Claims;
use super::finding::{Findings, Spot};
use super::sectors::SectorSet;
use crate::dmu::Object;
use crate::spa::{SpaceMapPhys, TopVdevSpace};
use crate::zap;
use crate::{BlockId, Corrupt, Error, ObjectNumber, Pool};
use std::collections::BTreeMap;
use zferry_wire::{Reader, usize_from_u64};

/// The entry of the object directory that leads to the logs of space maps.
const LOGS: &str = "com.delphix:log_spacemap_zap";
/// The unit of the logs, as a power of two.
const LOG_SHIFT: u32 = 9;

/// An entry of a space map.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Whether the range is taken; otherwise it is given back.
    pub(super) takes: bool,
    /// The vdev, in a log.
    pub(super) vdev: u32,
    /// Where the range begins, in units.
    pub(super) offset: u64,
    /// How long it is, in units.
    pub(super) run: u64,
}

/// Calls `each` with every entry of a space map, in order.
pub(super) fn for_each_entry(pool: &Pool, object: &Object, each: &mut dyn FnMut(Entry)) -> Result<(), Error> {
    let length = SpaceMapPhys::decode(object)?.length;
    let block_bytes = object.dnode.data_bytes().max(1);
    let (mut offset, mut id) = (0_u64, 0_u64);
    while offset < length {
        let Some(block) = object.block(pool.reader(), BlockId(id))? else {
            return Err(Corrupt::new(format!("{length} bytes of entries, block {id} is missing")).into());
        };
        let bytes = usize_from_u64(length.saturating_sub(offset));
        let mut reader = Reader::new(block.bytes.get(..bytes).unwrap_or(&block.bytes), block.endian);
        while !reader.is_empty() {
            if let Some(entry) = read_entry(&mut reader)? {
                each(entry);
            }
        }
        offset = offset.saturating_add(block_bytes);
        id = id.saturating_add(1);
    }
    Ok(())
}

/// Reads one entry; `None` for a remark.
fn read_entry(reader: &mut Reader<'_>) -> Result<Option<Entry>, Error> {
    let word = reader.u64()?;
    match word >> 62 {
        0b10 => Ok(None),
        0b11 => {
            let second = reader.u64()?;
            Ok(Some(Entry {
                takes: second >> 63 == 0,
                vdev: u32::try_from(word & 0xff_ffff).unwrap_or(0),
                offset: second & !(1 << 63),
                run: ((word >> 24) & ((1 << 36) - 1)).saturating_add(1),
            }))
        }
        _ => Ok(Some(Entry {
            takes: (word >> 15) & 1 == 0,
            vdev: 0,
            offset: (word >> 16) & ((1 << 47) - 1),
            run: (word & 0x7fff).saturating_add(1),
        })),
    }
}

/// Reads the space maps of the claims' window and compares them with what is referenced.
pub(super) struct SpaceCheck<'c, 'a, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) claims: &'c mut Claims<'a>,
    pub(super) findings: &'c mut Findings<'o>,
}

/// The map of one metaslab.
struct Metaslab {
    vdev: u32,
    index: u64,
    /// Its map's object; 0 where nothing was ever allocated.
    map: u64,
    /// The logs from this transaction group on add to its map.
    unflushed: Option<u64>,
}

impl SpaceCheck<'_, '_, '_> {
    /// Compares all vdevs.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let tops: Vec<TopVdevSpace> = self.claims.measure.tops().values().cloned().collect();
        let mut allocated = SectorSet::default();
        let mut metaslabs = Vec::new();
        for top in &tops {
            match self.metaslabs_of(top) {
                Ok(found) => metaslabs.extend(found),
                Err(error) => {
                    let spot = Spot::meta(top.metaslab_array.unwrap_or_default());
                    self.findings.unreadable(spot, &error);
                }
            }
        }
        for metaslab in &metaslabs {
            if metaslab.map != 0 && self.is_in_window(metaslab) {
                self.replay(metaslab, &mut allocated);
            }
        }
        self.replay_logs(&metaslabs, &mut allocated)?;
        self.claims.window.fit(&mut allocated);
        if let Some(end) = self.claims.window.end {
            self.claims.sectors.truncate(end);
            allocated.truncate(end);
        }
        for metaslab in &metaslabs {
            if metaslab.map != 0 && self.is_in_window(metaslab) {
                self.check_histogram(metaslab, &allocated);
            }
        }
        self.compare(&allocated);
        Ok(())
    }

    fn top(&self, vdev: u32) -> Option<&TopVdevSpace> {
        self.claims.measure.tops().get(&vdev)
    }

    fn metaslabs_of(&self, top: &TopVdevSpace) -> Result<Vec<Metaslab>, Error> {
        let maps = self.pool.space_maps(top)?;
        let unflushed = self.pool.unflushed_since(top)?;
        let vdev = u32::try_from(top.id).unwrap_or(u32::MAX);
        let metaslab = |(index, map): (u64, u64)| Metaslab {
            vdev,
            index,
            map,
            unflushed: unflushed.get(usize_from_u64(index)).copied(),
        };
        Ok((0..top.metaslab_count).zip(maps).map(metaslab).collect())
    }

    fn is_in_window(&self, metaslab: &Metaslab) -> bool {
        let Some((first, count)) = self.sectors_of(metaslab) else {
            return false;
        };
        self.claims.window.clip(metaslab.vdev, first, count).is_some()
    }

    /// The first sector of a metaslab, and how many it has.
    fn sectors_of(&self, metaslab: &Metaslab) -> Option<(u64, u64)> {
        let top = self.top(metaslab.vdev)?;
        let first = top.start_of_metaslab(metaslab.index) >> top.ashift;
        Some((first, top.size_of_metaslab(metaslab.index) >> top.ashift))
    }

    /// Applies the map of a metaslab.
    fn replay(&mut self, metaslab: &Metaslab, allocated: &mut SectorSet) {
        let spot = Spot::meta(ObjectNumber(metaslab.map));
        let result = self.replay_map(metaslab, allocated);
        if let Err(error) = result {
            self.findings.unreadable(spot, &error);
        }
    }

    fn replay_map(&mut self, metaslab: &Metaslab, allocated: &mut SectorSet) -> Result<(), Error> {
        let object = self.pool.meta_object(ObjectNumber(metaslab.map))?;
        let phys = SpaceMapPhys::decode(&object)?;
        let Some((base, size)) = self.sectors_of(metaslab) else {
            return Ok(());
        };
        let ashift = self.top(metaslab.vdev).map_or(9, |top| top.ashift);
        let mut sum = 0_i64;
        for_each_entry(self.pool, &object, &mut |entry| {
            let bytes = i64::try_from(entry.run << ashift).unwrap_or(i64::MAX);
            sum = if entry.takes {
                sum.wrapping_add(bytes)
            } else {
                sum.wrapping_sub(bytes)
            };
            if entry.offset.saturating_add(entry.run) > size {
                let spot = Spot::meta(ObjectNumber(metaslab.map));
                self.findings.report(
                    spot,
                    "space map entry",
                    format!("{entry:?}"),
                    "a range in its metaslab",
                );
                return;
            }
            self.apply(
                ObjectNumber(metaslab.map),
                metaslab.vdev,
                base.saturating_add(entry.offset),
                entry,
                allocated,
            );
        })?;
        if self.claims.is_first_pass {
            let spot = || Spot::meta(ObjectNumber(metaslab.map));
            self.findings.compare(spot, "smp_alloc", phys.allocated, sum);
        }
        Ok(())
    }

    /// Applies one entry, given in sectors of its vdev.
    fn apply(&mut self, map: ObjectNumber, vdev: u32, first: u64, entry: Entry, allocated: &mut SectorSet) {
        let Some((first, count)) = self.claims.window.clip(vdev, first, entry.run) else {
            return;
        };
        let (wrong, what) = if entry.takes {
            (allocated.insert(vdev, first, count), "allocated twice")
        } else {
            (allocated.remove(vdev, first, count), "freed twice")
        };
        if wrong > 0 {
            let ashift = self.top(vdev).map_or(9, |top| top.ashift);
            let spot = Spot::meta(map).at(vdev, first << ashift, count << ashift);
            let found = format!("{:#x} bytes {what}", wrong << ashift);
            self.findings.report(
                spot,
                "space map entry",
                found,
                "entries that follow from one another",
            );
        }
        self.claims.window.fit(allocated);
    }

    /// Applies what the logs add to the maps.
    fn replay_logs(&mut self, metaslabs: &[Metaslab], allocated: &mut SectorSet) -> Result<(), Error> {
        let Some(table) = self.pool.directory_entry(LOGS)?.and_then(|value| value.as_u64()) else {
            return Ok(());
        };
        let since: BTreeMap<(u32, u64), Option<u64>> = metaslabs
            .iter()
            .map(|metaslab| ((metaslab.vdev, metaslab.index), metaslab.unflushed))
            .collect();
        let table = self.pool.meta_object(ObjectNumber(table))?;
        let mut logs = BTreeMap::new();
        for entry in zap::entries(self.pool.reader(), &table)? {
            let txg = u64::from_str_radix(&entry.name_lossy(), 16).ok();
            if let (Some(txg), Some(log)) = (txg, entry.value.as_u64()) {
                logs.insert(txg, ObjectNumber(log));
            } else {
                let name = entry.name_lossy();
                self.findings.report(
                    Spot::meta(table.number),
                    LOGS,
                    name,
                    "a transaction group and its log",
                );
            }
        }
        for (txg, log) in logs {
            if let Err(error) = self.replay_log(txg, log, &since, allocated) {
                self.findings.unreadable(Spot::meta(log), &error);
            }
        }
        Ok(())
    }

    fn replay_log(
        &mut self,
        txg: u64,
        log: ObjectNumber,
        since: &BTreeMap<(u32, u64), Option<u64>>,
        allocated: &mut SectorSet,
    ) -> Result<(), Error> {
        let object = self.pool.meta_object(log)?;
        let phys = SpaceMapPhys::decode(&object)?;
        let mut sum = 0_i64;
        for_each_entry(self.pool, &object, &mut |entry| {
            let bytes = i64::try_from(entry.run << LOG_SHIFT).unwrap_or(i64::MAX);
            sum = if entry.takes {
                sum.wrapping_add(bytes)
            } else {
                sum.wrapping_sub(bytes)
            };
            let Some((ashift, shift)) = self.top(entry.vdev).map(|top| (top.ashift, top.metaslab_shift))
            else {
                self.findings.report(
                    Spot::meta(log),
                    "space map entry",
                    format!("{entry:?}"),
                    "a vdev of the pool",
                );
                return;
            };
            let metaslab = entry.offset.saturating_mul(1 << LOG_SHIFT) >> shift;
            let is_newer = match since.get(&(entry.vdev, metaslab)) {
                None => {
                    self.findings.report(
                        Spot::meta(log),
                        "space map entry",
                        format!("{entry:?}"),
                        "a metaslab",
                    );
                    return;
                }
                Some(unflushed) => unflushed.is_some_and(|unflushed| txg >= unflushed),
            };
            if is_newer {
                let down = ashift.saturating_sub(LOG_SHIFT);
                let mask = (1_u64 << down.min(63)).saturating_sub(1);
                if (entry.offset | entry.run) & mask != 0 {
                    self.findings.report(
                        Spot::meta(log),
                        "space map entry",
                        format!("{entry:?}"),
                        "whole sectors",
                    );
                    return;
                }
                let in_sectors = Entry {
                    run: entry.run >> down,
                    ..entry
                };
                self.apply(log, entry.vdev, entry.offset >> down, in_sectors, allocated);
            }
        })?;
        if self.claims.is_first_pass {
            self.findings
                .compare(|| Spot::meta(log), "smp_alloc", phys.allocated, sum);
        }
        Ok(())
    }

    /// Compares a metaslab's histogram with its free space. The histogram need not know that two free ranges touch, but
    /// it must not claim larger ranges, or more space in them, than there is.
    fn check_histogram(&mut self, metaslab: &Metaslab, allocated: &SectorSet) {
        let Ok(object) = self.pool.meta_object(ObjectNumber(metaslab.map)) else {
            return;
        };
        let Ok(SpaceMapPhys {
            histogram: Some(histogram),
            ..
        }) = SpaceMapPhys::decode(&object)
        else {
            return;
        };
        let Some((first, count)) = self.sectors_of(metaslab) else {
            return;
        };
        // Only what lies in the window as a whole can be judged.
        if self.claims.window.clip(metaslab.vdev, first, count) != Some((first, count)) {
            return;
        }
        let mut free = Vec::new();
        let mut at = first;
        allocated.ranges_in(
            metaslab.vdev,
            first,
            first.saturating_add(count),
            &mut |start, len| {
                free.push(start.saturating_sub(at));
                at = start.saturating_add(len);
            },
        );
        free.push(first.saturating_add(count).saturating_sub(at));
        free.sort_unstable();
        let (mut counted, mut there) = (0_u128, 0_u128);
        for (bucket, number) in (0_u32..32).zip(&histogram).rev() {
            counted = counted.saturating_add(u128::from(*number) << bucket);
            while let Some(&last) = free.last()
                && last >= 1_u64 << bucket
            {
                there = there.saturating_add(u128::from(last));
                free.pop();
            }
            if counted > there {
                let found = format!(
                    "{counted} sectors in free ranges of {} sectors and more",
                    1_u64 << bucket
                );
                self.findings.report(
                    Spot::meta(object.number),
                    "smp_histogram",
                    found,
                    format!("at most {there}"),
                );
                return;
            }
        }
    }

    /// Tells what is allocated and not referenced, or referenced and not allocated.
    fn compare(&mut self, allocated: &SectorSet) {
        let Self { claims, findings, .. } = self;
        let tops = claims.measure.tops();
        allocated.differences(&claims.sectors, &mut |is_allocated, vdev, first, count| {
            let ashift = tops.get(&vdev).map_or(9, |top| top.ashift);
            let spot = Spot::range(vdev, first << ashift, count << ashift);
            if is_allocated {
                findings.report(spot, "space map", "allocated, and nothing refers to it", "free");
            } else {
                findings.report(spot, "space map", "free, and something refers to it", "allocated");
            }
        });
    }
}

/// How many bytes the space maps say are allocated.
pub(super) fn allocated_bytes(pool: &Pool) -> Result<u64, Error> {
    let usage = pool.usage()?;
    let bytes = usage.vdevs.iter().map(|usage| usage.allocated);
    Ok(bytes.fold(0, u64::saturating_add))
}
