//! Bounded readers and writers whose byte order is chosen at run time.
//!
//! ZFS decides byte order late: a pool by the magic of its uberblocks, a block by a bit of the pointer that leads to
//! it, a stream by the magic of its first record. So nothing here has an order in its type; a [`Reader`] and a
//! [`Writer`] carry an [`Endian`] and every access is checked against the bytes that are really there.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod convert;
mod endian;
mod reader;
mod writer;

pub use convert::{u64_from_usize, usize_from_u32, usize_from_u64};
pub use endian::Endian;
pub use reader::{Reader, ShortRead};
pub use writer::Writer;
