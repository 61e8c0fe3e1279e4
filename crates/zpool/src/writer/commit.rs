//! Making the open transaction group durable.

use super::{DatasetId, PoolWriter};
use crate::vdev::{LabelState, Labels, Reflow, Uberblock};
use crate::{Error, Txg};
use zferry_wire::{Endian, u64_from_usize};

const PACKED_LIST_BLOCK: usize = 16 << 10;

impl PoolWriter {
    /// Commits the open transaction group and opens the next. Returns the one that is committed now.
    ///
    /// # Errors
    /// Where something cannot be read or written. The pool on disk is then as it was, or as it would have become;
    /// [`Self::discard`] goes back to what was last committed.
    pub fn commit(&mut self) -> Result<Txg, Error> {
        if self.is_failed {
            return Err(Error::ReadOnly("writing to it has failed before".to_owned()));
        }
        self.is_failed = true;
        let txg = self.io.txg;
        self.io.allocator.oldest = self.io.vdevs.oldest_held();
        self.write_datasets()?;
        self.free_some()?;
        if self.is_config_dirty {
            self.write_config_object()?;
        }
        let root = self.write_meta_objects()?;

        self.io.vdevs.flush()?;
        if self.is_config_dirty {
            self.write_labels(Labels::Even)?;
            self.io.vdevs.flush()?;
        }
        let uberblock = Uberblock {
            version: 5000,
            txg,
            guid_sum: self.guid_sum(),
            timestamp: self.environment.now().seconds,
            root,
            checkpoint_txg: Txg(0),
            reflow: Reflow::default(),
            endian: Endian::Little,
        };
        self.is_uncertain = true;
        self.write_uberblocks(&uberblock)?;
        self.io.vdevs.flush()?;
        if self.is_config_dirty {
            self.write_labels(Labels::Odd)?;
            self.io.vdevs.flush()?;
            self.is_config_dirty = false;
        }

        self.pool = self.pool.at(uberblock, self.config.clone())?;
        // Who opens the pool from now on opens it as it is now.
        self.io.allocator.oldest = self.io.vdevs.oldest_held();
        let unneeded = self.io.allocator.committed(txg, self.pool.meta().clone());
        for range in unneeded {
            self.io
                .vdevs
                .punch(range.vdev, range.start, range.end.saturating_sub(range.start))?;
        }
        self.io.txg = Txg(txg.0.saturating_add(1));
        (self.is_failed, self.is_uncertain) = (false, false);
        Ok(txg)
    }

    /// Writes out every dataset in change and settles its accounts.
    pub(super) fn write_datasets(&mut self) -> Result<(), Error> {
        let ids: Vec<_> = self.sets.keys().copied().collect();
        for number in ids {
            let Some(mut set) = self.sets.remove(&number) else {
                continue;
            };
            if set.is_dirty {
                set.write_out(&mut self.io)?;
                let mut phys = self.dataset(number)?;
                phys.root = set.root;
                self.put_dataset(number, &phys)?;
            }
            let next = set.ledger.next();
            let ledger = std::mem::replace(&mut set.ledger, next);
            if !ledger.is_empty() {
                self.settle(DatasetId(number), &ledger)?;
            }
            self.sets.insert(number, set);
        }
        Ok(())
    }

    fn write_config_object(&mut self) -> Result<(), Error> {
        self.refresh_config();
        let packed = self.packed_config();
        let number = self.known.config;
        self.mos.with_object(&mut self.io, number, |object, context| {
            let blocks = u64_from_usize(packed.len().div_ceil(PACKED_LIST_BLOCK));
            object.free_blocks(context, blocks, u64::MAX)?;
            for (id, part) in (0_u64..).zip(packed.chunks(PACKED_LIST_BLOCK)) {
                let mut block = part.to_vec();
                block.resize(PACKED_LIST_BLOCK, 0);
                object.grow(id)?;
                object.put_block(id, block);
            }
            object.dnode.max_block = crate::BlockId(blocks.saturating_sub(1));
            Ok(())
        })?;
        self.put_bonus(number, &u64_from_usize(packed.len()).to_le_bytes())
    }

    /// What the labels say of the pool's fate.
    #[must_use]
    pub const fn state(&self) -> LabelState {
        self.state
    }
}
