//! How much a dataset may still grow: as far as the quotas of all directories above it go, and the pool.
//!
//! As `dsl_dir_tempreserve_impl` in `module/zfs/dsl_dir.c` has it: where a quota is used up, nothing more is written. What is
//! reserved for a directory, those above have counted as used already.

use super::{DatasetId, PoolWriter};
use crate::{Corrupt, Error};

/// How much more may be received into a dataset than its `refquota` allows, in bytes: OpenZFS's largest transaction, as large
/// as it may become on disk.
const REF_QUOTA_SLACK: u64 = (64 << 20) * 24;

/// How much a dataset may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Nothing more is written when it has grown by so much since the last transaction group, in bytes.
    pub bytes: u64,
    /// The file system whose quota it is that is used up then, by its depth below the pool; `None` where it is the pool's
    /// size.
    pub quota_at: Option<usize>,
}

impl PoolWriter {
    /// How much a dataset may grow in the open transaction group. No quota holds for volumes, as they have their size.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn room(&mut self, id: DatasetId, is_volume: bool) -> Result<Room, Error> {
        let mut lineage = Vec::new();
        let mut next = Some(self.dataset(id.0)?.dir);
        while let Some(number) = next {
            let phys = self.dir(number)?;
            next = phys.parent;
            lineage.push(phys);
            if lineage.len() > 256 {
                return Err(Corrupt::new(format!("directory {number} is in itself")).into());
            }
        }
        let mut room = Room {
            bytes: u64::MAX,
            quota_at: None,
        };
        for (depth, phys) in lineage.iter().rev().enumerate() {
            room.bytes = match depth {
                0 => self.pool.usable_space()?.saturating_sub(phys.used),
                _ => room.bytes.saturating_add(phys.reserved.saturating_sub(phys.used)),
            };
            let left = phys.quota.saturating_sub(phys.used);
            if phys.quota != 0 && !is_volume && left < room.bytes {
                room = Room {
                    bytes: left,
                    quota_at: Some(depth),
                };
            }
        }
        let own = lineage.first().map_or(0, |phys| phys.used_by.ref_reservation);
        room.bytes = room.bytes.saturating_add(own);
        Ok(room)
    }

    /// By how much a dataset has grown in the open transaction group, in bytes.
    #[must_use]
    pub fn growth(&self, id: DatasetId) -> u64 {
        let set = self.sets.get(&id.0);
        set.map_or(0, |set| u64::try_from(set.ledger.unique).unwrap_or(0))
    }

    /// Whether what was received into `new` may become the contents of `head`: its `refquota` can be exceeded, but not by
    /// much.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn fits_ref_quota(&mut self, new: DatasetId, head: DatasetId) -> Result<bool, Error> {
        let dir = self.dataset(head.0)?.dir;
        let Some(table) = self.dir(dir)?.properties else {
            return Ok(true);
        };
        let quota = self.own_property(table, "refquota")?.unwrap_or(0);
        let pending = self.sets.get(&new.0).map_or(0, |set| set.ledger.referenced);
        let referenced = self.dataset(new.0)?.referenced.checked_add_signed(pending);
        Ok(quota == 0 || referenced.unwrap_or(0) <= quota.saturating_add(REF_QUOTA_SLACK))
    }
}
