//! Appends fields to a growing buffer.

use crate::Endian;

/// Writes fields one after another in one byte order.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    endian: Endian,
}

impl Writer {
    /// An empty writer in `endian` order.
    #[must_use]
    pub const fn new(endian: Endian) -> Self {
        Self {
            bytes: Vec::new(),
            endian,
        }
    }

    /// An empty writer in `endian` order with room for `capacity` bytes. It grows where that does not suffice.
    #[must_use]
    pub fn with_capacity(capacity: usize, endian: Endian) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
            endian,
        }
    }

    /// The byte order that this writer encodes in.
    #[must_use]
    pub const fn endian(&self) -> Endian {
        self.endian
    }

    /// How many bytes have been written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends `count` zero bytes.
    pub fn zeros(&mut self, count: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().saturating_add(count), 0);
        self
    }

    /// Appends zero bytes up to the next multiple of `alignment`.
    pub fn pad_to_multiple(&mut self, alignment: usize) -> &mut Self {
        self.bytes.resize(self.bytes.len().next_multiple_of(alignment), 0);
        self
    }

    /// Appends one byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.bytes(&[value])
    }

    /// Appends a 16-bit number.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.bytes(&self.endian.bytes_u16(value))
    }

    /// Appends a 32-bit number.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.bytes(&self.endian.bytes_u32(value))
    }

    /// Appends a 64-bit number.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.bytes(&self.endian.bytes_u64(value))
    }

    /// What has been written.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    /// What has been written, to be changed in place (a length that is known only afterwards).
    #[must_use]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Gives the bytes away.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reader;

    #[test]
    fn what_is_written_is_read_back() {
        for endian in [Endian::Little, Endian::Big] {
            let mut writer = Writer::new(endian);
            writer.u8(1).u16(2).pad_to_multiple(8).u32(3).zeros(4).u64(4);
            let bytes = writer.into_bytes();
            assert_eq!(bytes.len(), 24);
            let mut reader = Reader::new(&bytes, endian);
            assert_eq!((reader.u8(), reader.u16()), (Ok(1), Ok(2)));
            reader.skip(5).unwrap();
            assert_eq!(
                (reader.u32(), reader.skip(4), reader.u64()),
                (Ok(3), Ok(()), Ok(4))
            );
        }
    }
}
