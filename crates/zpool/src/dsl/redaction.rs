//! Redaction: which snapshots' secrets were left out of a dataset, or are to be left out of a stream.
//!
//! ```text
//! word  field                     the bonus buffer of a redaction list, or its spill block where that is too small
//!    0  rlp_last_object
//!    1  rlp_last_blkid
//!    2  rlp_num_entries
//!    3  rlp_num_snaps
//!    4  rlp_snaps[]               the guids of the snapshots
//! ```

use super::{Bookmark, Dataset, DslPool};
use crate::spa::Feature;
use crate::{Corrupt, Error};
use zferry_wire::{Reader, u64_from_usize};

impl DslPool<'_> {
    /// The guids of the snapshots with respect to which a dataset is redacted; `None` where it is not.
    ///
    /// # Errors
    /// Where its table cannot be read.
    pub fn redaction_snapshots(&self, dataset: &Dataset) -> Result<Option<Vec<u64>>, Error> {
        let value = self.dataset_entry(dataset, Feature::RedactedDatasets.guid())?;
        Ok(value.and_then(|value| value.as_u64s()))
    }

    /// The guids of the snapshots whose secrets a stream made with a bookmark leaves out; `None` where it has no such
    /// list.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn bookmark_redaction_snapshots(&self, bookmark: &Bookmark) -> Result<Option<Vec<u64>>, Error> {
        let Some(number) = bookmark.redaction else {
            return Ok(None);
        };
        let object = self.pool().meta_object(number)?;
        let block;
        let (bytes, endian) = match &object.dnode.spill {
            Some(pointer) => {
                block = self.pool().reader().read_cached(pointer)?;
                (block.bytes.as_slice(), block.endian)
            }
            None => (object.dnode.bonus(), object.dnode.endian),
        };
        let mut reader = Reader::new(bytes, endian);
        let [_object, _block, _entries, count] = reader.u64s()?;
        if count > u64_from_usize(reader.rest().len() / 8) {
            return Err(Corrupt::new(format!(
                "redaction list {number} names {count} snapshots and has no room"
            ))
            .into());
        }
        let guids = (0..count).map(|_| reader.u64()).collect::<Result<Vec<_>, _>>()?;
        Ok(Some(guids))
    }
}
