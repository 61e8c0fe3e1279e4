//! Ranges in their order, in memory that is quick to go through.
//!
//! A metaslab in use has thousands of free ranges, and loading it puts in and takes out each that there ever was. In a
//! list of short lists that costs two binary searches and moving at most a few kilobytes.

/// A range: where it begins and where it ends.
pub(super) type Range = (u64, u64);

/// How many ranges a list holds at most. Tests have few ranges, and should have several lists.
const LIST_MAX: usize = if cfg!(test) { 4 } else { 256 };

/// Ranges, by where they begin.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    /// None of the lists is empty.
    lists: Vec<Vec<Range>>,
}

/// A place among the ranges: the number of a list, and in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    list: usize,
    index: usize,
}

impl Ranges {
    /// Puts a range in behind all others.
    pub(super) fn push(&mut self, range: Range) {
        // What is put in between later has room.
        match self.lists.last_mut() {
            Some(list) if list.len() < LIST_MAX / 2 => list.push(range),
            _ => self.lists.push(vec![range]),
        }
    }

    /// The last range.
    pub(super) fn last(&self) -> Option<Range> {
        self.lists.last()?.last().copied()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// The place of the first range that begins behind `start`.
    pub(super) fn behind(&self, start: u64) -> Place {
        self.first_not(|range| range.0 <= start)
    }

    /// The place of the first range that begins at `start` or behind it.
    pub(super) fn at_or_behind(&self, start: u64) -> Place {
        self.first_not(|range| range.0 < start)
    }

    fn first_not(&self, starts_before: impl Fn(&Range) -> bool) -> Place {
        let list = self
            .lists
            .partition_point(|list| list.first().is_some_and(&starts_before))
            .saturating_sub(1);
        let index = self
            .lists
            .get(list)
            .map_or(0, |list| list.partition_point(&starts_before));
        Place { list, index }
    }

    /// The range in front of a place.
    pub(super) fn before(&self, place: Place) -> Option<Range> {
        // Where a list has one that begins early enough, the place is in that list.
        let index = place.index.checked_sub(1)?;
        self.lists.get(place.list)?.get(index).copied()
    }

    /// The range in front of a place, to be changed; it must keep its place in the order.
    pub(super) fn before_mut(&mut self, place: Place) -> Option<&mut Range> {
        let index = place.index.checked_sub(1)?;
        self.lists.get_mut(place.list)?.get_mut(index)
    }

    /// The range at a place.
    pub(super) fn at(&self, place: Place) -> Option<Range> {
        self.from(place).next()
    }

    /// The range at a place, to be changed; it must keep its place in the order.
    pub(super) fn at_mut(&mut self, place: Place) -> Option<&mut Range> {
        let place = self.settled(place);
        self.lists.get_mut(place.list)?.get_mut(place.index)
    }

    /// The same place, at the start of the next list rather than at the end of one.
    fn settled(&self, place: Place) -> Place {
        match self.lists.get(place.list) {
            Some(list) if place.index >= list.len() => Place {
                list: place.list.saturating_add(1),
                index: 0,
            },
            _ => place,
        }
    }

    /// The ranges from a place on.
    pub(super) fn from(&self, place: Place) -> impl Iterator<Item = Range> {
        let mut lists = self.lists.get(place.list..).unwrap_or_default().iter();
        let first = lists.next().and_then(|list| list.get(place.index..));
        let first = first.unwrap_or_default().iter();
        first.chain(lists.flatten()).copied()
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range> {
        self.lists.iter().flatten().copied()
    }

    /// Puts a range in at its place.
    pub(super) fn insert(&mut self, place: Place, range: Range) {
        let Some(list) = self.lists.get_mut(place.list) else {
            self.lists.push(vec![range]);
            return;
        };
        list.insert(place.index.min(list.len()), range);
        if list.len() > LIST_MAX {
            let half = list.split_off(list.len() / 2);
            self.lists.insert(place.list.saturating_add(1), half);
        }
    }

    /// Takes out the range at a place.
    pub(super) fn remove(&mut self, place: Place) {
        let place = self.settled(place);
        let Some(list) = self.lists.get_mut(place.list) else {
            return;
        };
        if place.index < list.len() {
            list.remove(place.index);
        }
        if list.is_empty() {
            self.lists.remove(place.list);
        }
    }

    /// Takes out the range in front of a place.
    pub(super) fn remove_before(&mut self, place: Place) {
        if let Some(index) = place.index.checked_sub(1) {
            self.remove(Place { index, ..place });
        }
    }
}
