//! Decodes name-value lists.

use zferry_nvlist::{Encoding, Endian, Limits, NvList, Value};

/// Decodes `bytes` as a list. A list that comes of it must say the same after it was encoded again in any form, must
/// take no more memory than the bytes account for, and must print.
pub fn nvlist(bytes: &[u8]) {
    let limits = Limits::default();
    let Ok((list, header)) = NvList::decode(bytes, &limits) else {
        return;
    };
    assert!(
        weight(&list) <= 64 + 16 * bytes.len(),
        "a list much larger than its bytes"
    );
    for (encoding, endian) in [
        (header.encoding, header.endian),
        (Encoding::Native, Endian::Little),
        (Encoding::Native, Endian::Big),
        (Encoding::Xdr, Endian::Big),
    ] {
        let encoded = list.encode(encoding, endian);
        assert_eq!(encoded.len(), list.encoded_size(encoding));
        let (again, header) = NvList::decode(&encoded, &limits).expect("what was encoded is a list");
        assert_eq!((header.encoding, header.endian), (encoding, endian));
        // Compared as bytes, for there are floating point numbers that do not equal themselves.
        assert_eq!(again.encode(encoding, endian), encoded);
    }
    assert!(list.print().to_string().starts_with("nvlist version: 0\n"));
    assert_eq!(list.dump(0).to_string().is_empty(), !shows(&list));
    for (name, _) in &list {
        assert!(list.contains(name));
    }
    take_apart(list);
}

/// Whether there is anything that the short text form has a line for.
fn shows(list: &NvList) -> bool {
    list.iter().any(|(_, value)| {
        matches!(value, Value::BooleanArray(_)) || !value.data_type().is_array() || value.element_count() > 0
    })
}

/// Removes every pair of a list by its name.
fn take_apart(mut list: NvList) {
    while let Some((name, _)) = list.iter().next() {
        let (name, before) = (name.to_owned(), list.len());
        // Removal looks through the whole list, so that long ones would only be slow.
        if before > 1000 {
            return;
        }
        assert!(list.remove(&name) && list.len() < before && !list.contains(&name));
    }
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
