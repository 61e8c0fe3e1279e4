//! Salt, initialization vector and message authentication code of a block, and where its pointer keeps them.
//!
//! ```text
//! block pointer, 16 words
//!    4       salt
//!    5       IV, bytes 0..8
//!   11       IV, bytes 8..12 in the upper half (the lower half is the fill count)
//!   14, 15   MAC
//! ```
//!
//! They are strings of bytes that lie in words, so it takes the byte order of the block (the pointer's own bit) to get
//! them back out of numbers, whatever order the pointer itself was stored in.

use zferry_wire::Endian;

/// The salt that, with the master key, makes the data key of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeySalt(pub [u8; 8]);

/// The initialization vector of a block: never used twice with one data key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Iv(pub [u8; 12]);

/// The message authentication code of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 16]);

impl KeySalt {
    /// The salt in word 4 of the pointer to a block in `endian` order.
    #[must_use]
    pub const fn from_word(word: u64, endian: Endian) -> Self {
        Self(endian.bytes_u64(word))
    }

    /// Word 4 of the pointer.
    #[must_use]
    pub const fn word(self, endian: Endian) -> u64 {
        endian.u64(self.0)
    }
}

impl Iv {
    /// The vector in word 5 of the pointer, and in the upper 32 bits of word 11.
    #[must_use]
    pub fn from_words(word: u64, fill_high: u32, endian: Endian) -> Self {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&endian.bytes_u64(word));
        bytes[8..].copy_from_slice(&endian.bytes_u32(fill_high));
        Self(bytes)
    }

    /// Word 5 of the pointer, and the upper 32 bits of word 11.
    #[must_use]
    pub const fn words(self, endian: Endian) -> (u64, u32) {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = self.0;
        (endian.u64([a, b, c, d, e, f, g, h]), endian.u32([i, j, k, l]))
    }
}

impl Mac {
    /// The code in words 14 and 15 of the pointer to a block in `endian` order.
    #[must_use]
    pub fn from_words(words: [u64; 2], endian: Endian) -> Self {
        let mut bytes = [0; 16];
        let (halves, _) = bytes.as_chunks_mut::<8>();
        for (half, word) in halves.iter_mut().zip(words) {
            *half = endian.bytes_u64(word);
        }
        Self(bytes)
    }

    /// Words 14 and 15 of the pointer.
    #[must_use]
    pub fn words(self, endian: Endian) -> [u64; 2] {
        let mut words = [0; 2];
        let (halves, _) = self.0.as_chunks::<8>();
        for (word, half) in words.iter_mut().zip(halves) {
            *word = endian.u64(*half);
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_in_either_order() {
        for endian in [Endian::Little, Endian::Big] {
            let salt = KeySalt([1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(KeySalt::from_word(salt.word(endian), endian), salt);
            let iv = Iv([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            let (word, high) = iv.words(endian);
            assert_eq!(Iv::from_words(word, high, endian), iv);
            let mac = Mac([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
            assert_eq!(Mac::from_words(mac.words(endian), endian), mac);
        }
        assert_eq!(KeySalt([1, 0, 0, 0, 0, 0, 0, 0]).word(Endian::Little), 1);
        assert_eq!(Iv([0; 12]).words(Endian::Big), (0, 0));
    }
}
