//! Receiving: a stream becomes a dataset.
//!
//! BEGIN decides whether the pool can take the stream, and under which name ([`Destination`], [`check`]). Then one thread
//! reads records and holds them to the [`rules`] (`reading`); worker threads turn blocks round, compress and sum them
//! (`batch`); the caller's thread applies everything in the order of the stream (`apply`, `pipeline`), so the pool that
//! comes out does not depend on timing.
//!
//! All belongs to a dataset that is marked as not whole until the last step, which takes the snapshot and the mark off.
//! A receive that fails takes the dataset away again; one that is killed leaves it to whoever opens the pool for writing
//! next.
//!
//! What the records are: `docs/stream-format.md`.

mod apply;
mod batch;
mod begin;
mod destination;
mod errno;
mod error;
mod incoming;
mod payload;
mod pipeline;
mod reading;
mod recent;
pub mod rules;

pub use begin::check;
pub use destination::{Destination, DestinationError, Naming};
pub use errno::Errno;
pub use error::ReceiveError;
pub use incoming::Incoming;
pub use pipeline::Progress;

use apply::Applier;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::{DatasetId, Error, PoolWriter};
use zferry_zstream::record::Begin;
use zferry_zstream::source::Source;

/// What was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of stream, its BEGIN record included.
    pub bytes: u64,
}

/// What is done to the dataset in addition, such as setting properties.
///
/// It is called between the making of the dataset and its first record, in the same transaction group.
pub type Prepare<'a> = dyn FnMut(&mut PoolWriter) -> Result<(), Error> + 'a;

/// Receives a stream as a new dataset.
///
/// `parents` are file systems that are made first, each under the one before. `prepare` may set properties. `progress`
/// can be looked at from another thread meanwhile.
///
/// # Errors
/// [`ReceiveError`]; nothing of the stream is left in the pool then, nor of `parents`.
pub fn receive<S: Source + Send>(
    writer: &mut PoolWriter,
    incoming: Incoming<S>,
    destination: &Destination,
    parents: &[String],
    prepare: &mut Prepare<'_>,
    progress: &Progress,
) -> Result<Received, ReceiveError> {
    incoming.check_kind()?;
    let begin = incoming.begin().clone();
    check(&DslPool::new(writer.pool()), &begin, destination, parents)?;
    let mut made = Made::default();
    let received = made.receive(writer, incoming, &begin, destination, parents, prepare, progress);
    if received.is_err() {
        // Where even that fails, whoever opens the pool for writing next does it.
        let _ = made.unmake(writer);
    }
    received
}

/// What a receive has made so far.
#[derive(Debug, Default)]
struct Made {
    /// Each after the one that it lies below; the received one last.
    datasets: Vec<DatasetId>,
    /// Whether any of it is in the pool for good.
    is_committed: bool,
}

impl Made {
    #[expect(clippy::too_many_arguments, reason = "they are those of `receive`")]
    fn receive<S: Source + Send>(
        &mut self,
        writer: &mut PoolWriter,
        incoming: Incoming<S>,
        begin: &Begin,
        destination: &Destination,
        parents: &[String],
        prepare: &mut Prepare<'_>,
        progress: &Progress,
    ) -> Result<Received, ReceiveError> {
        for parent in parents {
            self.datasets.push(writer.create_file_system(parent, &[])?);
        }
        let dataset = begin::make(writer, begin, destination)?;
        self.datasets.push(dataset);
        prepare(writer)?;
        let policies = writer.policies(dataset)?;
        let mut applier = Applier::new(writer, dataset, policies.clone(), begin, incoming.endian);
        let outcome = pipeline::run(incoming, policies, &mut applier, progress);
        self.is_committed = applier.has_committed();
        let bytes = outcome?;
        writer.finish_dataset(dataset, &destination.snapshot, begin.to_guid, begin.creation_time)?;
        writer.commit()?;
        Ok(Received { bytes })
    }

    /// Takes it away.
    fn unmake(self, writer: &mut PoolWriter) -> Result<(), Error> {
        writer.discard()?;
        if !self.is_committed {
            return Ok(());
        }
        for dataset in self.datasets.into_iter().rev() {
            writer.destroy_head(dataset)?;
            writer.commit()?;
        }
        Ok(())
    }
}
