//! The four words of a running Fletcher-4 sum, as records carry them.

use std::fmt;

use zferry_blocks::checksum::Checksum;
use zferry_wire::{Endian, Reader, ShortRead, Writer};

/// The sum before the first byte, and what a record states that carries no checksum.
pub(crate) const ZERO: Checksum = Checksum([0; 4]);

/// The 32 bytes that state a sum.
pub(crate) fn encode(checksum: Checksum, endian: Endian) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, word) in bytes.chunks_exact_mut(8).zip(checksum.0) {
        to.copy_from_slice(&endian.bytes_u64(word));
    }
    bytes
}

pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Checksum, ShortRead> {
    reader.u64s().map(Checksum)
}

pub(crate) fn write(checksum: Checksum, writer: &mut Writer) {
    for word in checksum.0 {
        writer.u64(word);
    }
}

/// Shows a checksum as `zstream dump` does: four hexadecimal numbers, separated by slashes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slashed(pub(crate) Checksum);

impl fmt::Display for Slashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checksum([a, b, c, d]) = self.0;
        write!(f, "{a:x}/{b:x}/{c:x}/{d:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_zstream_does() {
        let checksum = Checksum([0x1f, 0, 10, u64::MAX]);
        assert_eq!(Slashed(checksum).to_string(), "1f/0/a/ffffffffffffffff");
    }

    #[test]
    fn is_laid_down_word_by_word() {
        let bytes = encode(Checksum([1, 2, 3, 4]), Endian::Big);
        assert_eq!((bytes[7], bytes[15], bytes[23], bytes[31]), (1, 2, 3, 4));
        let mut reader = Reader::new(&bytes, Endian::Big);
        assert_eq!(read(&mut reader), Ok(Checksum([1, 2, 3, 4])));
    }
}
