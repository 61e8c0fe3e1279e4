//! A metaslab: what is free of a part of a top-level vdev, and what the open transaction group takes and gives back.
//!
//! What is free is learnt from the metaslab's space map when it is first needed. Of that, what was freed a short while
//! ago may not be taken yet: the uberblocks before the last still lead to it.

use super::BlockReader;
use super::range_set::{HISTOGRAM, RangeSet};
use super::replayed::Replayed;
use super::space_map::SpaceMapPhys;
use super::space_map_entries::{self, Entry};
use crate::dmu::ObjectSet;
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// A metaslab of a top-level vdev. Offsets are in bytes from the start of the vdev's data.
#[derive(Debug)]
pub(crate) struct Metaslab {
    pub(crate) start: u64,
    pub(crate) bytes: u64,
    /// The object of its space map.
    pub(crate) map: Option<ObjectNumber>,
    /// Bytes of entries in the space map.
    pub(crate) length: u64,
    /// What is allocated by the last commit, in bytes.
    pub(crate) allocated: u64,
    /// Whether the last commit has no space map for it yet.
    pub(crate) is_new: bool,
    /// Whether its space map lacks what logs say, and is to be written anew.
    pub(crate) is_overtaken: bool,
    loaded: Option<Loaded>,
    /// What the open group has taken.
    taken: RangeSet,
    /// What the open group has given back.
    given: RangeSet,
    /// What the open group took and gave back again. It is not taken a second time before the commit: what a cache
    /// knows by its address and its group must stay the only one.
    returned: RangeSet,
}

#[derive(Debug)]
struct Loaded {
    /// What may be taken.
    usable: RangeSet,
    /// What is free, whether or not it may be taken yet.
    free: RangeSet,
}

/// Transaction groups whose frees readers may still need: after the first, up to the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    /// The oldest group whose state a reader has open.
    pub(crate) oldest: Txg,
    /// The last group that was committed when this was asked.
    pub(crate) last: Txg,
}

/// A range that a group gave back: the group, and where the range begins and ends.
pub(crate) type Late = (Txg, u64, u64);

/// What the open group changed of a metaslab.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) taken: Vec<(u64, u64)>,
    pub(crate) given: Vec<(u64, u64)>,
}

impl Metaslab {
    pub(crate) fn new(start: u64, bytes: u64) -> Self {
        Self {
            start,
            bytes,
            map: None,
            length: 0,
            allocated: 0,
            is_new: false,
            is_overtaken: false,
            loaded: None,
            taken: RangeSet::default(),
            given: RangeSet::default(),
            returned: RangeSet::default(),
        }
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }

    /// What would be allocated if the open group were committed now, in bytes.
    pub(crate) fn allocated_now(&self) -> u64 {
        let with = self.allocated.saturating_add(self.taken.bytes());
        with.saturating_sub(self.given.bytes())
    }

    /// Whether the open group changed anything.
    pub(crate) fn is_dirty(&self) -> bool {
        self.is_overtaken || !self.taken.is_empty() || !self.given.is_empty()
    }

    /// Learns what is free from the space map, which lies in `meta` as last committed. `deferred` is what may not be
    /// taken yet; so is what the groups of `held` gave back, which is returned.
    pub(crate) fn load(
        &mut self,
        reader: &BlockReader,
        meta: Option<&ObjectSet>,
        ashift: u32,
        deferred: impl Iterator<Item = (u64, u64)>,
        held: Option<Held>,
    ) -> Result<Vec<Late>, Error> {
        if self.loaded.is_some() {
            return Ok(Vec::new());
        }
        let mut late = Vec::new();
        let mut free = RangeSet::default();
        if let (Some(map), Some(meta), false) = (self.map, meta, self.is_new) {
            free = self.replay(reader, meta, map, ashift, |txg, start, end| {
                if held.is_some_and(|held| held.oldest < txg && txg <= held.last) {
                    late.push((txg, start, end));
                }
            })?;
        } else {
            free.insert(self.start, self.end());
        }
        let mut usable = free.clone();
        for (start, end) in deferred {
            if start >= self.start && end <= self.end() {
                usable.remove(start, end);
            }
        }
        // Of what was given back twice, the last time counts.
        let mut kept = Vec::new();
        for (txg, start, end) in late.into_iter().rev() {
            for (start, end) in usable.parts(start, end) {
                usable.remove(start, end);
                kept.push((txg, start, end));
            }
        }
        self.loaded = Some(Loaded { usable, free });
        Ok(kept)
    }

    /// What is free after all that the space map says.
    fn replay(
        &self,
        reader: &BlockReader,
        meta: &ObjectSet,
        map: ObjectNumber,
        ashift: u32,
        mut freed: impl FnMut(Txg, u64, u64),
    ) -> Result<RangeSet, Error> {
        let place = |sector: u64| {
            let bytes = sector.checked_mul(1_u64.checked_shl(ashift)?)?;
            bytes.checked_add(self.start).filter(|place| *place <= self.end())
        };
        let mut sectors = Replayed::all_free(self.bytes.checked_shr(ashift).unwrap_or(0));
        let object = meta.object(reader, map)?;
        let length = SpaceMapPhys::decode(&object)?.length;
        let block_bytes = object.dnode.data_bytes();
        let (mut offset, mut txg) = (0_u64, Txg(0));
        while offset < length {
            let id = BlockId(offset.checked_div(block_bytes).unwrap_or(0));
            let block = object.block(reader, id)?;
            let block = block.ok_or_else(|| Corrupt::new(format!("space map {map} has a hole")))?;
            let here = usize_from_u64(length.saturating_sub(offset)).min(block.bytes.len());
            let bytes = block.bytes.get(..here).unwrap_or_default();
            space_map_entries::decode(bytes, block.endian, &mut txg, |txg, entry| {
                let Entry { offset, len, is_free } = entry;
                let (start, end) = (place(offset), offset.checked_add(len).and_then(place));
                let fits = match (start, end) {
                    (Some(start), Some(end)) if is_free => {
                        freed(txg, start, end);
                        sectors.give(offset, len)
                    }
                    (Some(_), Some(_)) => sectors.take(offset, len),
                    _ => false,
                };
                if fits {
                    Ok(())
                } else {
                    Err(Corrupt::new(format!(
                        "space map {map} takes or gives back {len} sectors at {offset} against what it said before"
                    )))
                }
            })?;
            offset = offset.saturating_add(u64_from_usize(here).max(1));
        }
        let mut free = RangeSet::default();
        sectors.for_each_free(|start, end| {
            if let (Some(start), Some(end)) = (place(start), place(end)) {
                free.push(start, end);
            }
        });
        let used = self.bytes.saturating_sub(free.bytes());
        if used != self.allocated {
            let said = self.allocated;
            return Err(Corrupt::new(format!(
                "space map {map} holds {used} bytes, and says that it holds {said}"
            ))
            .into());
        }
        Ok(free)
    }

    /// Takes over what a log says that its space map does not. The metaslab must be loaded and unchanged.
    pub(crate) fn overtake(&mut self, start: u64, end: u64, is_free: bool) -> Result<(), Error> {
        let loaded = self.loaded.as_mut();
        let loaded = loaded.ok_or_else(|| Error::Invalid("metaslab that was not loaded".to_owned()))?;
        let fits = if is_free {
            loaded.free.insert(start, end)
        } else {
            loaded.free.remove(start, end)
        };
        if !fits {
            return Err(Corrupt::new(format!(
                "a log of space maps takes or gives back {start} to {end} against what was said before"
            ))
            .into());
        }
        self.is_overtaken = true;
        Ok(())
    }

    /// The last of what logs say has been taken over.
    pub(crate) fn is_all_overtaken(&mut self) {
        if let Some(loaded) = &mut self.loaded {
            loaded.usable = loaded.free.clone();
            self.allocated = self.bytes.saturating_sub(loaded.free.bytes());
        }
    }

    /// Takes `len` bytes from `cursor` on, or from anywhere; returns where.
    pub(crate) fn allocate(&mut self, cursor: u64, len: u64) -> Option<u64> {
        let loaded = self.loaded.as_mut()?;
        let at = loaded
            .usable
            .first_fit(cursor, len)
            .or_else(|| loaded.usable.first_fit(self.start, len))?;
        let end = at.checked_add(len)?;
        loaded.usable.remove(at, end);
        loaded.free.remove(at, end);
        self.taken.insert(at, end);
        Some(at)
    }

    /// Where sequential writing begins: at the head of the largest free range.
    pub(crate) fn cursor(&self) -> u64 {
        let largest = self.loaded.as_ref().and_then(|loaded| loaded.usable.largest());
        largest.unwrap_or(self.start)
    }

    /// How much may be taken; what the space map says where that is not known exactly.
    pub(crate) fn usable_bytes(&self) -> u64 {
        match &self.loaded {
            Some(loaded) => loaded.usable.bytes(),
            None => self.bytes.saturating_sub(self.allocated),
        }
    }

    /// Gives a range back. What the open group took itself may be taken again once it is committed.
    pub(crate) fn free(&mut self, start: u64, end: u64) -> Result<(), Error> {
        if self.taken.remove(start, end) {
            self.returned.insert(start, end);
            if let Some(loaded) = &mut self.loaded {
                loaded.free.insert(start, end);
            }
            return Ok(());
        }
        let is_known_free = self
            .loaded
            .as_ref()
            .is_some_and(|loaded| loaded.free.contains(start, end));
        if is_known_free || !self.given.insert(start, end) {
            return Err(Corrupt::new(format!(
                "{} bytes at {start} are freed twice",
                end.saturating_sub(start)
            ))
            .into());
        }
        Ok(())
    }

    /// What the open group changed.
    pub(crate) fn changes(&self) -> Changes {
        Changes {
            taken: self.taken.iter().collect(),
            given: self.given.iter().collect(),
        }
    }

    /// What is allocated once the open group is committed: the rest of the metaslab.
    pub(crate) fn allocated_ranges(&self) -> Result<Vec<(u64, u64)>, Error> {
        Ok(self.all_but(&self.free_after()?))
    }

    /// What is allocated once the open group is committed, together with what it gives back, and with ranges that were
    /// given back before.
    pub(crate) fn allocated_and(
        &self,
        before: impl Iterator<Item = (u64, u64)>,
    ) -> Result<Vec<(u64, u64)>, Error> {
        let mut free = self.free_after()?;
        for (start, end) in self.given.iter().chain(before) {
            if !free.remove(start, end) {
                return Err(Corrupt::new(format!("{start} to {end} is held, and not free")).into());
            }
        }
        Ok(self.all_but(&free))
    }

    fn all_but(&self, free: &RangeSet) -> Vec<(u64, u64)> {
        let mut at = self.start;
        let mut ranges = Vec::new();
        for (start, end) in free.iter() {
            if at < start {
                ranges.push((at, start));
            }
            at = end;
        }
        if at < self.end() {
            ranges.push((at, self.end()));
        }
        ranges
    }

    fn free_after(&self) -> Result<RangeSet, Error> {
        let loaded = self.loaded.as_ref();
        let mut free = loaded
            .ok_or_else(|| Error::Invalid("metaslab that was not loaded".to_owned()))?
            .free
            .clone();
        for (start, end) in self.given.iter() {
            if !free.insert(start, end) {
                return Err(Corrupt::new(format!("free space at {start} is freed")).into());
            }
        }
        Ok(free)
    }

    /// How many free ranges there will be of each size once the open group is committed.
    pub(crate) fn histogram_after(&self, ashift: u32) -> Result<[u64; HISTOGRAM], Error> {
        Ok(self.free_after()?.histogram(ashift))
    }

    /// The open group is committed. Returns what it gave back, which may not be taken yet.
    pub(crate) fn committed(&mut self) -> Vec<(u64, u64)> {
        self.allocated = self.allocated_now();
        (self.is_new, self.is_overtaken) = (false, false);
        self.taken = RangeSet::default();
        let returned = std::mem::take(&mut self.returned);
        let given: Vec<_> = std::mem::take(&mut self.given).iter().collect();
        if let Some(loaded) = &mut self.loaded {
            for (start, end) in &given {
                loaded.free.insert(*start, *end);
            }
            for (start, end) in returned.iter() {
                loaded.usable.insert(start, end);
            }
        }
        given
    }

    /// What was given back some groups ago may be taken now, as far as nothing has changed since.
    pub(crate) fn undefer(&mut self, start: u64, end: u64) {
        if let Some(loaded) = &mut self.loaded {
            loaded.usable.insert(start, end);
        }
    }

    /// The open group is forgotten.
    pub(crate) fn discard(&mut self) {
        self.given = RangeSet::default();
        let taken = std::mem::take(&mut self.taken);
        let returned = std::mem::take(&mut self.returned);
        if let Some(loaded) = &mut self.loaded {
            for (start, end) in returned.iter() {
                loaded.usable.insert(start, end);
            }
            for (start, end) in taken.iter() {
                loaded.usable.insert(start, end);
                loaded.free.insert(start, end);
            }
        }
    }
}
