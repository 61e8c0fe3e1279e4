//! An entry of a table: a name and its value.

use zferry_wire::{Endian, Reader};

/// What an allocator adds to what is asked of it, in bytes.
const ALLOCATION_BYTES: usize = 16;

/// A name with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZapEntry {
    /// The name without its terminating zero; or, in a table whose keys are numbers, their bytes.
    pub name: Vec<u8>,
    /// The value.
    pub value: ZapValue,
}

impl ZapEntry {
    /// How much memory it takes, with what an allocator adds, in bytes.
    pub(super) const fn memory_bytes(&self) -> usize {
        let own = size_of::<Self>().saturating_add(2 * ALLOCATION_BYTES);
        own.saturating_add(self.name.len())
            .saturating_add(self.value.bytes.len())
    }

    /// The name as text, with whatever is no UTF-8 replaced.
    #[must_use]
    pub fn name_lossy(&self) -> String {
        String::from_utf8_lossy(&self.name).into_owned()
    }
}

/// A value: an array of integers of one width.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZapValue {
    width: u8,
    /// Big-endian, as in the leaf's chunks.
    bytes: Vec<u8>,
}

impl ZapValue {
    /// A value of integers of `width` bytes (1, 2, 4 or 8), given in big-endian order.
    pub(super) fn from_big_endian(width: u8, bytes: Vec<u8>) -> Self {
        Self { width, bytes }
    }

    /// A single 64-bit number.
    #[must_use]
    pub fn number(value: u64) -> Self {
        Self {
            width: 8,
            bytes: value.to_be_bytes().to_vec(),
        }
    }

    /// Numbers of 64 bits.
    #[must_use]
    pub fn numbers(values: &[u64]) -> Self {
        Self {
            width: 8,
            bytes: values.iter().flat_map(|value| value.to_be_bytes()).collect(),
        }
    }

    /// Numbers of 16 bits.
    #[must_use]
    pub fn short_numbers(values: &[u16]) -> Self {
        Self {
            width: 2,
            bytes: values.iter().flat_map(|value| value.to_be_bytes()).collect(),
        }
    }

    /// Bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self {
            width: 1,
            bytes: bytes.to_vec(),
        }
    }

    /// A string, with the zero that ends it.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        Self { width: 1, bytes }
    }

    /// The bytes as they stand in a leaf.
    pub(super) fn big_endian(&self) -> &[u8] {
        &self.bytes
    }

    /// The width of its integers, in bytes.
    #[must_use]
    pub const fn width(&self) -> u8 {
        self.width
    }

    /// The value, where it is one 64-bit number.
    #[must_use]
    pub fn as_u64(&self) -> Option<u64> {
        let number: &[u8; 8] = self.bytes.as_slice().try_into().ok()?;
        (self.width == 8).then(|| u64::from_be_bytes(*number))
    }

    /// The value, where it is an array of 64-bit numbers.
    #[must_use]
    pub fn as_u64s(&self) -> Option<Vec<u64>> {
        if self.width != 8 {
            return None;
        }
        let mut reader = Reader::new(&self.bytes, Endian::Big);
        std::iter::from_fn(|| {
            if reader.is_empty() {
                None
            } else {
                Some(reader.u64().ok())
            }
        })
        .collect()
    }

    /// The value, where it is an array of 16-bit numbers.
    #[must_use]
    pub fn as_u16s(&self) -> Option<Vec<u16>> {
        if self.width != 2 {
            return None;
        }
        let mut reader = Reader::new(&self.bytes, Endian::Big);
        std::iter::from_fn(|| {
            if reader.is_empty() {
                None
            } else {
                Some(reader.u16().ok())
            }
        })
        .collect()
    }

    /// The value, where it is an array of bytes.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        (self.width == 1).then_some(&*self.bytes)
    }

    /// The value, where it is a string: bytes up to the terminating zero.
    #[must_use]
    pub fn as_str(&self) -> Option<String> {
        let bytes = self.as_bytes()?;
        let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_only_what_its_width_allows() {
        let number = ZapValue::number(7);
        assert_eq!((number.as_u64(), number.as_bytes()), (Some(7), None));
        let text = ZapValue::from_big_endian(1, b"lz4\0".to_vec());
        assert_eq!((text.as_str().as_deref(), text.as_u64()), (Some("lz4"), None));
        let ragged = ZapValue::from_big_endian(8, vec![0; 12]);
        assert_eq!(ragged.as_u64s(), None);
        assert_eq!(
            ZapValue::from_big_endian(2, vec![1, 0, 0, 2]).as_u16s(),
            Some(vec![256, 2])
        );
    }
}
