//! Conversions between the widths of the disk and those of memory, named so that no cast is needed.

/// A length in memory as a number of the disk's width. Lossless: no supported machine has wider pointers than 64 bits.
#[must_use]
#[expect(
    clippy::as_conversions,
    reason = "usize is at most 64 bits wide on every supported target"
)]
pub const fn u64_from_usize(value: usize) -> u64 {
    const { assert!(usize::BITS <= u64::BITS) };
    value as u64
}

/// A 32-bit number as a length in memory. Lossless: no supported machine has pointers narrower than 32 bits.
#[must_use]
#[expect(
    clippy::as_conversions,
    reason = "usize is at least 32 bits wide on every supported target"
)]
pub const fn usize_from_u32(value: u32) -> usize {
    const { assert!(usize::BITS >= u32::BITS) };
    value as usize
}

/// A 64-bit number as a length in memory, or the largest length there is where it does not fit. A length read from a
/// disk or a stream is then refused by whatever bounds it, as any other length that is too large.
#[must_use]
pub fn usize_from_u64(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_survive() {
        assert_eq!(u64_from_usize(usize_from_u64(77)), 77);
        assert_eq!(usize_from_u32(u32::MAX), u32::MAX as usize);
    }
}
