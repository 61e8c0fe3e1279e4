//! ZFS name-value lists.
//!
//! Wherever ZFS keeps structured data without a C struct of its own, it keeps an *nvlist*: an ordered list of named,
//! typed values, among them further lists. The labels of a vdev, the configuration of a pool, the first record of a
//! stream, a resume token and the pool's history are nvlists. The format is that of libnvpair, described in
//! `module/nvpair/nvpair.c` of OpenZFS: four bytes of [`Header`], then one of two [`Encoding`]s.
//!
//! ```
//! use zferry_nvlist::{Encoding, Endian, Limits, NvList, Value};
//!
//! let mut list = NvList::new();
//! list.insert("toname", "tank/home@monday").insert("object", 7_u64).insert("rawok", Value::Boolean);
//! let bytes = list.encode(Encoding::Xdr, Endian::OURS);
//!
//! let (list, header) = NvList::decode(&bytes, &Limits::default())?;
//! assert_eq!(header.encoding, Encoding::Xdr);
//! assert_eq!(list.str("toname"), Some("tank/home@monday"));
//! assert!(list.flag("rawok"));
//! # Ok::<(), zferry_nvlist::DecodeError>(())
//! ```
//!
//! # Strings
//! To ZFS a string is bytes without a NUL, in no particular character set. **Values** keep their bytes: a [`Text`] holds
//! any, so that a device path or a user property that is not UTF-8 survives decoding and encoding. **Names** are
//! [`str`]: those that ZFS chooses, property names and snapshot names are ASCII by ZFS's own rules, so decoding refuses
//! a name that is not UTF-8 ([`DecodeError::NameNotUtf8`]). The one name that ZFS does not restrict is the tag of a
//! hold.
//!
//! # What decoding accepts
//! All that OpenZFS writes, on any machine, including native lists of the other byte order, which OpenZFS itself
//! refuses. It is stricter than libnvpair where a list contradicts itself in ways in which no writer does: both sizes
//! in front of an XDR pair, and both counts of an XDR array, must be right.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod data_type;
mod decode;
mod dump;
mod error;
mod header;
mod index;
mod limits;
mod list;
mod lookup;
mod native;
mod print;
mod size;
mod text;
mod value;
mod xdr;

pub use data_type::DataType;
pub use dump::Dump;
pub use error::{DecodeError, ErrorKind};
pub use header::{Encoding, Header};
pub use limits::Limits;
pub use list::{Flags, Iter, NvList};
pub use print::Print;
pub use text::Text;
pub use value::Value;
pub use zferry_wire::Endian;
