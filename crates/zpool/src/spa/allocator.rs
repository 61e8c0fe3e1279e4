//! Giving space to blocks: in the order in which they come, one behind the other.
//!
//! Blocks of data, and each of the copies of metadata, have a metaslab of their own at a time, so that data stays
//! sequential and copies lie far apart. With several top-level vdevs, each gets a part in turn. What is chosen depends
//! on nothing but the pool and the order of the requests.

use super::gang::GANG_HEADER_BYTES;
use super::metaslab::{Held, Late, Metaslab};
use super::space::TopVdevSpace;
use super::space_map::{Logged, SpaceMapPhys};
use super::{BlockPointer, BlockReader, Dva};
use crate::dmu::ObjectSet;
use crate::{Corrupt, Error, Txg};
use std::collections::BTreeMap;
use zferry_wire::{u64_from_usize, usize_from_u32, usize_from_u64};

/// After how many commits freed space may be taken again: the uberblocks before the last lead to whole pools until then.
const DEFER: u64 = 2;
/// How much goes to a top-level vdev before it is the next one's turn, in bytes.
const TURN_BYTES: u64 = 1 << 20;

/// For what space is taken: which metaslabs are tried first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Content of files and volumes.
    Data,
    /// Everything that leads to it.
    Metadata,
}

/// How many streams of requests have a metaslab of their own: data, and three copies of metadata.
const STREAMS: usize = 4;

#[derive(Debug)]
pub(crate) struct Top {
    pub(crate) ashift: u32,
    pub(crate) metaslab_shift: u32,
    pub(crate) metaslabs: Vec<Metaslab>,
    streams: [Option<Place>; STREAMS],
}

/// Where a stream of requests goes on.
#[derive(Clone, Copy, Debug)]
struct Place {
    metaslab: usize,
    cursor: u64,
}

/// A range that was given back and may not be taken yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) vdev: u32,
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// Gives space, and takes it back.
#[derive(Debug)]
pub(crate) struct Allocator {
    pub(crate) tops: Vec<Top>,
    /// By the group that gave it back.
    deferred: BTreeMap<Txg, Vec<Range>>,
    /// What readers needed, in the state in which the pool was opened, of what groups before had given back.
    held: Option<Held>,
    /// The oldest group whose state a reader has open, when last asked.
    pub(crate) oldest: Option<Txg>,
    /// Of each stream, the vdev whose turn it is, and how much it got.
    turns: [(usize, u64); STREAMS],
    /// The meta object set as last committed; none before the first commit.
    meta: Option<ObjectSet>,
    /// What datasets may fill, in bytes.
    pub(crate) limit: u64,
}

impl Allocator {
    /// An allocator over vdevs of these measures, of which nothing is allocated.
    pub(crate) fn new(vdevs: &[TopVdevSpace], limit: u64) -> Self {
        let tops = vdevs.iter().map(|vdev| Top {
            ashift: vdev.ashift,
            metaslab_shift: vdev.metaslab_shift,
            metaslabs: (0..vdev.metaslab_count)
                .map(|index| Metaslab::new(index << vdev.metaslab_shift, vdev.metaslab_bytes()))
                .collect(),
            streams: [None; STREAMS],
        });
        Self {
            tops: tops.collect(),
            deferred: BTreeMap::new(),
            held: None,
            oldest: None,
            turns: [(0, 0); STREAMS],
            meta: None,
            limit,
        }
    }

    /// Leaves alone what readers need that have the state of the group `oldest` open, now that `last` is the last one.
    pub(crate) fn keep_for_readers(&mut self, oldest: Option<Txg>, last: Txg) {
        self.oldest = oldest;
        self.held = oldest.map(|oldest| Held { oldest, last });
    }

    /// Learns what is allocated of each metaslab from the pool as last committed.
    pub(crate) fn read_headers(&mut self, reader: &BlockReader, meta: &ObjectSet) -> Result<(), Error> {
        for metaslab in self.tops.iter_mut().flat_map(|top| &mut top.metaslabs) {
            let Some(map) = metaslab.map else { continue };
            let phys = SpaceMapPhys::decode(&meta.object(reader, map)?)?;
            metaslab.length = phys.length;
            metaslab.allocated = u64::try_from(phys.allocated)
                .map_err(|_| Corrupt::new(format!("space map {map} holds less than nothing")))?;
        }
        self.meta = Some(meta.clone());
        Ok(())
    }

    /// What is allocated if the open group is committed, in bytes.
    pub(crate) fn allocated(&self) -> u64 {
        let metaslabs = self.tops.iter().flat_map(|top| &top.metaslabs);
        metaslabs
            .map(Metaslab::allocated_now)
            .fold(0, u64::saturating_add)
    }

    /// The smallest unit in which space is given, in bytes.
    pub(crate) fn unit(&self) -> u64 {
        let shift = self.tops.iter().map(|top| top.ashift).min().unwrap_or(9);
        1_u64.checked_shl(shift).unwrap_or(512)
    }

    /// Gives space for `copies` copies of a block of `bytes` bytes, on different vdevs where there are several.
    ///
    /// # Errors
    /// [`Error::NoSpace`]; what was given already is then taken back.
    pub(crate) fn allocate(
        &mut self,
        reader: &BlockReader,
        bytes: u64,
        copies: usize,
        purpose: Purpose,
    ) -> Result<Vec<Dva>, Error> {
        let mut dvas: Vec<Dva> = Vec::new();
        for copy in 0..copies.clamp(1, 3) {
            match self.allocate_one(reader, bytes, copy, purpose, &dvas) {
                Ok(dva) => dvas.push(dva),
                Err(error) => {
                    for dva in dvas {
                        self.free_dva(dva)?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(dvas)
    }

    fn allocate_one(
        &mut self,
        reader: &BlockReader,
        bytes: u64,
        copy: usize,
        purpose: Purpose,
        others: &[Dva],
    ) -> Result<Dva, Error> {
        let stream = match purpose {
            Purpose::Data => 0,
            Purpose::Metadata => copy.saturating_add(1).min(STREAMS.saturating_sub(1)),
        };
        let count = self.tops.len();
        let first = self.turn(stream, bytes, copy);
        for step in 0..count.saturating_mul(2) {
            let vdev = first.saturating_add(step).checked_rem(count).unwrap_or(0);
            let number = u32::try_from(vdev).unwrap_or(u32::MAX);
            // Two copies on one vdev only where there is no other.
            let is_repeated = others.iter().any(|dva| dva.vdev == number);
            if is_repeated && step < count && others.len() < count {
                continue;
            }
            if let Some(dva) = self.allocate_on(reader, vdev, stream, bytes)? {
                return Ok(dva);
            }
        }
        let available = self.limit.saturating_sub(self.allocated());
        Err(Error::NoSpace {
            wanted: bytes,
            available,
        })
    }

    /// The vdev whose turn it is.
    fn turn(&mut self, stream: usize, bytes: u64, copy: usize) -> usize {
        let count = self.tops.len().max(1);
        let Some((vdev, given)) = self.turns.get_mut(stream) else {
            return 0;
        };
        if *given >= TURN_BYTES {
            *vdev = vdev.saturating_add(1).checked_rem(count).unwrap_or(0);
            *given = 0;
        }
        *given = given.saturating_add(bytes);
        vdev.saturating_add(copy).checked_rem(count).unwrap_or(0)
    }

    fn allocate_on(
        &mut self,
        reader: &BlockReader,
        vdev: usize,
        stream: usize,
        bytes: u64,
    ) -> Result<Option<Dva>, Error> {
        let number = u32::try_from(vdev).unwrap_or(u32::MAX);
        let Some(top) = self.tops.get_mut(vdev) else {
            return Ok(None);
        };
        let len = bytes.next_multiple_of(1 << top.ashift.min(63));
        let count = top.metaslabs.len();
        let home = stream.saturating_mul(count) / STREAMS;
        let place = top.streams.get(stream).copied().flatten();
        let first = place.map_or(home, |place| place.metaslab);
        for step in 0..count {
            let index = first.saturating_add(step).checked_rem(count).unwrap_or(0);
            let Some(metaslab) = top.metaslabs.get_mut(index) else {
                continue;
            };
            if metaslab.usable_bytes() < len {
                continue;
            }
            let deferred = ranges_on(&self.deferred, number);
            let late = metaslab.load(reader, self.meta.as_ref(), top.ashift, deferred, self.held)?;
            defer(&mut self.deferred, number, late);
            let cursor = match place {
                Some(place) if place.metaslab == index => place.cursor,
                _ => metaslab.cursor(),
            };
            if let Some(offset) = metaslab.allocate(cursor, len) {
                if let Some(place) = top.streams.get_mut(stream) {
                    *place = Some(Place {
                        metaslab: index,
                        cursor: offset.saturating_add(len),
                    });
                }
                return Ok(Some(Dva {
                    vdev: number,
                    offset,
                    allocated: len,
                    gang: false,
                }));
            }
        }
        Ok(None)
    }

    fn metaslab_of(&mut self, dva: Dva) -> Result<&mut Metaslab, Error> {
        let top = self.tops.get_mut(usize_from_u32(dva.vdev));
        let metaslab = top.and_then(|top| {
            let index = dva.offset.checked_shr(top.metaslab_shift)?;
            top.metaslabs.get_mut(usize_from_u64(index))
        });
        metaslab.ok_or_else(|| {
            let Dva { vdev, offset, .. } = dva;
            Corrupt::new(format!("a block at {vdev}:{offset:x}, outside of every metaslab")).into()
        })
    }

    /// Gives the space of one copy back; of a gang block, that of the header.
    pub(crate) fn free_dva(&mut self, dva: Dva) -> Result<(), Error> {
        // A pointer to a gang says what all of it takes.
        let allocated = if dva.gang {
            let shift = self
                .tops
                .get(usize_from_u32(dva.vdev))
                .map_or(9, |top| top.ashift);
            u64_from_usize(GANG_HEADER_BYTES).max(1_u64.checked_shl(shift).unwrap_or(0))
        } else {
            dva.allocated
        };
        let end = dva.offset.saturating_add(allocated);
        self.metaslab_of(dva)?.free(dva.offset, end)
    }

    /// Gives the space of all copies back; see [`BlockWriter::free`](super::BlockWriter::free) for gang blocks.
    pub(crate) fn free(&mut self, pointer: &BlockPointer) -> Result<(), Error> {
        pointer.dvas().try_for_each(|dva| self.free_dva(dva))
    }

    /// Loads every metaslab that the open group has changed.
    pub(crate) fn load_dirty(&mut self, reader: &BlockReader) -> Result<(), Error> {
        for (vdev, top) in self.tops.iter_mut().enumerate() {
            let number = u32::try_from(vdev).unwrap_or(u32::MAX);
            for metaslab in top.metaslabs.iter_mut().filter(|metaslab| metaslab.is_dirty()) {
                let deferred = ranges_on(&self.deferred, number);
                let late = metaslab.load(reader, self.meta.as_ref(), top.ashift, deferred, self.held)?;
                defer(&mut self.deferred, number, late);
            }
        }
        Ok(())
    }

    /// Takes over what logs of space maps say, from the oldest on.
    pub(crate) fn apply_logged(&mut self, reader: &BlockReader, logged: &[Logged]) -> Result<(), Error> {
        for entry in logged {
            let outside = || Corrupt::new(format!("a log of space maps for vdev {}", entry.vdev));
            let top = usize::try_from(entry.vdev).ok();
            let top = top.and_then(|vdev| self.tops.get_mut(vdev)).ok_or_else(outside)?;
            let (ashift, shift) = (top.ashift, top.metaslab_shift);
            let index = usize_from_u64(entry.offset.checked_shr(shift).unwrap_or(u64::MAX));
            let metaslab = top.metaslabs.get_mut(index).ok_or_else(outside)?;
            metaslab.load(reader, self.meta.as_ref(), ashift, std::iter::empty(), None)?;
            let end = entry.offset.saturating_add(entry.bytes.unsigned_abs());
            metaslab.overtake(entry.offset, end, entry.bytes < 0)?;
        }
        for metaslab in self.tops.iter_mut().flat_map(|top| &mut top.metaslabs) {
            if metaslab.is_overtaken {
                metaslab.is_all_overtaken();
            }
        }
        Ok(())
    }

    /// The metaslabs that the open group has changed: vdev and index.
    pub(crate) fn dirty(&self) -> Vec<(usize, usize)> {
        let mut dirty = Vec::new();
        for (vdev, top) in self.tops.iter().enumerate() {
            let changed = top.metaslabs.iter().enumerate();
            let changed = changed.filter(|(_, metaslab)| metaslab.is_dirty());
            dirty.extend(changed.map(|(index, _)| (vdev, index)));
        }
        dirty
    }

    /// What readers may need of what groups before the open one gave back of a metaslab: the groups, and the ranges.
    pub(crate) fn held_of(&self, vdev: usize, metaslab: usize) -> BTreeMap<Txg, Vec<(u64, u64)>> {
        let mut held = BTreeMap::new();
        let number = u32::try_from(vdev).unwrap_or(u32::MAX);
        let top = self.tops.get(vdev);
        let Some(metaslab) = top.and_then(|top| top.metaslabs.get(metaslab)) else {
            return held;
        };
        let place = metaslab.start..metaslab.start.saturating_add(metaslab.bytes);
        for (txg, ranges) in &self.deferred {
            let here = ranges.iter().filter(|range| range.vdev == number);
            let here = here.filter(|range| place.contains(&range.start));
            let here: Vec<_> = here.map(|range| (range.start, range.end)).collect();
            if self.oldest.is_some_and(|oldest| oldest < *txg) && !here.is_empty() {
                held.insert(*txg, here);
            }
        }
        held
    }

    /// The open group `txg` is committed. Returns what may be punched: space that was freed long enough ago, and that no
    /// reader needs.
    pub(crate) fn committed(&mut self, txg: Txg, meta: ObjectSet) -> Vec<Range> {
        self.meta = Some(meta);
        let mut given = Vec::new();
        for (vdev, top) in self.tops.iter_mut().enumerate() {
            let vdev = u32::try_from(vdev).unwrap_or(u32::MAX);
            for metaslab in &mut top.metaslabs {
                let ranges = metaslab.committed().into_iter();
                given.extend(ranges.map(|(start, end)| Range { vdev, start, end }));
            }
        }
        self.deferred.entry(txg).or_default().extend(given);
        let mut usable = Vec::new();
        while let Some(entry) = self.deferred.first_entry()
            && entry.key().0.saturating_add(DEFER) <= txg.0
            && self.oldest.is_none_or(|oldest| *entry.key() <= oldest)
        {
            let ranges = entry.remove();
            for range in &ranges {
                let dva = Dva {
                    vdev: range.vdev,
                    offset: range.start,
                    allocated: range.end.saturating_sub(range.start),
                    gang: false,
                };
                if let Ok(metaslab) = self.metaslab_of(dva) {
                    metaslab.undefer(range.start, range.end);
                }
            }
            usable.extend(ranges);
        }
        usable
    }

    /// The open group is forgotten.
    pub(crate) fn discard(&mut self) {
        for metaslab in self.tops.iter_mut().flat_map(|top| &mut top.metaslabs) {
            metaslab.discard();
        }
    }
}

/// The ranges of a vdev that may not be taken yet.
fn ranges_on(deferred: &BTreeMap<Txg, Vec<Range>>, vdev: u32) -> impl Iterator<Item = (u64, u64)> {
    let ranges = deferred.values().flatten();
    let ranges = ranges.filter(move |range| range.vdev == vdev);
    ranges.map(|range| (range.start, range.end))
}

/// Adds ranges of a vdev that may not be taken yet.
fn defer(deferred: &mut BTreeMap<Txg, Vec<Range>>, vdev: u32, late: Vec<Late>) {
    for (txg, start, end) in late {
        let ranges = deferred.entry(txg).or_default();
        ranges.push(Range { vdev, start, end });
    }
}
