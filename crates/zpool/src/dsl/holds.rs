//! Holds: tags that keep a snapshot from being destroyed, with the time at which each was put on.

use super::{Dataset, DslPool};
use crate::zap;
use crate::{Corrupt, Error};

/// A hold on a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its tag.
    pub tag: String,
    /// When it was put on: seconds since 1970.
    pub time: u64,
}

impl DslPool<'_> {
    /// The holds on a snapshot, in the order in which ZFS walks through their table.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn holds(&self, snapshot: &Dataset) -> Result<Vec<Hold>, Error> {
        let Some(table) = snapshot.phys.holds else {
            return Ok(Vec::new());
        };
        let entries = zap::entries_in_cursor_order(self.pool().reader(), &self.pool().meta_object(table)?)?;
        let hold = |entry: &zap::ZapEntry| {
            entry.value.as_u64().map(|time| Hold {
                tag: entry.name_lossy(),
                time,
            })
        };
        let holds: Option<Vec<_>> = entries.iter().map(hold).collect();
        holds.ok_or_else(|| Corrupt::new(format!("the holds on '{}' have no times", snapshot.name)).into())
    }
}
