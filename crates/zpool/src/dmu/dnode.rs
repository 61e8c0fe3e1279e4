//! The dnode: what an object is, and the roots of its block tree.
//!
//! ```text
//! offset  field                      a dnode takes 1–32 slots of 512 bytes
//!      0  dn_type            u8
//!      1  dn_indblkshift     u8      size of an indirect block, as a power of two
//!      2  dn_nlevels         u8      1: the pointers below lead to data
//!      3  dn_nblkptr         u8      1–3
//!      4  dn_bonustype       u8
//!      5  dn_checksum        u8
//!      6  dn_compress        u8
//!      7  dn_flags           u8
//!      8  dn_datablkszsec    u16     size of a data block, in sectors of 512 bytes
//!     10  dn_bonuslen        u16
//!     12  dn_extra_slots     u8
//!     13  padding
//!     16  dn_maxblkid        u64     the last block
//!     24  dn_used            u64     space taken: bytes or, without the flag, sectors
//!     32  padding
//!     64  dn_blkptr[dn_nblkptr]      128 bytes each
//!         dn_bonus                   up to the end of the last slot, or to the spill pointer
//!   end−128 dn_spill                 where the flag says so
//! ```

use super::ObjectType;
use crate::spa::BlockPointer;
use crate::{BlockId, Corrupt};
use zferry_wire::{Endian, Reader, Writer, u64_from_usize};

/// A dnode's slot, in bytes.
pub const SLOT_BYTES: usize = 512;

/// Where the block pointers begin, in bytes.
const POINTERS_OFFSET: usize = 64;
/// How many levels a tree can have.
const LEVELS_MAX: u8 = 12;
/// The largest data block, in sectors.
const DATA_SECTORS_MAX: u16 = 1 << 15;

bitflags::bitflags! {
    /// What a dnode's `dn_flags` say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DnodeFlags: u8 {
        /// `dn_used` counts bytes.
        const USED_BYTES = 1 << 0;
        /// The object counts in its user's and group's used space.
        const USER_USED_ACCOUNTED = 1 << 1;
        /// The last 128 bytes are a pointer to a spill block.
        const SPILL_POINTER = 1 << 2;
        /// The object counts in its user's and group's number of objects.
        const USER_OBJECTS_ACCOUNTED = 1 << 3;
        /// Unknown flags are kept.
        const _ = !0;
    }
}

/// An object's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dnode {
    /// What lies in the object.
    pub object_type: ObjectType,
    /// The size of its indirect blocks, as a power of two.
    pub indirect_shift: u8,
    /// The height of its tree: 1 where the pointers lead to data.
    pub levels: u8,
    /// What lies in the bonus buffer.
    pub bonus_type: ObjectType,
    /// The checksum function for new blocks; 0 inherits.
    pub checksum: u8,
    /// The compression function for new blocks; 0 inherits.
    pub compression: u8,
    /// Flags.
    pub flags: DnodeFlags,
    /// The size of a data block, in sectors of 512 bytes.
    pub data_sectors: u16,
    /// The length of the bonus buffer's meaningful part, in bytes.
    pub bonus_len: u16,
    /// How many slots it takes beyond the first.
    pub extra_slots: u8,
    /// The object's last block.
    pub max_block: BlockId,
    /// Space taken, in bytes.
    pub used: u64,
    /// The roots of the block tree, 1–3 (0 in a free slot).
    pub pointers: Vec<BlockPointer>,
    /// The whole bonus area, up to the spill pointer or the end of the last slot; at least `bonus_len` bytes.
    pub bonus: Vec<u8>,
    /// The spill block.
    pub spill: Option<BlockPointer>,
    /// The byte order of the bonus buffer.
    pub endian: Endian,
}

impl Dnode {
    /// How many slots the dnode at the head of `bytes` takes: 1 for a free one.
    ///
    /// # Errors
    /// [`Corrupt`] where not even a slot is left.
    pub fn slots(bytes: &[u8]) -> Result<usize, Corrupt> {
        let mut reader = Reader::new(bytes, Endian::Little);
        reader.skip(12)?;
        Ok(usize::from(reader.u8()?).saturating_add(1))
    }

    /// Whether the slot at the head of `bytes` holds no object.
    #[must_use]
    pub fn is_free(bytes: &[u8]) -> bool {
        bytes
            .first()
            .is_none_or(|&object_type| object_type == ObjectType::NONE.0)
    }

    /// A slot that holds no object.
    pub(crate) const fn unallocated() -> Self {
        Self {
            object_type: ObjectType::NONE,
            indirect_shift: 0,
            levels: 0,
            bonus_type: ObjectType::NONE,
            checksum: 0,
            compression: 0,
            flags: DnodeFlags::empty(),
            data_sectors: 0,
            bonus_len: 0,
            extra_slots: 0,
            max_block: BlockId(0),
            used: 0,
            pointers: Vec::new(),
            bonus: Vec::new(),
            spill: None,
            endian: Endian::Little,
        }
    }

    /// Decodes a dnode from the head of `bytes`, which may hold others behind it.
    ///
    /// # Errors
    /// [`Corrupt`] where it reaches past the end of its block or describes an impossible tree.
    pub fn decode(bytes: &[u8], endian: Endian) -> Result<Self, Corrupt> {
        let slots = Self::slots(bytes)?;
        let dnode = Reader::new(bytes, endian).take(slots.saturating_mul(SLOT_BYTES))?;
        let mut reader = Reader::new(dnode, endian);
        let [dn_type, dn_indblkshift, dn_nlevels, dn_nblkptr] = reader.array()?;
        let [dn_bonustype, dn_checksum, dn_compress, dn_flags] = reader.array()?;
        let dn_datablkszsec = reader.u16()?;
        let dn_bonuslen = reader.u16()?;
        let dn_extra_slots = reader.u8()?;
        reader.skip(3)?;
        let [dn_maxblkid, dn_used] = reader.u64s()?;
        reader.skip(POINTERS_OFFSET.saturating_sub(32))?;
        let flags = DnodeFlags::from_bits_retain(dn_flags);
        let pointers = (0..dn_nblkptr)
            .map(|_| BlockPointer::read(&mut reader))
            .collect::<Result<_, _>>()?;
        let has_spill = flags.contains(DnodeFlags::SPILL_POINTER);
        let bonus_bytes = reader
            .rest()
            .len()
            .checked_sub(if has_spill { BlockPointer::BYTES } else { 0 });
        let bonus_bytes =
            bonus_bytes.ok_or_else(|| Corrupt::new("dnode without room for its spill pointer"))?;
        let bonus = reader.take(bonus_bytes)?.to_vec();
        let spill = if has_spill {
            Some(BlockPointer::read(&mut reader)?)
        } else {
            None
        };
        let used_unit = if flags.contains(DnodeFlags::USED_BYTES) {
            1
        } else {
            512
        };
        let decoded = Self {
            object_type: ObjectType(dn_type),
            indirect_shift: dn_indblkshift,
            levels: dn_nlevels,
            bonus_type: ObjectType(dn_bonustype),
            checksum: dn_checksum,
            compression: dn_compress,
            flags,
            data_sectors: dn_datablkszsec,
            bonus_len: dn_bonuslen,
            extra_slots: dn_extra_slots,
            max_block: BlockId(dn_maxblkid),
            used: dn_used.saturating_mul(used_unit),
            pointers,
            bonus,
            spill,
            endian,
        };
        decoded.check()?;
        Ok(decoded)
    }

    /// The dnode as it is written, little-endian, with all its slots. Space is counted in bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let total = usize::from(self.extra_slots)
            .saturating_add(1)
            .saturating_mul(SLOT_BYTES);
        let mut flags = self.flags | DnodeFlags::USED_BYTES;
        flags.set(DnodeFlags::SPILL_POINTER, self.spill.is_some());
        let mut writer = Writer::with_capacity(total, Endian::Little);
        writer
            .u8(self.object_type.0)
            .u8(self.indirect_shift)
            .u8(self.levels)
            .u8(u8::try_from(self.pointers.len()).unwrap_or(u8::MAX))
            .u8(self.bonus_type.0)
            .u8(self.checksum)
            .u8(self.compression)
            .u8(flags.bits())
            .u16(self.data_sectors)
            .u16(self.bonus_len)
            .u8(self.extra_slots)
            .zeros(3)
            .u64(self.max_block.0)
            .u64(self.used)
            .zeros(POINTERS_OFFSET.saturating_sub(32));
        for pointer in &self.pointers {
            writer.bytes(&pointer.to_bytes());
        }
        writer.bytes(&self.bonus);
        let mut bytes = writer.into_bytes();
        let spill_at = total.saturating_sub(BlockPointer::BYTES);
        bytes.resize(if self.spill.is_some() { spill_at } else { total }, 0);
        if let Some(spill) = &self.spill {
            bytes.extend_from_slice(&spill.to_bytes());
        }
        bytes
    }

    /// How many bytes a bonus buffer can have in a dnode of so many slots with so many block pointers.
    #[must_use]
    pub fn bonus_room(slots: u8, pointers: usize, has_spill: bool) -> usize {
        let total = usize::from(slots).saturating_mul(SLOT_BYTES);
        let taken = pointers
            .saturating_add(usize::from(has_spill))
            .saturating_mul(BlockPointer::BYTES);
        total.saturating_sub(POINTERS_OFFSET).saturating_sub(taken)
    }

    fn check(&self) -> Result<(), Corrupt> {
        if self.object_type == ObjectType::NONE {
            return Ok(());
        }
        if !self.object_type.is_valid() || !self.bonus_type.is_valid() {
            let types = format!("{}, bonus {}", self.object_type, self.bonus_type);
            return Err(Corrupt::new(format!("dnode of unknown type ({types})")));
        }
        if self.levels == 0 || self.levels > LEVELS_MAX {
            return Err(Corrupt::new(format!("dnode with {} levels", self.levels)));
        }
        if self.pointers.is_empty() || self.pointers.len() > 3 {
            return Err(Corrupt::new(format!(
                "dnode with {} block pointers",
                self.pointers.len()
            )));
        }
        if !(10..=17).contains(&self.indirect_shift) {
            return Err(Corrupt::new(format!(
                "dnode with indirect blocks of 2^{} bytes",
                self.indirect_shift
            )));
        }
        if self.data_sectors == 0 || self.data_sectors > DATA_SECTORS_MAX {
            return Err(Corrupt::new(format!(
                "dnode with blocks of {} sectors",
                self.data_sectors
            )));
        }
        if usize::from(self.bonus_len) > self.bonus.len() {
            let len = self.bonus.len();
            return Err(Corrupt::new(format!(
                "dnode with a bonus of {} bytes in {len}",
                self.bonus_len
            )));
        }
        Ok(())
    }

    /// Whether the slot holds no object.
    #[must_use]
    pub fn is_unallocated(&self) -> bool {
        self.object_type == ObjectType::NONE
    }

    /// The size of a data block, in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        u64::from(self.data_sectors).saturating_mul(512)
    }

    /// How many slots of dnodes a data block holds: 32 in the meta-dnode of every data set that was ever written.
    #[must_use]
    pub fn slots_per_data_block(&self) -> u64 {
        self.data_bytes()
            .checked_div(u64_from_usize(SLOT_BYTES))
            .unwrap_or(0)
    }

    /// The meaningful part of the bonus buffer.
    #[must_use]
    pub fn bonus(&self) -> &[u8] {
        self.bonus.get(..usize::from(self.bonus_len)).unwrap_or_default()
    }

    /// How many pointers an indirect block holds, as a power of two.
    #[must_use]
    pub fn pointers_per_block_shift(&self) -> u32 {
        u32::from(self.indirect_shift).saturating_sub(7)
    }

    /// How many data blocks lie below one pointer at `level`, as a power of two.
    #[must_use]
    pub fn span_shift(&self, level: u8) -> u32 {
        self.pointers_per_block_shift().saturating_mul(u32::from(level))
    }

    /// The size of the object's content, in bytes, as far as its blocks tell.
    #[must_use]
    pub fn content_bytes(&self) -> u64 {
        self.max_block
            .0
            .saturating_add(1)
            .saturating_mul(self.data_bytes())
    }

    /// How many slots the dnode takes.
    #[must_use]
    pub fn slot_count(&self) -> u64 {
        u64::from(self.extra_slots).saturating_add(1)
    }

    /// How many bytes the bonus area has.
    #[must_use]
    pub fn bonus_capacity(&self) -> u64 {
        u64_from_usize(self.bonus.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = vec![0; SLOT_BYTES];
        bytes[..8].copy_from_slice(&[19, 17, 1, 1, 44, 0, 0, 1 | 4]);
        bytes[8] = 2;
        bytes[10] = 168;
        bytes
    }

    #[test]
    fn the_spill_pointer_shortens_the_bonus() {
        let dnode = Dnode::decode(&sample(), Endian::Little).unwrap();
        assert_eq!(dnode.bonus.len(), 512 - 64 - 128 - 128);
        assert!(dnode.spill.is_some_and(|spill| spill.is_hole()));
        assert_eq!((dnode.data_bytes(), dnode.bonus().len()), (1024, 168));
    }

    #[test]
    fn impossible_dnodes_are_refused() {
        for (offset, value) in [(0, 60), (1, 30), (2, 0), (2, 13), (3, 0), (3, 4), (8, 0), (12, 1)] {
            let mut bytes = sample();
            bytes[offset] = value;
            assert!(
                Dnode::decode(&bytes, Endian::Little).is_err(),
                "offset {offset} = {value}"
            );
        }
        assert!(Dnode::decode(&[], Endian::Little).is_err());
        assert!(
            Dnode::decode(&[0; SLOT_BYTES], Endian::Little)
                .unwrap()
                .is_unallocated()
        );
    }
}
