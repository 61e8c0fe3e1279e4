//! The two byte orders.

/// In which order the bytes of a number lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endian {
    /// Least significant byte first: x86, ARM, RISC-V.
    Little,
    /// Most significant byte first: SPARC, s390x, older POWER; and every XDR encoding.
    Big,
}

impl Endian {
    /// The order in which zferry writes whatever ZFS leaves to the writer: a pool or a stream that
    /// zferry makes is little-endian on every machine, so that the same input makes the same bytes.
    pub const OURS: Self = Self::Little;

    /// The other order.
    #[must_use]
    #[inline]
    pub const fn swapped(self) -> Self {
        match self {
            Self::Little => Self::Big,
            Self::Big => Self::Little,
        }
    }

    /// Decodes two bytes.
    #[must_use]
    #[inline]
    pub const fn u16(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// Decodes four bytes.
    #[must_use]
    #[inline]
    pub const fn u32(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// Decodes eight bytes.
    #[must_use]
    #[inline]
    pub const fn u64(self, bytes: [u8; 8]) -> u64 {
        match self {
            Self::Little => u64::from_le_bytes(bytes),
            Self::Big => u64::from_be_bytes(bytes),
        }
    }

    /// Encodes into two bytes.
    #[must_use]
    #[inline]
    pub const fn bytes_u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Encodes into four bytes.
    #[must_use]
    #[inline]
    pub const fn bytes_u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }

    /// Encodes into eight bytes.
    #[must_use]
    #[inline]
    pub const fn bytes_u64(self, value: u64) -> [u8; 8] {
        match self {
            Self::Little => value.to_le_bytes(),
            Self::Big => value.to_be_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_mirror_each_other() {
        for endian in [Endian::Little, Endian::Big] {
            let other = endian.swapped();
            assert_eq!(
                endian.u64(endian.bytes_u64(0x0102_0304_0506_0708)),
                0x0102_0304_0506_0708
            );
            assert_eq!(
                other.u64(endian.bytes_u64(0x0102_0304_0506_0708)),
                0x0807_0605_0403_0201
            );
            assert_eq!(other.u32(endian.bytes_u32(0x0102_0304)), 0x0403_0201);
            assert_eq!(other.u16(endian.bytes_u16(0x0102)), 0x0201);
        }
    }
}
