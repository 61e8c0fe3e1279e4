//! What is received is what was sent; what cannot be received leaves no trace.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where something is not as it must be"
)]
#![allow(clippy::arithmetic_side_effects, reason = "numbers of tests are small")]

mod contents;
mod corpus;
mod existing;
mod made;
mod refused;
mod support;
