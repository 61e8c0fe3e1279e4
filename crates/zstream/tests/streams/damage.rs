//! Streams with one thing wrong: whatever it is and wherever, verifying must find it.

use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;

use crate::support::{KINDS, Piece, boundaries, put_together};
use zferry_zstream::source::{Buffered, ReadAhead};
use zferry_zstream::verify::{Problem, Summary, verify};

fn check(stream: &[u8]) -> Result<Summary, Problem> {
    verify(Buffered::new(stream), |_| {})
}

/// Small streams of every kind, with the pieces that they are made of.
fn samples() -> Vec<(String, Vec<Piece>, Vec<u8>)> {
    let kinds = [
        ("plain", crate::support::plain(5, 6, "pool/fs@b")),
        ("raw", crate::support::raw(0, 6, "pool/fs@b")),
        ("package", crate::support::package()),
    ];
    let mut samples = Vec::new();
    for (name, pieces) in kinds {
        for (endian, own) in KINDS {
            let stream = put_together(&pieces, endian, own);
            samples.push((format!("{name} {endian:?} {own}"), pieces.clone(), stream));
        }
    }
    samples
}

#[test]
fn undamaged_samples_are_right() {
    for (name, pieces, stream) in samples() {
        let summary = check(&stream).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert_eq!(summary.counts.total().records, pieces.len() as u64);
        assert_eq!(summary.bytes, stream.len() as u64);
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    for (name, pieces, mut stream) in samples() {
        let all = pieces.len() < 20;
        for at in 0..stream.len() {
            for bit in (0..8).filter(|bit| all || at % 8 == *bit) {
                stream[at] ^= 1 << bit;
                let Err(problem) = check(&stream) else {
                    panic!("{name}: byte {at} bit {bit}");
                };
                assert!(
                    problem.sound <= at as u64,
                    "{name}: byte {at} is not sound: {problem}"
                );
                stream[at] ^= 1 << bit;
            }
        }
    }
}

#[test]
fn a_byte_that_is_anything_else_is_found() {
    for (name, _, mut stream) in samples() {
        for at in (0..stream.len()).step_by(7) {
            let was = stream[at];
            for other in [0, 0xff, was.wrapping_add(1), was.wrapping_mul(3).wrapping_add(77)] {
                stream[at] = other;
                assert!(
                    other == was || check(&stream).is_err(),
                    "{name}: byte {at} = {other}"
                );
            }
            stream[at] = was;
        }
    }
}

#[test]
fn a_cut_is_found_wherever_it_is() {
    for (name, _, stream) in samples() {
        for end in 0..stream.len() {
            let problem = check(&stream[..end]).expect_err(&format!("{name}: cut at {end}"));
            assert_eq!(problem.position, end as u64, "{name}: {problem}");
        }
    }
}

#[test]
fn a_byte_more_or_less_is_found() {
    for (name, _, stream) in samples() {
        for at in (0..=stream.len()).step_by(5).chain([stream.len()]) {
            for byte in [0, 1, 0xff] {
                let more = [&stream[..at], &[byte], &stream[at..]].concat();
                assert!(check(&more).is_err(), "{name}: {byte} more at {at}");
            }
            if at < stream.len() {
                let less = [&stream[..at], &stream[at + 1..]].concat();
                assert!(check(&less).is_err(), "{name}: one less at {at}");
            }
        }
    }
}

#[test]
fn a_zeroed_stretch_is_found() {
    for (name, _, stream) in samples() {
        for at in (0..stream.len() - 32).step_by(32) {
            for length in [32, 312, 512, 4096] {
                let end = (at + length).min(stream.len());
                let mut damaged = stream.clone();
                damaged[at..end].fill(0);
                assert!(
                    damaged == stream || check(&damaged).is_err(),
                    "{name}: {length} from {at}"
                );
            }
        }
    }
}

#[test]
fn records_lost_doubled_or_swapped_are_found() {
    for (name, pieces, stream) in samples() {
        lose_double_and_swap(&name, &stream, &boundaries(&pieces));
    }
}

fn lose_double_and_swap(name: &str, stream: &[u8], boundaries: &[usize]) {
    for pair in boundaries.windows(2) {
        let (start, end) = (pair[0], pair[1]);
        let lost = [&stream[..start], &stream[end..]].concat();
        assert!(check(&lost).is_err(), "{name}: without {start}..{end}");
        let doubled = [&stream[..end], &stream[start..]].concat();
        assert!(check(&doubled).is_err(), "{name}: {start}..{end} twice");
    }
    for three in boundaries.windows(3) {
        let (start, middle, end) = (three[0], three[1], three[2]);
        let swapped = [
            &stream[..start],
            &stream[middle..end],
            &stream[start..middle],
            &stream[end..],
        ]
        .concat();
        assert!(
            swapped == stream || check(&swapped).is_err(),
            "{name}: swapped at {middle}"
        );
    }
}

#[test]
fn a_stream_lost_from_a_package_or_moved_in_it_is_found() {
    let pieces = crate::support::package();
    let ends: Vec<usize> = std::iter::once(2)
        .chain(
            (0..pieces.len())
                .filter(|&at| pieces[at].0 == zferry_zstream::reader::Place::StreamEnd)
                .map(|at| at + 1),
        )
        .collect();
    for (endian, own) in KINDS {
        for pair in ends.windows(2) {
            let lost = [&pieces[..pair[0]], &pieces[pair[1]..]].concat();
            let problem = check(&put_together(&lost, endian, own)).unwrap_err();
            assert!(
                matches!(problem.reason, zferry_zstream::verify::Reason::Package(_)),
                "{problem}"
            );
        }
        let swapped = [
            &pieces[..ends[0]],
            &pieces[ends[1]..ends[2]],
            &pieces[ends[0]..ends[1]],
            &pieces[ends[2]..],
        ]
        .concat();
        assert!(check(&put_together(&swapped, endian, own)).is_err());
    }
}

#[test]
fn what_follows_the_end_is_found() {
    for (name, _, stream) in samples() {
        let twice = [stream.as_slice(), &stream].concat();
        let problem = check(&twice).unwrap_err();
        assert_eq!(problem.position, stream.len() as u64, "{name}");
        assert_eq!(
            problem.reason.to_string(),
            "another stream behind the end of the stream"
        );
    }
}

/// The same damage done to what OpenZFS sent.
#[test]
fn damage_to_real_streams_is_found() {
    for name in [
        "basic-empty",
        "feat-ci-Lec",
        "v28-z5-i",
        "feat-emb-Lec",
        "crypt-gcm-raw-a-b",
    ] {
        let Some(mut stream) = crate::support::corpus_stream(name) else {
            return;
        };
        let pieces = crate::support::take_apart(&stream);
        let boundaries = boundaries(&pieces);
        // Every byte of some headers, and some bytes of everything.
        let near_the_ends = boundaries.iter().take(12).chain(boundaries.iter().rev().take(12));
        let headers = near_the_ends.flat_map(|&at| at..at + 312);
        let samples = (0..stream.len()).step_by(stream.len() / 1500 + 1);
        for (at, bit) in headers.chain(samples).zip((0..8).cycle()) {
            if at < stream.len() {
                stream[at] ^= 1 << bit;
                assert!(check(&stream).is_err(), "{name}: byte {at} bit {bit}");
                stream[at] ^= 1 << bit;
            }
        }
        for &at in &boundaries {
            for cut in [at.saturating_sub(1), at, at + 1, at + 311] {
                assert!(
                    cut >= stream.len() || check(&stream[..cut]).is_err(),
                    "{name}: cut at {cut}"
                );
            }
        }
        let some: Vec<usize> = boundaries.iter().copied().take(40).collect();
        lose_double_and_swap(name, &stream, &some);
        lose_double_and_swap(name, &stream, &boundaries[boundaries.len().saturating_sub(40)..]);
    }
}

/// Reading on several threads finds what reading on one does, at the same place.
#[test]
fn reading_ahead_finds_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut pieces = crate::support::plain(5, 6, "pool/fs@b");
    let data = pieces[4].clone();
    let end = pieces.len() - 1;
    // Enough blocks for several chunks, of a size that no chunk is a multiple of.
    let blocks = (0..60).map(|number| {
        let mut block = data.clone();
        if let zferry_zstream::record::Record::Write(write) = &mut block.1 {
            (write.object, write.offset, write.logical_size) = (3, number * 66_048, 66_048);
            block.2 = (0..66_048_u64).map(|at| (at * at * (number + 3)) as u8).collect();
        }
        block
    });
    pieces.splice(end..end, blocks.collect::<Vec<_>>());
    for (endian, own) in KINDS {
        let stream = put_together(&pieces, endian, own);
        for damaged in [
            None,
            Some(0),
            Some(400),
            Some(1 << 20),
            Some(2_345_678),
            Some(stream.len() - 1),
        ] {
            let mut stream = stream.clone();
            if let Some(at) = damaged {
                stream[at] ^= 0x10;
            }
            let path = folder.path().join("stream");
            File::create(&path).unwrap().write_all(&stream).unwrap();
            let expected = check(&stream).map_err(|problem| problem.to_string());
            for threads in 1..=3 {
                for open in [ReadAhead::new, ReadAhead::reading] {
                    let file = File::open(&path).unwrap();
                    let ahead = open(file, 0, NonZeroUsize::new(threads).unwrap());
                    let found = verify(ahead.unwrap(), |_| {}).map_err(|problem| problem.to_string());
                    assert_eq!(
                        found.as_ref().map(|summary| summary.counts),
                        expected.as_ref().map(|summary| summary.counts),
                        "{endian:?} {own} {damaged:?}"
                    );
                    assert_eq!(found.is_ok(), damaged.is_none());
                }
            }
        }
    }
}
