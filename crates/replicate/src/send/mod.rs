//! Sending: a snapshot, and what it is sent from, become a stream.
//!
//! One thread walks the object set and lays out records (`recorder`); worker threads read, decrypt and decompress the
//! blocks into the places that were laid out for them, and sum them (`job`); the caller's thread gives the records their
//! checksums and writes them, in the order of the walk (`pipeline`). So the output does not depend on timing.
//!
//! What the records are and when which is sent: `docs/stream-format.md`.

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

pub use dedup::{DedupError, Deduplicated, deduplicate};
pub use encryption::SourceEncryption;
pub use error::SendError;
pub use features::{DatasetFeature, SendOptions};
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
    pipeline::run(pool, source, options, output, progress)
}
