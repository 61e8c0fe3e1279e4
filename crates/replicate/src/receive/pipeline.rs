//! The threads of a receive, and the order of what it writes.
//!
//! ```text
//! reading: reads, sums, checks ──batch──▶ workers: turn round, compress, sum ──▶ caller: gives space, writes
//!                                 └─ the same batches, in the order of the stream ──────▲
//! ```
//!
//! Only the caller's thread changes the pool, in the order of the stream, so the pool that comes out does not depend on
//! timing. Memory is bounded: by a budget of bytes in flight, and by committing when much metadata has changed.

use super::ReceiveError;
use super::apply::Applier;
use super::batch::{Batch, ReadyBatch};
use super::incoming::Incoming;
use super::reading::Reading;
use crate::budget::Budget;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use zferry_wire::Endian;
use zferry_zpool::DatasetPolicies;
use zferry_zstream::source::Source;

/// How many bytes of stream may be in flight between reading and writing. More would not be faster, and less likely to
/// be in the processor's cache.
pub(super) const FLIGHT_BYTES: u64 = 16 << 20;
/// Memory of more bytes is not kept for later batches.
pub(super) const KEPT_BYTES: usize = 4 << 20;
/// What a record takes in memory beside its payload, in bytes, so that records without any are bounded too.
pub(super) const RECORD_BYTES: u64 = 512;

/// How far a receive has come; to be looked at from other threads.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
}

impl Progress {
    /// How many bytes of stream have been read.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many have been.
    pub(super) fn set(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Reads the stream to its end and applies it. Says how many bytes of the input have been read then.
pub(super) fn run<S: Source + Send>(
    incoming: &mut Incoming<S>,
    policies: DatasetPolicies,
    applier: &mut Applier<'_>,
    progress: &Progress,
) -> Result<u64, ReceiveError> {
    let endian = incoming.endian;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (work_sender, work_receiver) = unbounded::<Work>();
    let [payloads, rooms] = [(); 2].map(|()| unbounded::<Vec<u8>>());
    let (ordered_sender, ordered_receiver) = unbounded::<Receiver<Done>>();
    let budget = Budget::new(FLIGHT_BYTES);
    let budget = &budget;
    std::thread::scope(move |scope| {
        for _ in 0..workers {
            let (work, rooms) = (work_receiver.clone(), rooms.1.clone());
            Builder::new()
                .spawn_scoped(scope, move || make_ready(&work, &rooms, endian))
                .map_err(ReceiveError::Threads)?;
        }
        drop(work_receiver);
        let feed = Feed {
            reading: Reading::new(&mut incoming.reader, &incoming.begin, policies),
            budget,
            work: work_sender,
            ordered: ordered_sender,
            spare: payloads.1,
            progress,
        };
        let feeder = Builder::new()
            .spawn_scoped(scope, move || feed.run())
            .map_err(ReceiveError::Threads)?;
        let spare = [payloads.0, rooms.0];
        let applied = apply(&ordered_receiver, budget, &spare, applier);
        // The feeder notices that nobody takes its batches any more, or that its budget is closed.
        drop(ordered_receiver);
        budget.close();
        let fed = feeder.join().unwrap_or(Err(ReceiveError::Internal));
        applied?;
        fed
    })
}

/// A batch on its way to a worker, with where its result is waited for.
struct Work {
    batch: Batch,
    cost: u64,
    done: Sender<Done>,
}

/// What a worker made of a batch, and what it takes of the budget.
type Done = (Result<ReadyBatch, ReceiveError>, u64);

/// A worker thread, which compresses into memory that `rooms` has, if it has any.
fn make_ready(work: &Receiver<Work>, rooms: &Receiver<Vec<u8>>, endian: Endian) {
    while let Ok(Work { batch, cost, done }) = work.recv() {
        let outcome = batch.make_ready(endian, rooms.try_recv().unwrap_or_default());
        // Nobody waits any more after an error.
        let _ = done.send((outcome, cost));
    }
}

/// Applies the batches in the order of the stream. Gives their memory to be used again, payloads to the first of `spare`
/// and what they were compressed to to the second.
fn apply(
    ordered: &Receiver<Receiver<Done>>,
    budget: &Budget,
    spare: &[Sender<Vec<u8>>; 2],
    applier: &mut Applier<'_>,
) -> Result<(), ReceiveError> {
    while let Ok(done) = ordered.recv() {
        let (batch, cost) = done.recv().map_err(|_| ReceiveError::Internal)?;
        let mut batch = batch?;
        for item in batch.items.drain(..) {
            applier.apply(item)?;
        }
        for (memory, spare) in batch.into_memory().into_iter().zip(spare) {
            if let Some(memory) = memory.filter(|memory| memory.capacity() <= KEPT_BYTES) {
                // At the end nobody needs it any more.
                let _ = spare.send(memory);
            }
        }
        budget.release(cost);
        applier.commit_if_full()?;
    }
    Ok(())
}

/// The reading thread.
struct Feed<'a, S> {
    reading: Reading<'a, S>,
    budget: &'a Budget,
    work: Sender<Work>,
    ordered: Sender<Receiver<Done>>,
    /// Memory for payloads.
    spare: Receiver<Vec<u8>>,
    progress: &'a Progress,
}

impl<S: Source> Feed<'_, S> {
    fn run(mut self) -> Result<u64, ReceiveError> {
        while !self.reading.is_done() {
            let mut batch = Batch::new(self.spare.try_recv().unwrap_or_default());
            let filled = self.reading.fill(&mut batch);
            self.progress.set(self.reading.position());
            // What comes before a fault is applied first, so that of several faults the first is told.
            let taken = batch.records() == 0 || self.hand_over(batch);
            filled?;
            if !taken {
                break;
            }
        }
        Ok(self.reading.position())
    }

    /// Whether anybody takes the batch.
    fn hand_over(&self, batch: Batch) -> bool {
        let records = zferry_wire::u64_from_usize(batch.records());
        let cost = batch.bytes().saturating_add(records.saturating_mul(RECORD_BYTES));
        if !self.budget.acquire(cost) {
            return false;
        }
        let (done, receiver) = bounded(1);
        self.work.send(Work { batch, cost, done }).is_ok() && self.ordered.send(receiver).is_ok()
    }
}
