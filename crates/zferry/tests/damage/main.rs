//! Pools that are damaged in every way there is: the command must neither panic nor hang nor take more memory than it
//! may, and what it sends of them must be right or not look whole. And streams whose checksums are right and whose
//! records are not: receiving them must do no harm to anything else.
//!
//! Damage is chosen by seeds, so a case that fails is named by its test and its number. `ZFERRY_DAMAGE_CASES` asks for
//! more cases than there are by default.

#![expect(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test"
)]

mod command;
mod crafted;
mod mutated;
mod random;
mod rng;
mod streams;
