//! The Fletcher-4 sum of a piece of a stream.

use zferry_blocks::checksum::{Checksum, fletcher4};
use zferry_wire::{Endian, u64_from_usize};

/// A Fletcher-4 sum in the making, which knows the byte order of its words and how many bytes went into it, and so can
/// be put behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fletcher4 {
    endian: Endian,
    length: u64,
    sum: fletcher4::Fletcher4,
}

impl Fletcher4 {
    /// The sum of nothing.
    #[must_use]
    pub const fn new(endian: Endian) -> Self {
        Self {
            endian,
            length: 0,
            sum: fletcher4::Fletcher4::from_words([0; 4]),
        }
    }

    /// What is known to be the sum of `length` bytes.
    pub(crate) const fn known(endian: Endian, length: u64, sum: fletcher4::Fletcher4) -> Self {
        Self { endian, length, sum }
    }

    /// The sum of `bytes`, which are whole words of four bytes.
    #[must_use]
    pub fn of(bytes: &[u8], endian: Endian) -> Self {
        let mut sum = Self::new(endian);
        sum.update(bytes);
        sum
    }

    /// Adds bytes, which are whole words of four bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sum.update(bytes, self.endian);
        self.length = self.length.wrapping_add(u64_from_usize(bytes.len()));
    }

    /// Adds the bytes that `next` was made of.
    pub const fn append(&mut self, next: &Self) {
        self.sum.append(next.length, next.sum);
        self.length = self.length.wrapping_add(next.length);
    }

    /// The sum of what follows `start`, where this is the sum of `start` and that together.
    pub(crate) fn behind(&self, start: &Self) -> Self {
        let length = self.length.wrapping_sub(start.length);
        // Appending adds what is appended, word by word, to what the start becomes on the way.
        let mut moved = start.sum;
        moved.append(length, fletcher4::Fletcher4::default());
        let mut words = self.sum.words();
        for (word, less) in words.iter_mut().zip(moved.words()) {
            *word = word.wrapping_sub(less);
        }
        Self {
            endian: self.endian,
            length,
            sum: fletcher4::Fletcher4::from_words(words),
        }
    }

    /// How many bytes were summed.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The order of the words' bytes.
    #[must_use]
    pub const fn endian(&self) -> Endian {
        self.endian
    }

    /// The sum.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        self.sum.checksum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_appended_can_be_taken_off_again(
            start in proptest::collection::vec(any::<[u8; 4]>(), 0..200),
            rest in proptest::collection::vec(any::<[u8; 4]>(), 0..200),
        ) {
            let [start, rest] = [&start, &rest].map(|words| Fletcher4::of(words.as_flattened(), Endian::Big));
            let mut whole = start;
            whole.append(&rest);
            prop_assert_eq!(whole.behind(&start), rest);
        }
    }
}
