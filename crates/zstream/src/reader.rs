//! Reading a stream, or a package of streams, as `zfs receive` does.
//!
//! ```text
//! stream                  package
//! ┌───────┬─────────┬─────┐  ┌───────┬─────┬────────┬────────┬───┬─────┐
//! │ BEGIN │ records │ END │  │ BEGIN │ END │ stream │ stream │ … │ END │
//! └───────┴─────────┴─────┘  └───────┴─────┴────────┴────────┴───┴─────┘
//! ```
//!
//! The reader checks that records follow each other in this way and that every checksum is right. What the records
//! say is not judged; that is for [`validate`](crate::validate) and for whoever applies them.

use std::io::Read;
use std::ops::Range;

use zferry_wire::Endian;

use crate::error::{StreamError, StreamErrorKind};
use crate::flags::HeaderType;
use crate::raw::{RawReader, RawRecord};
use crate::record::{Begin, End, Header, Record};
use crate::source::{Buffered, Payloads, Source};

/// Where in a stream or package a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// BEGIN of a package. Its payload describes the package.
    PackageBegin,
    /// END behind a package's BEGIN.
    PackageHeaderEnd,
    /// BEGIN of a stream.
    StreamBegin,
    /// Between a stream's BEGIN and its END.
    Inside,
    /// END of a stream.
    StreamEnd,
    /// END behind the last stream of a package.
    PackageEnd,
}

/// A record of a stream, with its payload.
#[derive(Clone, Debug)]
pub struct StreamRecord<'a> {
    /// Where the record begins, in bytes from the first of the input.
    pub position: u64,
    /// Where in the stream it stands.
    pub place: Place,
    /// The byte order of its stream. Fields of `record` are in the host's order already; those of `payload` are not.
    pub endian: Endian,
    /// The record.
    pub record: Record,
    /// Its 312 bytes as they stand in the stream.
    pub header: &'a Header,
    /// What follows it.
    pub payload: &'a [u8],
}

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    PackageHeader,
    BetweenStreams,
    Inside { package: bool },
    Done,
}

/// Reads one stream or one package, record by record.
#[derive(Debug)]
pub struct StreamReader<S> {
    raw: RawReader<S>,
    state: State,
    checking: bool,
    /// The record that comes next, where it was read ahead.
    ahead: Option<(RawRecord, Place)>,
}

impl<R: Read> StreamReader<Buffered<R>> {
    /// A reader of the stream that `input` holds. It reads ahead: what follows the stream in `input` may be taken too.
    pub const fn new(input: R) -> Self {
        Self::with_source(Buffered::new(input))
    }
}

impl<S: Source> StreamReader<S> {
    /// A reader of the stream that `source` shows.
    pub const fn with_source(source: S) -> Self {
        Self {
            raw: RawReader::new(source),
            state: State::Start,
            checking: true,
            ahead: None,
        }
    }

    /// A reader that takes every checksum as right and does not sum.
    #[must_use]
    pub fn without_checksums(self) -> Self {
        Self {
            raw: self.raw.without_sums(),
            checking: false,
            ..self
        }
    }

    /// How many bytes of the stream have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.raw.position()
    }

    /// The next record and its payload, or `None` behind the last END.
    ///
    /// # Errors
    /// [`StreamError`] for a stream that is damaged, cut, or none at all, and where reading fails. There is no reading on
    /// after that.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it gives borrows from the reader, as an iterator's cannot"
    )]
    pub fn next(&mut self) -> Result<Option<StreamRecord<'_>>, StreamError> {
        self.advance(|_| true)
    }

    /// The next record as [`next`](Self::next) gives it, but without its payload unless it is a BEGIN: that is summed
    /// and passed over. For checking streams, the faster way.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_passing(&mut self) -> Result<Option<StreamRecord<'_>>, StreamError> {
        self.advance(|record| matches!(record, Record::Begin(_)))
    }

    /// Reads the record behind the one that was given last, without its payload, and keeps it to be given next. Its
    /// checksum tells whether what came before it arrived as it was sent. Behind the last END there is none.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn look_ahead(&mut self) -> Result<(), StreamError> {
        self.ahead = self.step()?;
        Ok(())
    }

    /// The bytes behind the stream: at least one, if there are any. Only behind the last END.
    pub(crate) fn rest(&mut self) -> Result<&[u8], StreamError> {
        self.raw.rest()
    }

    /// The next record as [`next`](Self::next) gives it, but with its payload in `payloads`; and where it is there.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_into(
        &mut self,
        payloads: &mut Payloads,
    ) -> Result<Option<(StreamRecord<'_>, Range<usize>)>, StreamError> {
        let Some((raw, place)) = self.step()? else {
            return Ok(None);
        };
        let payload = self.raw.payload_into(&raw, payloads)?;
        Ok(Some((
            StreamRecord::new(raw, place, (self.raw.header(), &[])),
            payload,
        )))
    }

    /// The payload of the record that [`step`](Self::step) gave.
    pub(crate) fn payload(&mut self, record: &RawRecord) -> Result<&[u8], StreamError> {
        self.raw.payload(record)
    }

    /// Sums and passes over the payload of the record that [`step`](Self::step) gave.
    pub(crate) fn pass_payload(&mut self, record: &RawRecord) -> Result<(), StreamError> {
        self.raw.pass_payload(record)
    }

    fn advance(
        &mut self,
        wants_payload: impl Fn(&Record) -> bool,
    ) -> Result<Option<StreamRecord<'_>>, StreamError> {
        let Some((raw, place)) = self.step()? else {
            return Ok(None);
        };
        let bytes = if wants_payload(&raw.record) {
            self.raw.with_payload(&raw)?
        } else {
            self.raw.pass_payload(&raw)?;
            (self.raw.header(), &[][..])
        };
        Ok(Some(StreamRecord::new(raw, place, bytes)))
    }

    /// The next record without its payload, which must be read or passed over next, and where it stands.
    pub(crate) fn step(&mut self) -> Result<Option<(RawRecord, Place)>, StreamError> {
        if let Some(ahead) = self.ahead.take() {
            return Ok(Some(ahead));
        }
        if self.state == State::Done {
            return Ok(None);
        }
        let position = self.raw.position();
        let Some(raw) = self.raw.record()? else {
            let expected = self.state.expected();
            return Err(StreamError::new(position, StreamErrorKind::Cut { expected }));
        };
        if self.checking {
            raw.check_own()?;
            raw.check_end()?;
        }
        let (place, state) = self.state.step(&raw.record).map_err(|kind| raw.error(kind))?;
        self.state = state;
        Ok(Some((raw, place)))
    }
}

impl<'a> StreamRecord<'a> {
    fn new(raw: RawRecord, place: Place, (header, payload): (&'a Header, &'a [u8])) -> Self {
        Self {
            position: raw.position,
            place,
            endian: raw.endian,
            record: raw.record,
            header,
            payload,
        }
    }
}

impl State {
    /// What comes next, in words.
    const fn expected(self) -> &'static str {
        match self {
            Self::Start => "BEGIN",
            Self::PackageHeader => "the END of the package's header",
            Self::BetweenStreams => "another stream or the END of the package",
            Self::Inside { .. } => "the END of the stream",
            Self::Done => "nothing",
        }
    }

    /// Where `record` stands, and what may come behind it.
    fn step(self, record: &Record) -> Result<(Place, Self), StreamErrorKind> {
        let unexpected = StreamErrorKind::Unexpected {
            record_type: record.record_type(),
            expected: self.expected(),
        };
        match (self, record) {
            (Self::Start, Record::Begin(begin)) => match begin.version_info.header_type() {
                HeaderType::COMPOUND => Ok((Place::PackageBegin, Self::PackageHeader)),
                _ => Self::stream(begin, false),
            },
            (Self::PackageHeader, Record::End(_)) => Ok((Place::PackageHeaderEnd, Self::BetweenStreams)),
            (Self::BetweenStreams, Record::Begin(begin)) => Self::stream(begin, true),
            (Self::BetweenStreams, Record::End(end)) if *end == End::default() => {
                Ok((Place::PackageEnd, Self::Done))
            }
            (Self::Inside { package }, Record::End(_)) => Ok((
                Place::StreamEnd,
                if package { Self::BetweenStreams } else { Self::Done },
            )),
            (Self::Inside { .. }, Record::Begin(_)) => Err(unexpected),
            (Self::Inside { .. }, _) => Ok((Place::Inside, self)),
            (Self::Start | Self::PackageHeader | Self::BetweenStreams | Self::Done, _) => Err(unexpected),
        }
    }

    /// BEGIN where a stream may begin.
    fn stream(begin: &Begin, package: bool) -> Result<(Place, Self), StreamErrorKind> {
        match begin.version_info.header_type() {
            HeaderType::SUBSTREAM => Ok((Place::StreamBegin, Self::Inside { package })),
            HeaderType::COMPOUND => Err(StreamErrorKind::NestedPackage),
            other => Err(StreamErrorKind::UnknownHeaderType(other.id())),
        }
    }
}
