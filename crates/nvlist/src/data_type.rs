//! The numbers by which values' types go on the wire: `data_type_t` of `sys/nvpair.h`.

use std::fmt;

/// The type of a value, as it is written before it. Numbers that no type has are kept, to be named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataType(pub u32);

macro_rules! data_types {
    ($($constant:ident = $number:literal, $name:literal;)*) => {
        impl DataType {
            $(
                #[doc = concat!("`DATA_TYPE_", stringify!($constant), "`")]
                pub const $constant: Self = Self($number);
            )*

            /// The name of the type, in the lower case of libnvpair's functions, if there is such a type.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$constant => Some($name),)*
                    _ => None,
                }
            }
        }
    };
}

data_types! {
    BOOLEAN = 1, "boolean";
    BYTE = 2, "byte";
    INT16 = 3, "int16";
    UINT16 = 4, "uint16";
    INT32 = 5, "int32";
    UINT32 = 6, "uint32";
    INT64 = 7, "int64";
    UINT64 = 8, "uint64";
    STRING = 9, "string";
    BYTE_ARRAY = 10, "byte_array";
    INT16_ARRAY = 11, "int16_array";
    UINT16_ARRAY = 12, "uint16_array";
    INT32_ARRAY = 13, "int32_array";
    UINT32_ARRAY = 14, "uint32_array";
    INT64_ARRAY = 15, "int64_array";
    UINT64_ARRAY = 16, "uint64_array";
    STRING_ARRAY = 17, "string_array";
    HRTIME = 18, "hrtime";
    NVLIST = 19, "nvlist";
    NVLIST_ARRAY = 20, "nvlist_array";
    BOOLEAN_VALUE = 21, "boolean_value";
    INT8 = 22, "int8";
    UINT8 = 23, "uint8";
    BOOLEAN_ARRAY = 24, "boolean_array";
    INT8_ARRAY = 25, "int8_array";
    UINT8_ARRAY = 26, "uint8_array";
    DOUBLE = 27, "double";
}

impl DataType {
    /// Whether a value of this type has a number of elements of its own.
    #[must_use]
    pub const fn is_array(self) -> bool {
        matches!(
            self,
            Self::BYTE_ARRAY
                | Self::INT16_ARRAY
                | Self::UINT16_ARRAY
                | Self::INT32_ARRAY
                | Self::UINT32_ARRAY
                | Self::INT64_ARRAY
                | Self::UINT64_ARRAY
                | Self::STRING_ARRAY
                | Self::NVLIST_ARRAY
                | Self::BOOLEAN_ARRAY
                | Self::INT8_ARRAY
                | Self::UINT8_ARRAY
        )
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "type {}", self.0),
        }
    }
}
