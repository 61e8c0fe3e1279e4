//! What was known to be damaged and can be read again goes from the pool's log of errors, which is drawn in
//! `spa/scan.rs`.

use super::super::PoolWriter;
use super::{lies_on_disk, pointer_in};
use crate::dmu::{Object, ObjectSet};
use crate::spa::BlockReader;
use crate::{BlockId, Error, ObjectNumber, Txg};
use std::collections::BTreeSet;
use std::sync::Arc;
use zferry_wire::usize_from_u64;

const DIRECTORY: ObjectNumber = ObjectNumber(1);
/// How many origins of origins are followed to where a block may have been found damaged.
const ORIGINS_MAX: usize = 64;

/// A block of data, as the log of errors names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Logged {
    /// The dataset, where it is not the head whose table this is.
    set: Option<ObjectNumber>,
    object: ObjectNumber,
    block: BlockId,
    /// When the block was written, where the log says.
    birth: Option<Txg>,
}

impl Logged {
    /// `None` for what is no block of data.
    fn parse(name: &str, is_by_head: bool) -> Option<Self> {
        let numbers = name.split(':').map(|number| u64::from_str_radix(number, 16).ok());
        let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
        match (is_by_head, &*numbers) {
            (true, &[object, 0, block, birth]) => Some(Self {
                set: None,
                object: ObjectNumber(object),
                block: BlockId(block),
                birth: Some(Txg(birth)),
            }),
            (false, &[set, object, 0, block]) => Some(Self {
                set: Some(ObjectNumber(set)),
                object: ObjectNumber(object),
                block: BlockId(block),
                birth: None,
            }),
            _ => None,
        }
    }

    /// Whether a copy of the block, in the dataset that was opened as `set`, is good.
    fn is_good(&self, reader: &BlockReader, set: &ObjectSet) -> Result<bool, Error> {
        let object: Object = set.object(reader, self.object)?;
        let offset = object.dnode.data_bytes().checked_mul(self.block.0);
        let offset = offset.filter(|_| self.block != BlockId::SPILL);
        let pointer = pointer_in(reader, &object, offset)?;
        let Some(pointer) = pointer.filter(lies_on_disk) else {
            return Ok(false);
        };
        if self.birth.is_some_and(|birth| birth != pointer.logical_birth()) {
            return Ok(false);
        }
        let size = pointer.physical_size().min(super::BLOCK_BYTES_MAX);
        Ok(reader
            .read_stored(&pointer, &mut vec![0; usize_from_u64(size)])
            .is_ok())
    }
}

impl PoolWriter {
    /// Takes the blocks of a snapshot that were known to be damaged and can be read out of the log of errors. Where there
    /// are any, the open transaction group is committed.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read, and as [`Self::commit`].
    pub fn forget_errors(&mut self, snapshot: ObjectNumber) -> Result<(), Error> {
        let heads = self.heads_behind(snapshot)?;
        let is_by_head = self.is_logged_by_head()?;
        let mut is_changed = false;
        for log in ["errlog_last", "errlog_scrub"] {
            let log = self.table_get(DIRECTORY, log)?.map(ObjectNumber);
            let Some(log) = log.filter(|log| log.0 != 0) else {
                continue;
            };
            if !is_by_head {
                is_changed |= self.forget_in(log, snapshot, false)?;
                continue;
            }
            for entry in self.table_all(log)? {
                let head = u64::from_str_radix(&entry.name_lossy(), 16).map(ObjectNumber);
                if head.is_ok_and(|head| heads.contains(&head))
                    && let Some(table) = entry.value.as_u64()
                {
                    is_changed |= self.forget_in(ObjectNumber(table), snapshot, true)?;
                }
            }
        }
        if is_changed {
            self.commit()?;
        }
        Ok(())
    }

    /// The heads under which a block of a snapshot may be logged: its own, and those of its origins.
    fn heads_behind(&mut self, snapshot: ObjectNumber) -> Result<BTreeSet<ObjectNumber>, Error> {
        let mut heads = BTreeSet::new();
        let mut next = Some(snapshot);
        while let Some(snapshot) = next.filter(|_| heads.len() < ORIGINS_MAX) {
            let dir = self.dataset(snapshot)?.dir;
            let dir = self.dir(dir)?;
            heads.extend(dir.head);
            next = dir.origin;
        }
        Ok(heads)
    }

    /// Whether two datasets are heads or snapshots of one directory.
    fn is_beside(&mut self, one: ObjectNumber, other: ObjectNumber) -> bool {
        let dirs = [one, other].map(|number| self.dataset(number).map(|phys| phys.dir));
        matches!(dirs, [Ok(one), Ok(other)] if one == other)
    }

    /// Looks through one table of the log. Says whether anything was taken out.
    fn forget_in(
        &mut self,
        table: ObjectNumber,
        snapshot: ObjectNumber,
        is_by_head: bool,
    ) -> Result<bool, Error> {
        let reader = Arc::clone(&self.io.reader);
        let mut is_changed = false;
        let mut open: Option<(ObjectNumber, ObjectSet)> = None;
        for entry in self.table_all(table)? {
            let name = entry.name_lossy();
            let Some(logged) = Logged::parse(&name, is_by_head) else {
                continue;
            };
            let dataset = logged.set.unwrap_or(snapshot);
            if dataset != snapshot && !self.is_beside(dataset, snapshot) {
                continue;
            }
            let set = match open.take() {
                Some((number, set)) if number == dataset => set,
                _ => ObjectSet::read(&reader, &self.dataset(dataset)?.root)?,
            };
            // What cannot be looked up is damaged still.
            if logged.is_good(&reader, &set).unwrap_or(false) {
                is_changed |= self.table_remove(table, &name)?;
            }
            open = Some((dataset, set));
        }
        Ok(is_changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_blocks_in_two_ways() {
        let logged = Logged::parse("10:0:2:1f", true).unwrap();
        assert_eq!((logged.object, logged.block), (ObjectNumber(16), BlockId(2)));
        assert_eq!((logged.set, logged.birth), (None, Some(Txg(31))));
        let logged = Logged::parse("36:a:0:fffffffffffffffe", false).unwrap();
        assert_eq!(logged.set, Some(ObjectNumber(0x36)));
        assert_eq!((logged.object, logged.block), (ObjectNumber(10), BlockId::SPILL));
        // A block that leads to others, the block of an object set, and nonsense.
        assert_eq!(Logged::parse("10:1:2:1f", true), None);
        assert_eq!(Logged::parse("36:0:ffffffffffffffff:0", false), None);
        assert_eq!(Logged::parse("x", false), None);
    }
}
