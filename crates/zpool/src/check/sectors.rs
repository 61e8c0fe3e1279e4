//! A set of sectors of many vdevs, in little memory: ranges that touch are one, and where they are too many, a bit a
//! sector.
//!
//! Sectors are kept in chunks of 65,536. A chunk is a sorted list of runs, of four bytes each, or a bitmap of 8 KiB
//! where the list would be larger. So a set takes at most 8 KiB for each chunk that it touches: 256 MiB of a vdev with
//! sectors of 4 KiB, 32 MiB of one with sectors of 512 bytes. What is written in sequence takes a few bytes.

use std::collections::BTreeMap;

/// How many sectors a chunk has, as a power of two.
pub(super) const CHUNK_SHIFT: u32 = 16;
const CHUNK_MASK: u64 = (1 << CHUNK_SHIFT) - 1;
/// A list of more runs than these is larger than a bitmap.
const RUNS_MAX: usize = 2048;
const WORDS: usize = 1024;
/// What a chunk takes beside its runs or bits, in bytes.
const CHUNK_OVERHEAD: usize = 64;

/// Which chunk: of which vdev, and its number there. What lies behind another in this order is handled later.
pub(super) type ChunkKey = (u32, u64);

/// The first and the last sector of a run, counted in the chunk.
type Run = (u16, u16);

/// A set of sectors.
#[derive(Debug, Default)]
pub(super) struct SectorSet {
    chunks: BTreeMap<ChunkKey, Chunk>,
    bytes: usize,
}

#[derive(Debug)]
enum Chunk {
    Runs(Vec<Run>),
    Bits(Box<[u64; WORDS]>),
}

/// Cuts a range at the borders of chunks.
fn pieces(first: u64, count: u64) -> impl Iterator<Item = (u64, Run)> {
    let end = first.saturating_add(count);
    let mut at = first;
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let chunk = at >> CHUNK_SHIFT;
        let chunk_end = chunk.saturating_add(1) << CHUNK_SHIFT;
        let last = end.min(chunk_end).saturating_sub(1);
        let run = (within(at), within(last));
        at = last.saturating_add(1);
        Some((chunk, run))
    })
}

fn within(sector: u64) -> u16 {
    u16::try_from(sector & CHUNK_MASK).unwrap_or(u16::MAX)
}

impl SectorSet {
    /// Adds `count` sectors from `first` on. Returns how many of them were in the set already.
    pub(super) fn insert(&mut self, vdev: u32, first: u64, count: u64) -> u64 {
        let mut known = 0_u64;
        for (number, run) in pieces(first, count) {
            let mut added = 0;
            let chunk = self.chunks.entry((vdev, number)).or_insert_with(|| {
                added = CHUNK_OVERHEAD;
                Chunk::Runs(Vec::new())
            });
            let before = chunk.bytes();
            known = known.saturating_add(chunk.insert(run));
            self.bytes = self.bytes.saturating_add(added).saturating_add(chunk.bytes());
            self.bytes = self.bytes.saturating_sub(before);
        }
        known
    }

    /// Takes `count` sectors from `first` on out. Returns how many of them were not in the set.
    pub(super) fn remove(&mut self, vdev: u32, first: u64, count: u64) -> u64 {
        let mut missing = 0_u64;
        for (number, run) in pieces(first, count) {
            let Some(chunk) = self.chunks.get_mut(&(vdev, number)) else {
                missing = missing.saturating_add(len(run));
                continue;
            };
            let before = chunk.bytes();
            missing = missing.saturating_add(chunk.remove(run));
            self.bytes = self.bytes.saturating_add(chunk.bytes()).saturating_sub(before);
        }
        missing
    }

    /// About how much memory the set takes, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Drops the last chunk and says which it was.
    pub(super) fn drop_last(&mut self) -> Option<ChunkKey> {
        let (key, chunk) = self.chunks.pop_last()?;
        self.bytes = self
            .bytes
            .saturating_sub(chunk.bytes().saturating_add(CHUNK_OVERHEAD));
        Some(key)
    }

    /// Drops every chunk from `end` on.
    pub(super) fn truncate(&mut self, end: ChunkKey) {
        while self.chunks.last_key_value().is_some_and(|(key, _)| *key >= end) {
            self.drop_last();
        }
    }

    /// Calls `each` with what is only in this set (`true`) or only in the other: a vdev, the first sector, and how many.
    /// Ranges of the same kind that touch come as one.
    pub(super) fn differences(&self, other: &Self, each: &mut dyn FnMut(bool, u32, u64, u64)) {
        let keys = self.chunks.keys().chain(other.chunks.keys());
        let keys: std::collections::BTreeSet<ChunkKey> = keys.copied().collect();
        let mut pending: [Option<(u32, u64, u64)>; 2] = [None, None];
        for key in keys {
            let (ours, theirs) = (self.runs(key), other.runs(key));
            for (is_ours, runs) in [(true, without(&ours, &theirs)), (false, without(&theirs, &ours))] {
                let [here, there] = &mut pending;
                let slot = if is_ours { here } else { there };
                for run in runs {
                    let first = (key.1 << CHUNK_SHIFT).saturating_add(u64::from(run.0));
                    match slot {
                        Some((vdev, start, count))
                            if *vdev == key.0 && start.saturating_add(*count) == first =>
                        {
                            *count = count.saturating_add(len(run));
                        }
                        _ => {
                            if let Some((vdev, start, count)) = slot.replace((key.0, first, len(run))) {
                                each(is_ours, vdev, start, count);
                            }
                        }
                    }
                }
            }
        }
        for (is_ours, rest) in [true, false].into_iter().zip(pending) {
            if let Some((vdev, start, count)) = rest {
                each(is_ours, vdev, start, count);
            }
        }
    }

    /// Calls `each` with every range of a vdev between two sectors: the first sector, and how many. Ranges that touch
    /// come as one.
    pub(super) fn ranges_in(&self, vdev: u32, from: u64, to: u64, each: &mut dyn FnMut(u64, u64)) {
        let keys = (vdev, from >> CHUNK_SHIFT)..=(vdev, to >> CHUNK_SHIFT);
        let mut pending: Option<(u64, u64)> = None;
        for (key, chunk) in self.chunks.range(keys) {
            let base = key.1 << CHUNK_SHIFT;
            for run in chunk.runs() {
                let first = base.saturating_add(u64::from(run.0)).max(from);
                let end = base.saturating_add(u64::from(run.1)).saturating_add(1).min(to);
                if first >= end {
                    continue;
                }
                match &mut pending {
                    Some((_, last)) if *last == first => *last = end,
                    _ => {
                        if let Some((start, last)) = pending.replace((first, end)) {
                            each(start, last.saturating_sub(start));
                        }
                    }
                }
            }
        }
        if let Some((start, last)) = pending {
            each(start, last.saturating_sub(start));
        }
    }

    fn runs(&self, key: ChunkKey) -> Vec<Run> {
        self.chunks.get(&key).map(Chunk::runs).unwrap_or_default()
    }
}

/// How many sectors a run has.
fn len((first, last): Run) -> u64 {
    u64::from(last).saturating_add(1).saturating_sub(u64::from(first))
}

/// How many sectors two runs have in common.
fn common(a: Run, b: Run) -> u64 {
    let (first, last) = (a.0.max(b.0), a.1.min(b.1));
    if first > last { 0 } else { len((first, last)) }
}

/// The sorted runs of `a` without what is in those of `b`.
fn without(a: &[Run], b: &[Run]) -> Vec<Run> {
    let mut left = Vec::new();
    let mut skipped = b.iter().peekable();
    for &(first, last) in a {
        let mut at = Some(first);
        while let Some(from) = at {
            while skipped.peek().is_some_and(|run| run.1 < from) {
                skipped.next();
            }
            match skipped.peek() {
                Some(run) if run.0 <= last => {
                    if run.0 > from {
                        left.push((from, run.0.saturating_sub(1)));
                    }
                    at = run.1.checked_add(1).filter(|next| *next <= last);
                }
                _ => {
                    left.push((from, last));
                    at = None;
                }
            }
        }
    }
    left
}

impl Chunk {
    fn bytes(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.capacity().saturating_mul(4),
            Self::Bits(_) => WORDS.saturating_mul(8),
        }
    }

    fn insert(&mut self, run: Run) -> u64 {
        match self {
            Self::Runs(runs) => {
                let known = insert_run(runs, run);
                if runs.len() > RUNS_MAX {
                    *self = Self::Bits(bits_of(runs));
                }
                known
            }
            Self::Bits(bits) => {
                let mut known = 0_u64;
                for (word, mask) in words_of(bits, run) {
                    known = known.saturating_add(u64::from((*word & mask).count_ones()));
                    *word |= mask;
                }
                known
            }
        }
    }

    fn remove(&mut self, run: Run) -> u64 {
        match self {
            Self::Runs(runs) => {
                let missing = remove_run(runs, run);
                if runs.len() > RUNS_MAX {
                    *self = Self::Bits(bits_of(runs));
                }
                missing
            }
            Self::Bits(bits) => {
                let mut missing = 0_u64;
                for (word, mask) in words_of(bits, run) {
                    missing = missing.saturating_add(u64::from((!*word & mask).count_ones()));
                    *word &= !mask;
                }
                missing
            }
        }
    }

    fn runs(&self) -> Vec<Run> {
        let bits = match self {
            Self::Runs(runs) => return runs.clone(),
            Self::Bits(bits) => bits,
        };
        let mut runs: Vec<Run> = Vec::new();
        for (base, word) in (0_u16..).step_by(64).zip(bits.iter()) {
            let mut rest = *word;
            while rest != 0 {
                let start = rest.trailing_zeros();
                let ones = (rest >> start).trailing_ones();
                let bit = |bit: u32| base.saturating_add(u16::try_from(bit).unwrap_or(0));
                let (first, last) = (bit(start), bit(start.saturating_add(ones).saturating_sub(1)));
                match runs.last_mut() {
                    Some(run) if run.1.checked_add(1) == Some(first) => run.1 = last,
                    _ => runs.push((first, last)),
                }
                let taken = u64::MAX.checked_shr(64_u32.saturating_sub(ones)).unwrap_or(0) << start;
                rest &= !taken;
            }
        }
        runs
    }
}

/// Adds a run to sorted runs and joins what touches. Returns how many of its sectors were there already.
fn insert_run(runs: &mut Vec<Run>, run: Run) -> u64 {
    // Everything that overlaps the run or touches it becomes one with it.
    let begin = runs.partition_point(|old| u32::from(old.1).saturating_add(1) < u32::from(run.0));
    let touching = runs.get(begin..).unwrap_or_default();
    let touching = touching.partition_point(|old| u32::from(old.0) <= u32::from(run.1).saturating_add(1));
    let end = begin.saturating_add(touching);
    let mut joined = run;
    let mut known = 0_u64;
    for old in runs.get(begin..end).unwrap_or_default() {
        known = known.saturating_add(common(*old, run));
        joined = (joined.0.min(old.0), joined.1.max(old.1));
    }
    replace(runs, begin, end, &[joined]);
    known
}

/// Takes a run out of sorted runs. Returns how many of its sectors were not there.
fn remove_run(runs: &mut Vec<Run>, run: Run) -> u64 {
    let begin = runs.partition_point(|old| old.1 < run.0);
    let overlapping = runs.get(begin..).unwrap_or_default();
    let end = begin.saturating_add(overlapping.partition_point(|old| old.0 <= run.1));
    let mut rest = Vec::new();
    let mut known = 0_u64;
    for &(first, last) in runs.get(begin..end).unwrap_or_default() {
        known = known.saturating_add(common((first, last), run));
        if first < run.0 {
            rest.push((first, run.0.saturating_sub(1)));
        }
        if last > run.1 {
            rest.push((run.1.saturating_add(1), last));
        }
    }
    replace(runs, begin, end, &rest);
    len(run).saturating_sub(known)
}

fn replace(runs: &mut Vec<Run>, begin: usize, end: usize, by: &[Run]) {
    runs.splice(begin..end, by.iter().copied());
}

fn bits_of(runs: &[Run]) -> Box<[u64; WORDS]> {
    let mut bits = Box::new([0_u64; WORDS]);
    for &run in runs {
        for (word, mask) in words_of(&mut bits, run) {
            *word |= mask;
        }
    }
    bits
}

/// The words that a run lies in, each with the bits that it has there.
fn words_of(bits: &mut [u64; WORDS], (first, last): Run) -> impl Iterator<Item = (&mut u64, u64)> {
    let (begin, end) = (usize::from(first / 64), usize::from(last / 64));
    bits.iter_mut()
        .enumerate()
        .skip(begin)
        .take(end.saturating_sub(begin).saturating_add(1))
        .map(move |(index, word)| {
            let mut mask = u64::MAX;
            if index == begin {
                mask &= u64::MAX << (first % 64);
            }
            if index == end {
                mask &= u64::MAX >> 63_u16.saturating_sub(last % 64);
            }
            (word, mask)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = SectorSet::default();
        assert_eq!(set.insert(0, 65_000, 1000), 0);
        assert_eq!(set.insert(0, 66_000, 10), 0);
        assert_eq!(set.insert(0, 65_999, 2), 2);
        let mut ranges = Vec::new();
        set.ranges_in(0, 0, 1 << 20, &mut |first, count| ranges.push((first, count)));
        assert_eq!(ranges, [(65_000, 1010)]);
        assert_eq!(set.remove(0, 65_500, 1), 0);
        assert_eq!(set.remove(0, 65_500, 2), 1);
    }

    #[test]
    fn differences_name_the_side() {
        let (mut a, mut b) = (SectorSet::default(), SectorSet::default());
        a.insert(1, 10, 10);
        b.insert(1, 15, 10);
        b.insert(2, 1 << 20, 1 << 17);
        let mut found = Vec::new();
        a.differences(&b, &mut |ours, vdev, first, count| {
            found.push((ours, vdev, first, count));
        });
        assert_eq!(
            found,
            [(false, 1, 20, 5), (true, 1, 10, 5), (false, 2, 1 << 20, 1 << 17)]
        );
    }

    proptest! {
        #[test]
        fn a_set_is_what_a_set_of_numbers_would_be(
            steps in prop::collection::vec((any::<bool>(), 0_u64..140_000, 1_u64..200), 1..3000)
        ) {
            let (mut set, mut model) = (SectorSet::default(), BTreeSet::new());
            for (is_insert, first, count) in steps {
                let range = first..first + count;
                let there = u64::try_from(range.clone().filter(|sector| model.contains(sector)).count()).unwrap();
                if is_insert {
                    prop_assert_eq!(set.insert(3, first, count), there);
                    model.extend(range);
                } else {
                    prop_assert_eq!(set.remove(3, first, count), count - there);
                    for sector in range {
                        model.remove(&sector);
                    }
                }
            }
            let mut found = BTreeSet::new();
            set.ranges_in(3, 0, 1 << 20, &mut |first, count| found.extend(first..first + count));
            prop_assert_eq!(found, model);
        }
    }
}
