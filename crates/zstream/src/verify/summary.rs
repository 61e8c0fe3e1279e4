//! What a stream is, as verifying it found out.

use zferry_nvlist::NvList;
use zferry_wire::Endian;

use crate::reader::StreamRecord;
use crate::record::{Begin, Record, RecordType};

/// What a stream, or a package of streams, is and holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// What the package says of itself, if it is one.
    pub package: Option<PackageSummary>,
    /// The streams, in their order; one where it is no package.
    pub streams: Vec<StreamSummary>,
    /// How many records of each type there are.
    pub counts: Counts,
    /// How long it all is, in bytes.
    pub bytes: u64,
    /// The byte order of the first record.
    pub endian: Endian,
}

/// What a package says of itself.
#[derive(Clone, Debug)]
pub struct PackageSummary {
    /// The package's BEGIN.
    pub begin: Begin,
    /// The name, behind the at sign, of the snapshot that it begins at, if it is incremental and says so.
    pub from_snapshot: Option<String>,
    /// Whether it holds a dataset with those below it (`zfs send -R`).
    pub recursive: bool,
}

impl PackageSummary {
    pub(super) fn new(begin: &Begin, list: Option<&NvList>) -> Self {
        Self {
            begin: begin.clone(),
            from_snapshot: list.and_then(|list| list.str("fromsnap")).map(str::to_owned),
            recursive: list.is_some_and(|list| !list.flag("not_recursive")),
        }
    }
}

/// What one stream is.
#[derive(Clone, Debug)]
pub struct StreamSummary {
    /// Where its BEGIN stands, in bytes from the first of the input.
    pub position: u64,
    /// Its BEGIN.
    pub begin: Begin,
    /// How many records it has, BEGIN and END among them.
    pub records: u64,
    /// How long it is in bytes, payloads included.
    pub bytes: u64,
}

impl StreamSummary {
    pub(super) fn new(begin: &Begin, record: &StreamRecord<'_>) -> Self {
        Self {
            position: record.position,
            begin: begin.clone(),
            records: 0,
            bytes: 0,
        }
    }

    /// Whether it needs no earlier snapshot.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.begin.from_guid == 0
    }
}

/// How many records there are of a type, and how long their payloads are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCount {
    /// How many.
    pub records: u64,
    /// Their payloads in bytes.
    pub payload_bytes: u64,
}

/// How many records there are of each type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([RecordCount; 11]);

impl Counts {
    /// How many records there are of a type.
    #[must_use]
    pub fn get(&self, record_type: RecordType) -> RecordCount {
        let index = zferry_wire::usize_from_u32(record_type.0);
        self.0.get(index).copied().unwrap_or_default()
    }

    /// How many records there are of all types together.
    #[must_use]
    pub fn total(&self) -> RecordCount {
        self.0
            .iter()
            .fold(RecordCount::default(), |sum, count| RecordCount {
                records: sum.records.saturating_add(count.records),
                payload_bytes: sum.payload_bytes.saturating_add(count.payload_bytes),
            })
    }

    /// Counts one more.
    pub(crate) fn add(&mut self, record_type: RecordType, payload_bytes: u64) {
        let index = zferry_wire::usize_from_u32(record_type.0);
        if let Some(count) = self.0.get_mut(index) {
            count.records = count.records.saturating_add(1);
            count.payload_bytes = count.payload_bytes.saturating_add(payload_bytes);
        }
    }
}

impl Summary {
    /// Counts a record, for its stream as well if it stands in one.
    pub(super) fn count(&mut self, record: &Record, inside: bool) {
        let payload = record.payload_length();
        self.counts.add(record.record_type(), payload);
        if let Some(stream) = self.streams.last_mut().filter(|_| inside) {
            let length = payload.saturating_add(zferry_wire::u64_from_usize(crate::record::RECORD_SIZE));
            stream.records = stream.records.saturating_add(1);
            stream.bytes = stream.bytes.saturating_add(length);
        }
    }
}

impl Default for Summary {
    /// That of nothing.
    fn default() -> Self {
        Self {
            package: None,
            streams: Vec::new(),
            counts: Counts::default(),
            bytes: 0,
            endian: Endian::OURS,
        }
    }
}
