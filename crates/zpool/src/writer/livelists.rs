//! Livelists of OpenZFS's: logs of what clones have that their origins have not. With one, a clone can be destroyed without
//! a walk through its trees. Their form is described in `check/livelist.rs`.
//!
//! A livelist serves only to make destroying fast. So it is not kept up here: it goes when its clone is changed, as OpenZFS
//! itself gives it up when a clone is promoted or has little in common with its origin any more. What was destroyed by
//! way of a livelist and is still to be freed, is left to OpenZFS, which goes on with it when it imports the pool.

use super::PoolWriter;
use crate::spa::Feature;
use crate::{Error, ObjectNumber};

/// The entry of a clone's directory that leads to its livelist.
const LIVELIST: &str = "com.delphix:livelist";
impl PoolWriter {
    /// Gives up the livelist of a directory that is changed, where it has one.
    pub(super) fn forget_livelist(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        if !self.is_table(dir)? {
            return Ok(());
        }
        let Some(livelist) = self.table_get(dir, LIVELIST)? else {
            return Ok(());
        };
        self.table_remove(dir, LIVELIST)?;
        self.free_deadlist(ObjectNumber(livelist))?;
        self.count_feature(Feature::Livelist, -1)
    }
}
