//! A stream as text: what `zstream dump` of OpenZFS 2.3 prints, letter by letter.
//!
//! OpenZFS 2.3 itself misreads streams of the other byte order. Here they come out as it prints those of its own.

mod block;
mod lines;

use std::io::{self, Write};

use zferry_nvlist::{DecodeError, Limits, NvList};
use zferry_wire::{u64_from_usize, usize_from_u64};

use crate::checksum::Slashed;
use crate::error::{StreamError, StreamErrorKind};
use crate::raw::{LIST_LIMIT, RawReader, RawRecord};
use crate::record::{Begin, CHECKSUM_OFFSET, RECORD_SIZE, Record, RecordError, RecordType};
use crate::source::Source;
use crate::verify::{Counts, RecordCount};

/// How much of a stream is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// A line for each record (`-v`).
    pub records: bool,
    /// The checksum of each record as well (`-vv`).
    pub checksums: bool,
    /// Each payload in hexadecimal and ASCII as well (`-d`, which is `-vv` too).
    pub payloads: bool,
    /// Checksums are not checked (`-C`).
    pub unchecked: bool,
}

/// Why a dump is not that of a whole and sound stream. All that can be shown has been written then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The text could not be written.
    #[error("cannot write: {0}")]
    Write(#[source] io::Error),
    /// The stream is damaged, cut, or none at all.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The list behind a BEGIN cannot be decoded.
    #[error("at offset {position}: the list behind BEGIN cannot be decoded: {error}")]
    List {
        /// Where the BEGIN stands, in bytes from the stream's first.
        position: u64,
        /// What is wrong with the list.
        #[source]
        error: DecodeError,
    },
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Writes what `zstream dump` prints of the streams in `source`, to its end.
///
/// Give it a buffered output.
///
/// # Errors
/// [`DumpError`]: the first thing that went wrong. A checksum that is wrong ends the dump, as with OpenZFS, unless it is
/// that of a whole stream.
pub fn dump<S: Source>(source: S, options: Options, output: &mut impl Write) -> Result<(), DumpError> {
    let reader = RawReader::new(source);
    let mut dump = Dump {
        reader: if options.unchecked {
            reader.without_sums()
        } else {
            reader
        },
        options,
        counts: Counts::default(),
        bytes: 0,
        first_error: None,
    };
    let result = dump.run(output);
    match result {
        Err(DumpError::Stream(error)) => {
            // Everything is shown up to there, and the summary of it, unless there is no making sense of it at all.
            match &error.kind {
                StreamErrorKind::BadMagic | StreamErrorKind::Record(RecordError::BadMagic(_)) => {}
                StreamErrorKind::Record(RecordError::UnknownType(id)) => {
                    write!(output, "INVALID record found: type {id:#x}\nAborting.\n")?;
                }
                _ => dump.summary(output)?,
            }
            dump.note(error);
        }
        Err(other) => return Err(other),
        Ok(()) => dump.summary(output)?,
    }
    output.flush()?;
    dump.first_error.map_or(Ok(()), Err)
}

struct Dump<S> {
    reader: RawReader<S>,
    options: Options,
    counts: Counts,
    /// How much of the input was read, in whole headers and payloads.
    bytes: u64,
    first_error: Option<DumpError>,
}

impl<S: Source> Dump<S> {
    fn note(&mut self, error: impl Into<DumpError>) {
        self.first_error.get_or_insert_with(|| error.into());
    }

    fn run(&mut self, output: &mut impl Write) -> Result<(), DumpError> {
        while let Some(raw) = self.next_record(output)? {
            let payload = raw.record.payload_length();
            self.counts.add(raw.record.record_type(), payload);
            self.record(&raw, output)?;
            self.bytes = self.bytes.saturating_add(payload);
            let is_begin = matches!(raw.record, Record::Begin(_));
            if self.options.checksums && !is_begin {
                writeln!(output, "    checksum = {}", Slashed(raw.stored))?;
            }
        }
        Ok(())
    }

    /// The next record, unless its checksum is wrong.
    fn next_record(&mut self, output: &mut impl Write) -> Result<Option<RawRecord>, DumpError> {
        let result = self.reader.record().and_then(|record| match record {
            Some(raw) if !self.options.unchecked => raw.check_own().map(|()| Some(raw)),
            other => Ok(other),
        });
        self.bytes = self.bytes.saturating_add(match &result {
            Ok(Some(_)) => u64_from_usize(RECORD_SIZE),
            Ok(None) => 0,
            Err(error) => match error.kind {
                StreamErrorKind::Checksum { computed, .. } => {
                    writeln!(output, "Incorrect checksum in record header.")?;
                    writeln!(output, "Expected checksum = {}", Slashed(computed))?;
                    u64_from_usize(RECORD_SIZE)
                }
                // OpenZFS reads a record in two parts.
                StreamErrorKind::CutRecord { got } if got >= u64_from_usize(CHECKSUM_OFFSET) => {
                    u64_from_usize(CHECKSUM_OFFSET)
                }
                _ => 0,
            },
        });
        Ok(result?)
    }

    fn record(&mut self, raw: &RawRecord, output: &mut impl Write) -> Result<(), DumpError> {
        match &raw.record {
            Record::Begin(begin) => self.begin(begin, raw, output),
            Record::End(end) => {
                if let Err(error) = raw.check_end()
                    && !self.options.unchecked
                {
                    writeln!(output, "Expected checksum differs from checksum in stream.")?;
                    writeln!(output, "Expected checksum = {}", Slashed(raw.before))?;
                    self.note(error);
                }
                writeln!(output, "END checksum = {}", Slashed(end.checksum))?;
                Ok(())
            }
            record => {
                if self.options.records {
                    lines::record(record, output)?;
                }
                if self.options.payloads {
                    block::payload(self.reader.payload(raw)?, output)?;
                } else {
                    self.reader.pass_payload(raw)?;
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, begin: &Begin, raw: &RawRecord, output: &mut impl Write) -> Result<(), DumpError> {
        lines::begin(begin, output)?;
        if self.options.records {
            writeln!(output)?;
        }
        let payload = self.reader.payload(raw)?;
        if payload.is_empty() {
            return Ok(());
        }
        let limits = Limits::default().with_bytes(usize_from_u64(LIST_LIMIT));
        match NvList::decode(payload, &limits) {
            Ok((list, _)) => write!(output, "{}", list.print())?,
            Err(error) => {
                let position = raw.position;
                self.note(DumpError::List { position, error });
            }
        }
        Ok(())
    }

    fn summary(&self, output: &mut impl Write) -> io::Result<()> {
        let types = [
            ("DRR_BEGIN", RecordType::BEGIN),
            ("DRR_END", RecordType::END),
            ("DRR_OBJECT", RecordType::OBJECT),
            ("DRR_FREEOBJECTS", RecordType::FREEOBJECTS),
            ("DRR_WRITE", RecordType::WRITE),
            ("DRR_WRITE_BYREF", RecordType::WRITE_BYREF),
            ("DRR_WRITE_EMBEDDED", RecordType::WRITE_EMBEDDED),
            ("DRR_FREE", RecordType::FREE),
            ("DRR_SPILL", RecordType::SPILL),
        ];
        writeln!(output, "SUMMARY:")?;
        for (name, record_type) in types {
            let RecordCount {
                records,
                payload_bytes,
            } = self.counts.get(record_type);
            writeln!(
                output,
                "\tTotal {name} records = {records} ({payload_bytes} bytes)"
            )?;
        }
        let RecordCount {
            records,
            payload_bytes,
        } = self.counts.total();
        let headers = records.saturating_mul(u64_from_usize(RECORD_SIZE));
        writeln!(output, "\tTotal records = {records}")?;
        for (name, bytes) in [
            ("payload size", payload_bytes),
            ("header overhead", headers),
            ("stream length", self.bytes),
        ] {
            writeln!(output, "\tTotal {name} = {bytes} ({bytes:#x})")?;
        }
        Ok(())
    }
}
