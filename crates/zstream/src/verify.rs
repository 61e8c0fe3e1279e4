//! Checks a stream from its first byte to its last, and says the first thing that is wrong with it.
//!
//! What each kind of damage meets:
//!
//! | damage | found by |
//! |---|---|
//! | a bit in a BEGIN, a payload or a record of a stream | the next record's checksum; in streams of releases before 0.7, that of END |
//! | a bit in a record's own checksum | that checksum |
//! | a bit in the last END, or in the ENDs of a package | their checksums, their guid, and their unused bytes, which are zero |
//! | a record lost, moved or doubled; a byte more or less | the next checksum; at the seams of a package, the order of BEGIN and END |
//! | a cut | the END that is missing |
//! | a stream lost from a package | the next stream of its dataset, or the package's list |
//! | something behind the end | that the input does not end there |
//!
//! Records are also checked against what any ZFS would send ([`validate`](crate::validate)), which damage does not meet,
//! but a faulty sender does.

mod summary;
mod unclaimed;

use zferry_nvlist::{DecodeError, Limits, NvList};
use zferry_wire::{u64_from_usize, usize_from_u64};

use crate::checksum;
use crate::error::{StreamError, StreamErrorKind};
use crate::flags::FeatureFlags;
use crate::package::{Package, PackageError};
use crate::raw::LIST_LIMIT;
use crate::reader::{Place, StreamReader, StreamRecord};
use crate::record::{Begin, Record, RecordType, stored_checksum};
use crate::source::Source;
use crate::validate::{Invalid, Rules};

pub use summary::{Counts, PackageSummary, RecordCount, StreamSummary, Summary};

/// The first thing that is wrong with a stream.
#[derive(Debug, thiserror::Error)]
#[error("at offset {position}: {reason}")]
pub struct Problem {
    /// Where the record begins that it was noticed at, or where the input ends too early; in bytes from the first.
    pub position: u64,
    /// What is wrong.
    #[source]
    pub reason: Reason,
    /// Up to where everything is known to be as it was sent, in bytes from the first. The damage lies between here and
    /// `position`, or the record there.
    pub sound: u64,
}

/// What is wrong with a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// It is damaged, cut, or no stream.
    #[error(transparent)]
    Stream(#[from] StreamErrorKind),
    /// A record that no ZFS would send.
    #[error("{} record makes no sense: {invalid}", record_type.name())]
    Invalid {
        /// The type of the record.
        record_type: RecordType,
        /// What makes no sense.
        invalid: Invalid,
    },
    /// A byte that no field claims is not zero.
    #[error("{} record with byte {offset} set, which no field claims", record_type.name())]
    Unused {
        /// The type of the record.
        record_type: RecordType,
        /// The byte, from the start of the record.
        offset: u64,
    },
    /// A record that states no checksum, in a stream whose records do.
    #[error("{} record without a checksum, which those before it have", .0.name())]
    NoChecksum(RecordType),
    /// A record of another snapshot than the one that is sent.
    #[error("{} record of snapshot {found:#x} in the stream of {expected:#x}", record_type.name())]
    OtherSnapshot {
        /// The type of the record.
        record_type: RecordType,
        /// The guid that it states.
        found: u64,
        /// The guid that the record before it, or BEGIN, states.
        expected: u64,
    },
    /// Data that comes after data of a later place.
    #[error(
        "data for object {object} at {offset} comes after that for object {last_object} at {last_offset}"
    )]
    Order {
        /// The object of the record.
        object: u64,
        /// Where in it the data belongs, in bytes.
        offset: u64,
        /// The object of the record with data before that.
        last_object: u64,
        /// Where in it that data belongs.
        last_offset: u64,
    },
    /// A raw stream's object outside the last OBJECT_RANGE.
    #[error("object {object} lies outside the OBJECT_RANGE before it")]
    OutsideRange {
        /// The object.
        object: u64,
    },
    /// The snapshot's name is none.
    #[error("BEGIN record with the name {0:?}, which is no snapshot's")]
    Name(String),
    /// The list behind a BEGIN cannot be decoded.
    #[error("the list behind BEGIN cannot be decoded: {0}")]
    List(#[from] DecodeError),
    /// A list that such a stream has is missing, or a value that such a list has.
    #[error("{what} without {missing:?} in the list behind BEGIN")]
    ListLacks {
        /// What kind of stream it is.
        what: &'static str,
        /// The name of the value.
        missing: &'static str,
    },
    /// A package is not whole.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The input goes on behind the stream.
    #[error("{} behind the end of the stream", if *.begin { "another stream" } else { "garbage" })]
    Trailing {
        /// Whether it looks like another stream.
        begin: bool,
    },
}

/// Checks the stream, or the package of streams, that `source` holds and nothing else. `progress` is told now and then
/// how many bytes have been checked.
///
/// # Errors
/// [`Problem`]: the first thing wrong with it.
pub fn verify<S: Source>(source: S, mut progress: impl FnMut(u64)) -> Result<Summary, Problem> {
    let mut reader = StreamReader::with_source(source);
    let mut verifier = Verifier::default();
    let mut sound = 0;
    loop {
        let record = match reader.next_passing() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(StreamError { position, kind }) => {
                return Err(Problem {
                    position,
                    reason: kind.into(),
                    sound,
                });
            }
        };
        let position = record.position;
        let summed = is_summed(&record);
        if let Err(reason) = verifier.check(&record) {
            return Err(Problem {
                position,
                reason,
                sound,
            });
        }
        if summed {
            // Its checksum is right, so everything that went into it is.
            sound = position;
        }
        progress(reader.position());
    }
    verifier.summary.bytes = reader.position();
    behind_the_end(&mut reader)?;
    Ok(verifier.summary)
}

/// Checks that the input ends where the stream does.
fn behind_the_end<S: Source>(reader: &mut StreamReader<S>) -> Result<(), Problem> {
    let position = reader.position();
    let problem = |reason| Problem {
        position,
        reason,
        sound: position,
    };
    let rest = reader.rest().map_err(|error| problem(error.kind.into()))?;
    if rest.is_empty() {
        return Ok(());
    }
    let begin = rest
        .first_chunk()
        .is_some_and(|header| Begin::endian_of(header).is_some());
    Err(problem(Reason::Trailing { begin }))
}

/// Whether a record states what everything before it sums up to.
fn is_summed(record: &StreamRecord<'_>) -> bool {
    match record.record {
        Record::Begin(_) => false,
        Record::End(_) => true,
        _ => stored_checksum(record.header, record.endian) != checksum::ZERO,
    }
}

/// Checks records one by one as a [`StreamReader`] gives them, for whoever reads a stream anyway.
#[derive(Debug, Default)]
pub struct Verifier {
    summary: Summary,
    package: Option<Package>,
    stream: Option<Stream>,
}

/// The stream at hand.
#[derive(Debug)]
struct Stream {
    rules: Rules,
    begin_guid: u64,
    /// The guid that records state; saved partial streams have another one in BEGIN.
    guid: Option<u64>,
    summed: bool,
    /// Object and offset of the last record with data.
    last_data: Option<(u64, u64)>,
    /// The first object of the last OBJECT_RANGE, for raw streams.
    range: Option<u64>,
    raw: bool,
}

impl Verifier {
    /// Checks the next record. Its payload is looked at for BEGIN only.
    ///
    /// # Errors
    /// [`Reason`]: what is wrong with it.
    pub fn check(&mut self, record: &StreamRecord<'_>) -> Result<(), Reason> {
        unused_bytes(record)?;
        match (&record.record, record.place) {
            (Record::Begin(begin), Place::PackageBegin) => self.begin_package(begin, record)?,
            (Record::Begin(begin), _) => self.begin(begin, record)?,
            (_, Place::Inside | Place::StreamEnd) => {
                if let Some(stream) = &mut self.stream {
                    stream.check(record)?;
                }
            }
            (other, _) => {
                if other.to_guid() != 0 {
                    return Err(Reason::OtherSnapshot {
                        record_type: other.record_type(),
                        found: other.to_guid(),
                        expected: 0,
                    });
                }
                if let (Some(package), Place::PackageEnd) = (&self.package, record.place) {
                    package.end()?;
                }
            }
        }
        let inside = matches!(
            record.place,
            Place::StreamBegin | Place::Inside | Place::StreamEnd
        );
        self.summary.count(&record.record, inside);
        Ok(())
    }

    /// What was seen so far.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    fn begin_package(&mut self, begin: &Begin, record: &StreamRecord<'_>) -> Result<(), Reason> {
        snapshot_name(begin)?;
        let list = list_behind(record)?;
        self.package = Some(Package::new(list.as_ref()));
        self.summary.package = Some(PackageSummary::new(begin, list.as_ref()));
        self.summary.endian = record.endian;
        Ok(())
    }

    fn begin(&mut self, begin: &Begin, record: &StreamRecord<'_>) -> Result<(), Reason> {
        snapshot_name(begin)?;
        let list = list_behind(record)?;
        let features = begin.features();
        for (feature, what, missing) in [
            (FeatureFlags::RAW, "raw stream", "crypt_keydata"),
            (FeatureFlags::RESUMING, "resuming stream", "resume_object"),
            (FeatureFlags::RESUMING, "resuming stream", "resume_offset"),
        ] {
            let has = list.as_ref().is_some_and(|list| list.contains(missing));
            if features.contains(feature) && !has {
                return Err(Reason::ListLacks { what, missing });
            }
        }
        if let Some(package) = &mut self.package {
            package.begin(begin)?;
        } else {
            self.summary.endian = record.endian;
        }
        self.stream = Some(Stream::new(begin));
        self.summary.streams.push(StreamSummary::new(begin, record));
        Ok(())
    }
}

impl Stream {
    const fn new(begin: &Begin) -> Self {
        Self {
            rules: Rules::of(begin),
            begin_guid: begin.to_guid,
            guid: None,
            summed: false,
            last_data: None,
            range: None,
            raw: begin.is_raw(),
        }
    }

    fn check(&mut self, record: &StreamRecord<'_>) -> Result<(), Reason> {
        let record_type = record.record.record_type();
        self.rules
            .check(&record.record)
            .map_err(|invalid| Reason::Invalid { record_type, invalid })?;
        let found = record.record.to_guid();
        let expected = match (self.guid, &record.record) {
            (_, Record::End(_)) => self.begin_guid,
            (Some(guid), _) => guid,
            (None, _) => found,
        };
        if found != expected {
            return Err(Reason::OtherSnapshot {
                record_type,
                found,
                expected,
            });
        }
        self.guid = Some(found);
        let summed = stored_checksum(record.header, record.endian) != checksum::ZERO;
        if self.summed && !summed {
            return Err(Reason::NoChecksum(record_type));
        }
        self.summed = summed;
        self.order(&record.record)
    }

    fn order(&mut self, record: &Record) -> Result<(), Reason> {
        let (object, offset) = match record {
            Record::Write(write) => (write.object, write.offset),
            Record::WriteByRef(write) => (write.object, write.offset),
            Record::WriteEmbedded(write) => (write.object, write.offset),
            Record::ObjectRange(range) => {
                self.range = Some(range.first_object);
                return Ok(());
            }
            Record::Object(object) if self.raw => return self.in_range(object.object),
            _ => return Ok(()),
        };
        if let Some((last_object, last_offset)) = self.last_data
            && (object, offset) <= (last_object, last_offset)
        {
            return Err(Reason::Order {
                object,
                offset,
                last_object,
                last_offset,
            });
        }
        self.last_data = Some((object, offset));
        Ok(())
    }

    fn in_range(&self, object: u64) -> Result<(), Reason> {
        match self.range.and_then(|first| object.checked_sub(first)) {
            Some(0..32) => Ok(()),
            _ => Err(Reason::OutsideRange { object }),
        }
    }
}

/// What no field claims must be zero.
fn unused_bytes(record: &StreamRecord<'_>) -> Result<(), Reason> {
    let offset = match record.record {
        // What lies behind the end of the name counts as part of it.
        Record::Begin(_) => None,
        _ => unclaimed::first_set(record.header, record.record.record_type()),
    };
    match offset {
        None => Ok(()),
        Some(offset) => Err(Reason::Unused {
            record_type: record.record.record_type(),
            offset: u64_from_usize(offset),
        }),
    }
}

fn snapshot_name(begin: &Begin) -> Result<(), Reason> {
    let name = begin.to_name.as_bytes();
    let at = name.iter().position(|&byte| byte == b'@');
    if begin.to_name.is_terminated() && at.is_some_and(|at| at > 0) {
        Ok(())
    } else {
        Err(Reason::Name(begin.to_name.to_string()))
    }
}

/// The list behind a BEGIN, if there is one.
fn list_behind(record: &StreamRecord<'_>) -> Result<Option<NvList>, Reason> {
    if record.payload.is_empty() {
        return Ok(None);
    }
    let limits = Limits::default().with_bytes(usize_from_u64(LIST_LIMIT));
    let (list, _) = NvList::decode(record.payload, &limits)?;
    Ok(Some(list))
}
