//! The checks on the BEGIN of a stream that goes on where an earlier one was cut: `dmu_recv_resume_begin_check` and
//! `resume_check` in `module/zfs/dmu_recv.c`.

use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Begin;

use super::begin::BeginError;

/// What the earlier receive left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// It is hidden behind a dataset that was there before, whose contents it is to replace.
    pub is_hidden: bool,
    /// It is encrypted, and the key is not there.
    pub is_locked: bool,
    /// It is marked as not whole.
    pub is_inconsistent: bool,
    /// The guid of the snapshot that was being received, where that was noted.
    pub to_guid: Option<u64>,
    /// The guid of the snapshot that it was to continue; 0 for none.
    pub from_guid: u64,
    /// Where the stream must go on: an object, and an offset in it, in bytes.
    pub point: (u64, u64),
    /// It has snapshots of its own.
    pub has_snapshots: bool,
    /// It has blocks of more than 128 KiB.
    pub has_large_blocks: bool,
    /// The guids of the snapshots that it is redacted for, where it is.
    pub redaction: Option<Vec<u64>>,
    /// What it continues is no longer the newest of its dataset.
    pub is_overtaken: bool,
    /// The dataset was modified since that.
    pub is_modified: bool,
}

/// What the list behind BEGIN says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resuming<'a> {
    /// Where the stream goes on: an object, and an offset in it, in bytes.
    pub point: Option<(u64, u64)>,
    /// The guids of the snapshots that it is redacted for.
    pub redaction: Option<&'a [u64]>,
}

/// Checks whether a stream goes on where `begun` stopped. `None`: there is nothing at all under this name.
///
/// That what it continues was overtaken is found by OpenZFS when all has been received; it is found at once here.
///
/// # Errors
/// The first reason against it, in OpenZFS's order.
pub fn check_resumed(
    begin: &Begin,
    resuming: Resuming<'_>,
    is_forced: bool,
    begun: Option<&Begun>,
) -> Result<(), BeginError> {
    let features = begin.features();
    let begun = begun.ok_or(BeginError::TargetMissing)?;
    if begun.is_locked && !features.contains(FeatureFlags::RAW) {
        return Err(BeginError::NoKey);
    }
    if begun.is_hidden && begin.from_guid == 0 && !is_forced {
        return Err(BeginError::ResumeExists);
    }
    let to_guid = begun.to_guid.filter(|_| begun.is_inconsistent);
    if to_guid.ok_or(BeginError::NothingToResume)? != begin.to_guid {
        return Err(BeginError::ResumedSnapshot);
    }
    if begun.has_snapshots {
        return Err(BeginError::NothingToResume);
    }
    if begun.from_guid != begin.from_guid {
        return Err(BeginError::ResumedSource);
    }
    if features.contains(FeatureFlags::REDACTED)
        && !is_same_set(resuming.redaction, begun.redaction.as_deref())
    {
        return Err(BeginError::ResumedRedaction);
    }
    if begun.has_large_blocks && !features.contains(FeatureFlags::LARGE_BLOCKS) {
        return Err(BeginError::LargeBlocks);
    }
    if resuming.point != Some(begun.point) {
        return Err(BeginError::ResumePoint);
    }
    match (is_forced, begun) {
        (
            false,
            Begun {
                is_modified: true, ..
            },
        ) => Err(BeginError::Modified),
        (
            false,
            Begun {
                is_overtaken: true, ..
            },
        ) => Err(BeginError::Overtaken),
        _ => Ok(()),
    }
}

fn is_same_set(stream: Option<&[u64]>, dataset: Option<&[u64]>) -> bool {
    match (stream, dataset) {
        (Some(stream), Some(dataset)) => {
            stream.len() == dataset.len() && stream.iter().all(|guid| dataset.contains(guid))
        }
        _ => false,
    }
}
