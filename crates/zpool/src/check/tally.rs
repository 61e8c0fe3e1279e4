//! Counting blocks: how many, how large, and which, in a few numbers.
//!
//! Which blocks they are is told by the sum of their hashes, so that two lists of any length and order can be compared
//! without keeping either.

use super::Measure;
use crate::dsl::Sizes;
use crate::spa::BlockPointer;
use std::hash::{DefaultHasher, Hash, Hasher};

/// What was counted of some blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// How many.
    pub(super) count: u64,
    /// Their sizes.
    pub(super) sizes: Sizes,
    /// The sum of their hashes.
    pub(super) which: u64,
}

impl Tally {
    /// Counts a block. Holes and redacted blocks count for nothing.
    pub(super) fn add(&mut self, pointer: &BlockPointer, measure: &Measure) {
        if pointer.is_hole() || pointer.is_redacted() {
            return;
        }
        self.count = self.count.wrapping_add(1);
        self.sizes = self.sizes.plus(measure.sizes(pointer));
        self.which = self.which.wrapping_add(identity(pointer));
    }

    /// The counts of both.
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_add(other.count),
            sizes: self.sizes.plus(other.sizes),
            which: self.which.wrapping_add(other.which),
        }
    }

    /// The counts of `self` without those of `other`.
    pub(super) const fn minus(self, other: Self) -> Self {
        Self {
            count: self.count.wrapping_sub(other.count),
            sizes: self.sizes.minus(other.sizes),
            which: self.which.wrapping_sub(other.which),
        }
    }
}

/// A hash of what tells a block from others. Lists of block pointers keep no more than this of them: where it is, what
/// it is, and when it was born.
pub(super) fn identity(pointer: &BlockPointer) -> u64 {
    let mut hasher = DefaultHasher::new();
    let words = pointer.words();
    let [first, second, .., birth] = [words[0], words[1], words[6], words[10]];
    if pointer.is_embedded() {
        (words[6], birth).hash(&mut hasher);
    } else {
        (first, second, words[6], birth).hash(&mut hasher);
    }
    hasher.finish()
}
