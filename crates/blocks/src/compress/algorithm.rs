//! The compression algorithms by number, as block pointers and properties name them (`enum zio_compress`).

use std::fmt;

/// How a block may be compressed.
///
/// The numbers 0 (`inherit`) and 1 (`on`) are property values, which no block pointer carries: they are not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Compression {
    /// Not at all.
    Off,
    /// LZJB, the first of ZFS's codecs.
    Lzjb,
    /// Blocks of zeros become holes, others stay as they are. A property value that never reached a block pointer.
    Empty,
    /// zlib, at the level that the number tells.
    Gzip(GzipLevel),
    /// Runs of zeros are shortened.
    Zle,
    /// LZ4, which `on` stands for.
    Lz4,
    /// Zstandard; its level is told apart from it.
    Zstd,
}

/// A level of gzip, 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GzipLevel(u8);

impl GzipLevel {
    /// What plain `gzip` stands for.
    pub const DEFAULT: Self = Self(6);

    /// The level, if it is one.
    #[must_use]
    pub const fn new(level: u8) -> Option<Self> {
        match level {
            1..=9 => Some(Self(level)),
            _ => None,
        }
    }

    /// The level, 1 to 9.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A level of zstd in ZFS's numbering (`enum zio_zstd_levels`): a byte that the property and each zstd block carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CompressionLevel(u8);

/// The byte of `zstd-fast-1`; the faster ones follow.
const FIRST_FAST: u8 = 103;

/// The numbers of `zstd-fast-N`, in the order of their bytes.
const FAST: [i16; 21] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 500, 1000,
];

impl CompressionLevel {
    /// What plain `zstd` stands for.
    pub const DEFAULT: Self = Self(3);

    /// The level with this byte, if there is one: 1 to 19 are those of zstd, 103 to 123 its fast ones.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        let level = Self(id);
        level.number().map(|_| level)
    }

    /// The level that zstd numbers so: 1 to 19, or −1 to −10, −20 to −100 by tens, −500 and −1000 for the fast ones.
    #[must_use]
    pub fn from_number(number: i16) -> Option<Self> {
        (0..=u8::MAX)
            .map(Self)
            .find(|level| level.number() == Some(number))
    }

    /// The byte in properties and blocks.
    #[must_use]
    pub const fn id(self) -> u8 {
        self.0
    }

    /// zstd's own number for the level.
    pub(super) fn number(self) -> Option<i16> {
        match self.0 {
            1..=19 => Some(i16::from(self.0)),
            fast => FAST
                .get(usize::from(fast.checked_sub(FIRST_FAST)?))
                .map(|number| -number),
        }
    }
}

impl Default for CompressionLevel {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl fmt::Display for CompressionLevel {
    /// As the property names it, behind `zstd-`: `3`, or `fast-5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) if number < 0 => write!(f, "fast-{}", number.unsigned_abs()),
            Some(number) => write!(f, "{number}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Compression {
    /// What `on` stands for where the pool has the feature `lz4_compress`.
    pub const ON: Self = Self::Lz4;

    /// The algorithm of that number, if there is one.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Self> {
        Some(match id {
            2 => Self::Off,
            3 => Self::Lzjb,
            4 => Self::Empty,
            5..=13 => Self::Gzip(GzipLevel(id - 4)),
            14 => Self::Zle,
            15 => Self::Lz4,
            16 => Self::Zstd,
            _ => return None,
        })
    }

    /// Its number in block pointers and properties.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Off => 2,
            Self::Lzjb => 3,
            Self::Empty => 4,
            Self::Gzip(GzipLevel(level)) => level + 4,
            Self::Zle => 14,
            Self::Lz4 => 15,
            Self::Zstd => 16,
        }
    }

    /// The property's name for it. (Where zdb prints a block pointer, it says `uncompressed` for `off`.)
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Lzjb => "lzjb",
            Self::Empty => "empty",
            Self::Gzip(GzipLevel(level)) => match level {
                1 => "gzip-1",
                2 => "gzip-2",
                3 => "gzip-3",
                4 => "gzip-4",
                5 => "gzip-5",
                6 => "gzip-6",
                7 => "gzip-7",
                8 => "gzip-8",
                _ => "gzip-9",
            },
            Self::Zle => "zle",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Whether every ZFS since pool version 28 knows it, so that it needs no pool feature and no stream feature.
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        self.id() < Self::Lz4.id()
    }

    /// The largest compressed size, in bytes, that OpenZFS keeps for a block of `logical_size` bytes where space comes
    /// in units of `allocation_unit` bytes; a block that does not get so small is stored uncompressed.
    ///
    /// An eighth must be saved, and at least one unit. Where not even a unit can be saved, only what fits into a block
    /// pointer is of use.
    #[must_use]
    pub fn limit(self, logical_size: usize, allocation_unit: usize) -> usize {
        const EMBEDDED: usize = 112;
        let saving = logical_size - (logical_size >> 3);
        // zle gives up long before its output is full, so OpenZFS spares it the rounding.
        if self == Self::Zle || allocation_unit == 0 {
            return saving;
        }
        match saving - saving % allocation_unit {
            0 => EMBEDDED,
            limit => limit,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_from_two_to_sixteen() {
        for id in 0..=u8::MAX {
            let known = Compression::from_id(id);
            assert_eq!(known.is_some(), (2..=16).contains(&id), "{id}");
            if let Some(algorithm) = known {
                assert_eq!(algorithm.id(), id);
                assert_eq!(algorithm.is_legacy(), id < 15);
            }
        }
        assert_eq!(Compression::from_id(8).map(Compression::name), Some("gzip-4"));
    }

    #[test]
    fn zstd_levels_survive() {
        let known: Vec<_> = (0..=u8::MAX).filter_map(CompressionLevel::from_id).collect();
        assert_eq!(known.len(), 40);
        for level in known {
            let number = level.number().unwrap();
            assert_eq!(CompressionLevel::from_number(number), Some(level));
        }
        let fast = CompressionLevel::from_number(-1000).unwrap();
        assert_eq!((fast.id(), fast.to_string()), (123, "fast-1000".to_owned()));
        assert_eq!(CompressionLevel::DEFAULT.to_string(), "3");
        assert_eq!(CompressionLevel::from_number(-11), None);
        assert_eq!(CompressionLevel::from_number(0), None);
        assert_eq!(CompressionLevel::from_id(101), None);
    }

    #[test]
    fn limits_are_those_of_openzfs() {
        assert_eq!(Compression::Lz4.limit(128 << 10, 4096), 112 << 10);
        assert_eq!(Compression::Lz4.limit(16 << 10, 4096), 12 << 10);
        assert_eq!(Compression::Zle.limit(16 << 10, 4096), 14 << 10);
        assert_eq!(Compression::Lz4.limit(4096, 4096), 112);
        assert_eq!(Compression::Lz4.limit(512, 512), 112);
    }
}
