//! From a snapshot to a stream and back: what zferry is for.
//!
//! - [`send`]: walks what changed in a snapshot and writes it as a stream, byte for byte what OpenZFS would send;
//! - [`package`]: several snapshots, or a tree of datasets, in one output, behind a header that tells of them;
//! - [`receive`]: makes a dataset of a stream;
//! - [`receive_package`]: what the header of a package tells, and what an incremental replication does to the tree that is there.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod budget;
pub mod package;
pub mod receive;
pub mod receive_package;
pub mod send;
