//! Random lives of pools: what they say of themselves afterwards, and what a loss of power leaves.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

mod changes;
mod datasets;
mod model;
mod readers;
