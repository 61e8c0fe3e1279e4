//! Sending: a snapshot, and what it is sent from, become a stream.
//!
//! One thread walks the object set and lays out records (`recorder`); worker threads read, decrypt and decompress the
//! blocks into the places that were laid out for them, and sum them (`job`); the caller's thread gives the records their
//! checksums and writes them, in the order of the walk (`pipeline`). So the output does not depend on timing.
//!
//! What the records are and when which is sent: `docs/stream-format.md`.

mod damage;
mod dedup;
mod encryption;
mod error;
mod estimate;
mod features;
mod job;
mod merge;
mod pipeline;
mod plan;
mod recorder;
mod resolve;
mod resume;
mod saved;
mod source;
mod walk;

pub use damage::{Damage, DamagedPart, PATTERN};
pub use dedup::{DedupError, Deduplicated, deduplicate};
pub use encryption::SourceEncryption;
pub use error::SendError;
pub use features::{DatasetFeature, SendOptions};
use pipeline::OnDamage;
pub use pipeline::{Progress, Sent};
pub use resolve::{ResolveError, Resolved};
pub use resume::{ResumeError, ResumePoint};
pub use saved::Saved;
pub use source::{From, Source};

use std::io::Write;
use zferry_zpool::Pool;

/// Sends a snapshot.
///
/// `progress` can be looked at from another thread meanwhile.
///
/// # Errors
/// Where a block cannot be read or the output fails. What was written until then has no END record, so no receiver
/// takes it for whole.
pub fn send(
    pool: &Pool,
    source: &Source,
    options: SendOptions,
    output: &mut dyn Write,
    progress: &Progress,
) -> Result<Sent, SendError> {
    pipeline::run(pool, source, options, output, progress, OnDamage::Stop)
}

/// Sends a snapshot with what of it can be read, and tells `damaged` of the rest, in the order of the stream.
///
/// Receivers take the stream for whole: a [pattern](PATTERN) goes in the place of each block that cannot be read.
///
/// # Errors
/// As [`send`], where the object set itself cannot be read, and where the output fails.
pub fn send_skipping_damage(
    pool: &Pool,
    source: &Source,
    options: SendOptions,
    output: &mut dyn Write,
    progress: &Progress,
    damaged: &mut dyn FnMut(Damage),
) -> Result<Sent, SendError> {
    let on_damage = OnDamage::Skip(damaged);
    pipeline::run(pool, source, options, output, progress, on_damage)
}
