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
