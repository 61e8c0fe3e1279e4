//! From a snapshot to a stream and back: what zferry is for.
//!
//! - [`send`]: walks what changed in a snapshot and writes it as a stream, byte for byte what OpenZFS would send;
//! - [`receive`]: makes a dataset of a stream.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod receive;
pub mod send;
