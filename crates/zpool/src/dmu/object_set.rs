//! The object set: the root block of a dataset, a snapshot or the pool's own metadata.
//!
//! ```text
//! offset  field                   1024, 2048 or 4096 bytes, by age
//!      0  os_meta_dnode           512 bytes: the object whose blocks hold all other dnodes
//!    512  os_zil_header           192 bytes
//!    704  os_type           u64
//!    712  os_flags          u64
//!    720  os_portable_mac         32 bytes, encrypted datasets
//!    752  os_local_mac            32 bytes
//!   1024  os_userused_dnode       512 bytes
//!   1536  os_groupused_dnode      512 bytes
//!   2048  os_projectused_dnode    512 bytes
//! ```

use super::{Dnode, Object, SLOT_BYTES};
use crate::spa::{Block, BlockPointer, BlockReader};
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use zferry_wire::{Endian, Reader, usize_from_u64};

/// What an object set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectSetType(pub u64);

impl ObjectSetType {
    /// None yet.
    pub const NONE: Self = Self(0);
    /// The pool's own metadata.
    pub const META: Self = Self(1);
    /// A file system.
    pub const ZFS: Self = Self(2);
    /// A volume.
    pub const ZVOL: Self = Self(3);
    /// Anything else; for tests.
    pub const OTHER: Self = Self(4);
}

/// An object set.
#[derive(Clone, Debug)]
pub struct ObjectSet {
    /// What it is for.
    pub set_type: ObjectSetType,
    /// Flags: which accounting is complete.
    pub flags: u64,
    /// The object whose blocks hold all other dnodes.
    pub meta_dnode: Object,
    /// The code that authenticates what a raw stream carries of the set.
    pub portable_mac: [u8; 32],
    /// Whether the set's blocks are encrypted.
    pub is_encrypted: bool,
    /// Whether the intent log holds blocks: the file system was not cleanly unmounted.
    pub has_intent_log: bool,
}

impl ObjectSet {
    /// Reads the object set that `root` leads to.
    ///
    /// # Errors
    /// Where the block cannot be read or is no object set.
    pub fn read(reader: &BlockReader, root: &BlockPointer) -> Result<Self, Error> {
        let mut set = Self::decode(&*reader.read_cached(root)?)?;
        set.is_encrypted = root.uses_crypt();
        Ok(set)
    }

    /// An object set without objects.
    pub(crate) fn empty() -> Self {
        Self {
            set_type: ObjectSetType::NONE,
            flags: 0,
            meta_dnode: Object {
                number: ObjectNumber(0),
                dnode: Dnode::unallocated(),
            },
            portable_mac: [0; 32],
            is_encrypted: false,
            has_intent_log: false,
        }
    }

    fn decode(block: &Block) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(&block.bytes, block.endian);
        let meta_dnode = Dnode::decode(reader.take(SLOT_BYTES)?, block.endian)?;
        let zil_header = reader.take(192)?;
        let [os_type, os_flags] = reader.u64s()?;
        let portable_mac = reader.array()?;
        Ok(Self {
            set_type: ObjectSetType(os_type),
            flags: os_flags,
            meta_dnode: Object {
                number: ObjectNumber(0),
                dnode: meta_dnode,
            },
            portable_mac,
            is_encrypted: false,
            has_intent_log: has_log(zil_header, block.endian),
        })
    }

    /// How many object numbers one block of dnodes covers.
    #[must_use]
    pub fn slots_per_block(&self) -> u64 {
        self.meta_dnode.dnode.slots_per_data_block().max(1)
    }

    /// Opens an object.
    ///
    /// # Errors
    /// [`Error::Missing`] where no object has that number; others where its dnode cannot be read.
    pub fn object(&self, reader: &BlockReader, number: ObjectNumber) -> Result<Object, Error> {
        let missing = || Error::Missing(format!("object {number}"));
        if number.0 == 0 || self.meta_dnode.dnode.is_unallocated() {
            return Err(missing());
        }
        let per_block = self.slots_per_block();
        let block_id = BlockId(number.0.checked_div(per_block).unwrap_or(0));
        let block = self.meta_dnode.block(reader, block_id)?.ok_or_else(missing)?;
        let slot = usize_from_u64(number.0.checked_rem(per_block).unwrap_or(0));
        let bytes = block
            .bytes
            .get(slot.saturating_mul(SLOT_BYTES)..)
            .unwrap_or_default();
        if Dnode::is_free(bytes) {
            return Err(missing());
        }
        let dnode = Dnode::decode(bytes, block.endian)
            .map_err(|error| Corrupt::new(format!("object {number}: {error}")))?;
        Ok(Object { number, dnode })
    }
}

/// Whether a ZIL header leads to log blocks.
fn has_log(zil_header: &[u8], endian: Endian) -> bool {
    let mut reader = Reader::new(zil_header, endian);
    // zh_claim_txg, zh_replay_seq, then zh_log, the pointer to the first block
    reader.skip(16).is_ok() && BlockPointer::read(&mut reader).is_ok_and(|log| !log.is_hole())
}
