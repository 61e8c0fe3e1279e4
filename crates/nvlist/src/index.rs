//! Finds a pair of a long list by its name.
//!
//! The list in front of a package names every snapshot, so looking through all pairs for each lookup or insertion would
//! take time that grows with the square. The index is an open hash table of positions; the names stay in the list.

use std::hash::{BuildHasher, RandomState};

/// Where each name stands in a list; where several pairs have the name, the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// A position each, or nothing. The number of slots is a power of two, more than half of them empty.
    slots: Vec<Option<usize>>,
    used: usize,
    hasher: RandomState,
}

impl Index {
    /// An index over `names`, which are numbered as they come.
    pub(crate) fn new<'a>(names: impl ExactSizeIterator<Item = &'a str> + Clone) -> Self {
        let capacity = names.len().saturating_mul(4).next_power_of_two();
        let mut index = Self {
            slots: vec![None; capacity],
            used: 0,
            hasher: RandomState::new(),
        };
        let all = names.clone().collect::<Vec<_>>();
        for (position, name) in names.enumerate() {
            index.put(name, position, |other| all.get(other).copied());
        }
        index
    }

    /// Whether another name would leave too few slots empty; then the index is to be made anew.
    pub(crate) const fn is_full(&self) -> bool {
        self.used.saturating_mul(2) >= self.slots.len()
    }

    /// The position of `name`, where `name_at` gives the name at a position.
    pub(crate) fn get<'a>(&self, name: &str, name_at: impl Fn(usize) -> Option<&'a str>) -> Option<usize> {
        self.slot(name, name_at)
            .and_then(|slot| self.slots.get(slot).copied().flatten())
    }

    /// Notes that `name` now stands at `position`. The index must not be full.
    pub(crate) fn put<'a>(
        &mut self,
        name: &str,
        position: usize,
        name_at: impl Fn(usize) -> Option<&'a str>,
    ) {
        let Some(slot) = self.slot(name, name_at) else {
            return;
        };
        if let Some(entry) = self.slots.get_mut(slot) {
            if entry.is_none() {
                self.used = self.used.saturating_add(1);
            }
            *entry = Some(position);
        }
    }

    /// The slot in which `name` is, or the empty one in which it would be.
    fn slot<'a>(&self, name: &str, name_at: impl Fn(usize) -> Option<&'a str>) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let first =
            zferry_wire::usize_from_u64(self.hasher.hash_one(name) & zferry_wire::u64_from_usize(mask));
        (0..self.slots.len())
            .map(|step| first.wrapping_add(step) & mask)
            .find(|slot| match self.slots.get(*slot).copied().flatten() {
                None => true,
                Some(position) => name_at(position) == Some(name),
            })
    }
}
