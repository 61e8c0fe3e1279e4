//! A cursor over bytes that somebody else wrote.

use crate::{Endian, u64_from_usize, usize_from_u64};

/// There were fewer bytes than a field needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{wanted} bytes wanted at offset {offset}, {left} left")]
pub struct ShortRead {
    /// Where the field begins, in bytes from the start of what the reader was given.
    pub offset: u64,
    /// How many bytes the field needs.
    pub wanted: u64,
    /// How many bytes were left.
    pub left: u64,
}

/// Reads fields one after another, never past the end.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    endian: Endian,
}

impl<'a> Reader<'a> {
    /// A reader over `bytes`, whose numbers are in `endian` order.
    #[must_use]
    #[inline]
    pub const fn new(bytes: &'a [u8], endian: Endian) -> Self {
        Self {
            bytes,
            offset: 0,
            endian,
        }
    }

    /// The byte order that this reader decodes in.
    #[must_use]
    #[inline]
    pub const fn endian(&self) -> Endian {
        self.endian
    }

    /// How many bytes have been read or skipped.
    #[must_use]
    #[inline]
    pub const fn offset(&self) -> u64 {
        u64_from_usize(self.offset)
    }

    /// What has not been read yet.
    #[must_use]
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.offset..).unwrap_or_default()
    }

    /// Whether everything has been read.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer are left.
    #[inline]
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], ShortRead> {
        let (head, _) = self
            .rest()
            .split_at_checked(len)
            .ok_or_else(|| self.short(u64_from_usize(len)))?;
        self.offset = self.offset.saturating_add(len);
        Ok(head)
    }

    /// The next `len` bytes, where the length came from the input.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer are left.
    #[inline]
    pub fn take_u64(&mut self, len: u64) -> Result<&'a [u8], ShortRead> {
        if len > u64_from_usize(self.rest().len()) {
            return Err(self.short(len));
        }
        self.take(usize_from_u64(len))
    }

    /// The next `N` bytes as an array.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer are left.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], ShortRead> {
        let (head, _) = self
            .rest()
            .split_first_chunk::<N>()
            .ok_or_else(|| self.short(u64_from_usize(N)))?;
        self.offset = self.offset.saturating_add(N);
        Ok(*head)
    }

    /// Skips `len` bytes.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer are left.
    #[inline]
    pub fn skip(&mut self, len: usize) -> Result<(), ShortRead> {
        self.take(len).map(|_| ())
    }

    /// A reader over the next `len` bytes alone; this one goes on behind them.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer are left.
    #[inline]
    pub fn sub(&mut self, len: usize) -> Result<Self, ShortRead> {
        Ok(Self::new(self.take(len)?, self.endian))
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`ShortRead`] at the end.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, ShortRead> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// The next 16-bit number.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer than two bytes are left.
    #[inline]
    pub fn u16(&mut self) -> Result<u16, ShortRead> {
        Ok(self.endian.u16(self.array()?))
    }

    /// The next 32-bit number.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer than four bytes are left.
    #[inline]
    pub fn u32(&mut self) -> Result<u32, ShortRead> {
        Ok(self.endian.u32(self.array()?))
    }

    /// The next 64-bit number.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer than eight bytes are left.
    #[inline]
    pub fn u64(&mut self) -> Result<u64, ShortRead> {
        Ok(self.endian.u64(self.array()?))
    }

    /// The next `N` 64-bit numbers.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer than `8 * N` bytes are left.
    #[inline]
    pub fn u64s<const N: usize>(&mut self) -> Result<[u64; N], ShortRead> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u64()?;
        }
        Ok(words)
    }

    #[cold]
    fn short(&self, wanted: u64) -> ShortRead {
        ShortRead {
            offset: self.offset(),
            wanted,
            left: u64_from_usize(self.rest().len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_in_the_order_it_was_told() {
        let bytes = [1, 0, 2, 0, 0, 0, 3, 9, 8];
        let mut reader = Reader::new(&bytes, Endian::Little);
        assert_eq!(reader.u16(), Ok(1));
        assert_eq!(reader.u32(), Ok(2));
        assert_eq!(reader.u8(), Ok(3));
        assert_eq!(reader.rest(), [9, 8]);
        assert_eq!(Reader::new(&bytes, Endian::Big).u16(), Ok(0x100));
    }

    #[test]
    fn a_short_read_says_where_and_moves_nothing() {
        let mut reader = Reader::new(&[0; 5], Endian::Big);
        reader.skip(2).unwrap();
        assert_eq!(
            reader.u64(),
            Err(ShortRead {
                offset: 2,
                wanted: 8,
                left: 3
            })
        );
        assert_eq!(
            reader.take_u64(u64::MAX),
            Err(ShortRead {
                offset: 2,
                wanted: u64::MAX,
                left: 3
            })
        );
        assert_eq!(reader.offset(), 2);
        assert_eq!(reader.sub(3).unwrap().rest().len(), 3);
        assert!(reader.is_empty());
    }
}
