//! The streams that OpenZFS made, received and sent again.

use zferry_replicate::receive::Incoming;
use zferry_replicate::send::SendOptions;
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::Record;
use zferry_zstream::source::Buffered;

use crate::contents::contents;
use crate::support::Bench;

/// Whether `zfs send` was asked for one full stream, neither raw nor a package.
fn is_full(line: &zferry_fixtures::Line) -> bool {
    !["-i", "-I", "-R", "-w", "-p"]
        .iter()
        .any(|option| line.has(option))
}

fn options(stream: &[u8]) -> SendOptions {
    let incoming = Incoming::open(Buffered::new(stream)).unwrap();
    let features = incoming.begin().features();
    SendOptions {
        large_blocks: features.contains(FeatureFlags::LARGE_BLOCKS),
        embedded: features.contains(FeatureFlags::EMBED_DATA),
        compressed: features.contains(FeatureFlags::COMPRESSED),
        raw: false,
    }
}

#[test]
fn every_full_stream_comes_back_with_what_it_held() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    for line in corpus.manifest().unwrap().iter().filter(|line| is_full(line)) {
        let name = &line.name;
        let stream = std::fs::read(corpus.stream(name)).unwrap();
        let mut bench = Bench::new();
        let received = bench.receive(&stream);
        let received = received.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(received.bytes, line.bytes, "{name}");
        let (_, snapshot) = line.arguments.last().unwrap().split_once('@').unwrap();
        let again = bench.send(&format!("new/x@{snapshot}"), options(&stream));
        let (sent, came) = (contents(&stream), contents(&again));
        for (number, object) in &sent {
            assert_eq!(came.get(number), Some(object), "{name}: object {number}");
        }
        assert_eq!(sent.len(), came.len(), "{name}");
    }
}

/// A stream that zfs-fuse made of a pool of version 23, deduplicated and without checksums of records.
#[test]
fn a_deduplicated_stream_of_the_first_releases_is_received() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let stream = std::fs::read(corpus.stream("zfsfuse-dedup")).unwrap();
    let mut reader = StreamReader::new(stream.as_slice());
    let mut references = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        if let Record::WriteByRef(write) = read.record {
            references.push(write);
        }
    }
    assert!(!references.is_empty());
    let mut bench = Bench::new();
    bench.receive(&stream).unwrap();
    let snapshot = bench.names().into_iter().find(|name| name.contains('@')).unwrap();
    let came = contents(&bench.send(&snapshot, SendOptions::default()));
    for write in references {
        let sectors = |object: u64, from: u64| {
            let range = from..from + write.length;
            let found = came[&object].sectors.range(range);
            found
                .map(|(at, sector)| (at - from, sector.clone()))
                .collect::<Vec<_>>()
        };
        let (original, copy) = (
            sectors(write.ref_object, write.ref_offset),
            sectors(write.object, write.offset),
        );
        assert!(!copy.is_empty() && original == copy, "{write:?}");
    }
}
