//! The block pointer: where a block is, what it is, when it was born, what it sums to.
//!
//! ```text
//! word  0, 2, 4   DVA 0–2   allocated size 0–23 (sectors of 512) | vdev 32–55
//! word  1, 3, 5             offset 0–62 (sectors of 512) | 63 gang
//! word  6         lsize 0–15, psize 16–31 (sectors − 1) | compression 32–38 | 39 embedded | checksum 40–47
//!                 | type 48–55 | level 56–60 | 61 encrypted or authenticated | 62 dedup | 63 little-endian content
//! word  7, 8      padding (word 7, bit 63: rewritten, the physical birth counts)
//! word  9         physical birth (0: the same as the logical one)
//! word 10         logical birth
//! word 11         fill: how many blocks or objects lie below
//! word 12–15      checksum
//! ```
//!
//! Of an encrypted block, words 4 and 5 and the upper half of word 11 hold salt and initialization vector; of an
//! encrypted or authenticated one, words 14 and 15 hold its message authentication code.
//!
//! An embedded pointer carries up to 112 bytes of its block in words 0–5, 7–9 and 11–15 instead, and in word 6 the
//! payload's type (40–47), its size (25–31, bytes − 1) and the logical size (0–24, bytes − 1).

use crate::Txg;
use crate::dmu::ObjectType;
use std::fmt;
use zferry_blocks::checksum::Checksum;
use zferry_blocks::crypt::{Iv, KeySalt, Mac};
use zferry_wire::{Endian, Reader, ShortRead};

/// A sector of an address or a size in a block pointer, as a power of two: 512 bytes.
const SECTOR_SHIFT: u32 = 9;

/// The `len` bits of `word` from bit `low` on.
const fn bits(word: u64, low: u32, len: u32) -> u64 {
    (word >> low) & (u64::MAX >> 64_u32.saturating_sub(len))
}

/// Eight bits of `word` as a number of that width.
#[expect(clippy::as_conversions, reason = "masked to eight bits")]
const fn bits_u8(word: u64, low: u32, len: u32) -> u8 {
    (bits(word, low, len) & 0xff) as u8
}

/// A block pointer, as its sixteen words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct BlockPointer {
    words: [u64; 16],
}

/// A data virtual address: one copy of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dva {
    /// The top-level vdev.
    pub vdev: u32,
    /// Offset in the vdev's data, in bytes.
    pub offset: u64,
    /// Allocated size, parity and padding included, in bytes.
    pub allocated: u64,
    /// Whether a gang header lies there instead of the block.
    pub gang: bool,
}

impl Dva {
    /// The two words of an address, as a pointer holds them.
    #[must_use]
    pub const fn to_words(self) -> [u64; 2] {
        let vdev = zferry_wire::u64_from_usize(zferry_wire::usize_from_u32(self.vdev));
        let first = (self.allocated >> SECTOR_SHIFT) | (vdev << 32);
        let gang = if self.gang { 1 << 63 } else { 0 };
        [first, (self.offset >> SECTOR_SHIFT) | gang]
    }

    /// Decodes an address.
    #[must_use]
    pub fn from_words([first, second]: [u64; 2]) -> Self {
        Self {
            vdev: u32::try_from(bits(first, 32, 24)).unwrap_or(u32::MAX),
            offset: bits(second, 0, 63).saturating_mul(1 << SECTOR_SHIFT),
            allocated: bits(first, 0, 24) << SECTOR_SHIFT,
            gang: bits(second, 63, 1) == 1,
        }
    }
}

/// What an embedded pointer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedType(pub u8);

impl EmbeddedType {
    /// The block's own bytes.
    pub const DATA: Self = Self(0);
    /// Nothing: the block was redacted.
    pub const REDACTED: Self = Self(2);
}

impl BlockPointer {
    /// Its size on disk, in bytes.
    pub const BYTES: usize = 128;
    /// How many bytes an embedded pointer can carry.
    pub const EMBEDDED_BYTES_MAX: usize = 112;

    /// Reads a pointer.
    ///
    /// # Errors
    /// [`ShortRead`] where fewer than 128 bytes are left.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, ShortRead> {
        Ok(Self {
            words: reader.u64s()?,
        })
    }

    /// The pointers of an indirect block.
    pub fn iter_block(bytes: &[u8], endian: Endian) -> impl ExactSizeIterator<Item = Self> + '_ {
        let (pointers, _) = bytes.as_chunks::<{ Self::BYTES }>();
        pointers
            .iter()
            .map(move |pointer| Self::from_bytes(pointer, endian))
    }

    /// The pointer with number `index` in an indirect block; `None` past its end.
    #[must_use]
    pub fn nth_of_block(bytes: &[u8], index: usize, endian: Endian) -> Option<Self> {
        let (pointers, _) = bytes.as_chunks::<{ Self::BYTES }>();
        pointers
            .get(index)
            .map(|pointer| Self::from_bytes(pointer, endian))
    }

    fn from_bytes(bytes: &[u8; Self::BYTES], endian: Endian) -> Self {
        let mut words = [0; 16];
        let (chunks, _) = bytes.as_chunks::<8>();
        for (word, chunk) in words.iter_mut().zip(chunks) {
            *word = endian.u64(*chunk);
        }
        Self { words }
    }

    /// A pointer of these words.
    #[must_use]
    pub const fn from_words(words: [u64; 16]) -> Self {
        Self { words }
    }

    /// The pointer as it is written, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (chunks, _) = bytes.as_chunks_mut::<8>();
        for (chunk, word) in chunks.iter_mut().zip(self.words) {
            *chunk = word.to_le_bytes();
        }
        bytes
    }

    /// A hole that was punched: it remembers what it was and when it came to be.
    #[must_use]
    pub fn punched(object_type: ObjectType, level: u8, logical_size: u64, birth: Txg) -> Self {
        let mut words = [0; 16];
        let sectors = (logical_size >> SECTOR_SHIFT).saturating_sub(1) & 0xffff;
        words[6] = sectors | (u64::from(object_type.0) << 48) | (u64::from(level & 0x1f) << 56);
        words[10] = birth.0;
        Self { words }
    }

    /// The sixteen words, as numbers.
    #[must_use]
    pub const fn words(&self) -> &[u64; 16] {
        &self.words
    }

    /// Sizes, functions, type and level, in one word.
    pub(super) const fn properties(&self) -> u64 {
        self.words[6]
    }

    /// Whether the pointer carries its block itself.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        bits(self.properties(), 39, 1) == 1
    }

    /// What an embedded pointer carries; `None` for an ordinary pointer.
    #[must_use]
    pub const fn embedded_type(&self) -> Option<EmbeddedType> {
        if self.is_embedded() {
            Some(EmbeddedType(bits_u8(self.properties(), 40, 8)))
        } else {
            None
        }
    }

    /// Whether the block was left out of a redacted stream that made this dataset.
    #[must_use]
    pub fn is_redacted(&self) -> bool {
        self.embedded_type() == Some(EmbeddedType::REDACTED)
    }

    /// Whether there is no block: all its bytes are zero.
    #[must_use]
    pub const fn is_hole(&self) -> bool {
        !self.is_embedded() && self.words[0] == 0 && self.words[1] == 0
    }

    /// Size of the block's content, in bytes.
    #[must_use]
    pub const fn logical_size(&self) -> u64 {
        if self.is_embedded() {
            return bits(self.properties(), 0, 25).saturating_add(1);
        }
        if self.is_hole() {
            // A hole that was punched remembers its size; one that never was written has none.
            return if self.properties() == 0 {
                0
            } else {
                self.sectors(0)
            };
        }
        self.sectors(0)
    }

    /// Size of the block as stored, before parity and padding, in bytes. For an embedded block, of its payload.
    #[must_use]
    pub const fn physical_size(&self) -> u64 {
        if self.is_embedded() {
            bits(self.properties(), 25, 7).saturating_add(1)
        } else {
            self.sectors(16)
        }
    }

    const fn sectors(&self, low: u32) -> u64 {
        bits(self.properties(), low, 16).saturating_add(1) << SECTOR_SHIFT
    }

    /// The number of the compression function.
    #[must_use]
    pub const fn compression(&self) -> u8 {
        bits_u8(self.properties(), 32, 7)
    }

    /// The number of the checksum function; of no meaning for an embedded pointer.
    #[must_use]
    pub const fn checksum_type(&self) -> u8 {
        bits_u8(self.properties(), 40, 8)
    }

    /// What lies in the block.
    #[must_use]
    pub const fn object_type(&self) -> ObjectType {
        ObjectType(bits_u8(self.properties(), 48, 8))
    }

    /// 0 for the block's own content, above that for blocks of pointers.
    #[must_use]
    pub const fn level(&self) -> u8 {
        bits_u8(self.properties(), 56, 5)
    }

    /// Whether the block is encrypted or authenticated: its pointer holds a MAC.
    #[must_use]
    pub const fn uses_crypt(&self) -> bool {
        bits(self.properties(), 61, 1) == 1
    }

    /// Whether only half of the words of the block's checksum are one, for the others are a MAC. An objset has its MACs
    /// in itself, and its checksum whole.
    #[must_use]
    pub fn sum_is_folded(&self) -> bool {
        self.uses_crypt() && self.object_type() != ObjectType::OBJSET
    }

    /// Whether the block's content is encrypted (not merely authenticated).
    #[must_use]
    pub const fn is_encrypted(&self) -> bool {
        self.uses_crypt() && self.level() == 0 && self.object_type().is_encrypted()
    }

    /// Whether the block is counted in a deduplication table.
    #[must_use]
    pub const fn is_dedup(&self) -> bool {
        bits(self.properties(), 62, 1) == 1
    }

    /// The byte order of the block's content.
    #[must_use]
    pub const fn endian(&self) -> Endian {
        if bits(self.properties(), 63, 1) == 1 {
            Endian::Little
        } else {
            Endian::Big
        }
    }

    /// The transaction group in which the content was written: what an incremental send goes by.
    #[must_use]
    pub const fn logical_birth(&self) -> Txg {
        Txg(self.words[10])
    }

    /// The transaction group in which the block was put where it is.
    #[must_use]
    pub const fn physical_birth(&self) -> Txg {
        if self.is_embedded() || self.words[9] == 0 {
            self.logical_birth()
        } else {
            Txg(self.words[9])
        }
    }

    /// How many non-hole blocks (in dnode trees: how many objects) lie at and below this pointer.
    #[must_use]
    pub const fn fill(&self) -> u64 {
        if self.is_embedded() {
            1
        } else if self.is_encrypted() {
            bits(self.words[11], 0, 32)
        } else {
            self.words[11]
        }
    }

    /// The checksum's words.
    #[must_use]
    pub const fn checksum(&self) -> Checksum {
        Checksum([self.words[12], self.words[13], self.words[14], self.words[15]])
    }

    /// The addresses of the block's copies. Encrypted blocks have two at most: the third holds salt and IV.
    pub fn dvas(&self) -> impl Iterator<Item = Dva> + '_ {
        let count = if self.is_embedded() {
            0
        } else if self.is_encrypted() {
            2
        } else {
            3
        };
        let [a, b, c, d, e, f, ..] = self.words;
        Self::dvas_of([a, b, c, d, e, f], count)
    }

    /// The addresses that the first `count` of three pairs of words hold. A pair of zeros is none.
    pub(crate) fn dvas_of([a, b, c, d, e, f]: [u64; 6], count: usize) -> impl Iterator<Item = Dva> {
        let pairs = [[a, b], [c, d], [e, f]];
        pairs
            .into_iter()
            .take(count)
            .filter(|pair| *pair != [0, 0])
            .map(Dva::from_words)
    }

    /// Space that the block takes with all its copies, in bytes.
    pub fn allocated(&self) -> u64 {
        self.dvas().map(|dva| dva.allocated).fold(0, u64::saturating_add)
    }

    /// The size as it counts before compression: blocks of metadata count as they are stored, in bytes.
    #[must_use]
    pub fn uncompressed_size(&self) -> u64 {
        if self.level() > 0 || self.object_type().is_metadata() {
            self.counted_physical_size()
        } else {
            self.logical_size()
        }
    }

    /// The stored size as it counts: nothing for a block that lies in its pointer, in bytes.
    #[must_use]
    pub const fn counted_physical_size(&self) -> u64 {
        if self.is_embedded() {
            0
        } else {
            self.physical_size()
        }
    }

    /// The salt of an encrypted block.
    #[must_use]
    pub const fn salt(&self) -> KeySalt {
        KeySalt::from_word(self.words[4], self.endian())
    }

    /// The initialization vector of an encrypted block.
    #[must_use]
    pub fn iv(&self) -> Iv {
        let high = u32::try_from(bits(self.words[11], 32, 32)).unwrap_or(0);
        Iv::from_words(self.words[5], high, self.endian())
    }

    /// The message authentication code of an encrypted or authenticated block.
    #[must_use]
    pub fn mac(&self) -> Mac {
        Mac::from_words([self.words[14], self.words[15]], self.endian())
    }
}

/// `vdev:offset:size` of each copy, sizes and birth, as zdb shows a pointer.
impl fmt::Display for BlockPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_hole() {
            return write!(
                f,
                "HOLE [L{} {}] birth={}",
                self.level(),
                self.object_type(),
                self.logical_birth()
            );
        }
        if self.is_embedded() {
            write!(f, "EMBEDDED ")?;
        }
        for (index, dva) in self.dvas().enumerate() {
            let gang = if dva.gang { "G" } else { "" };
            write!(
                f,
                "DVA[{index}]=<{}:{:x}:{:x}{gang}> ",
                dva.vdev, dva.offset, dva.allocated
            )?;
        }
        let sizes = format!("{:x}L/{:x}P", self.logical_size(), self.physical_size());
        write!(
            f,
            "[L{} {}] size={sizes} birth={}",
            self.level(),
            self.object_type(),
            self.logical_birth()
        )
    }
}

impl fmt::Debug for BlockPointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockPointer({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_apart() {
        let mut words = [0_u64; 16];
        words[0] = (3 << 32) | 2;
        words[1] = (1 << 63) | 8;
        words[6] = 0x7 | (0x3 << 16) | (15 << 32) | (7 << 40) | (19 << 48) | (1 << 63);
        words[10] = 42;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let pointer = BlockPointer::read(&mut Reader::new(&bytes, Endian::Big)).unwrap();
        assert_eq!(pointer.logical_size(), 4096);
        assert_eq!(pointer.physical_size(), 2048);
        assert_eq!(
            (pointer.compression(), pointer.checksum_type(), pointer.level()),
            (15, 7, 0)
        );
        assert_eq!(pointer.object_type(), ObjectType::PLAIN_FILE_CONTENTS);
        assert_eq!(pointer.endian(), Endian::Little);
        assert_eq!(pointer.physical_birth(), Txg(42));
        let dvas: Vec<_> = pointer.dvas().collect();
        assert_eq!(
            dvas,
            [Dva {
                vdev: 3,
                offset: 4096,
                allocated: 1024,
                gang: true
            }]
        );
        assert!(!pointer.is_hole());
        assert!(BlockPointer::default().is_hole());
    }
}
