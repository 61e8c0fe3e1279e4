//! The four words of a running Fletcher-4 sum, as records carry them.

use std::fmt;

use zferry_wire::{Endian, Reader, ShortRead, Writer};

/// What a stream's running Fletcher-4 sum stood at, as a record states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checksum(pub [u64; 4]);

impl Checksum {
    /// The sum before the first byte, and what a record states that carries no checksum.
    pub const ZERO: Self = Self([0; 4]);

    /// Whether all four words are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }

    /// The 32 bytes that state this sum in `endian` order.
    #[must_use]
    pub fn encode(&self, endian: Endian) -> [u8; 32] {
        let [a, b, c, d] = self.0.map(|word| endian.bytes_u64(word));
        let mut bytes = [0; 32];
        for (to, from) in bytes.chunks_exact_mut(8).zip([a, b, c, d]) {
            to.copy_from_slice(&from);
        }
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        reader.u64s().map(Self)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.bytes(&self.encode(writer.endian()));
    }
}

/// As `zstream dump` prints it: four hexadecimal numbers, separated by slashes.
impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a:x}/{b:x}/{c:x}/{d:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_zstream_does() {
        assert_eq!(
            Checksum([0x1f, 0, 10, u64::MAX]).to_string(),
            "1f/0/a/ffffffffffffffff"
        );
        assert!(Checksum::ZERO.is_zero());
    }

    #[test]
    fn is_laid_down_word_by_word() {
        let bytes = Checksum([1, 2, 3, 4]).encode(Endian::Big);
        assert_eq!((bytes[7], bytes[15], bytes[23], bytes[31]), (1, 2, 3, 4));
        let mut reader = Reader::new(&bytes, Endian::Big);
        assert_eq!(Checksum::read(&mut reader), Ok(Checksum([1, 2, 3, 4])));
    }
}
