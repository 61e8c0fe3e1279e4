//! A set of ranges of bytes, none touching another: what is free of a metaslab.

use super::ranges::Ranges;

/// How many sizes a space map's histogram tells apart.
pub(super) const HISTOGRAM: usize = 32;

/// Ranges that neither overlap nor touch, by where they begin.
#[derive(Clone, Debug)]
pub(super) struct RangeSet {
    ranges: Ranges,
    bytes: u64,
    /// How many ranges there are by the power of two of their size.
    by_size: [u64; 64],
}

impl Default for RangeSet {
    fn default() -> Self {
        Self {
            ranges: Ranges::default(),
            bytes: 0,
            by_size: [0; 64],
        }
    }
}

/// The power of two below a size.
fn size_class(len: u64) -> usize {
    usize::try_from(len.checked_ilog2().unwrap_or(0)).unwrap_or(0)
}

impl RangeSet {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.ranges.iter()
    }

    /// Counts a range that there is now.
    fn count(&mut self, (start, end): (u64, u64)) {
        let len = end.saturating_sub(start);
        self.bytes = self.bytes.saturating_add(len);
        if let Some(count) = self.by_size.get_mut(size_class(len)) {
            *count = count.saturating_add(1);
        }
    }

    /// Counts a range no more.
    fn discount(&mut self, (start, end): (u64, u64)) {
        let len = end.saturating_sub(start);
        self.bytes = self.bytes.saturating_sub(len);
        if let Some(count) = self.by_size.get_mut(size_class(len)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Adds a range. Returns false, and adds nothing, where a part of it is there already.
    pub(super) fn insert(&mut self, start: u64, end: u64) -> bool {
        if start >= end {
            return start == end;
        }
        let place = self.ranges.behind(start);
        let (before, after) = (self.ranges.before(place), self.ranges.at(place));
        if before.is_some_and(|(_, to)| to > start) || after.is_some_and(|(from, _)| from < end) {
            return false;
        }
        let before = before.filter(|(_, to)| *to == start);
        let after = after.filter(|(from, _)| *from == end);
        let joined = (
            before.map_or(start, |(from, _)| from),
            after.map_or(end, |(_, to)| to),
        );
        if before.is_some() && after.is_some() {
            self.ranges.remove(place);
        }
        let neighbour = if before.is_some() {
            self.ranges.before_mut(place)
        } else if after.is_some() {
            self.ranges.at_mut(place)
        } else {
            None
        };
        match neighbour {
            Some(range) => *range = joined,
            None => self.ranges.insert(place, joined),
        }
        before
            .into_iter()
            .chain(after)
            .for_each(|range| self.discount(range));
        self.count(joined);
        true
    }

    /// Adds a range behind all that there are. Returns false, and adds nothing, where it is empty, or touches or lies
    /// before what is there.
    pub(super) fn push(&mut self, start: u64, end: u64) -> bool {
        let is_behind = self.ranges.last().is_none_or(|(_, to)| to < start);
        if !is_behind || start >= end {
            return false;
        }
        self.ranges.push((start, end));
        self.count((start, end));
        true
    }

    /// Takes a range out. Returns false, and takes nothing, where it is not all there.
    pub(super) fn remove(&mut self, start: u64, end: u64) -> bool {
        if start >= end {
            return start == end;
        }
        let place = self.ranges.behind(start);
        let Some((from, to)) = self.ranges.before(place).filter(|(_, to)| *to >= end) else {
            return false;
        };
        self.discount((from, to));
        let mut left = [(from, start), (end, to)]
            .into_iter()
            .filter(|(from, to)| from < to);
        match (self.ranges.before_mut(place), left.next()) {
            (Some(range), Some(first)) => {
                *range = first;
                self.count(first);
            }
            _ => self.ranges.remove_before(place),
        }
        if let Some(second) = left.next() {
            self.ranges.insert(place, second);
            self.count(second);
        }
        true
    }

    /// Whether all of a range is there.
    pub(super) fn contains(&self, start: u64, end: u64) -> bool {
        let range = self.ranges.before(self.ranges.behind(start));
        range.is_some_and(|(_, to)| to >= end)
    }

    /// The parts of a range that are there.
    pub(super) fn parts(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let place = self.ranges.at_or_behind(start);
        let within = self.ranges.from(place).take_while(|(from, _)| *from < end);
        let before = self.ranges.before(place).into_iter();
        before
            .chain(within)
            .map(|(from, to)| (from.max(start), to.min(end)))
            .filter(|(from, to)| from < to)
            .collect()
    }

    /// The first place at or behind `from` where `len` bytes are free.
    pub(super) fn first_fit(&self, from: u64, len: u64) -> Option<u64> {
        // No range of the classes that could hold it: nothing to look for.
        let could_fit = self.by_size.iter().skip(size_class(len)).any(|count| *count > 0);
        if !could_fit {
            return None;
        }
        let place = self.ranges.at_or_behind(from);
        if let Some((_, end)) = self.ranges.before(place)
            && end.saturating_sub(from) >= len
        {
            return Some(from);
        }
        let mut later = self.ranges.from(place);
        later
            .find(|(start, end)| end.saturating_sub(*start) >= len)
            .map(|(start, _)| start)
    }

    /// Where the largest range begins; the first of several.
    pub(super) fn largest(&self) -> Option<u64> {
        let best = self
            .iter()
            .max_by_key(|(start, end)| (end.saturating_sub(*start), std::cmp::Reverse(*start)));
        best.map(|(start, _)| start)
    }

    /// How many ranges there are of 2^(n + shift) bytes, and in the last place twice as many for twice the size.
    pub(super) fn histogram(&self, shift: u32) -> [u64; HISTOGRAM] {
        let mut histogram = [0_u64; HISTOGRAM];
        let shift = usize::try_from(shift).unwrap_or(0);
        for (class, count) in self.by_size.iter().enumerate().skip(shift) {
            let place = class.saturating_sub(shift).min(HISTOGRAM.saturating_sub(1));
            let excess = class.saturating_sub(shift).saturating_sub(place);
            let count = count << excess.min(63);
            if let Some(sum) = histogram.get_mut(place) {
                *sum = sum.saturating_add(count);
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn neighbours_become_one() {
        let mut set = RangeSet::default();
        assert!(set.insert(0, 10) && set.insert(20, 30) && set.insert(10, 20));
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 30)]);
        assert!(!set.insert(29, 31) && !set.remove(25, 31));
        assert!(set.remove(5, 6));
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 5), (6, 30)]);
        assert_eq!(
            (set.first_fit(1, 4), set.first_fit(2, 4), set.first_fit(0, 25)),
            (Some(1), Some(6), None)
        );
        assert_eq!(set.largest(), Some(6));
        assert_eq!(set.parts(3, 8), [(3, 5), (6, 8)]);
        assert_eq!(set.parts(5, 6), []);
        assert_eq!(set.parts(0, 100), [(0, 5), (6, 30)]);
    }

    proptest! {
        #[test]
        fn it_is_what_a_row_of_flags_is(changes in prop::collection::vec((any::<bool>(), 0_u64..64, 0_u64..16), 0..200)) {
            let mut set = RangeSet::default();
            let mut flags = [false; 80];
            for (add, start, len) in changes {
                let end = start + len;
                let part = &mut flags[start as usize..end as usize];
                if part.iter().all(|flag| *flag != add) {
                    part.fill(add);
                    let done = if add { set.insert(start, end) } else { set.remove(start, end) };
                    prop_assert!(done);
                } else {
                    let done = if add { set.insert(start, end) } else { set.remove(start, end) };
                    prop_assert!(!done || start == end);
                }
                let rows: Vec<(u64, u64)> = set.iter().collect();
                if start % 8 == 0 {
                    // The same, made in one go.
                    set = RangeSet::default();
                    for (start, end) in &rows {
                        prop_assert!(set.push(*start, *end) && !set.push(*end, *end + 1) && !set.push(*start, *end));
                    }
                    prop_assert_eq!(&set.iter().collect::<Vec<_>>(), &rows);
                }
                prop_assert!(rows.windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert_eq!(set.bytes(), flags.iter().filter(|flag| **flag).count() as u64);
                prop_assert_eq!(set.histogram(0).iter().sum::<u64>(), rows.len() as u64);
                for (at, flag) in (0_u64..).zip(flags.iter()) {
                    prop_assert_eq!(set.contains(at, at + 1), *flag);
                }
            }
        }
    }
}
