//! Whether a block holds nothing but zeros.

/// How many bytes are looked at before a decision: enough for wide registers, few enough to stop soon.
const STRIDE: usize = 256;

/// Whether every byte is zero. A block of zeros that would be compressed becomes a hole instead.
#[must_use]
pub fn is_zero(block: &[u8]) -> bool {
    let (strides, rest) = block.as_chunks::<STRIDE>();
    strides
        .iter()
        .all(|stride| stride.iter().fold(0, |seen, byte| seen | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_seen() {
        for len in [0, 1, 255, 256, 257, 1000] {
            let mut block = vec![0; len];
            assert!(is_zero(&block));
            for at in 0..len {
                block[at] = 1;
                assert!(!is_zero(&block), "byte {at} of {len}");
                block[at] = 0;
            }
        }
    }
}
