//! What the tests have in common: running the command, a pool to run it on, pools that OpenZFS made, and what a stream
//! holds.

mod bench;
mod run;
mod sources;
mod streams;

pub(crate) use bench::Bench;
pub(crate) use run::{Ran, Words, command, run};
pub(crate) use sources::{example_sends, fixture, redacted, sends, vault};
pub(crate) use streams::{contents, records, sha256, undecided};
