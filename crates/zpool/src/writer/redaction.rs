//! Marking datasets as redacted: received without what the clones that they are redacted for have changed.

use super::{DatasetId, PoolWriter};
use crate::Error;
use crate::spa::Feature;
use crate::zap::ZapValue;

impl PoolWriter {
    /// Marks a head as redacted for the snapshots with these guids, or as not redacted.
    ///
    /// # Errors
    /// [`Error::FeatureDisabled`]; where the pool's metadata cannot be read.
    pub fn set_redaction(&mut self, id: DatasetId, snapshots: Option<&[u64]>) -> Result<(), Error> {
        let feature = Feature::RedactedDatasets;
        if self.remove_dataset_entry(id, feature.guid())? {
            self.count_feature(feature, -1)?;
        }
        let Some(snapshots) = snapshots else {
            return Ok(());
        };
        if !self.is_feature_enabled(feature)? {
            return Err(Error::FeatureDisabled(feature));
        }
        self.set_dataset_entry(id, feature.guid(), &ZapValue::numbers(snapshots))?;
        self.count_feature(feature, 1)
    }
}
