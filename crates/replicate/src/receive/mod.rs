//! Receiving: a stream becomes a dataset.
//!
//! - [`rules`]: what a stream must keep, each check with the errno that OpenZFS has for it.
//!
//! What the records are: `docs/stream-format.md`.

mod errno;
pub mod rules;

pub use errno::Errno;
