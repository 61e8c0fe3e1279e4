//! How much was written since an earlier state of a dataset.
//!
//! What is referenced now, less what was referenced then, plus what has been freed since: the deadlists of everything
//! between tell that. A deadlist is a table of lists of block pointers, each for blocks born after some transaction
//! group; in old pools it is a single such list.
//!
//! ```text
//! dl_used, dl_comp, dl_uncomp     the bonus buffer of a deadlist's object: the sums over all its lists
//! hex(mintxg)                     the table: from a transaction group to a list
//! ```

use super::{Bookmark, BookmarkFlags, Dataset, DslPool};
use crate::dmu::{Allowance, Object, ObjectType};
use crate::zap;
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::ops::ControlFlow;
use zferry_wire::Reader;

/// The type of a deadlist that is a table.
const DEADLIST: ObjectType = ObjectType(50);

/// An earlier state of a dataset.
#[derive(Clone, Copy, Debug)]
pub enum Since<'a> {
    /// A snapshot.
    Snapshot(&'a Dataset),
    /// A bookmark that knows its sizes.
    Bookmark(&'a Bookmark),
}

/// Sizes of the same blocks, counted in three ways, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The space that they take in the pool.
    pub used: u64,
    /// What they are compressed to.
    pub compressed: u64,
    /// What they hold.
    pub uncompressed: u64,
}

impl Sizes {
    /// The sums of both, modulo 2^64 as ZFS counts them.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self {
            used: self.used.wrapping_add(other.used),
            compressed: self.compressed.wrapping_add(other.compressed),
            uncompressed: self.uncompressed.wrapping_add(other.uncompressed),
        }
    }

    /// The differences of both, modulo 2^64 as ZFS counts them.
    pub(crate) const fn minus(self, other: Self) -> Self {
        Self {
            used: self.used.wrapping_sub(other.used),
            compressed: self.compressed.wrapping_sub(other.compressed),
            uncompressed: self.uncompressed.wrapping_sub(other.uncompressed),
        }
    }

    const fn referenced(phys: &super::DatasetPhys) -> Self {
        Self {
            used: phys.referenced,
            compressed: phys.compressed,
            uncompressed: phys.uncompressed,
        }
    }
}

impl Since<'_> {
    const fn txg(&self) -> Txg {
        match self {
            Self::Snapshot(snapshot) => snapshot.phys.creation_txg,
            Self::Bookmark(bookmark) => bookmark.creation_txg,
        }
    }

    const fn referenced(&self) -> Sizes {
        match self {
            Self::Snapshot(snapshot) => Sizes::referenced(&snapshot.phys),
            Self::Bookmark(bookmark) => Sizes {
                used: bookmark.referenced,
                compressed: bookmark.compressed,
                uncompressed: bookmark.uncompressed,
            },
        }
    }
}

impl DslPool<'_> {
    /// How much was written to a dataset since an earlier state; `None` where that is no earlier state of
    /// it, or a bookmark that does not know its sizes.
    ///
    /// # Errors
    /// Where a dataset or deadlist between the two cannot be read.
    pub fn written_since(&self, dataset: &Dataset, since: Since<'_>) -> Result<Option<Sizes>, Error> {
        let is_before = match since {
            Since::Snapshot(snapshot) => self.is_before(dataset, snapshot)?,
            Since::Bookmark(bookmark) => {
                bookmark.flags.contains(BookmarkFlags::HAS_FREED_BEFORE_NEXT)
                    && self.descends_from(dataset, &bookmark.dir, bookmark.creation_txg)?
            }
        };
        if !is_before {
            return Ok(None);
        }
        let mut written = Sizes::referenced(&dataset.phys).minus(since.referenced());
        let mut between = dataset.phys.clone();
        while between.prev_snapshot_txg > since.txg() {
            let freed = self.freed_before(between.deadlist, since.txg())?;
            written = written.plus(freed);
            let Some(number) = between.prev_snapshot else {
                break;
            };
            let earlier = super::DatasetPhys::decode(&self.pool().meta_object(number)?)?;
            if earlier.prev_snapshot_txg >= between.prev_snapshot_txg {
                return Err(
                    Corrupt::new(format!("snapshot {number} is not older than the one after it")).into(),
                );
            }
            between = earlier;
        }
        let last = match since {
            Since::Snapshot(_) => self.freed(between.deadlist)?,
            Since::Bookmark(bookmark) => bookmark.freed_before_next,
        };
        Ok(Some(written.plus(last)))
    }

    /// How much was written to a dataset since the snapshot before it, in bytes; `None` where there is none.
    ///
    /// # Errors
    /// As [`Self::written_since`].
    pub fn written(&self, dataset: &Dataset) -> Result<Option<u64>, Error> {
        let Some(number) = dataset.phys.prev_snapshot else {
            return Ok(None);
        };
        // The snapshot's name may take long to find, and is not needed: nothing is before it but the deadlist.
        let prev = super::DatasetPhys::decode(&self.pool().meta_object(number)?)?;
        let freed = self.freed(dataset.phys.deadlist)?;
        let written = Sizes::referenced(&dataset.phys)
            .minus(Sizes::referenced(&prev))
            .plus(freed);
        Ok(Some(written.used))
    }

    /// What would become free if the snapshots from `first` to `last`, both of one head, were destroyed, in bytes.
    ///
    /// # Errors
    /// Where a deadlist or a dataset between them cannot be read.
    pub fn space_of_range(&self, first: &Dataset, last: &Dataset) -> Result<u64, Error> {
        let mut space = 0_u64;
        let mut seen = std::collections::BTreeSet::new();
        let mut next = last.phys.next_snapshot;
        while let Some(number) = next
            && number != first.number
            && seen.insert(number)
        {
            let phys = super::DatasetPhys::decode(&self.pool().meta_object(number)?)?;
            let old = self.freed_before(phys.deadlist, first.phys.prev_snapshot_txg)?;
            space = space.saturating_add(self.freed(phys.deadlist)?.minus(old).used);
            next = phys.prev_snapshot;
        }
        Ok(space)
    }

    /// What a deadlist names.
    fn freed(&self, deadlist: Option<ObjectNumber>) -> Result<Sizes, Error> {
        let Some(number) = deadlist else {
            return Ok(Sizes::default());
        };
        let object = self.pool().meta_object(number)?;
        if !is_table(&object) {
            return Ok(list_sizes(&object)?);
        }
        let [used, compressed, uncompressed] =
            Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
        Ok(Sizes {
            used,
            compressed,
            uncompressed,
        })
    }

    /// What of a deadlist was born up to a transaction group.
    fn freed_before(&self, deadlist: Option<ObjectNumber>, txg: Txg) -> Result<Sizes, Error> {
        let Some(number) = deadlist else {
            return Ok(Sizes::default());
        };
        let object = self.pool().meta_object(number)?;
        if !is_table(&object) {
            return self.freed_before_in_list(&object, txg);
        }
        let mut freed = Sizes::default();
        for entry in zap::entries(self.pool().reader(), &object)? {
            let name = entry.name_lossy();
            let min_txg = u64::from_str_radix(&name, 16).ok();
            let min_txg =
                min_txg.ok_or_else(|| Corrupt::new(format!("deadlist {number} has a key '{name}'")))?;
            if min_txg >= txg.0 {
                continue;
            }
            let list = entry
                .value
                .as_u64()
                .ok_or_else(|| Corrupt::new(format!("deadlist {number} without a list")))?;
            let list = self.pool().meta_object(ObjectNumber(list))?;
            freed = freed.plus(list_sizes(&list)?);
        }
        Ok(freed)
    }

    /// What of an old deadlist, a list of block pointers, was born up to a transaction group.
    fn freed_before_in_list(&self, list: &Object, txg: Txg) -> Result<Sizes, Error> {
        let count = Reader::new(list.dnode.bonus(), list.dnode.endian).u64()?;
        let tops = self.pool().top_vdevs();
        let (mut freed, mut seen) = (Sizes::default(), 0_u64);
        let reader = self.pool().reader();
        list.for_each_block(reader, &Allowance::of_pool(reader), &mut |block| {
            for pointer in crate::spa::BlockPointer::iter_block(&block.bytes, block.endian) {
                if seen < count && pointer.logical_birth() <= txg {
                    freed = freed.plus(sizes_of(&pointer, &tops));
                }
                seen = seen.saturating_add(1);
            }
            Ok(if seen < count {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(freed)
    }
}

/// What a list of block pointers names in all: `bpo_num_blkptrs`, then `bpo_bytes`, `bpo_comp` and `bpo_uncomp`. Lists
/// of the first pool versions do not know the last two.
fn list_sizes(list: &Object) -> Result<Sizes, Corrupt> {
    let mut reader = Reader::new(list.dnode.bonus(), list.dnode.endian);
    let [_count, used] = reader.u64s()?;
    let [compressed, uncompressed] = reader.u64s().unwrap_or_default();
    Ok(Sizes {
        used,
        compressed,
        uncompressed,
    })
}

fn is_table(deadlist: &Object) -> bool {
    deadlist.dnode.object_type == DEADLIST
}

/// The sizes of one block. Of metadata, and of blocks of pointers, the stored size counts as the content's.
fn sizes_of(pointer: &crate::spa::BlockPointer, tops: &[crate::spa::TopVdevSpace]) -> Sizes {
    let compressed = if pointer.is_embedded() {
        0
    } else {
        pointer.physical_size()
    };
    let is_data = pointer.level() == 0 && !pointer.object_type().is_metadata();
    let uncompressed = if is_data {
        pointer.logical_size()
    } else {
        compressed
    };
    Sizes {
        used: allocated(pointer, tops),
        compressed,
        uncompressed,
    }
}

/// How much data fits into the space that a block takes, in bytes.
fn allocated(pointer: &crate::spa::BlockPointer, tops: &[crate::spa::TopVdevSpace]) -> u64 {
    let sizes = pointer.dvas().map(|dva| {
        let top = tops.iter().find(|top| top.id == u64::from(dva.vdev));
        top.map_or(dva.allocated, |top| top.deflated(dva.allocated))
    });
    sizes.fold(0, u64::saturating_add)
}
