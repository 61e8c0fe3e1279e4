//! Whether a stream may heal a snapshot: `recv_begin_check_existing_impl` in `module/zfs/dmu_recv.c`, where that heals.

use super::super::begin::{HIDDEN, enabled};
use super::super::rules::begin::{BeginError, Wanted, check_stream};
use super::super::{Destination, ReceiveError};
use zferry_zpool::ObjectNumber;
use zferry_zpool::dsl::{DatasetFlags, DslPool};
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::{Begin, ObjsetType};

/// Checks whether the stream that `begin` opens may heal the snapshot at `destination`, and says which object that is.
/// `is_unlocked` says whether the key is at hand that an encrypted dataset takes. Changes nothing.
///
/// # Errors
/// [`ReceiveError::Begin`]; [`ReceiveError::Pool`] where the pool cannot be read.
pub fn check_heal(
    dsl: &DslPool<'_>,
    begin: &Begin,
    destination: &Destination,
    is_unlocked: bool,
) -> Result<ObjectNumber, ReceiveError> {
    let features = begin.features();
    // No release that heals knows what refers to blocks before it.
    let unknown = features.intersection(FeatureFlags::DEDUP.union(FeatureFlags::DEDUPPROPS));
    if !unknown.is_empty() {
        return Err(BeginError::UnknownFeatures(unknown.bits()).into());
    }
    if features.contains(FeatureFlags::RESUMING) {
        return Err(BeginError::NothingToResume.into());
    }
    let is_enabled = enabled(dsl)?;
    check_stream(begin, Wanted::default(), is_enabled)?;
    let Some(head) = dsl.dataset(&destination.dataset)? else {
        return Err(BeginError::NothingToHeal.into());
    };
    let is_raw = begin.is_raw();
    let is_encrypted = dsl.encryption(&head.dir)?.is_some();
    if is_encrypted && !is_raw && !is_unlocked {
        return Err(BeginError::KeyToHeal.into());
    }
    let children = dsl.children(&head.dir)?;
    let is_busy = children.iter().any(|(name, _)| name == HIDDEN)
        || head.phys.flags.contains(DatasetFlags::INCONSISTENT)
        || dsl.resume_state(&head)?.is_some();
    if is_busy {
        return Err(BeginError::TargetBusy.into());
    }
    let Some(snapshot) = dsl.snapshot(&head, &destination.snapshot)? else {
        return Err(BeginError::SnapshotMissing.into());
    };
    if begin.objset_type != ObjsetType::ZFS && !children.is_empty() {
        return Err(BeginError::TargetHasChildren.into());
    }
    if is_encrypted && features.contains(FeatureFlags::EMBED_DATA) {
        return Err(BeginError::EmbeddedIntoEncrypted.into());
    }
    if snapshot.phys.guid != begin.to_guid {
        return Err(BeginError::SnapshotDiffers.into());
    }
    Ok(snapshot.number)
}
