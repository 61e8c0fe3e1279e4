//! Streams that OpenZFS, zfs-fuse and older releases made: each is right from its first byte to its last, and comes out
//! of the writer as it went into the reader.

use std::fs::{self, File};
use std::num::NonZeroUsize;

use zferry_zstream::reader::Place;
use zferry_zstream::record::Record;
use zferry_zstream::source::{Buffered, ReadAhead};
use zferry_zstream::verify::verify;
use zferry_zstream::writer::StreamWriter;

#[test]
fn every_stream_is_right() {
    for path in crate::support::corpus() {
        let length = fs::metadata(&path).unwrap().len();
        let summary = match verify(Buffered::new(File::open(&path).unwrap()), |_| {}) {
            Ok(summary) => summary,
            Err(problem) => panic!("{}: {problem}", path.display()),
        };
        assert_eq!(summary.bytes, length, "{}", path.display());
        assert!(!summary.streams.is_empty());

        let threads = NonZeroUsize::new(3).unwrap();
        for open in [ReadAhead::new, ReadAhead::reading] {
            let ahead = open(File::open(&path).unwrap(), 0, threads).unwrap();
            let again = verify(ahead, |_| {}).unwrap();
            assert_eq!((again.bytes, again.counts), (summary.bytes, summary.counts));
        }
    }
}

#[test]
fn what_is_read_is_written_again_to_the_byte() {
    for path in crate::support::corpus() {
        if path.ends_with("zfsfuse-dedup.zsend") {
            // Its records have no checksums, which the writer always gives.
            continue;
        }
        let stream = fs::read(&path).unwrap();
        let mut writer = StreamWriter::new(Vec::new());
        for (place, record, payload) in crate::support::take_apart(&stream) {
            match (place, record) {
                (Place::PackageBegin, Record::Begin(begin)) => {
                    writer.begin_package(*begin, &payload).unwrap();
                }
                (Place::PackageHeaderEnd, _) => {}
                (Place::PackageEnd, _) => writer.end_package().unwrap(),
                (_, record) => writer.record(&record, &payload).unwrap(),
            }
        }
        assert!(writer.into_inner() == stream, "{}", path.display());
    }
}

#[test]
fn the_other_byte_order_and_old_streams_are_right_too() {
    for path in crate::support::corpus() {
        let stream = fs::read(&path).unwrap();
        let pieces = crate::support::take_apart(&stream);
        for (endian, own) in crate::support::KINDS {
            let made = crate::support::put_together(&pieces, endian, own);
            let summary = match verify(Buffered::new(made.as_slice()), |_| {}) {
                Ok(summary) => summary,
                Err(problem) => panic!("{} {endian:?} {own}: {problem}", path.display()),
            };
            assert_eq!(summary.endian, endian);
        }
    }
}
