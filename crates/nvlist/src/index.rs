//! Finds a pair of a long list by its name.
//!
//! The list in front of a package names every snapshot, so looking through all pairs for each lookup or insertion would
//! take time that grows with the square. The index is an open hash table of positions; the names stay in the list.

use std::hash::{BuildHasher, RandomState};

use zferry_wire::{u64_from_usize, usize_from_u64};

use crate::list::Pair;

/// Where each name stands in a list; where several pairs have the name, the last of them.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    /// A position each, or [`EMPTY`]. The number of slots is a power of two, at least half of them empty.
    slots: Vec<usize>,
    used: usize,
    hasher: RandomState,
}

/// What stands in a slot without a position, and where no list has a pair.
const EMPTY: usize = usize::MAX;

impl Index {
    /// An index over `pairs`.
    pub(crate) fn new(pairs: &[Pair]) -> Self {
        let capacity = pairs
            .len()
            .saturating_mul(2)
            .saturating_add(1)
            .next_power_of_two();
        let mut index = Self {
            slots: vec![EMPTY; capacity],
            used: 0,
            hasher: RandomState::new(),
        };
        for position in 0..pairs.len() {
            index.put(pairs, position);
        }
        index
    }

    /// Whether another name would leave too few slots empty; then the index is to be made anew.
    pub(crate) const fn is_full(&self) -> bool {
        self.used.saturating_mul(2) >= self.slots.len()
    }

    /// Where in `pairs`, over which the index is, the last pair of that name stands.
    pub(crate) fn get(&self, pairs: &[Pair], name: &str) -> Option<usize> {
        let position = self.slots.get(self.slot(pairs, name)?)?;
        Some(*position).filter(|position| *position != EMPTY)
    }

    /// Notes that the pair at `position` of `pairs` is the last of its name. The index must not be full.
    pub(crate) fn put(&mut self, pairs: &[Pair], position: usize) {
        let slot = pairs.get(position).and_then(|pair| self.slot(pairs, &pair.name));
        if let Some(entry) = slot.and_then(|slot| self.slots.get_mut(slot)) {
            if *entry == EMPTY {
                self.used = self.used.saturating_add(1);
            }
            *entry = position;
        }
    }

    /// The slot in which `name` is, or the empty one in which it would be.
    fn slot(&self, pairs: &[Pair], name: &str) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let first = usize_from_u64(self.hasher.hash_one(name) & u64_from_usize(mask));
        (0..=mask)
            .map(|step| first.wrapping_add(step) & mask)
            .find(|slot| {
                let pair = self.slots.get(*slot).and_then(|position| pairs.get(*position));
                pair.is_none_or(|pair| &*pair.name == name)
            })
    }
}
