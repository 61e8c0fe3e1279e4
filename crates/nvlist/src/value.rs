//! The values that a pair can have.

use crate::{DataType, NvList, Text};

/// A value, of one of the types of `data_type_t`.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value: the name alone says it.
    Boolean,
    /// One byte, of no sign.
    Byte(u8),
    /// A signed 16-bit number.
    Int16(i16),
    /// An unsigned 16-bit number.
    Uint16(u16),
    /// A signed 32-bit number.
    Int32(i32),
    /// An unsigned 32-bit number.
    Uint32(u32),
    /// A signed 64-bit number.
    Int64(i64),
    /// An unsigned 64-bit number.
    Uint64(u64),
    /// A string.
    String(Text),
    /// Bytes.
    ByteArray(Vec<u8>),
    /// Signed 16-bit numbers.
    Int16Array(Vec<i16>),
    /// Unsigned 16-bit numbers.
    Uint16Array(Vec<u16>),
    /// Signed 32-bit numbers.
    Int32Array(Vec<i32>),
    /// Unsigned 32-bit numbers.
    Uint32Array(Vec<u32>),
    /// Signed 64-bit numbers.
    Int64Array(Vec<i64>),
    /// Unsigned 64-bit numbers.
    Uint64Array(Vec<u64>),
    /// Strings.
    StringArray(Vec<Text>),
    /// A time in nanoseconds since some moment, as `gethrtime` gives it.
    Hrtime(i64),
    /// A list.
    NvList(NvList),
    /// Lists.
    NvListArray(Vec<NvList>),
    /// True or false.
    BooleanValue(bool),
    /// A signed 8-bit number.
    Int8(i8),
    /// An unsigned 8-bit number.
    Uint8(u8),
    /// Trues and falses.
    BooleanArray(Vec<bool>),
    /// Signed 8-bit numbers.
    Int8Array(Vec<i8>),
    /// Unsigned 8-bit numbers.
    Uint8Array(Vec<u8>),
    /// A floating point number. Only programs have these; the kernel knows no such type.
    Double(f64),
}

impl Value {
    /// The type that is written before the value.
    #[must_use]
    pub const fn data_type(&self) -> DataType {
        match self {
            Self::Boolean => DataType::BOOLEAN,
            Self::Byte(_) => DataType::BYTE,
            Self::Int16(_) => DataType::INT16,
            Self::Uint16(_) => DataType::UINT16,
            Self::Int32(_) => DataType::INT32,
            Self::Uint32(_) => DataType::UINT32,
            Self::Int64(_) => DataType::INT64,
            Self::Uint64(_) => DataType::UINT64,
            Self::String(_) => DataType::STRING,
            Self::ByteArray(_) => DataType::BYTE_ARRAY,
            Self::Int16Array(_) => DataType::INT16_ARRAY,
            Self::Uint16Array(_) => DataType::UINT16_ARRAY,
            Self::Int32Array(_) => DataType::INT32_ARRAY,
            Self::Uint32Array(_) => DataType::UINT32_ARRAY,
            Self::Int64Array(_) => DataType::INT64_ARRAY,
            Self::Uint64Array(_) => DataType::UINT64_ARRAY,
            Self::StringArray(_) => DataType::STRING_ARRAY,
            Self::Hrtime(_) => DataType::HRTIME,
            Self::NvList(_) => DataType::NVLIST,
            Self::NvListArray(_) => DataType::NVLIST_ARRAY,
            Self::BooleanValue(_) => DataType::BOOLEAN_VALUE,
            Self::Int8(_) => DataType::INT8,
            Self::Uint8(_) => DataType::UINT8,
            Self::BooleanArray(_) => DataType::BOOLEAN_ARRAY,
            Self::Int8Array(_) => DataType::INT8_ARRAY,
            Self::Uint8Array(_) => DataType::UINT8_ARRAY,
            Self::Double(_) => DataType::DOUBLE,
        }
    }

    /// How many elements go on the wire: none for [`Value::Boolean`], one for any other single value.
    #[must_use]
    pub const fn element_count(&self) -> usize {
        match self {
            Self::Boolean => 0,
            Self::ByteArray(values) | Self::Uint8Array(values) => values.len(),
            Self::Int8Array(values) => values.len(),
            Self::Int16Array(values) => values.len(),
            Self::Uint16Array(values) => values.len(),
            Self::Int32Array(values) => values.len(),
            Self::Uint32Array(values) => values.len(),
            Self::Int64Array(values) => values.len(),
            Self::Uint64Array(values) => values.len(),
            Self::StringArray(values) => values.len(),
            Self::NvListArray(values) => values.len(),
            Self::BooleanArray(values) => values.len(),
            _ => 1,
        }
    }

    /// The lists within this value: one, several or none.
    pub(crate) fn lists(&self) -> &[NvList] {
        match self {
            Self::NvList(list) => std::slice::from_ref(list),
            Self::NvListArray(lists) => lists,
            _ => &[],
        }
    }
}

macro_rules! value_from {
    ($($from:ty => $variant:ident;)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

value_from! {
    bool => BooleanValue;
    i32 => Int32;
    u32 => Uint32;
    i64 => Int64;
    u64 => Uint64;
    &str => String;
    String => String;
    Text => String;
    NvList => NvList;
    Vec<u64> => Uint64Array;
    Vec<Text> => StringArray;
    Vec<NvList> => NvListArray;
}
