//! Corrective receive (`-c`): the damaged blocks of a snapshot that exists are made again from a stream of that snapshot.
//!
//! Nothing else is changed, so there is nothing to be taken back: what was healed before a stream ends too early, or a
//! block is met that cannot be healed, stays healed. Whether it may be done is decided as `dmu_recv_begin_check` of OpenZFS
//! 2.2 and later does it. A block that cannot be healed does not keep those behind it from being healed; the first is
//! told. Beyond OpenZFS, spill blocks are healed, and what lies in pointers in the stream and not in the pool.

mod check;
mod pipeline;

pub use check::check_heal;

use super::{Destination, Incoming, Progress, ReceiveError};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::{Error, HealError, PoolWriter};
use zferry_zstream::record::RecordType;
use zferry_zstream::source::Source;

/// What a corrective receive has done.
#[derive(Debug, Default)]
pub struct HealReport {
    /// Bytes of stream, its BEGIN record included.
    pub bytes: u64,
    /// How many blocks were healed.
    pub healed: u64,
    /// How much of the devices was written, in bytes.
    pub written: u64,
    /// How many blocks are damaged and could not be healed.
    pub failed: u64,
    /// The first of these.
    pub first_failure: Option<Unhealed>,
}

/// A block that is damaged and could not be healed.
#[derive(Debug, thiserror::Error)]
#[error("at offset {position}: {} record: object {object}, {}: {why}", record_type.name(), place(*.offset))]
pub struct Unhealed {
    /// Where in the stream the record begins that has the block, in bytes.
    pub position: u64,
    /// The type of that record.
    pub record_type: RecordType,
    /// The object.
    pub object: u64,
    /// Where in the object the block is, in bytes; `None` for the spill block.
    pub offset: Option<u64>,
    /// Why it could not be healed.
    pub why: HealError,
}

fn place(offset: Option<u64>) -> String {
    offset.map_or_else(|| "spill block".to_owned(), |offset| format!("offset {offset}"))
}

impl HealReport {
    fn add(&mut self, other: Self) {
        self.healed = self.healed.saturating_add(other.healed);
        self.written = self.written.saturating_add(other.written);
        self.failed = self.failed.saturating_add(other.failed);
        if let Some(failure) = other.first_failure {
            self.note(failure);
        }
    }

    fn note(&mut self, failure: Unhealed) {
        let is_first = self
            .first_failure
            .as_ref()
            .is_none_or(|first| failure.position < first.position);
        if is_first {
            self.first_failure = Some(failure);
        }
    }
}

/// Heals what is damaged of the snapshot at `destination`, as far as the stream has it. `is_unlocked` says whether the
/// key is loaded that an encrypted dataset takes. What comes behind the stream in `incoming` can be received next.
///
/// `progress` can be looked at from another thread meanwhile.
///
/// # Errors
/// [`ReceiveError`]. Blocks that were healed before stay so. [`ReceiveError::Unhealed`] where the stream was read to its
/// end, and not every damaged block could be healed.
pub fn heal<S: Source + Send>(
    writer: &mut PoolWriter,
    incoming: &mut Incoming<S>,
    destination: &Destination,
    is_unlocked: bool,
    progress: &Progress,
) -> Result<HealReport, ReceiveError> {
    incoming.list()?;
    incoming.reader.look_ahead()?;
    let snapshot = check_heal(
        &DslPool::new(writer.pool()),
        incoming.begin(),
        destination,
        is_unlocked,
    )?;
    let healer = writer.healer(snapshot)?;
    let mut report = HealReport::default();
    let outcome = pipeline::run(incoming, &healer, &mut report, progress);
    healer.flush()?;
    if report.healed > 0 {
        writer.forget_errors(snapshot)?;
    }
    report.bytes = outcome?.saturating_sub(incoming.start);
    match report.first_failure {
        Some(_) => Err(ReceiveError::Unhealed(Box::new(report))),
        None => Ok(report),
    }
}

impl std::fmt::Display for HealReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(failure) = &self.first_failure {
            write!(f, "{failure}; ")?;
        }
        write!(
            f,
            "{} damaged blocks were healed, {} could not be",
            self.healed, self.failed
        )
    }
}

/// Whether a block could not be healed because nothing more can be read or written.
const fn is_fatal(why: &HealError) -> bool {
    matches!(why, HealError::Pool(Error::Io { .. }))
}
