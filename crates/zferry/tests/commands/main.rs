//! The commands as a user runs them: what they make, what they say, and what they leave behind when they fail.
//!
//! It is one program, for linking one for each file would take longer than to run them.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test"
)]

mod documents;
mod pool;
mod receive;
mod send;
mod stream;
mod support;
