//! The permutations by which dRAID spreads its groups over its children: made from a seed, always the same.

use super::seeds::{CHILDREN_MIN, SEEDS};
use crate::Corrupt;

/// The half of the generator's state that is the same for all.
const SEED: u64 = 0xd_7a1d_5eed;
/// From this number of children on there are 512 permutations, below it 256.
const MANY_CHILDREN: usize = 32;

/// The permutations for a number of children.
#[derive(Debug)]
pub(super) struct Permutations {
    children: usize,
    rows: Vec<u8>,
}

impl Permutations {
    /// Makes the permutations for a number of children.
    ///
    /// # Errors
    /// [`Corrupt`] where dRAID is not defined for so many.
    pub(super) fn new(children: usize) -> Result<Self, Corrupt> {
        let seed = children
            .checked_sub(CHILDREN_MIN)
            .and_then(|index| SEEDS.get(index));
        let (seed, _) = seed.ok_or_else(|| Corrupt::new(format!("dRAID of {children} children")))?;
        let count = if children < MANY_CHILDREN { 256_usize } else { 512 };
        let mut random = Random([SEED, *seed]);
        let mut row: Vec<u8> = (0..=u8::MAX).take(children).collect();
        let mut rows = Vec::with_capacity(count.saturating_mul(children));
        for _ in 0..count {
            // Each is the one before, shuffled once more (Fisher and Yates).
            for last in (1_u8..=u8::MAX).take(children.saturating_sub(1)).rev() {
                let other = random.below(last);
                row.swap(usize::from(last), usize::from(other));
            }
            rows.extend_from_slice(&row);
        }
        Ok(Self { children, rows })
    }

    /// The child in column `column` of permutation `number`. Once all permutations have been used they come again,
    /// turned by one child further.
    pub(super) fn child(&self, number: u64, column: usize) -> usize {
        let children = zferry_wire::u64_from_usize(self.children);
        let all = zferry_wire::u64_from_usize(self.rows.len());
        let place = number.checked_rem(all).unwrap_or(0);
        // `all` counts the elements of all permutations: each permutation is used for as many turns as it has elements.
        let row = place.checked_div(children).unwrap_or(0);
        let turn = place.checked_rem(children).unwrap_or(0);
        let start = usize::try_from(row).unwrap_or(0).saturating_mul(self.children);
        let child = self
            .rows
            .get(start.saturating_add(column))
            .copied()
            .map_or(0, usize::from);
        let turned = child.saturating_add(usize::try_from(turn).unwrap_or(0));
        turned.checked_rem(self.children).unwrap_or(0)
    }
}

/// The generator that is part of the format: xoroshiro128++.
struct Random([u64; 2]);

impl Random {
    const fn next(&mut self) -> u64 {
        let [s0, s1] = self.0;
        let result = s0.wrapping_add(s1).rotate_left(17).wrapping_add(s0);
        let mixed = s1 ^ s0;
        self.0 = [s0.rotate_left(49) ^ mixed ^ (mixed << 21), mixed.rotate_left(28)];
        result
    }

    /// A number from 0 to `last`.
    fn below(&mut self, last: u8) -> u8 {
        let count = u64::from(last).saturating_add(1);
        let number = self.next().checked_rem(count).unwrap_or(0);
        u8::try_from(number).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first word of a fletcher-4 sum: the sum of the words of 32 bits, in little-endian order. What does not fill
    /// a word counts as filled up with zeros.
    fn first_word(bytes: &[u8]) -> u64 {
        bytes
            .chunks(4)
            .map(|chunk| {
                let mut word = [0; 4];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from(zferry_wire::Endian::Little.u32(word))
            })
            .sum()
    }

    #[test]
    fn the_permutations_are_those_of_openzfs() {
        for (children, (_, sum)) in (CHILDREN_MIN..).zip(SEEDS) {
            let permutations = Permutations::new(children).unwrap();
            assert_eq!(first_word(&permutations.rows), sum, "{children} children");
            for row in permutations.rows.chunks(children) {
                let mut seen = vec![false; children];
                row.iter().for_each(|child| seen[usize::from(*child)] = true);
                assert!(seen.iter().all(|seen| *seen));
            }
        }
        assert!(Permutations::new(1).is_err());
        assert!(Permutations::new(256).is_err());
    }

    #[test]
    fn permutations_turn() {
        let permutations = Permutations::new(5).unwrap();
        for column in 0..5 {
            let first = permutations.child(0, column);
            assert_eq!(permutations.child(1, column), (first + 1) % 5);
            assert_eq!(permutations.child(4, column), (first + 4) % 5);
            assert_eq!(permutations.child(256 * 5, column), first);
        }
    }
}
