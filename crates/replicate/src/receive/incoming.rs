//! A stream of which BEGIN has been read, so that it can be decided where it goes; or a package, one stream after another.

use super::ReceiveError;
use zferry_nvlist::{DecodeError, Limits, NvList};
use zferry_wire::Endian;
use zferry_zstream::flags::HeaderType;
use zferry_zstream::reader::{Place, StreamReader, StreamRecord};
use zferry_zstream::record::{Begin, Record};
use zferry_zstream::source::Source;

/// A stream whose BEGIN has been read.
#[derive(Debug)]
pub struct Incoming<S> {
    pub(super) reader: StreamReader<S>,
    pub(super) begin: Begin,
    pub(super) endian: Endian,
    /// Where BEGIN stands, in bytes from the first of the input.
    pub(super) start: u64,
    /// The list behind BEGIN, where there is one.
    list: Result<Option<NvList>, DecodeError>,
}

impl<S: Source> Incoming<S> {
    /// Reads BEGIN.
    ///
    /// # Errors
    /// [`ReceiveError::Stream`] where the input does not begin as a stream or package does.
    pub fn open(source: S) -> Result<Self, ReceiveError> {
        let mut reader = StreamReader::with_source(source);
        let first = reader.next()?;
        let first = first
            .as_ref()
            .and_then(Opening::of)
            .ok_or(ReceiveError::Internal)?;
        let Opening { begin, endian, list } = first;
        Ok(Self {
            reader,
            begin,
            endian,
            start: 0,
            list,
        })
    }

    /// Reads the END of a package's header.
    ///
    /// # Errors
    /// [`ReceiveError::Stream`] where something else follows the header, or its sum is wrong.
    pub fn end_header(&mut self) -> Result<(), ReceiveError> {
        match self.reader.next()? {
            Some(record) if record.place == Place::PackageHeaderEnd => Ok(()),
            _ => Err(ReceiveError::Internal),
        }
    }

    /// Goes on to the next stream of a package, behind the one that was received or skipped, or behind the header.
    /// Says whether there is one.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn next_stream(&mut self) -> Result<bool, ReceiveError> {
        let start = self.reader.position();
        let Some(record) = self.reader.next()? else {
            return Ok(false);
        };
        let Some(first) = Opening::of(&record) else {
            return Ok(false);
        };
        self.start = start;
        self.begin = first.begin;
        self.endian = first.endian;
        self.list = first.list;
        Ok(true)
    }

    /// What BEGIN says.
    #[must_use]
    pub const fn begin(&self) -> &Begin {
        &self.begin
    }

    /// Whether this is a package of streams.
    #[must_use]
    pub fn is_package(&self) -> bool {
        self.begin.version_info.header_type() == HeaderType::COMPOUND
    }

    /// The list behind BEGIN, where there is one: of a package what is in it, of a stream what goes with some kinds.
    ///
    /// # Errors
    /// [`ReceiveError::BeginList`] where it cannot be read.
    pub fn list(&self) -> Result<Option<&NvList>, ReceiveError> {
        match &self.list {
            Ok(list) => Ok(list.as_ref()),
            Err(error) => Err(ReceiveError::BeginList(error.clone())),
        }
    }

    /// The same, taken out, as that of a package can be large.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn take_list(&mut self) -> Result<Option<NvList>, ReceiveError> {
        let list = std::mem::replace(&mut self.list, Ok(None));
        list.map_err(ReceiveError::BeginList)
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Reads the stream to its end and receives nothing: a rehearsal. Says how many bytes have been read.
    ///
    /// # Errors
    /// [`ReceiveError::Stream`] where the stream is damaged or cut.
    pub fn skip(&mut self) -> Result<u64, ReceiveError> {
        while let Some(record) = self.reader.next_passing()? {
            if record.place == Place::StreamEnd {
                break;
            }
        }
        Ok(self.reader.position())
    }
}

/// What BEGIN tells.
struct Opening {
    begin: Begin,
    endian: Endian,
    list: Result<Option<NvList>, DecodeError>,
}

impl Opening {
    /// `None` where this is no BEGIN.
    fn of(record: &StreamRecord<'_>) -> Option<Self> {
        let Record::Begin(begin) = &record.record else {
            return None;
        };
        let list = match record.payload {
            [] => Ok(None),
            payload => NvList::decode(payload, &Limits::default()).map(|(list, _)| Some(list)),
        };
        Some(Self {
            begin: Begin::clone(begin),
            endian: record.endian,
            list,
        })
    }
}
