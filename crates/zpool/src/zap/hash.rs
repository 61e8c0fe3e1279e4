//! Where a name belongs in a table: a CRC-64 over its bytes, begun with the table's salt.

/// The polynomial, reflected: ECMA-182.
const POLYNOMIAL: u64 = 0xc96c_5795_d787_0f42;

const TABLE: [u64; 256] = table();

#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "constants of a table with 256 places"
)]
const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0_usize;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0_u8;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ POLYNOMIAL
            } else {
                crc >> 1
            };
            bit = bit.saturating_add(1);
        }
        table[byte] = crc;
        byte = byte.saturating_add(1);
    }
    table
}

/// The hash of a name, of which tables keep the top 28 bits, or 48 where they say so.
#[must_use]
#[expect(
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a byte is an index into a table of 256"
)]
pub fn hash_name(salt: u64, name: &[u8], wide: bool) -> u64 {
    let hash = name.iter().fold(salt, |hash, &byte| {
        (hash >> 8) ^ TABLE[((hash as u8) ^ byte) as usize]
    });
    let kept = if wide { 48 } else { 28 };
    hash & (u64::MAX << (64_u32.saturating_sub(kept)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_the_reflected_polynomial() {
        assert_eq!(TABLE[128], POLYNOMIAL);
        assert_eq!(hash_name(1, b"", true), 0);
        assert_ne!(hash_name(1, b"a", false), hash_name(1, b"b", false));
    }
}
