//! What is received is what was sent; what cannot be received leaves no trace.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails where something is not as it must be"
)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "numbers of tests are small"
)]

mod contents;
mod corpus;
mod crashed;
mod existing;
mod made;
mod refused;
mod resumed;
mod senders;
mod support;
