//! What holds for any list, and for any bytes.

#![allow(
    missing_docs,
    clippy::arithmetic_side_effects,
    clippy::unwrap_used,
    reason = "a test"
)]

use proptest::{collection::vec, prelude::*, sample::Index};
use zferry_nvlist::{Encoding, Endian, Flags, Header, Limits, NvList, Text, Value};

const FORMS: [(Encoding, Endian); 4] = [
    (Encoding::Native, Endian::Little),
    (Encoding::Native, Endian::Big),
    (Encoding::Xdr, Endian::Little),
    (Encoding::Xdr, Endian::Big),
];

fn text() -> impl Strategy<Value = Text> {
    vec(any::<u8>(), 0..12).prop_map(|bytes| Text::new(&bytes))
}

/// Values without lists. Of the floating point numbers only those that equal themselves.
fn plain_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Boolean),
        any::<u8>().prop_map(Value::Byte),
        any::<i16>().prop_map(Value::Int16),
        any::<u16>().prop_map(Value::Uint16),
        any::<i32>().prop_map(Value::Int32),
        any::<u32>().prop_map(Value::Uint32),
        any::<i64>().prop_map(Value::Int64),
        any::<u64>().prop_map(Value::Uint64),
        text().prop_map(Value::String),
        vec(any::<u8>(), 0..12).prop_map(Value::ByteArray),
        vec(any::<i16>(), 0..6).prop_map(Value::Int16Array),
        vec(any::<u16>(), 0..6).prop_map(Value::Uint16Array),
        vec(any::<i32>(), 0..6).prop_map(Value::Int32Array),
        vec(any::<u32>(), 0..6).prop_map(Value::Uint32Array),
        vec(any::<i64>(), 0..6).prop_map(Value::Int64Array),
        vec(any::<u64>(), 0..6).prop_map(Value::Uint64Array),
        vec(text(), 0..6).prop_map(Value::StringArray),
        any::<i64>().prop_map(Value::Hrtime),
        any::<bool>().prop_map(Value::BooleanValue),
        any::<i8>().prop_map(Value::Int8),
        any::<u8>().prop_map(Value::Uint8),
        vec(any::<bool>(), 0..6).prop_map(Value::BooleanArray),
        vec(any::<i8>(), 0..12).prop_map(Value::Int8Array),
        vec(any::<u8>(), 0..12).prop_map(Value::Uint8Array),
        any::<f64>()
            .prop_filter("not a number", |value| !value.is_nan())
            .prop_map(Value::Double),
    ]
}

fn list_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = NvList> {
    (any::<u32>(), vec((".{0,9}", value), 0..8)).prop_map(|(flags, pairs)| {
        let mut list = NvList::with_flags(Flags(flags));
        list.extend(pairs);
        list
    })
}

fn list() -> impl Strategy<Value = NvList> {
    let value = plain_value().prop_recursive(4, 64, 8, |value| {
        let list = list_of(value).boxed();
        prop_oneof![
            list.clone().prop_map(Value::NvList),
            vec(list, 0..4).prop_map(Value::NvListArray)
        ]
    });
    list_of(value)
}

/// About how many bytes of memory a list takes.
fn weight(list: &NvList) -> usize {
    let pairs = list.iter().map(|(name, value)| {
        128 + name.len()
            + match value {
                Value::NvList(list) => weight(list),
                Value::NvListArray(lists) => lists.iter().map(weight).sum(),
                Value::StringArray(texts) => texts.iter().map(|text| 16 + text.len()).sum(),
                Value::String(text) => text.len(),
                value => 8 * value.element_count(),
            }
    });
    64 + pairs.sum::<usize>()
}

/// Decodes bytes of any origin. What can be decoded is encoded to the same list again, and takes no more memory than
/// the bytes account for.
fn digest(bytes: &[u8]) {
    let Ok((list, header)) = NvList::decode(bytes, &Limits::default()) else {
        return;
    };
    assert!(weight(&list) <= 64 + 16 * bytes.len());
    let encoded = list.encode(header.encoding, header.endian);
    assert!(encoded.len() <= 2 * bytes.len());
    let (again, _) = NvList::decode(&encoded, &Limits::default()).unwrap();
    assert_eq!(again.encode(header.encoding, header.endian), encoded);
    assert!(!list.print().to_string().is_empty());
    drop(list.dump(0).to_string());
}

proptest! {
    #[test]
    fn every_form_is_read_back(list in list()) {
        for (encoding, endian) in FORMS {
            let bytes = list.encode(encoding, endian);
            prop_assert_eq!(bytes.len(), list.encoded_size(encoding));
            let (read, header) = NvList::decode(&bytes, &Limits::default()).unwrap();
            prop_assert_eq!(&read, &list);
            prop_assert_eq!(header, Header { encoding, endian });
        }
    }

    #[test]
    fn damage_does_no_harm(
        list in list(),
        form in any::<Index>(),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        let (encoding, endian) = *form.get(&FORMS);
        let mut bytes = list.encode(encoding, endian);
        for (place, byte) in damage {
            *place.get_mut(&mut bytes) = byte;
        }
        digest(&bytes);
        digest(bytes.get(..cut.index(bytes.len())).unwrap());
    }

    #[test]
    fn any_bytes_do_no_harm(header in 0_usize..4, words in vec(prop_oneof![0_u32..40, any::<u32>()], 0..60)) {
        let mut bytes: Vec<u8> = match header {
            0 => vec![0, 0, 0, 0],
            1 => vec![0, 1, 0, 0],
            2 => vec![1, 1, 0, 0],
            _ => vec![],
        };
        let little = header == 1;
        bytes.extend(words.iter().flat_map(|word| if little { word.to_le_bytes() } else { word.to_be_bytes() }));
        digest(&bytes);
    }

    #[test]
    fn removing_what_was_inserted_leaves_nothing(names in vec("[a-d]{0,3}", 0..80)) {
        let mut list = NvList::new();
        for name in &names {
            list.insert(name, name.as_str());
        }
        for name in &names {
            prop_assert_eq!(list.str(name), Some(name.as_str()));
        }
        for name in &names {
            list.remove(name);
            prop_assert!(!list.contains(name));
        }
        prop_assert!(list.is_empty());
    }
}
