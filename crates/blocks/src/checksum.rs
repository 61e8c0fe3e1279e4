//! The checksums that ZFS keeps beside its blocks: in block pointers, at the end of labels, and running along streams.
//!
//! The on-disk facts are those of `zio_checksum.c` and of the `*_zfs.c` file of each algorithm: which digest bytes
//! become which words, and what a pool of the other byte order does.

mod algorithm;
mod edonr;
mod embedded;
mod fletcher2;
pub mod fletcher4;
mod skein;
mod summer;

pub use algorithm::ChecksumAlgorithm;
pub use embedded::{
    EMBEDDED_MAGIC, EMBEDDED_SIZE, embedded_endian, seal_embedded, verify_embedded, verify_embedded_folded,
};
pub use fletcher2::fletcher2;
pub use fletcher4::Fletcher4;
pub use summer::{ChecksumError, Salt, Summer};

/// The four words of a checksum, as numbers.
///
/// A block pointer stores them in its own byte order; decoded in that order, they compare equal to what
/// [`Summer::sum`] says of the block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u64; 4]);

impl Checksum {
    /// The two words that are left of a checksum where the other two make room for a message authentication code, in
    /// the pointer to an encrypted block. A weak checksum is folded, for its bits are not spread evenly over its words.
    #[must_use]
    pub const fn truncated(self, algorithm: ChecksumAlgorithm) -> [u64; 2] {
        let [first, second, third, fourth] = self.0;
        if algorithm.is_dedup_capable() {
            [first, second]
        } else {
            [first ^ third, second ^ fourth]
        }
    }
}

impl std::fmt::Display for Checksum {
    /// As zdb prints it: four hexadecimal words with colons between them.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first, second, third, fourth] = self.0;
        write!(f, "{first:016x}:{second:016x}:{third:016x}:{fourth:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weak_checksum_is_folded_and_a_strong_one_cut() {
        let sum = Checksum([1, 2, 4, 8]);
        assert_eq!(sum.truncated(ChecksumAlgorithm::Fletcher4), [5, 10]);
        assert_eq!(sum.truncated(ChecksumAlgorithm::EdonR), [5, 10]);
        assert_eq!(sum.truncated(ChecksumAlgorithm::Sha256), [1, 2]);
        assert_eq!(sum.truncated(ChecksumAlgorithm::Blake3), [1, 2]);
    }
}
