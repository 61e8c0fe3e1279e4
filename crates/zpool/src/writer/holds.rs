//! Holds: what keeps a snapshot from being destroyed.

use super::PoolWriter;
use crate::dmu::ObjectType;
use crate::dsl::DatasetFlags;
use crate::{Error, ObjectNumber};

const HOLDS: ObjectType = ObjectType(41);
/// How long a tag may be, in bytes.
const TAG_MAX: usize = 255;

impl PoolWriter {
    /// Holds a snapshot under a tag.
    ///
    /// # Errors
    /// [`Error::Exists`] where it is held so already; [`Error::Invalid`] where the tag is too long, or this is no
    /// snapshot.
    pub fn hold(&mut self, snapshot: ObjectNumber, tag: &str) -> Result<(), Error> {
        let mut phys = self.dataset(snapshot)?;
        if !phys.is_snapshot() {
            return Err(Error::Invalid(format!("dataset {snapshot} is no snapshot")));
        }
        if tag.len() > TAG_MAX {
            return Err(Error::Invalid("tag too long".to_owned()));
        }
        let table = match phys.holds {
            Some(table) => table,
            None => {
                let table = self.new_table(HOLDS)?;
                phys.holds = Some(table);
                self.put_dataset(snapshot, &phys)?;
                table
            }
        };
        if self.table_get_value(table, tag)?.is_some() {
            return Err(Error::Exists(format!("tag '{tag}'")));
        }
        let now = self.environment.now().seconds;
        self.table_put(table, tag, now)
    }

    /// Ends a hold. A snapshot that waits for its destruction goes with its last one.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such hold.
    pub fn release(&mut self, snapshot: ObjectNumber, tag: &str) -> Result<(), Error> {
        let missing = || Error::Missing(format!("tag '{tag}'"));
        let phys = self.dataset(snapshot)?;
        let table = phys.holds.ok_or_else(missing)?;
        if !self.table_remove(table, tag)? {
            return Err(missing());
        }
        if phys.flags.contains(DatasetFlags::DEFER_DESTROY) {
            self.destroy_if_deferred(snapshot)?;
        }
        Ok(())
    }
}
