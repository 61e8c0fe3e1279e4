//! Reads, verifies and dumps streams, and decodes resume tokens.

use std::io::{self, Read};

use zferry_wire::Endian;
use zferry_zstream::dump::{Options, dump};
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{Header, Record};
use zferry_zstream::source::Buffered;
use zferry_zstream::token::{ResumeToken, unpack};
use zferry_zstream::verify::verify;
use zferry_zstream::writer::StreamWriter;

/// Reads `bytes` as a stream in every way there is: as it is, where checksums must be right, and without checking them,
/// which is how a fuzzer gets beyond the first record. What can be read must come out of a writer as a sound stream
/// with the same records; and a reader that is given a few bytes at a time must see the same.
pub fn stream(bytes: &[u8]) {
    let whole = verify(Buffered::new(bytes), |_| {}).map_err(|problem| problem.to_string());
    let pieces = verify(Buffered::new(Dripping(bytes)), |_| {}).map_err(|problem| problem.to_string());
    assert_eq!(
        whole.as_ref().map(|summary| summary.counts),
        pieces.as_ref().map(|summary| summary.counts)
    );
    for unchecked in [false, true] {
        let options = Options {
            records: true,
            checksums: true,
            payloads: true,
            unchecked,
        };
        let dumped = dump(Buffered::new(bytes), options, &mut io::sink());
        assert!(dumped.is_ok() || unchecked || whole.is_err(), "{dumped:?}");
    }
    rewrite(bytes);
    if let Some(header) = bytes.first_chunk::<312>() {
        transcode(header);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = unpack(text);
        if let Ok(token) = ResumeToken::decode(text) {
            assert_eq!(ResumeToken::decode(&token.encode()), Ok(token));
        }
    }
}

/// Gives a stream new checksums and reads it again.
fn rewrite(bytes: &[u8]) {
    let mut reader = StreamReader::new(bytes).without_checksums();
    let mut writer = StreamWriter::new(Vec::new());
    let mut records = Vec::new();
    while let Ok(Some(record)) = reader.next() {
        match (record.place, record.record.clone()) {
            (Place::PackageBegin, Record::Begin(begin)) => writer.begin_package(*begin, record.payload),
            (Place::PackageHeaderEnd, _) => Ok(()),
            (Place::PackageEnd, _) => writer.end_package(),
            (_, other) => writer.record(&other, record.payload),
        }
        .expect("memory takes everything");
        records.push((record.record.record_type(), record.payload.to_vec()));
    }
    let written = writer.into_inner();
    let mut reader = StreamReader::new(written.as_slice());
    for (record_type, payload) in records {
        match reader.next() {
            Ok(Some(record)) => {
                assert_eq!(record.record.record_type(), record_type);
                assert!(record.payload == payload);
            }
            other => panic!("{other:?} instead of {}", record_type.name()),
        }
    }
}

/// A record must survive either byte order.
fn transcode(header: &Header) {
    for endian in [Endian::Little, Endian::Big] {
        if let Ok(record) = Record::decode(header, endian) {
            for other in [Endian::Little, Endian::Big] {
                assert_eq!(Record::decode(&record.encode(other), other).as_ref(), Ok(&record));
            }
        }
    }
}

/// Gives a few bytes at a time.
struct Dripping<'a>(&'a [u8]);

impl Read for Dripping<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(1 + self.0.len() % 7);
        self.0.read(&mut buffer[..count])
    }
}
