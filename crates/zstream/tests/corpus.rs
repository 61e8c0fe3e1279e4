//! Streams that OpenZFS, zfs-fuse and older releases made: each must be right from its first byte to its last.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says with a panic what it found"
)]

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::PathBuf;

use zferry_wire::Endian;
use zferry_zstream::source::{Buffered, ReadAhead};
use zferry_zstream::verify::verify;

/// Every stream of the corpus, also those that its manifest does not list.
fn streams() -> Vec<PathBuf> {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return Vec::new();
    };
    let folder = corpus.file("");
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "zsend"))
        .collect();
    found.sort();
    assert!(found.len() > 100, "{}", found.len());
    found
}

#[test]
fn every_stream_is_right() {
    for path in streams() {
        let length = fs::metadata(&path).unwrap().len();
        let summary = match verify(Buffered::new(File::open(&path).unwrap()), |_| {}) {
            Ok(summary) => summary,
            Err(problem) => panic!("{}: {problem}", path.display()),
        };
        assert_eq!(summary.bytes, length, "{}", path.display());
        assert!(!summary.streams.is_empty());

        let threads = NonZeroUsize::new(3).unwrap();
        let ahead = ReadAhead::new(File::open(&path).unwrap(), 0, threads, Endian::Little).unwrap();
        let again = verify(ahead, |_| {}).unwrap();
        assert_eq!((again.bytes, again.counts), (summary.bytes, summary.counts));
    }
}
