//! Blocks of up to 112 bytes that lie in their pointer.

use super::BlockPointer;

impl BlockPointer {
    /// The payload of an embedded pointer, as stored: compressed where the pointer says so.
    ///
    /// The bytes lie least significant first in each word, whatever the byte order of the block that holds the
    /// pointer; words 6 and 10 keep their meaning and are skipped.
    #[must_use]
    pub fn embedded_payload(&self) -> Vec<u8> {
        let words = self
            .words()
            .iter()
            .enumerate()
            .filter(|(index, _)| !matches!(index, 6 | 10));
        let bytes = words.flat_map(|(_, word)| word.to_le_bytes());
        bytes
            .take(zferry_wire::usize_from_u64(self.physical_size()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_wire::{Endian, Reader};

    #[test]
    fn the_payload_skips_the_words_that_keep_their_meaning() {
        let mut words: [u64; 16] =
            std::array::from_fn(|index| u64::try_from(index).unwrap() * 0x0101_0101_0101_0101);
        words[6] = (1 << 39) | ((112 - 1) << 25) | 511;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let pointer = BlockPointer::read(&mut Reader::new(&bytes, Endian::Little)).unwrap();
        let payload = pointer.embedded_payload();
        assert_eq!(payload.len(), BlockPointer::EMBEDDED_BYTES_MAX);
        let firsts: Vec<u8> = payload.chunks(8).map(|word| word[0]).collect();
        assert_eq!(firsts, [0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 15]);
        assert_eq!(pointer.logical_size(), 512);
    }
}
