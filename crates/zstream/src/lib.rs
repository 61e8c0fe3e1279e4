//! The ZFS send stream: what `zfs send` writes and `zfs receive` reads.
//!
//! A stream is a bare sequence of 312-byte records, some followed by a payload, bound together by a running
//! Fletcher-4 checksum. There is no index, no sync marker and no trailer but the END record, and every number is in
//! the byte order of the machine that sent it.
//!
//! - [`record`], [`flags`]: the eleven records, decoded and encoded;
//! - [`writer`]: gives records their checksums and writes them;
//! - [`source`], [`reader`]: cut a stream or a package of streams into records again, in place, and check the sums;
//! - [`validate`], [`verify`]: whether a record makes sense, and whether a stream is whole and sound;
//! - [`dump`]: a stream as `zstream dump` shows it;
//! - [`token`]: resume tokens.
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
