//! A stream of which BEGIN has been read, so that it can be decided where it goes.

use super::ReceiveError;
use zferry_nvlist::{DecodeError, Limits, NvList};
use zferry_wire::Endian;
use zferry_zstream::flags::{FeatureFlags, HeaderType};
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{Begin, Record};
use zferry_zstream::source::Source;

/// A stream whose BEGIN has been read.
#[derive(Debug)]
pub struct Incoming<S> {
    pub(super) reader: StreamReader<S>,
    pub(super) begin: Begin,
    pub(super) endian: Endian,
    /// Whether the list behind BEGIN could be read, where there is one.
    list: Result<(), DecodeError>,
}

impl<S: Source> Incoming<S> {
    /// Reads BEGIN.
    ///
    /// # Errors
    /// [`ReceiveError::Stream`] where the input does not begin as a stream or package does.
    pub fn open(source: S) -> Result<Self, ReceiveError> {
        let mut reader = StreamReader::with_source(source);
        let first = reader.next()?;
        let Some(first) = first else {
            return Err(ReceiveError::Internal);
        };
        let Record::Begin(begin) = first.record else {
            return Err(ReceiveError::Internal);
        };
        let list = match first.payload {
            [] => Ok(()),
            payload => NvList::decode(payload, &Limits::default()).map(drop),
        };
        let endian = first.endian;
        Ok(Self {
            reader,
            begin,
            endian,
            list,
        })
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

    /// How many bytes have been read.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Whether the stream is of a kind that can be received at all.
    ///
    /// # Errors
    /// [`ReceiveError::NotYet`], saying what kind of stream it is; [`ReceiveError::BeginList`].
    pub fn check_kind(&self) -> Result<(), ReceiveError> {
        let features = self.begin.version_info.features();
        let kinds = [
            (self.is_package(), "packages of streams"),
            (features.contains(FeatureFlags::RAW), "raw streams"),
            (
                features.contains(FeatureFlags::RESUMING),
                "streams that go on where an earlier one was cut",
            ),
            (features.contains(FeatureFlags::REDACTED), "redacted streams"),
        ];
        if let Some((_, kind)) = kinds.into_iter().find(|(is_so, _)| *is_so) {
            return Err(ReceiveError::NotYet(kind));
        }
        self.list.clone().map_err(ReceiveError::BeginList)
    }

    /// Reads to the end and receives nothing: a rehearsal. Says how many bytes the stream has.
    ///
    /// # Errors
    /// [`ReceiveError::Stream`] where the stream is damaged or cut.
    pub fn skip(mut self) -> Result<u64, ReceiveError> {
        while let Some(record) = self.reader.next_passing()? {
            if record.place == Place::PackageEnd {
                break;
            }
        }
        Ok(self.reader.position())
    }
}
