//! The fat ZAP: a header with a pointer table, and the leaves that it points to.
//!
//! ```text
//! offset  field                     block 0, numbers of 64 bits
//!      0  zap_block_type            2^63 + 1
//!      8  zap_magic                 0x2f52ab2ab
//!     16  zt_blk                    where the pointer table begins; 0: the second half of this block
//!     24  zt_numblks
//!     32  zt_shift                  how many bits of a hash choose a place in the table
//!     40  zt_nextblk, zt_blks_copied
//!     56  zap_freeblk, zap_num_leafs, zap_num_entries
//!     80  zap_salt
//!     88  zap_normflags
//!     96  zap_flags                 1: 48 bits of hash; 2: keys are arrays of numbers; 4: keys are hashes already
//! ```
//!
//! The table holds block numbers; neighbouring places share a leaf until it splits. A leaf says which places are its
//! own, so that no walk comes by it twice, however the table was damaged.

use super::leaf::Leaf;
use super::{BLOCK_TYPE_LEAF, ZapValue, hash_name};
use crate::dmu::Object;
use crate::spa::{Block, BlockReader};
use crate::{BlockId, Corrupt, Error};
use zferry_wire::{Reader, u64_from_usize, usize_from_u64};

const MAGIC: u64 = 0x2_f52a_b2ab;
/// The largest table that can be: one place for each leaf of an object of 2^40 blocks.
const SHIFT_MAX: u64 = 40;
/// The largest block of such a table, in bytes.
const BLOCK_BYTES_MAX: usize = 128 << 10;
const FLAG_HASH64: u64 = 1;
const FLAG_NUMBER_KEYS: u64 = 2;
/// Names are compared after folding case or Unicode forms; the hash is that of the folded name.
const NORMALIZE_UPPER: u64 = 0x2;

/// The header of a fat ZAP.
#[derive(Debug)]
pub(super) struct FatHeader {
    block_bytes: usize,
    table_block: u64,
    table_shift: u32,
    embedded_table: Vec<u64>,
    salt: u64,
    norm_flags: u64,
    flags: u64,
}

impl FatHeader {
    pub(super) fn decode(block: &Block) -> Result<Self, Corrupt> {
        if block.bytes.len() > BLOCK_BYTES_MAX {
            return Err(Corrupt::new(format!(
                "hashed ZAP with blocks of {} bytes",
                block.bytes.len()
            )));
        }
        let mut reader = Reader::new(&block.bytes, block.endian);
        let [
            _block_type,
            magic,
            zt_blk,
            _zt_numblks,
            zt_shift,
            _zt_nextblk,
            _zt_copied,
        ] = reader.u64s()?;
        let [_free, _leafs, _entries, salt, norm_flags, flags] = reader.u64s()?;
        if magic != MAGIC {
            return Err(Corrupt::new(format!("ZAP header with magic {magic:x}")));
        }
        let shift = u32::try_from(zt_shift).ok().filter(|_| zt_shift <= SHIFT_MAX);
        let table_shift =
            shift.ok_or_else(|| Corrupt::new(format!("ZAP pointer table of 2^{zt_shift} places")))?;
        let mut second_half = Reader::new(&block.bytes, block.endian);
        second_half.skip(block.bytes.len() / 2)?;
        let mut embedded_table = Vec::new();
        if zt_blk == 0 {
            for _ in 0..block.bytes.len() / 16 {
                embedded_table.push(second_half.u64()?);
            }
            if u64_from_usize(embedded_table.len()) < 1_u64 << table_shift {
                return Err(Corrupt::new(format!(
                    "ZAP pointer table of 2^{zt_shift} places in its header"
                )));
            }
        }
        Ok(Self {
            block_bytes: block.bytes.len(),
            table_block: zt_blk,
            table_shift,
            embedded_table,
            salt,
            norm_flags,
            flags,
        })
    }

    /// How names are hashed: with which salt, whether their case is folded first, and whether 48 bits are kept.
    pub(super) const fn hashing(&self) -> (u64, bool, bool) {
        (self.salt, self.norm_flags != 0, self.flags & FLAG_HASH64 != 0)
    }

    /// Which block the leaf for place `index` of the pointer table is in.
    fn leaf_block(&self, reader: &BlockReader, object: &Object, index: u64) -> Result<BlockId, Error> {
        if self.table_block == 0 {
            let entry = self.embedded_table.get(usize_from_u64(index));
            return Ok(BlockId(*entry.ok_or_else(|| {
                Corrupt::new("place outside of the ZAP pointer table")
            })?));
        }
        let per_block = u64_from_usize(self.block_bytes / 8).max(1);
        let id = self
            .table_block
            .saturating_add(index.checked_div(per_block).unwrap_or(0));
        let block = object.block(reader, BlockId(id))?;
        let block = block.ok_or_else(|| Corrupt::new("hole in a ZAP pointer table"))?;
        let mut places = Reader::new(&block.bytes, block.endian);
        places.skip(usize_from_u64(index.checked_rem(per_block).unwrap_or(0)).saturating_mul(8))?;
        Ok(BlockId(places.u64()?))
    }

    /// The leaf for place `index` of the pointer table.
    fn leaf(&self, reader: &BlockReader, object: &Object, index: u64) -> Result<Leaf, Error> {
        let id = self.leaf_block(reader, object, index)?;
        let block = object
            .block(reader, id)?
            .ok_or_else(|| Corrupt::new(format!("ZAP leaf {id} is a hole")))?;
        let found = Reader::new(&block.bytes, block.endian).u64()?;
        if found != BLOCK_TYPE_LEAF {
            return Err(Corrupt::new(format!("ZAP block {id} is no leaf: it begins with {found:x}")).into());
        }
        let leaf = Leaf::new(block, self.flags & FLAG_NUMBER_KEYS != 0)?;
        // The prefix that the leaf's hashes share is the first bits of its places.
        let own = self
            .table_shift
            .checked_sub(u32::from(leaf.prefix_len()))
            .map(|spread| index.checked_shr(spread).unwrap_or(0));
        if own != Some(leaf.prefix()) {
            return Err(Corrupt::new(format!(
                "ZAP block {id} is the leaf of prefix {:x} ({} bits), and stands at place {index:x} of 2^{}",
                leaf.prefix(),
                leaf.prefix_len(),
                self.table_shift
            ))
            .into());
        }
        Ok(leaf)
    }

    /// Calls `each` with every leaf, once each.
    pub(super) fn for_each_leaf(
        &self,
        reader: &BlockReader,
        object: &Object,
        each: &mut dyn FnMut(&Leaf) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let places = 1_u64 << self.table_shift;
        let mut index = 0;
        while index < places {
            let leaf = self.leaf(reader, object, index)?;
            each(&leaf)?;
            // A leaf with a prefix of n bits stands in 2^(shift − n) places, which lie side by side.
            let spread = self.table_shift.saturating_sub(u32::from(leaf.prefix_len()));
            index = (index >> spread).saturating_add(1) << spread;
        }
        Ok(())
    }

    pub(super) fn lookup(
        &self,
        reader: &BlockReader,
        object: &Object,
        name: &[u8],
    ) -> Result<Option<ZapValue>, Error> {
        let folded;
        let hashed = match self.norm_flags {
            0 => name,
            NORMALIZE_UPPER if name.is_ascii() => {
                folded = name.to_ascii_uppercase();
                &folded
            }
            // Unicode forms are not folded here: all leaves are looked through for the name as it is.
            _ => return self.lookup_by_scan(reader, object, name),
        };
        let hash = hash_name(self.salt, hashed, self.flags & FLAG_HASH64 != 0);
        let index = hash
            .checked_shr(64_u32.saturating_sub(self.table_shift))
            .unwrap_or(0);
        let leaf = self.leaf(reader, object, index)?;
        Ok(leaf.lookup(name, hash)?)
    }

    fn lookup_by_scan(
        &self,
        reader: &BlockReader,
        object: &Object,
        name: &[u8],
    ) -> Result<Option<ZapValue>, Error> {
        let mut found = None;
        self.for_each_leaf(reader, object, &mut |leaf| {
            leaf.for_each(&mut |entry| {
                if entry.name == name {
                    found = Some(entry.value);
                }
                Ok(())
            })
        })?;
        Ok(found)
    }
}
