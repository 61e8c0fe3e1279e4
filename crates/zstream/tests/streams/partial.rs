//! Tokens of partial streams.

use zferry_zstream::record::Record;
use zferry_zstream::source::Buffered;
use zferry_zstream::token::{Partial, PartialError};

use crate::support::{KINDS, Piece, boundaries, package, plain, put_together, raw};

fn read(stream: &[u8]) -> Result<Partial, PartialError> {
    Partial::read(Buffered::new(stream))
}

/// Object, offset and bytes behind the last record that moves them, of those whose next header is there.
fn expected(pieces: &[Piece], cut: usize) -> (u64, u64, u64) {
    let starts = boundaries(pieces);
    let mut point = (1, 0, 0);
    for ((_, record, _), end) in pieces.iter().zip(&starts[1..]) {
        let at = match record {
            Record::Object(object) => (object.object, 0),
            Record::Write(write) => (write.object, write.offset),
            Record::WriteEmbedded(write) => (write.object, write.offset),
            _ => continue,
        };
        if end + 312 <= cut {
            point = (at.0, at.1, *end as u64 - 312);
        }
    }
    point
}

#[test]
fn a_stream_cut_anywhere_tells_where_to_go_on() {
    for (pieces, is_raw) in [(plain(5, 6, "pool/fs@b"), false), (raw(0, 6, "pool/fs@b"), true)] {
        let begin = boundaries(&pieces)[1];
        for (endian, own) in KINDS {
            let stream = put_together(&pieces, endian, own);
            for cut in 0..stream.len() {
                let found = read(&stream[..cut]);
                if cut < begin {
                    assert!(
                        matches!(found, Err(PartialError::NotBegun(_))),
                        "{cut}: {found:?}"
                    );
                    continue;
                }
                let token = found.unwrap().token;
                let point = (token.object, token.offset, token.bytes);
                assert_eq!(point, expected(&pieces, cut), "{cut}");
                assert_eq!((token.to_guid, token.to_name.as_str()), (6, "pool/fs@b"));
                assert_eq!(token.from_guid, (!is_raw).then_some(5));
                assert_eq!((token.raw, token.embedded), (is_raw, !is_raw));
                assert!(!token.saved && !token.large_blocks);
            }
            assert!(matches!(read(&stream), Err(PartialError::Whole)));
        }
    }
}

#[test]
fn a_package_cut_between_its_streams_has_no_token() {
    let pieces = package();
    let starts = boundaries(&pieces);
    let (endian, own) = KINDS[0];
    let stream = put_together(&pieces, endian, own);
    let mut inside = false;
    for ((_, record, payload), start) in pieces.iter().zip(&starts) {
        let begun = inside;
        match record {
            Record::Begin(begin) => inside = begin.to_guid != 0,
            Record::End(_) => inside = false,
            _ => {}
        }
        // In front of the record, and where it is whole.
        let end = start + 312 + payload.len();
        for (cut, has_token) in [(*start, begun), (end, inside)] {
            if cut < stream.len() {
                assert_eq!(read(&stream[..cut]).is_ok(), has_token, "{cut}");
            }
        }
    }
    assert!(matches!(read(&stream), Err(PartialError::Whole)));
}

#[test]
fn what_is_damaged_goes_on_in_front_of_the_damage() {
    let pieces = plain(5, 6, "pool/fs@b");
    let starts = boundaries(&pieces);
    let (endian, own) = (zferry_wire::Endian::Little, true);
    let mut stream = put_together(&pieces, endian, own);
    // The header behind the damaged payload is the first whose checksum is wrong.
    stream[starts[5] + 312] ^= 1;
    let partial = read(&stream).unwrap();
    let point = (partial.token.object, partial.token.offset, partial.token.bytes);
    assert_eq!(point, expected(&pieces, starts[5] + 312));
    assert_eq!(partial.end.position, starts[6] as u64);
}

#[test]
fn what_is_damaged_nobody_knows_where_is_refused() {
    let mut stream = put_together(&plain(5, 6, "pool/fs@b"), zferry_wire::Endian::Little, false);
    stream[312 + 20] ^= 1;
    assert!(matches!(read(&stream), Err(PartialError::Stream(_))));
}
