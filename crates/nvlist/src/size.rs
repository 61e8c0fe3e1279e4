//! How many bytes values, pairs and lists take: in memory, which both encodings write down, and in each encoding.
//!
//! In memory, and so in the native encoding, a pair is an `nvpair_t`, its name, and its value, the latter two filled up
//! to eight bytes:
//!
//! ```text
//!   0        4         6         8           12     16
//!   ┌────────┬─────────┬─────────┬───────────┬──────┬─────────────┬────────────────┐
//!   │ size   │ size of │ reserved│ number of │ type │ name, NUL,  │ value, zeros   │
//!   │ of all │ name    │ (zero)  │ elements  │      │ zeros to 8 n│ to 8 n         │
//!   └────────┴─────────┴─────────┴───────────┴──────┴─────────────┴────────────────┘
//! ```
//!
//! A list as a value is an `nvlist_t` of 24 bytes, whose pairs are elsewhere. Arrays of strings or lists begin with a
//! pointer of eight bytes for each.

use crate::{DataType, Encoding, Header, NvList, Text, Value};

/// `sizeof (nvpair_t)`.
pub(crate) const PAIR_HEADER: usize = 16;
/// `sizeof (nvlist_t)`.
pub(crate) const LIST_STRUCT: usize = 24;
/// A pointer of `nvpair_t`'s arrays, 64 bits wide on every machine.
pub(crate) const POINTER: usize = 8;
/// What ends a native list: a size of zero.
pub(crate) const NATIVE_END: usize = 4;
/// What an XDR list has beside its pairs: version and flags, and two sizes of zero at the end.
pub(crate) const XDR_LIST: usize = 16;
/// What an XDR pair has beside name and value: two sizes, the length of the name, type and number of elements.
pub(crate) const XDR_PAIR: usize = 20;

/// How many bytes of memory an element of a type takes, where that does not depend on the value: all but strings.
pub(crate) const fn element_size(data_type: DataType) -> usize {
    match data_type {
        DataType::BYTE
        | DataType::INT8
        | DataType::UINT8
        | DataType::BYTE_ARRAY
        | DataType::INT8_ARRAY
        | DataType::UINT8_ARRAY => 1,
        DataType::INT16 | DataType::UINT16 | DataType::INT16_ARRAY | DataType::UINT16_ARRAY => 2,
        DataType::INT32
        | DataType::UINT32
        | DataType::BOOLEAN_VALUE
        | DataType::INT32_ARRAY
        | DataType::UINT32_ARRAY
        | DataType::BOOLEAN_ARRAY => 4,
        DataType::NVLIST => LIST_STRUCT,
        DataType::NVLIST_ARRAY => POINTER.saturating_add(LIST_STRUCT),
        DataType::STRING => 0,
        _ => 8,
    }
}

/// How many bytes of memory a value takes before it is filled up to eight.
pub(crate) fn value_size(value: &Value) -> usize {
    let strings = match value {
        Value::String(text) => terminated(text),
        Value::StringArray(texts) => texts.iter().map(terminated).fold(0, usize::saturating_add),
        _ => 0,
    };
    element_size(value.data_type())
        .saturating_mul(value.element_count())
        .saturating_add(strings)
}

const fn terminated(text: &Text) -> usize {
    text.len().saturating_add(1)
}

/// Where in a pair the value begins, whose name has `name_len` bytes without the NUL.
pub(crate) fn value_offset(name_len: usize) -> usize {
    align8(PAIR_HEADER.saturating_add(name_len).saturating_add(1))
}

/// How many bytes of memory a pair takes, the pairs of lists within not counted: `nvp_size`.
pub(crate) fn pair_size(name: &str, value: &Value) -> usize {
    value_offset(name.len()).saturating_add(align8(value_size(value)))
}

/// How many bytes a pair takes in XDR.
///
/// An array without elements is a peculiar case: libnvpair counts the word that would say how many elements follow,
/// but does not write it. The difference shows as zeros at the end of the outermost list.
pub(crate) fn xdr_pair_size(name: &str, value: &Value) -> usize {
    XDR_PAIR
        .saturating_add(align4(name.len()))
        .saturating_add(xdr_value_size(value))
}

fn xdr_value_size(value: &Value) -> usize {
    match value {
        Value::Boolean => 0,
        Value::String(text) => xdr_text_size(text),
        Value::StringArray(texts) => texts.iter().map(xdr_text_size).fold(0, usize::saturating_add),
        Value::ByteArray(bytes) => align4(bytes.len()),
        Value::NvList(_) | Value::NvListArray(_) => value
            .lists()
            .iter()
            .map(xdr_list_size)
            .fold(0, usize::saturating_add),
        _ => {
            let data_type = value.data_type();
            let elements = align4(element_size(data_type)).saturating_mul(value.element_count());
            if data_type.is_array() {
                elements.saturating_add(4)
            } else {
                elements
            }
        }
    }
}

fn xdr_text_size(text: &Text) -> usize {
    align4(text.len()).saturating_add(4)
}

fn xdr_list_size(list: &NvList) -> usize {
    list.iter()
        .map(|(name, value)| xdr_pair_size(name, value))
        .fold(XDR_LIST, usize::saturating_add)
}

/// The pairs of a native list and the zero behind them.
fn native_pairs_size(list: &NvList) -> usize {
    let pair = |(name, value): (&str, &Value)| {
        let lists = value.lists().iter().map(native_pairs_size);
        lists.fold(pair_size(name, value), usize::saturating_add)
    };
    list.iter().map(pair).fold(NATIVE_END, usize::saturating_add)
}

impl NvList {
    /// How many bytes [`NvList::encode`] makes, header included: `nvlist_size`.
    #[must_use]
    pub fn encoded_size(&self, encoding: Encoding) -> usize {
        let list = match encoding {
            // Version and flags stand once, in front of the outermost list.
            Encoding::Native => native_pairs_size(self).saturating_add(8),
            Encoding::Xdr => xdr_list_size(self),
        };
        list.saturating_add(Header::SIZE)
    }
}

const fn align8(len: usize) -> usize {
    len.saturating_add(7) & !7
}

pub(crate) const fn align4(len: usize) -> usize {
    len.saturating_add(3) & !3
}

/// A size or a number of elements as it is written, in a signed 32-bit number. What does not fit becomes the largest
/// one, which no decoder believes.
pub(crate) fn word(len: usize) -> u32 {
    u32::try_from(len)
        .unwrap_or(u32::MAX)
        .min(i32::MAX.cast_unsigned())
}
