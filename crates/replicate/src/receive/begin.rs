//! The first steps of a receive: looks whether the target can be, and makes it.

use super::resume::{self, Resumed};
use super::rules::begin::{
    Base, BeginError, Existing, Origin, Parent, Target, Wanted, check_stream, check_target,
};
use super::rules::redaction::Redaction;
use super::{Destination, ReceiveError, Request};
use zferry_nvlist::NvList;
use zferry_zpool::dmu::ObjectSetType;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{Dataset, DatasetFlags, DatasetPhys, DslPool};
use zferry_zpool::spa::Feature;
use zferry_zpool::{BeginOptions, DatasetId, Error, NewEncryption, ObjectNumber};
use zferry_zstream::flags::{BeginFlags, FeatureFlags};
use zferry_zstream::record::Begin;

/// What a dataset is marked with when its stream says so, whether or not anything in it needs that.
const MARKS: [(FeatureFlags, Feature); 3] = [
    (FeatureFlags::LARGE_BLOCKS, Feature::LargeBlocks),
    (FeatureFlags::LONGNAME, Feature::LongName),
    (FeatureFlags::LARGE_MICROZAP, Feature::LargeMicrozap),
];

/// The hidden child of a dataset into which a stream is received that changes it.
pub const HIDDEN: &str = "%recv";

/// Into what a stream is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A dataset that is to be made; a clone of this snapshot where there is one.
    New(Option<ObjectNumber>),
    /// What is to take the place of the contents of `head`. It begins as `base`, or with nothing in it.
    Over {
        head: DatasetId,
        base: Option<ObjectNumber>,
    },
}

/// Checks whether the pool can take the stream that `begin` and the list behind it open, as `request` wants it. Changes
/// nothing.
///
/// # Errors
/// [`ReceiveError::Begin`]; [`ReceiveError::Pool`] where the pool cannot be read.
pub fn check(
    dsl: &DslPool<'_>,
    begin: &Begin,
    list: Option<&NvList>,
    request: &Request,
) -> Result<(), ReceiveError> {
    place(dsl, begin, list, request).map(|_| ())
}

/// The same; says into what it is received, and with what it goes on.
pub(super) fn place(
    dsl: &DslPool<'_>,
    begin: &Begin,
    list: Option<&NvList>,
    request: &Request,
) -> Result<(Place, Option<Resumed>), ReceiveError> {
    if request.destination.snapshot_name().contains('%') {
        return Err(BeginError::HiddenName.into());
    }
    if begin.features().contains(FeatureFlags::RESUMING) {
        let resumed = resume::find(dsl, begin, list, request)?;
        return Ok((resumed.place, Some(resumed)));
    }
    let redaction = Redaction::of(list);
    let place = new_place(dsl, begin, redaction, request)?;
    let is_redacted = begin.features().contains(FeatureFlags::REDACTED);
    if is_redacted && redaction.snapshots.is_none() {
        return Err(BeginError::NoRedactionList.into());
    }
    Ok((place, None))
}

/// Into what a stream is received that begins at its beginning.
fn new_place(
    dsl: &DslPool<'_>,
    begin: &Begin,
    redaction: Redaction<'_>,
    request: &Request,
) -> Result<Place, ReceiveError> {
    let is_enabled = enabled(dsl)?;
    let (origin, origin_number) = match &request.origin {
        Some(name) => origin(dsl, begin, redaction, name)?,
        None => (None, None),
    };
    let wanted = Wanted {
        is_forced: request.is_forced,
        is_resumable: request.is_resumable,
        is_unlocked: request.is_unlocked,
        encrypts: match request.encryption {
            NewEncryption::Off => Some(false),
            NewEncryption::Root { .. } => Some(true),
            _ => None,
        },
        origin,
    };
    check_stream(begin, wanted, is_enabled)?;
    let destination = &request.destination;
    let Some(head) = dsl.dataset(&destination.dataset)? else {
        let parent = match &*request.parents {
            [] => destination.parent(),
            [first, ..] => first.rsplit_once('/').map(|(parent, _)| parent),
        };
        check_target(begin, wanted, Target::Missing(parent_at(dsl, parent)?))?;
        return Ok(Place::New(origin_number));
    };
    let source = source(dsl, begin, &head)?;
    let existing = existing(dsl, begin, redaction, destination, &head, source.as_ref())?;
    check_target(begin, wanted, Target::Existing(existing))?;
    // Snapshots without changes may lie between the one that the stream continues and the head.
    let base = match source {
        Some(snapshot) if request.is_forced => Some(snapshot.number),
        Some(_) => head.phys.prev_snapshot,
        None => None,
    };
    let head = DatasetId(head.number);
    Ok(Place::Over { head, base })
}

/// Whether a feature is enabled on the pool.
pub(super) fn enabled(dsl: &DslPool<'_>) -> Result<impl Fn(Feature) -> bool, Error> {
    let counts = dsl.feature_counts()?;
    Ok(move |feature: Feature| counts.iter().any(|(guid, _)| guid == feature.guid()))
}

/// The snapshot that the stream continues, among those of a head.
fn source(dsl: &DslPool<'_>, begin: &Begin, head: &Dataset) -> Result<Option<Dataset>, Error> {
    let mut next = head.phys.prev_snapshot.filter(|_| begin.from_guid != 0);
    while let Some(number) = next {
        let phys = DatasetPhys::decode(&dsl.pool().meta_object(number)?)?;
        if phys.dir != head.phys.dir {
            return Ok(None);
        }
        if phys.guid == begin.from_guid {
            return dsl.dataset_at(number).map(Some);
        }
        next = phys.prev_snapshot;
    }
    Ok(None)
}

fn existing(
    dsl: &DslPool<'_>,
    begin: &Begin,
    redaction: Redaction<'_>,
    destination: &Destination,
    head: &Dataset,
    source: Option<&Dataset>,
) -> Result<Existing, Error> {
    let children = dsl.children(&head.dir)?;
    let is_busy = children.iter().any(|(name, _)| name == HIDDEN) || dsl.resume_state(head)?.is_some();
    let (mut base_found, mut is_modified) = (None, false);
    if let Some(snapshot) = source {
        base_found = Some(base(dsl, begin, redaction, snapshot)?);
        // Between the sets of initialization vectors that a raw stream is about, there must be no other.
        let is_raw = begin.is_raw();
        is_modified = is_modified_since(dsl, head, snapshot)?
            || (is_raw && head.phys.prev_snapshot != Some(snapshot.number));
    }
    Ok(Existing {
        is_busy: is_busy || head.phys.flags.contains(DatasetFlags::INCONSISTENT),
        has_snapshot: dsl.snapshot(head, &destination.snapshot)?.is_some(),
        has_children: !children.is_empty(),
        is_encrypted: dsl.encryption(&head.dir)?.is_some(),
        base: base_found,
        is_modified,
    })
}

/// Whether objects of a head have changed since a snapshot of it. Where only the intent log did, none has.
pub(super) fn is_modified_since(
    dsl: &DslPool<'_>,
    head: &Dataset,
    snapshot: &Dataset,
) -> Result<bool, Error> {
    if head.phys.root.logical_birth() <= snapshot.phys.creation_txg {
        return Ok(false);
    }
    let dnodes = |dataset| {
        dsl.object_set(dataset)
            .map(|set| set.map(|set| set.meta_dnode.dnode))
    };
    Ok(dnodes(head)? != dnodes(snapshot)?)
}

fn base(
    dsl: &DslPool<'_>,
    begin: &Begin,
    redaction: Redaction<'_>,
    snapshot: &Dataset,
) -> Result<Base, Error> {
    let has_large_blocks = dsl
        .dataset_entry(snapshot, Feature::LargeBlocks.guid())?
        .is_some();
    let redacted = dsl.redaction_snapshots(snapshot)?;
    Ok(Base {
        has_large_blocks,
        is_redacted_otherwise: redacted.is_some_and(|guids| !redaction.continues(begin, &guids)),
        is_encrypted: dsl.encryption(&snapshot.dir)?.is_some(),
    })
}

/// The snapshot that a new dataset is to be a clone of.
fn origin(
    dsl: &DslPool<'_>,
    begin: &Begin,
    redaction: Redaction<'_>,
    name: &str,
) -> Result<(Option<Origin>, Option<ObjectNumber>), Error> {
    let pool = dsl.root()?.name.clone();
    if name.split(['/', '@']).next() != Some(&*pool) {
        return Ok((Some(Origin::Elsewhere), None));
    }
    let Some((dataset, snapshot)) = name.split_once('@') else {
        let is_there = dsl.dataset(name)?.is_some();
        let origin = if is_there {
            Origin::NoSnapshot
        } else {
            Origin::Missing
        };
        return Ok((Some(origin), None));
    };
    let head = dsl.dataset(dataset)?;
    let snapshot = head
        .map(|head| dsl.snapshot(&head, snapshot))
        .transpose()?
        .flatten();
    let Some(snapshot) = snapshot else {
        return Ok((Some(Origin::Missing), None));
    };
    let origin = Origin::Snapshot {
        base: base(dsl, begin, redaction, &snapshot)?,
        guid: snapshot.phys.guid,
    };
    Ok((Some(origin), Some(snapshot.number)))
}

fn parent_at(dsl: &DslPool<'_>, parent: Option<&str>) -> Result<Parent, Error> {
    let parent = parent.map(|parent| dsl.dataset(parent)).transpose()?;
    let Some(parent) = parent.flatten() else {
        return Ok(Parent::Missing);
    };
    Ok(if dsl.head_type(&parent)? == DatasetTypes::FILESYSTEM {
        Parent::FileSystem {
            is_encrypted: dsl.encryption(&parent.dir)?.is_some(),
        }
    } else {
        Parent::Volume
    })
}

/// What the dataset begins as that the stream is received into.
pub(super) fn options(begin: &Begin, encryption: &NewEncryption) -> BeginOptions {
    let features = begin.features();
    let marks = MARKS.into_iter().filter(|(flag, _)| features.contains(*flag));
    BeginOptions {
        set_type: ObjectSetType(u64::from(begin.objset_type.0)),
        features: marks.map(|(_, feature)| feature).collect(),
        is_case_insensitive: begin.flags.contains(BeginFlags::CI_DATA),
        encryption: if features.contains(FeatureFlags::RAW) {
            NewEncryption::Received
        } else {
            encryption.clone()
        },
    }
}
