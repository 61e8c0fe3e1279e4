//! What a stream says of redaction, and whether it goes with that of what it continues: `redact_check` in
//! `module/zfs/dmu_recv.c`.
//!
//! A dataset that was received redacted lacks what the snapshots that it is redacted for have changed. What continues it
//! must bring that, or lack it too: it starts from no more than is there, is redacted for no other snapshots, or is that
//! of one of the snapshots itself.

use zferry_nvlist::NvList;
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Begin;

/// What the list behind BEGIN says of redaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Redaction<'a> {
    /// The guids of the snapshots that the stream is redacted for.
    pub snapshots: Option<&'a [u64]>,
    /// The guids of the snapshots that what it starts from is redacted for, as its sender knows that.
    pub from: Option<&'a [u64]>,
}

impl<'a> Redaction<'a> {
    /// What a list says.
    #[must_use]
    pub fn of(list: Option<&'a NvList>) -> Self {
        Self {
            snapshots: list.and_then(|list| list.u64s("redact_snaps")),
            from: list.and_then(|list| list.u64s("redact_from_snaps")),
        }
    }

    /// Whether an incremental stream can continue a snapshot that is redacted for the snapshots with the guids `base`.
    #[must_use]
    pub fn continues(&self, begin: &Begin, base: &[u64]) -> bool {
        let is_redacted = begin.features().contains(FeatureFlags::REDACTED);
        let is_subset = |guids: &[u64]| guids.iter().all(|guid| base.contains(guid));
        match self.from {
            Some(from) => is_subset(from),
            None if is_redacted => self.snapshots.is_some_and(is_subset),
            None => base.contains(&begin.to_guid),
        }
    }
}
