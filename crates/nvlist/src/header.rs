//! The four bytes in front of every packed list, `nvs_header_t`.
//!
//! ```text
//!   0          1                    2          4
//!   ┌──────────┬────────────────────┬──────────┐
//!   │ encoding │ byte order of      │ reserved │
//!   │ 0 native │ the packing machine│ (zero)   │
//!   │ 1 XDR    │ 0 big, 1 little    │          │
//!   └──────────┴────────────────────┴──────────┘
//! ```

use zferry_wire::Endian;

use crate::DecodeError;

/// How a list is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// The C structs as they lie in memory, in the byte order of the machine, pointers zeroed. Streams of single
    /// snapshots and resume tokens use this.
    Native,
    /// External Data Representation (RFC 4506), big-endian everywhere. Pools and the lists in front of packages use
    /// this.
    Xdr,
}

/// What stands in front of a packed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// How the list is laid out.
    pub encoding: Encoding,
    /// The byte order of the machine that packed the list. It says how to read [`Encoding::Native`] and nothing about
    /// [`Encoding::Xdr`].
    pub endian: Endian,
}

impl Header {
    /// How many bytes it takes.
    pub const SIZE: usize = 4;

    pub(crate) const fn to_bytes(self) -> [u8; Self::SIZE] {
        let encoding = match self.encoding {
            Encoding::Native => 0,
            Encoding::Xdr => 1,
        };
        let endian = match self.endian {
            Endian::Big => 0,
            Endian::Little => 1,
        };
        [encoding, endian, 0, 0]
    }

    pub(crate) const fn from_bytes(bytes: [u8; Self::SIZE]) -> Result<Self, DecodeError> {
        let [encoding, endian, _, _] = bytes;
        let encoding = match encoding {
            0 => Encoding::Native,
            1 => Encoding::Xdr,
            found => return Err(DecodeError::UnknownEncoding { found }),
        };
        let endian = match (encoding, endian) {
            (_, 0) => Endian::Big,
            // Nothing depends on this byte in XDR, and OpenZFS does not look at it.
            (_, 1) | (Encoding::Xdr, _) => Endian::Little,
            (Encoding::Native, found) => return Err(DecodeError::UnknownByteOrder { found }),
        };
        Ok(Self { encoding, endian })
    }
}
