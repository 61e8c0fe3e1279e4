//! Fletcher-2: two pairs of running sums over 64-bit words.

use zferry_wire::Endian;

use super::Checksum;

/// The fletcher-2 checksum of a block whose words are in `endian` order.
///
/// The words are taken in pairs; a trailing part of a pair is not summed (blocks are multiples of 512 bytes).
#[must_use]
pub fn fletcher2(block: &[u8], endian: Endian) -> Checksum {
    match endian {
        Endian::Little => sum(block, u64::from_le_bytes),
        Endian::Big => sum(block, u64::from_be_bytes),
    }
}

#[inline(always)]
fn sum(block: &[u8], decode: impl Fn([u8; 8]) -> u64) -> Checksum {
    let [mut a0, mut a1, mut b0, mut b1] = [0_u64; 4];
    let (words, _) = block.as_chunks::<8>();
    let (pairs, _) = words.as_chunks::<2>();
    for &[first, second] in pairs {
        a0 = a0.wrapping_add(decode(first));
        a1 = a1.wrapping_add(decode(second));
        b0 = b0.wrapping_add(a0);
        b1 = b1.wrapping_add(a1);
    }
    Checksum([a0, a1, b0, b1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_pairs_of_words() {
        let block: Vec<u8> = [1_u64, 10, 2, 20]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(fletcher2(&block, Endian::Little), Checksum([3, 30, 4, 40]));
        let block: Vec<u8> = [1_u64, 10, 2, 20]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        assert_eq!(fletcher2(&block, Endian::Big), Checksum([3, 30, 4, 40]));
    }
}
