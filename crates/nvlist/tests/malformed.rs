//! Bytes that are no list, each wrong in one place, and the error that says which.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

use zferry_nvlist::{DataType, DecodeError, Encoding, Endian, ErrorKind, Limits, NvList, Text, Value};

fn decode(bytes: &[u8]) -> Result<NvList, DecodeError> {
    NvList::decode(bytes, &Limits::default()).map(|(list, _)| list)
}

fn error(bytes: &[u8]) -> DecodeError {
    decode(bytes).unwrap_err()
}

/// A list of the one pair `a`, whose pair is at offset 12 in both encodings.
fn pair(encoding: Encoding, value: Value) -> Vec<u8> {
    let mut list = NvList::new();
    list.insert("a", value);
    list.encode(encoding, Endian::Big)
}

fn native(value: Value) -> Vec<u8> {
    pair(Encoding::Native, value)
}

fn xdr(value: Value) -> Vec<u8> {
    pair(Encoding::Xdr, value)
}

/// `bytes` with the big-endian word at `offset` replaced.
fn with_word(mut bytes: Vec<u8>, offset: usize, word: u32) -> Vec<u8> {
    bytes[offset..offset + 4].copy_from_slice(&word.to_be_bytes());
    bytes
}

#[test]
fn headers() {
    assert!(matches!(error(&[]), DecodeError::Short(_)));
    assert!(matches!(error(&[1, 1, 0, 0]), DecodeError::Short(_)));
    let error = error(&[2, 1, 0, 0]);
    assert_eq!(error, DecodeError::UnknownEncoding { found: 2 });
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        decode(&[0, 3, 0, 0]),
        Err(DecodeError::UnknownByteOrder { found: 3 })
    );
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let bytes = with_word(pair(encoding, Value::Boolean), 4, 9);
        assert_eq!(
            decode(&bytes),
            Err(DecodeError::UnknownVersion { offset: 4, found: 9 })
        );
    }
    let bytes = with_word(native(Value::NvList(NvList::new())), 36, 9);
    assert_eq!(
        decode(&bytes),
        Err(DecodeError::UnknownVersion { offset: 36, found: 9 })
    );
}

#[test]
fn every_truncation() {
    let mut list = NvList::new();
    list.insert("list", vec![NvList::new()])
        .insert("strings", vec![Text::from("a")])
        .insert("number", 1_u64);
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let bytes = list.encode(encoding, Endian::Little);
        for len in 0..bytes.len() {
            assert_eq!(error(&bytes[..len]).kind(), ErrorKind::Corrupt);
        }
        for limit in 0..bytes.len() {
            let limits = Limits::default().with_bytes(limit);
            let error = NvList::decode(&bytes, &limits).unwrap_err();
            assert_eq!(error, DecodeError::TooLarge { limit });
        }
    }
}

#[test]
fn sizes_of_pairs() {
    let wrong = |found, expected| DecodeError::PairSize {
        offset: 12,
        found,
        expected,
    };
    let bytes = native(Value::Uint64(5));
    assert_eq!(error(&with_word(bytes.clone(), 12, 8)), wrong(8, 24));
    assert_eq!(error(&with_word(bytes.clone(), 12, 20)), wrong(20, 24));
    assert_eq!(error(&with_word(bytes.clone(), 12, 24)), wrong(24, 32));
    assert_eq!(error(&with_word(bytes.clone(), 12, 36)), wrong(36, 32));
    assert!(matches!(
        error(&with_word(bytes, 12, u32::MAX)),
        DecodeError::Short(_)
    ));

    let bytes = xdr(Value::Uint64(5));
    assert_eq!(error(&with_word(bytes.clone(), 12, 36)), wrong(36, 32));
    assert_eq!(error(&with_word(bytes.clone(), 16, 40)), wrong(40, 32));
    assert_eq!(error(&with_word(bytes, 16, 0)), wrong(0, 32));
}

#[test]
fn names() {
    let wrong = |found| DecodeError::Name { offset: 12, found };
    let bytes = native(Value::Boolean);
    assert_eq!(error(&with_word(bytes.clone(), 16, 0)), wrong(0));
    assert_eq!(error(&with_word(bytes.clone(), 16, 1 << 16)), wrong(1));
    assert_eq!(error(&with_word(bytes.clone(), 16, 3 << 16)), wrong(3));
    assert!(matches!(
        error(&with_word(bytes.clone(), 16, 60 << 16)),
        DecodeError::PairSize { .. }
    ));
    assert_eq!(
        error(&with_word(bytes, 28, 0xff00_0000)),
        DecodeError::NameNotUtf8 { offset: 12 }
    );

    let bytes = xdr(Value::Boolean);
    assert_eq!(
        error(&with_word(bytes.clone(), 24, 0xff00_0000)),
        DecodeError::NameNotUtf8 { offset: 12 }
    );
    assert_eq!(
        error(&with_word(bytes.clone(), 24, 0)),
        DecodeError::String { offset: 12 }
    );
    assert_eq!(
        error(&with_word(bytes.clone(), 24, 0x6100_0001)),
        DecodeError::Padding { offset: 28 }
    );
    assert!(matches!(
        error(&with_word(bytes.clone(), 20, u32::MAX)),
        DecodeError::Short(_)
    ));
    let mut long = with_word(bytes[..24].to_vec(), 20, 32_768);
    long.extend([b'n'; 32_768]);
    long.extend([0; 100]);
    assert_eq!(
        error(&long),
        DecodeError::NameTooLong {
            offset: 12,
            found: 32_768
        }
    );
}

#[test]
fn types_and_counts() {
    let unknown = DecodeError::UnknownType {
        offset: 12,
        name: "a".into(),
        found: DataType(28),
    };
    let wrong = |data_type, found| DecodeError::ElementCount {
        offset: 12,
        data_type,
        found,
    };
    assert_eq!(
        unknown.to_string(),
        "pair \"a\" at offset 12 is of unknown type 28"
    );
    // Number of elements, then type, of a native pair; type, then number of elements, of an XDR pair.
    assert_eq!(error(&with_word(native(Value::Uint64(1)), 24, 28)), unknown);
    assert_eq!(error(&with_word(xdr(Value::Uint64(1)), 28, 28)), unknown);
    assert_eq!(
        error(&with_word(native(Value::Uint64(1)), 20, 2)),
        wrong(DataType::UINT64, 2)
    );
    assert_eq!(
        error(&with_word(xdr(Value::Uint64(1)), 32, 2)),
        wrong(DataType::UINT64, 2)
    );
    assert_eq!(
        error(&with_word(native(Value::Boolean), 20, 1)),
        wrong(DataType::BOOLEAN, 1)
    );

    let bytes = native(Value::Uint64Array(vec![1, 2]));
    assert!(matches!(
        error(&with_word(bytes.clone(), 20, 3)),
        DecodeError::PairSize { expected: 48, .. }
    ));
    assert!(matches!(
        error(&with_word(bytes, 20, u32::MAX)),
        DecodeError::PairSize { .. }
    ));
    let bytes = xdr(Value::Uint64Array(vec![1, 2]));
    assert_eq!(
        error(&with_word(bytes.clone(), 32, 3)),
        wrong(DataType::UINT64_ARRAY, 2)
    );
    let both = with_word(with_word(bytes, 32, u32::MAX), 36, u32::MAX);
    assert!(matches!(error(&both), DecodeError::Short(_)));
}

#[test]
fn values() {
    let wrong = |data_type, found| DecodeError::Range {
        offset: 12,
        data_type,
        found,
    };
    let truth = Value::BooleanValue(true);
    assert_eq!(
        error(&with_word(native(truth.clone()), 36, 2)),
        wrong(DataType::BOOLEAN_VALUE, 2)
    );
    assert_eq!(
        error(&with_word(xdr(truth), 36, 2)),
        wrong(DataType::BOOLEAN_VALUE, 2)
    );
    assert_eq!(
        error(&with_word(xdr(Value::Byte(1)), 36, 256)),
        wrong(DataType::BYTE, 256)
    );
    assert_eq!(
        error(&with_word(xdr(Value::Int16(1)), 36, 65_536)),
        wrong(DataType::INT16, 65_536)
    );
    let unterminated = DecodeError::String { offset: 12 };
    let text = Value::String("four".into());
    assert_eq!(
        error(&with_word(
            with_word(native(text), 36, 0x6161_6161),
            40,
            0x6161_6161
        )),
        unterminated
    );
    let texts = Value::StringArray(vec![Text::from("four")]);
    assert_eq!(error(&with_word(native(texts), 48, 0x6161_6161)), unterminated);
}

/// A native string may be followed by a NUL and anything, but not by whole words.
#[test]
fn a_string_shorter_than_its_pair() {
    let bytes = native(Value::String("eight by".into()));
    let wrong = DecodeError::PairSize {
        offset: 12,
        found: 40,
        expected: 32,
    };
    assert_eq!(error(&with_word(bytes, 36, 0x6100_0000)), wrong);
}

#[test]
fn depth_is_bounded() {
    let nest = |levels: u8| {
        (0..levels).fold(NvList::new(), |inner, level| {
            let mut list = NvList::new();
            match level % 2 {
                0 => list.insert("deeper", inner),
                _ => list.insert("deeper", vec![inner]),
            };
            list
        })
    };
    for encoding in [Encoding::Native, Encoding::Xdr] {
        assert!(decode(&nest(Limits::DEPTH).encode(encoding, Endian::Little)).is_ok());
        let error = error(&nest(Limits::DEPTH + 1).encode(encoding, Endian::Little));
        assert!(matches!(
            error,
            DecodeError::TooDeep {
                limit: Limits::DEPTH,
                ..
            }
        ));
        assert_eq!(error.kind(), ErrorKind::Limit);
    }
}

#[test]
fn pairs_are_bounded() {
    let mut list = NvList::new();
    list.insert("lists", vec![NvList::new(), NvList::new()]);
    list.insert("strings", vec![Text::from("a"), Text::from("b")]);
    list.insert("inner", NvList::from_iter([("last", true)]));
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let bytes = list.encode(encoding, Endian::Little);
        let limits = |pairs| Limits {
            pairs,
            ..Limits::default()
        };
        assert!(NvList::decode(&bytes, &limits(8)).is_ok());
        for pairs in 0..8 {
            let error = NvList::decode(&bytes, &limits(pairs)).unwrap_err();
            assert!(matches!(error, DecodeError::TooManyPairs { limit, .. } if limit == pairs));
        }
    }
}

/// libnvpair leaves such pairs in the list and finds the last of them.
#[test]
fn a_name_twice_in_a_list_of_unique_names() {
    let mut loose = NvList::with_flags(zferry_nvlist::Flags::NONE);
    loose.insert("a", 1_u64).insert("a", 2_u64);
    for encoding in [Encoding::Native, Encoding::Xdr] {
        let bytes = with_word(loose.encode(encoding, Endian::Big), 8, 1);
        let list = decode(&bytes).unwrap();
        assert_eq!((list.len(), list.u64("a")), (2, Some(2)));
        assert_eq!(list.encode(encoding, Endian::Big), bytes);
    }
}
