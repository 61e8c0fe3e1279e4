//! Intent logs of OpenZFS's: chains of blocks that belong to a head beside its trees (see `dmu/intent_log.rs`). None is
//! written here; those that there are, are kept, and go with their heads.

use super::{DatasetId, PoolWriter};
use crate::dmu::{LogHeader, OpenSet};
use crate::{Error, Txg};

impl PoolWriter {
    /// A clone must not replay what the head that its origin was taken of had in its intent log.
    pub(super) fn clear_intent_log(&mut self, id: DatasetId) -> Result<(), Error> {
        let root = self.dataset(id.0)?.root;
        if root.is_hole() || !OpenSet::has_intent_log(&self.io, &root)? {
            return Ok(());
        }
        self.open_set(id)?;
        if let Some(set) = self.sets.get_mut(&id.0) {
            set.clear_intent_log();
        }
        Ok(())
    }

    /// Gives back the space of the intent log of a head that goes.
    pub(super) fn free_intent_log(&mut self, set: &OpenSet) -> Result<(), Error> {
        let Some(log) = set.intent_log() else {
            return Ok(());
        };
        let newest = Txg(self.io.txg.0.saturating_sub(1));
        let mut blocks = Vec::new();
        log.for_each(&self.io.reader, newest, &mut |pointer| blocks.push(*pointer));
        blocks.iter().try_for_each(|pointer| self.io.free(pointer))
    }

    /// After a crash, the logs of mounted file systems hold what programs were promised and the pool does not know of yet.
    /// Whoever writes to the pool would write over it.
    pub(super) fn refuse_logs_ahead(&mut self) -> Result<(), Error> {
        let newest = self.pool.uberblock().txg;
        for (name, head) in self.heads()? {
            let root = self.dataset(head.0)?.root;
            if root.is_hole() {
                continue;
            }
            let block = self.io.reader.read_cached(&root)?;
            let log = LogHeader::of_set(&block);
            if log.is_some_and(|log| log.is_ahead(&self.io.reader, newest)) {
                return Err(Error::ReadOnly(format!(
                    "the intent log of '{name}' holds what was written last; import the pool with OpenZFS once, mount \
                     its file systems, and export it"
                )));
            }
        }
        Ok(())
    }
}
