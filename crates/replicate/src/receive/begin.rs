//! The first steps of a receive: looks whether the target can be, and makes it.

use super::rules::begin::{Parent, Target, check_stream, check_target};
use super::{Destination, ReceiveError};
use zferry_zpool::dmu::ObjectSetType;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{DatasetFlags, DslPool};
use zferry_zpool::spa::Feature;
use zferry_zpool::{BeginOptions, DatasetId, Error, PoolWriter};
use zferry_zstream::flags::{BeginFlags, FeatureFlags};
use zferry_zstream::record::Begin;

/// What a dataset is marked with when its stream says so, whether or not anything in it needs that.
const MARKS: [(FeatureFlags, Feature); 3] = [
    (FeatureFlags::LARGE_BLOCKS, Feature::LargeBlocks),
    (FeatureFlags::LONGNAME, Feature::LongName),
    (FeatureFlags::LARGE_MICROZAP, Feature::LargeMicrozap),
];

/// Checks whether the pool can take the stream that `begin` opens at `destination`, once there are the file systems
/// `parents`. Changes nothing.
///
/// # Errors
/// [`ReceiveError::Begin`]; [`ReceiveError::Pool`] where the pool cannot be read.
pub fn check(
    dsl: &DslPool<'_>,
    begin: &Begin,
    destination: &Destination,
    parents: &[String],
) -> Result<(), ReceiveError> {
    let counts = dsl.feature_counts()?;
    let is_enabled = |feature: Feature| counts.iter().any(|(guid, _)| guid == feature.guid());
    check_stream(begin, is_enabled)?;
    let parent = match parents {
        [] => destination.parent(),
        [first, ..] => first.rsplit_once('/').map(|(parent, _)| parent),
    };
    check_target(begin, target(dsl, destination, parent)?)?;
    Ok(())
}

/// What is at the place where the stream is to go: a dataset, or the parent that there is or that will be made below
/// `parent`.
fn target(dsl: &DslPool<'_>, destination: &Destination, parent: Option<&str>) -> Result<Target, Error> {
    if let Some(head) = dsl.dataset(&destination.dataset)? {
        let children = dsl.children(&head.dir)?;
        let is_busy = children.iter().any(|(name, _)| name == "%recv") || dsl.resume_state(&head)?.is_some();
        return Ok(Target::Existing {
            is_busy: is_busy || head.phys.flags.contains(DatasetFlags::INCONSISTENT),
            has_snapshot: dsl.snapshot(&head, &destination.snapshot)?.is_some(),
            has_children: !children.is_empty(),
        });
    }
    let parent = parent.map(|parent| dsl.dataset(parent)).transpose()?;
    let Some(parent) = parent.flatten() else {
        return Ok(Target::Missing(Parent::Missing));
    };
    Ok(Target::Missing(
        if dsl.head_type(&parent)? == DatasetTypes::FILESYSTEM {
            Parent::FileSystem {
                is_encrypted: dsl.encryption(&parent.dir)?.is_some(),
            }
        } else {
            Parent::Volume
        },
    ))
}

/// Makes the dataset that the stream is received into, marked as not whole.
pub(super) fn make(
    writer: &mut PoolWriter,
    begin: &Begin,
    destination: &Destination,
) -> Result<DatasetId, ReceiveError> {
    let features = begin.version_info.features();
    let marks = MARKS.into_iter().filter(|(flag, _)| features.contains(*flag));
    let options = BeginOptions {
        set_type: ObjectSetType(u64::from(begin.objset_type.0)),
        features: marks.map(|(_, feature)| feature).collect(),
        is_case_insensitive: begin.flags.contains(BeginFlags::CI_DATA),
    };
    Ok(writer.begin_dataset(&destination.dataset, &options)?)
}
