//! The uberblock: the root of a pool at one transaction group.
//!
//! ```text
//! offset  field               each a 64-bit number in the pool's byte order, which the magic tells
//!      0  ub_magic            0x00bab10c
//!      8  ub_version          pool version: 1–28, or 5000 with feature flags
//!     16  ub_txg
//!     24  ub_guid_sum         sum of the guids of all vdevs, modulo 2^64
//!     32  ub_timestamp        seconds since 1970, UTC
//!     40  ub_rootbp           128 bytes: the pointer to the meta object set
//!    168  ub_software_version
//!    176  ub_mmp_magic, ub_mmp_delay, ub_mmp_config
//!    200  ub_checkpoint_txg
//!    208  ub_raidz_reflow_info  while a raidz vdev grows: how far it is, 0–54 (sectors of 512) | state 55–63
//! ```

use crate::Txg;
use crate::spa::BlockPointer;
use zferry_wire::{Endian, Reader, ShortRead, Writer};

/// The root of a pool as one transaction group left it.
#[derive(Clone, Debug)]
pub struct Uberblock {
    /// Pool version: 1–28, or 5000 where feature flags tell what the pool uses.
    pub version: u64,
    /// The transaction group that it ends.
    pub txg: Txg,
    /// The sum of the guids of all vdevs, modulo 2^64.
    pub guid_sum: u64,
    /// When it was written: seconds since 1970, UTC.
    pub timestamp: u64,
    /// Where the meta object set is.
    pub root: BlockPointer,
    /// Transaction group of the pool's checkpoint, 0 without one.
    pub checkpoint_txg: Txg,
    /// How far a raidz vdev that grows has been moved.
    pub reflow: Reflow,
    /// The byte order of the host that wrote it.
    pub endian: Endian,
}

/// How far the expansion of a raidz vdev has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reflow {
    /// What lies before this offset of the vdev has moved to its new place, in bytes.
    pub offset: u64,
    /// Whether what has moved lies in the area before the data for now, for its new place overlaps the old one.
    pub is_in_scratch: bool,
}

impl Reflow {
    const fn from_word(word: u64) -> Self {
        const OFFSET_BITS: u32 = 55;
        const SCRATCH_VALID: u64 = 1;
        Self {
            offset: (word & (u64::MAX >> 9)) << 9,
            is_in_scratch: word >> OFFSET_BITS == SCRATCH_VALID,
        }
    }
}

impl Uberblock {
    const MAGIC: u64 = 0x00ba_b10c;

    /// Decodes the head of an uberblock slot. `None` where the slot holds no uberblock.
    ///
    /// # Errors
    /// [`ShortRead`] where the slot is smaller than an uberblock.
    pub fn decode(slot: &[u8]) -> Result<Option<Self>, ShortRead> {
        let magic = Reader::new(slot, Endian::Little).u64()?;
        let endian = if magic == Self::MAGIC {
            Endian::Little
        } else if magic.swap_bytes() == Self::MAGIC {
            Endian::Big
        } else {
            return Ok(None);
        };
        let mut reader = Reader::new(slot, endian);
        reader.skip(8)?;
        let [version, txg, guid_sum, timestamp] = reader.u64s()?;
        let root = BlockPointer::read(&mut reader)?;
        let [
            _software_version,
            _mmp_magic,
            _mmp_delay,
            _mmp_config,
            checkpoint_txg,
            reflow_info,
        ] = reader.u64s()?;
        Ok(Some(Self {
            version,
            txg: Txg(txg),
            guid_sum,
            timestamp,
            root,
            checkpoint_txg: Txg(checkpoint_txg),
            reflow: Reflow::from_word(reflow_info),
            endian,
        }))
    }

    /// The uberblock as it is written, little-endian, without the rest of its slot.
    #[must_use]
    pub(super) fn encode(&self) -> Vec<u8> {
        /// Says that the fields behind it count; a delay of zero, that nobody has to be waited for.
        const MMP_MAGIC: u64 = 0xa11c_ea11;
        let mut writer = Writer::new(Endian::Little);
        writer
            .u64(Self::MAGIC)
            .u64(self.version)
            .u64(self.txg.0)
            .u64(self.guid_sum)
            .u64(self.timestamp)
            .bytes(&self.root.to_bytes())
            .u64(self.version)
            .u64(MMP_MAGIC)
            .zeros(16)
            .u64(self.checkpoint_txg.0)
            .u64(0);
        writer.into_bytes()
    }

    /// Which of two is the newer state of the pool: first the transaction group decides, then the clock.
    #[must_use]
    pub fn age_key(&self) -> (Txg, u64) {
        (self.txg, self.timestamp)
    }
}
