//! The record loop below all readers: cuts a stream into records, finds its byte order and keeps the running sum.
//!
//! Nothing is judged here but what makes going on impossible. Whether checksums must be right and records must follow
//! each other sensibly is for those above to say: `zstream dump` shows what a reader for receiving refuses.

use std::fmt;
use std::ops::Range;

use zferry_blocks::checksum::Checksum;
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

use crate::checksum;
use crate::error::{StreamError, StreamErrorKind};
use crate::fletcher::Fletcher4;
use crate::record::{
    Begin, CHECKSUM_OFFSET, Header, RECORD_SIZE, Record, RecordError, RecordType, stored_checksum,
};
use crate::source::{Payloads, Source};

/// The longest payload of a record other than BEGIN, in bytes: the largest block that ZFS has.
pub(crate) const BLOCK_LIMIT: u64 = 16 << 20;

/// The longest list behind a BEGIN, in bytes: what OpenZFS's own commands accept unless told otherwise.
pub(crate) const LIST_LIMIT: u64 = 64 << 20;

/// How much of a payload is read at a time, in bytes; a multiple of 4.
const PIECE: usize = 1 << 20;

/// A record, where it stands, and what the sum was around it.
#[derive(Clone, Debug)]
pub(crate) struct RawRecord {
    /// Where the record begins, in bytes from the stream's first.
    pub(crate) position: u64,
    pub(crate) endian: Endian,
    pub(crate) record: Record,
    /// What its last 32 bytes say: its own checksum, but the end of the name in a BEGIN.
    pub(crate) stored: Checksum,
    /// The running sum before the record.
    pub(crate) before: Checksum,
    /// The running sum behind the record's first 280 bytes, which its own checksum should state.
    pub(crate) own: Checksum,
}

impl RawRecord {
    /// The checksum that the record states, unless it states none: BEGIN has no place for one, releases before 0.7 left
    /// it zero, and libzfs still does in the ENDs of packages.
    pub(crate) fn stated(&self) -> Option<Checksum> {
        if let Record::Begin(_) = self.record {
            return None;
        }
        Some(self.stored).filter(|&stated| stated != checksum::ZERO)
    }

    /// Checks the record's own checksum.
    pub(crate) fn check_own(&self) -> Result<(), StreamError> {
        match self.stated() {
            Some(stated) if stated != self.own => Err(self.error(StreamErrorKind::Checksum {
                record_type: self.record.record_type(),
                stated,
                computed: self.own,
            })),
            _ => Ok(()),
        }
    }

    /// Checks what END states for the stream.
    pub(crate) fn check_end(&self) -> Result<(), StreamError> {
        match &self.record {
            Record::End(end) if end.checksum != self.before => {
                Err(self.error(StreamErrorKind::EndChecksum {
                    stated: end.checksum,
                    computed: self.before,
                }))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn error(&self, kind: impl Into<StreamErrorKind>) -> StreamError {
        StreamError::new(self.position, kind)
    }
}

/// Reads records and payloads in turn.
pub(crate) struct RawReader<S> {
    source: S,
    position: u64,
    /// The order of the stream at hand; `None` before the first record.
    endian: Option<Endian>,
    /// Whether everything so far is closed by an END.
    closed: bool,
    /// The record that was read last. It stays here, for it is longer than all that is said of it.
    header: Header,
    sum: Fletcher4,
    summing: bool,
    /// What was shown of the source and is still to be consumed.
    shown: usize,
}

impl<S: fmt::Debug> fmt::Debug for RawReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawReader")
            .field("source", &self.source)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl<S: Source> RawReader<S> {
    /// A reader that sums what it reads.
    pub(crate) const fn new(source: S) -> Self {
        Self {
            source,
            position: 0,
            endian: None,
            closed: true,
            header: [0; RECORD_SIZE],
            sum: Fletcher4::new(Endian::OURS),
            summing: true,
            shown: 0,
        }
    }

    /// The same reader, which does not sum.
    pub(crate) fn without_sums(self) -> Self {
        Self {
            summing: false,
            ..self
        }
    }

    /// The 312 bytes of the record that was read last.
    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// Where the next record or payload begins.
    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    /// The bytes ahead, at least one unless the input is at its end.
    pub(crate) fn rest(&mut self) -> Result<&[u8], StreamError> {
        self.source.consume(std::mem::take(&mut self.shown));
        let position = self.position;
        self.source
            .window(1)
            .map_err(|error| StreamError::new(position, error))
    }

    /// The next record, or `None` where the input ends in front of one. The payload of the one before must have been
    /// read.
    pub(crate) fn record(&mut self) -> Result<Option<RawRecord>, StreamError> {
        self.source.consume(std::mem::take(&mut self.shown));
        let position = self.position;
        let fail = |kind| StreamError::new(position, kind);
        let window = self
            .source
            .window(RECORD_SIZE)
            .map_err(|error| fail(error.into()))?;
        let Some(header) = window.first_chunk::<RECORD_SIZE>() else {
            let got = u64_from_usize(window.len());
            return match (got, self.endian) {
                (0, None) => Err(fail(StreamErrorKind::Empty)),
                (0, Some(_)) => Ok(None),
                _ => Err(StreamError::new(
                    position.saturating_add(got),
                    StreamErrorKind::CutRecord { got },
                )),
            };
        };
        self.header = *header;
        let endian = self.endian().map_err(fail)?;
        let (before, own) = self.sum_header(endian);
        let stored = stored_checksum(&self.header, endian);
        let record = Record::decode(&self.header, endian).map_err(|error| {
            fail(match error {
                // A type that there is not is damage, where a checksum says so.
                RecordError::UnknownType(id) if self.summing && stored != checksum::ZERO && stored != own => {
                    StreamErrorKind::Checksum {
                        record_type: RecordType(id),
                        stated: stored,
                        computed: own,
                    }
                }
                other => other.into(),
            })
        })?;
        self.source.consume(RECORD_SIZE);
        self.position = position.saturating_add(u64_from_usize(RECORD_SIZE));
        self.endian = Some(endian);
        Ok(Some(RawRecord {
            position,
            endian,
            record,
            stored,
            before,
            own,
        }))
    }

    /// The order of the record in `header`: what its magic says for a BEGIN, and that of the stream for others.
    fn endian(&self) -> Result<Endian, StreamErrorKind> {
        match (Begin::endian_of(&self.header), self.endian) {
            (Some(endian), _) => Ok(endian),
            (None, None) => Err(StreamErrorKind::BadMagic),
            // The END of a package comes behind streams of perhaps another order.
            (None, Some(endian))
                if self.closed && RecordType::of(&self.header, endian.swapped()) == RecordType::END =>
            {
                Ok(endian.swapped())
            }
            (None, Some(endian)) => Ok(endian),
        }
    }

    /// Moves the running sum over the record in `header`. Gives it as it was before, and as it was behind the first 280
    /// bytes.
    fn sum_header(&mut self, endian: Endian) -> (Checksum, Checksum) {
        let record_type = RecordType::of(&self.header, endian);
        if record_type == RecordType::BEGIN {
            self.sum = Fletcher4::new(endian);
        }
        let before = self.sum.checksum();
        let (fields, stated) = self.header.split_at(CHECKSUM_OFFSET);
        if self.summing {
            self.sum.update(fields);
        }
        let own = self.sum.checksum();
        self.closed = record_type == RecordType::END;
        if self.closed {
            self.sum = Fletcher4::new(endian);
        } else if self.summing {
            self.sum.update(stated);
        }
        (before, own)
    }

    /// The payload of the record that was just read.
    pub(crate) fn payload(&mut self, record: &RawRecord) -> Result<&[u8], StreamError> {
        self.with_payload(record).map(|(_, payload)| payload)
    }

    /// The record that was just read, and its payload.
    pub(crate) fn with_payload(&mut self, record: &RawRecord) -> Result<(&Header, &[u8]), StreamError> {
        let length = payload_length(record)?;
        if length == 0 {
            return Ok((&self.header, &[]));
        }
        let wanted = usize_from_u64(length);
        let position = self.position;
        let window = self
            .source
            .window(wanted)
            .map_err(|error| StreamError::new(position, error))?;
        let payload = window
            .get(..wanted)
            .ok_or_else(|| cut_payload(record, length, u64_from_usize(window.len())))?;
        if self.summing {
            self.sum.update(payload);
        }
        self.shown = wanted;
        self.position = position.saturating_add(length);
        Ok((&self.header, payload))
    }

    /// Reads the payload of the record that was just read into `payloads`, and says where it is.
    pub(crate) fn payload_into(
        &mut self,
        record: &RawRecord,
        payloads: &mut Payloads,
    ) -> Result<Range<usize>, StreamError> {
        let length = payload_length(record)?;
        let position = self.position;
        let mut left = usize_from_u64(length);
        let start = payloads.len();
        while left > 0 {
            // Memory is taken only for what really arrives.
            let wanted = left.min(PIECE);
            let piece = payloads.offer(wanted);
            let got = self.source.fill(piece);
            let got = got.map_err(|error| StreamError::new(position, error))?;
            if got < wanted {
                let got = u64_from_usize(payloads.len().saturating_sub(start).saturating_add(got));
                return Err(cut_payload(record, length, got));
            }
            if self.summing {
                self.sum.update(piece);
            }
            payloads.keep(wanted);
            left = left.saturating_sub(wanted);
        }
        self.position = position.saturating_add(length);
        Ok(start..payloads.len())
    }

    /// Sums and leaves behind the payload of the record that was just read.
    pub(crate) fn pass_payload(&mut self, record: &RawRecord) -> Result<(), StreamError> {
        let length = payload_length(record)?;
        let position = self.position;
        let got = if self.summing {
            self.source.pass(length, &mut self.sum)
        } else {
            self.source.skip(length)
        };
        let got = got.map_err(|error| StreamError::new(position, error))?;
        if got < length {
            return Err(cut_payload(record, length, got));
        }
        self.position = position.saturating_add(length);
        Ok(())
    }
}

/// How long a record's payload is, if any ZFS would send it.
fn payload_length(record: &RawRecord) -> Result<u64, StreamError> {
    let length = record.record.payload_length();
    let record_type = record.record.record_type();
    let limit = match record_type {
        RecordType::BEGIN => LIST_LIMIT,
        _ => BLOCK_LIMIT,
    };
    if length > limit {
        return Err(record.error(StreamErrorKind::PayloadTooLong {
            record_type,
            length,
            limit,
        }));
    }
    if !length.is_multiple_of(4) {
        return Err(record.error(StreamErrorKind::OddPayload { record_type, length }));
    }
    Ok(length)
}

fn cut_payload(record: &RawRecord, length: u64, got: u64) -> StreamError {
    let payload = record.position.saturating_add(u64_from_usize(RECORD_SIZE));
    StreamError::new(
        payload.saturating_add(got),
        StreamErrorKind::CutPayload {
            record_type: record.record.record_type(),
            record: record.position,
            length,
            got,
        },
    )
}
