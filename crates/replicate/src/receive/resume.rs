//! What a receive notes so that another can go on where it was cut, and how that one finds it.
//!
//! The notes are entries in the table of the dataset that is received into, under OpenZFS's names, so that OpenZFS can go
//! on with what was begun here, and the other way round:
//!
//! ```text
//! com.delphix:resume_fromguid   the snapshot that the stream continues, if any
//! com.delphix:resume_toguid     the one that is received; where this entry is, a receive can go on
//! com.delphix:resume_toname     its name at the sender
//! com.delphix:resume_object     the object of the last OBJECT, WRITE or WRITE_EMBEDDED that was applied,
//! com.delphix:resume_offset     where in it,
//! com.delphix:resume_bytes      and the length of the stream up to there, without the 312 bytes of BEGIN
//! …_largeblockok, …_embedok, …_compressok, com.datto:resume_rawok      what the stream has
//! com.delphix:resume_redact_book_snaps      what the source was redacted for
//! ```
//!
//! They change in the transaction group that has the blocks they tell of. The record that the point stands for is sent
//! again; whatever came behind it and was applied, such as a FREE, is applied once more.

use super::begin::{HIDDEN, Place, is_modified_since};
use super::rules::begin::{Wanted, check_stream};
use super::rules::resume::{Begun, Resuming, check_resumed};
use super::{ReceiveError, Request};
use zferry_nvlist::NvList;
use zferry_zpool::dsl::{Dataset, DatasetFlags, DatasetPhys, DslPool, ResumeState};
use zferry_zpool::spa::Feature;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{DatasetId, Error, PoolWriter};
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::{Begin, RECORD_SIZE};
use zferry_zstream::token::ResumeToken;

const FROM_GUID: &str = "com.delphix:resume_fromguid";
const TO_GUID: &str = "com.delphix:resume_toguid";
const TO_NAME: &str = "com.delphix:resume_toname";
const OBJECT: &str = "com.delphix:resume_object";
const OFFSET: &str = "com.delphix:resume_offset";
const BYTES: &str = "com.delphix:resume_bytes";
const BOOKMARK_REDACTION: &str = "com.delphix:resume_redact_book_snaps";
/// What of a stream the one that goes on with it must have, too.
const FORMS: [(FeatureFlags, &str); 4] = [
    (FeatureFlags::LARGE_BLOCKS, "com.delphix:resume_largeblockok"),
    (FeatureFlags::EMBED_DATA, "com.delphix:resume_embedok"),
    (FeatureFlags::COMPRESSED, "com.delphix:resume_compressok"),
    (FeatureFlags::RAW, "com.datto:resume_rawok"),
];

/// A receive that has not come to any object goes on with the first there is.
const FIRST_OBJECT: u64 = 1;
/// After so much of the stream all is committed, in bytes, so that no more than this is lost when the receiver dies.
const COMMIT_BYTES: u64 = 256 << 20;

/// How far a receive came that may be cut.
#[derive(Debug)]
pub(super) struct Point {
    object: u64,
    offset: u64,
    /// How much of the stream led there, in bytes.
    bytes: u64,
    /// That of the point that was noted last.
    noted: u64,
    /// Where in the input the part of the stream begins that counts, in bytes.
    start: u64,
    /// How much came before that, in the streams that were cut, in bytes.
    before: u64,
}

impl Point {
    /// A receive that begins, of a stream whose BEGIN stands at `start` of the input; or one that goes on.
    pub(super) fn new(start: u64, resumed: Option<&Resumed>) -> Self {
        let before = resumed.map_or(0, |resumed| resumed.bytes);
        Self {
            object: resumed.map_or(FIRST_OBJECT, |resumed| resumed.object),
            offset: resumed.map_or(0, |resumed| resumed.offset),
            bytes: before,
            noted: before,
            start: start.saturating_add(zferry_wire::u64_from_usize(RECORD_SIZE)),
            before,
        }
    }

    /// Moves it to where a record brings it ([`Record::resume_point`](zferry_zstream::record::Record::resume_point)) that was
    /// applied and ends at `end` of the input.
    pub(super) const fn pass(&mut self, (object, offset): (u64, u64), end: u64) {
        (self.object, self.offset) = (object, offset);
        self.bytes = self.before.saturating_add(end.saturating_sub(self.start));
    }

    /// Whether so much has come since it was noted that it is time to commit.
    pub(super) const fn is_far(&self) -> bool {
        self.bytes.saturating_sub(self.noted) >= COMMIT_BYTES
    }

    /// Notes it, in the open transaction group.
    pub(super) fn note(&mut self, writer: &mut PoolWriter, dataset: DatasetId) -> Result<(), Error> {
        for (key, value) in [(OBJECT, self.object), (OFFSET, self.offset), (BYTES, self.bytes)] {
            writer.set_dataset_entry(dataset, key, &ZapValue::number(value))?;
        }
        self.noted = self.bytes;
        Ok(())
    }
}

/// Notes what stream is received into a new dataset.
pub(super) fn note_stream(
    writer: &mut PoolWriter,
    dataset: DatasetId,
    begin: &Begin,
    list: Option<&NvList>,
) -> Result<(), Error> {
    let mut note = |key: &str, value: &ZapValue| writer.set_dataset_entry(dataset, key, value);
    if begin.from_guid != 0 {
        note(FROM_GUID, &ZapValue::number(begin.from_guid))?;
    }
    note(TO_GUID, &ZapValue::number(begin.to_guid))?;
    note(TO_NAME, &ZapValue::text(&begin.to_name.to_string()))?;
    for (key, value) in [(OBJECT, FIRST_OBJECT), (OFFSET, 0), (BYTES, 0)] {
        note(key, &ZapValue::number(value))?;
    }
    let features = begin.features();
    for (_, key) in FORMS.iter().filter(|(flag, _)| features.contains(*flag)) {
        note(key, &ZapValue::number(1))?;
    }
    if let Some(guids) = list.and_then(|list| list.u64s("redact_from_snaps")) {
        note(BOOKMARK_REDACTION, &ZapValue::numbers(guids))?;
    }
    Ok(())
}

/// Takes the notes away: all has been received. What the stream had stays, as OpenZFS leaves it.
pub(super) fn forget(writer: &mut PoolWriter, dataset: DatasetId) -> Result<(), Error> {
    for key in [
        FROM_GUID,
        OBJECT,
        OFFSET,
        BYTES,
        TO_GUID,
        TO_NAME,
        BOOKMARK_REDACTION,
    ] {
        writer.remove_dataset_entry(dataset, key)?;
    }
    Ok(())
}

/// The token with which a receive goes on that was cut.
#[must_use]
pub fn resume_token(state: ResumeState) -> ResumeToken {
    ResumeToken {
        from_guid: state.from_guid,
        object: state.object.unwrap_or(0),
        offset: state.offset.unwrap_or(0),
        bytes: state.bytes.unwrap_or(0),
        to_guid: state.to_guid,
        to_name: state.to_name.unwrap_or_default(),
        large_blocks: state.large_blocks,
        embedded: state.embedded,
        compressed: state.compressed,
        raw: state.raw,
        saved: false,
        redact_snapshots: state.redaction_snapshots,
        bookmark_redact_snapshots: state.bookmark_redaction_snapshots,
    }
}

/// What an earlier receive left, with which a stream goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resumed {
    pub(super) dataset: DatasetId,
    pub(super) place: Place,
    pub(super) object: u64,
    offset: u64,
    bytes: u64,
}

/// Finds what the stream that `begin` opens goes on with, and checks that it does.
pub(super) fn find(
    dsl: &DslPool<'_>,
    begin: &Begin,
    list: Option<&NvList>,
    request: &Request,
) -> Result<Resumed, ReceiveError> {
    let counts = dsl.feature_counts()?;
    let is_enabled = |feature: Feature| counts.iter().any(|(guid, _)| guid == feature.guid());
    check_stream(begin, Wanted::default(), is_enabled)?;
    let number = |name| list.and_then(|list| list.u64(name));
    let resuming = Resuming {
        point: number("resume_object").zip(number("resume_offset")),
        redaction: list.and_then(|list| list.u64s("redact_snaps")),
    };
    let check = |begun: Option<&Begun>| check_resumed(begin, resuming, request.is_forced, begun);
    let Some(head) = dsl.dataset(&request.destination.dataset)? else {
        check(None)?;
        return Err(ReceiveError::Internal);
    };
    let hidden = dsl.child(&head.dir, HIDDEN)?;
    let hidden = hidden.map(|dir| dsl.head(&dir)).transpose()?.flatten();
    let is_hidden = hidden.is_some();
    let partial = hidden.unwrap_or_else(|| head.clone());
    let begun = begun(dsl, begin, &head, &partial, is_hidden)?;
    check(Some(&begun))?;
    let place = if is_hidden {
        let base = partial.phys.prev_snapshot.filter(|_| begin.from_guid != 0);
        let head = DatasetId(head.number);
        Place::Over { head, base }
    } else {
        let origin = dsl.origin(&partial.dir)?;
        Place::New(origin.map(|origin| origin.number))
    };
    let entry = |key| Ok::<_, Error>(dsl.dataset_entry(&partial, key)?.and_then(|value| value.as_u64()));
    let (object, offset) = begun.point;
    Ok(Resumed {
        dataset: DatasetId(partial.number),
        place,
        object,
        offset,
        bytes: entry(BYTES)?.unwrap_or(0),
    })
}

fn begun(
    dsl: &DslPool<'_>,
    begin: &Begin,
    head: &Dataset,
    partial: &Dataset,
    is_hidden: bool,
) -> Result<Begun, Error> {
    let entry = |key| Ok::<_, Error>(dsl.dataset_entry(partial, key)?.and_then(|value| value.as_u64()));
    let previous = match partial.phys.prev_snapshot {
        Some(number) => Some(DatasetPhys::decode(&dsl.pool().meta_object(number)?)?),
        None => None,
    };
    let is_own = |phys: &DatasetPhys| phys.dir == partial.phys.dir;
    // What a full stream replaces may be as it likes.
    let continues = is_hidden && begin.from_guid != 0;
    let is_overtaken = continues && head.phys.prev_snapshot != partial.phys.prev_snapshot;
    let is_modified = match partial.phys.prev_snapshot.filter(|_| continues && !is_overtaken) {
        Some(number) => is_modified_since(dsl, head, &dsl.dataset_at(number)?)?,
        None => false,
    };
    Ok(Begun {
        is_hidden,
        is_locked: dsl.encryption(&head.dir)?.is_some(),
        is_inconsistent: partial.phys.flags.contains(DatasetFlags::INCONSISTENT),
        to_guid: entry(TO_GUID)?,
        from_guid: entry(FROM_GUID)?.unwrap_or(0),
        point: (entry(OBJECT)?.unwrap_or(0), entry(OFFSET)?.unwrap_or(0)),
        has_snapshots: previous.as_ref().is_some_and(is_own),
        has_large_blocks: dsl.dataset_entry(partial, Feature::LargeBlocks.guid())?.is_some(),
        redaction: dsl.redaction_snapshots(partial)?,
        is_overtaken,
        is_modified,
    })
}
