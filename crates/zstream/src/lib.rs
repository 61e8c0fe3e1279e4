//! The ZFS send stream: what `zfs send` writes and `zfs receive` reads.
//!
//! A stream is a bare sequence of 312-byte records, some followed by a payload, bound together by a running
//! Fletcher-4 checksum. There is no index, no sync marker and no trailer but the END record, and every number is in
//! the byte order of the machine that sent it.
//!
//! - [`record`]: the eleven records, decoded and encoded;
//! - [`flags`]: feature flags, BEGIN's flags, the flags of records;
//! - [`writer`]: gives records their checksums and writes them.
//!
//! The format is written out in `docs/stream-format.md`.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod dump;
pub mod flags;
pub mod reader;
pub mod record;
pub mod source;
pub mod token;
pub mod validate;
pub mod verify;
pub mod writer;

mod checksum;
mod error;
mod fletcher;
mod package;
mod raw;

pub use error::{StreamError, StreamErrorKind};
pub use package::PackageError;

pub use zferry_blocks::checksum::Checksum;
