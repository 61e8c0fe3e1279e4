//! Whole streams: those that OpenZFS made, and those made here to be damaged.

#![expect(clippy::unwrap_used, reason = "a test says with a panic what it found")]
#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    reason = "a test's numbers are its own"
)]

mod corpus;
mod damage;
mod dump;
mod partial;
mod support;
