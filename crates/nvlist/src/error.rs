//! Why bytes are not a list.

use zferry_wire::ShortRead;

use crate::DataType;

/// What decoding found wrong. Every `offset` is in bytes from the header of the outermost list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end within the list.
    #[error("the list is cut short: {0}")]
    Short(#[from] ShortRead),
    /// The list is larger than the caller allows.
    #[error("the list is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// How many bytes are allowed.
        limit: usize,
    },
    /// The list has more pairs than the caller allows.
    #[error("more than the {limit} pairs that are allowed, at offset {offset}")]
    TooManyPairs {
        /// Where the first pair too many begins.
        offset: u64,
        /// How many pairs are allowed.
        limit: usize,
    },
    /// Lists lie within lists deeper than the caller allows.
    #[error("lists within lists deeper than the {limit} levels that are allowed, at offset {offset}")]
    TooDeep {
        /// Where the list too deep begins.
        offset: u64,
        /// How many levels are allowed.
        limit: u8,
    },
    /// The header names an encoding that there is not.
    #[error("unknown encoding {found}")]
    UnknownEncoding {
        /// The first byte of the header.
        found: u8,
    },
    /// The header of a native list names a byte order that there is not.
    #[error("unknown byte order {found}")]
    UnknownByteOrder {
        /// The second byte of the header.
        found: u8,
    },
    /// The list says that it is of another version than 0, the only one.
    #[error("unknown version {found} of a list at offset {offset}")]
    UnknownVersion {
        /// Where the list begins.
        offset: u64,
        /// The version.
        found: u32,
    },
    /// A value is of a type that there is not.
    #[error("pair {name:?} at offset {offset} is of unknown type {}", found.0)]
    UnknownType {
        /// Where the pair begins.
        offset: u64,
        /// The name of the pair.
        name: Box<str>,
        /// The type.
        found: DataType,
    },
    /// The number of elements does not fit the type, or the two numbers that an XDR array has differ.
    #[error("{data_type} at offset {offset} with {found} elements")]
    ElementCount {
        /// Where the pair begins.
        offset: u64,
        /// The type of the value.
        data_type: DataType,
        /// How many elements it says it has.
        found: u32,
    },
    /// A size in front of a pair is not the size of what follows.
    #[error("the pair at offset {offset} says it has {found} bytes, but has {expected}")]
    PairSize {
        /// Where the pair begins.
        offset: u64,
        /// The size that the pair says it has.
        found: u32,
        /// The size that its name and its value have.
        expected: u64,
    },
    /// The name of a native pair does not end where it says.
    #[error("the name of the pair at offset {offset} does not end in the last of its {found} bytes")]
    Name {
        /// Where the pair begins.
        offset: u64,
        /// The length that it says its name has, the final NUL included.
        found: u16,
    },
    /// A name is longer than the 32,766 bytes that fit the field that holds the length in memory.
    #[error("a name of {found} bytes at offset {offset}")]
    NameTooLong {
        /// Where the pair begins.
        offset: u64,
        /// The length of the name.
        found: usize,
    },
    /// A name is not UTF-8.
    #[error("the name of the pair at offset {offset} is not UTF-8")]
    NameNotUtf8 {
        /// Where the pair begins.
        offset: u64,
    },
    /// A string has a NUL within, or none at its end.
    #[error("a string of the pair at offset {offset} does not end where it should")]
    String {
        /// Where the pair begins.
        offset: u64,
    },
    /// A value is outside the range of its type, such as a truth value of 2, or a byte of 300 in XDR.
    #[error("{found:#x} is no value of {data_type}, in the pair at offset {offset}")]
    Range {
        /// Where the pair begins.
        offset: u64,
        /// The type of the value.
        data_type: DataType,
        /// The 32-bit word that was found.
        found: u32,
    },
    /// The bytes that fill a field of XDR up to four bytes are not zero.
    #[error("the padding before offset {offset} is not zero")]
    Padding {
        /// Where the padding ends.
        offset: u64,
    },
}

/// Which kind of failure an error is, in the classes to which OpenZFS gives an errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The bytes are no list (`EFAULT`).
    Corrupt,
    /// They may be a list, but of a form that is not known (`ENOTSUP`).
    Unsupported,
    /// The list is larger or deeper than is allowed (`EINVAL`, `E2BIG`).
    Limit,
}

impl DecodeError {
    /// Which kind of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge { .. } | Self::TooManyPairs { .. } | Self::TooDeep { .. } => ErrorKind::Limit,
            Self::UnknownEncoding { .. } | Self::UnknownByteOrder { .. } | Self::UnknownVersion { .. } => {
                ErrorKind::Unsupported
            }
            _ => ErrorKind::Corrupt,
        }
    }
}
