//! The threads of a send, and the order of its output.
//!
//! ```text
//! walker:  walks the object set, lays out records ──job──▶ workers: read, decompress, sum ──▶ caller: checksums, write
//!                                                 └─ the same jobs, in the order of the walk ──────▲
//! ```
//!
//! Memory is bounded by a budget of bytes in flight: the walker waits when the output is that far behind.

use super::damage::Damage;
use super::job::{Failure, Job, Scratch};
use super::plan::Plan;
use super::walk::{Ending, walk};
use super::{SendError, SendOptions, Source};
use crate::budget::Budget;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;
use zferry_wire::{Endian, u64_from_usize};
use zferry_zpool::Pool;
use zferry_zpool::dmu::ReadAhead;
use zferry_zpool::spa::{BlockPointer, BlockReader};
use zferry_zstream::record::{End, Record};
use zferry_zstream::writer::Summer;

/// How many bytes of stream may be in flight between the walker and the output.
const FLIGHT_BYTES: u64 = 48 << 20;
/// How many blocks of metadata may wait to be read ahead. What does not fit is read when it is needed.
const READ_AHEAD_QUEUE: usize = 256;

/// How far a send has come; to be looked at from other threads.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
}

impl Progress {
    /// How many bytes of stream have been written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// What a send does about blocks that cannot be read.
pub(super) enum OnDamage<'a> {
    /// It ends.
    Stop,
    /// It tells of each, in the order of the stream, and goes on.
    Skip(&'a mut dyn FnMut(Damage)),
}

/// What was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Bytes of stream.
    pub bytes: u64,
    /// Records, BEGIN and END included.
    pub records: u64,
}

pub(super) fn run(
    pool: &Pool,
    source: &Source,
    options: SendOptions,
    output: &mut dyn Write,
    progress: &Progress,
    mut on_damage: OnDamage<'_>,
) -> Result<Sent, SendError> {
    let skips_damage = matches!(on_damage, OnDamage::Skip(_));
    let plan = Plan::new(pool, source, options)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (job_sender, job_receiver) = unbounded::<Work>();
    let (ordered_sender, ordered_receiver) = unbounded::<Expected>();
    let (spare_sender, spare_receiver) = unbounded::<Job>();
    let (ahead_sender, ahead_receiver) = bounded::<BlockPointer>(READ_AHEAD_QUEUE);
    let budget = Budget::new(FLIGHT_BYTES);
    let (budget, plan) = (&budget, &plan);
    // The ends of all channels move in: whichever way this is left, the threads see that nobody is there any more.
    std::thread::scope(move |scope| {
        for _ in 0..workers {
            let (jobs, ahead) = (job_receiver.clone(), ahead_receiver.clone());
            Builder::new()
                .spawn_scoped(scope, move || work(plan.reader(), &jobs, &ahead, skips_damage))
                .map_err(SendError::Threads)?;
        }
        drop((job_receiver, ahead_receiver));
        let walk = Walk {
            plan,
            budget,
            spare: spare_receiver,
            jobs: job_sender,
            ordered: ordered_sender,
            ahead: ahead_sender,
            skips_damage,
        };
        let walker = Builder::new()
            .spawn_scoped(scope, move || walk.run())
            .map_err(SendError::Threads)?;
        let mut emitter = Emitter {
            summer: Summer::new(Endian::OURS),
            output,
            progress,
            records: 0,
        };
        let mut emitted = emitter.record(&Record::Begin(Box::new(plan.begin.clone())), &plan.list);
        while emitted.is_ok() {
            let Ok(expected) = ordered_receiver.recv() else {
                break;
            };
            let taken = take(&expected, source).and_then(|mut job| {
                emitter.job(&mut job)?;
                if let OnDamage::Skip(tell) = &mut on_damage {
                    job.take_damage().for_each(tell);
                }
                Ok(job)
            });
            budget.release(expected.weight);
            emitted = taken.map(|mut job| {
                job.clear();
                let _ = spare_sender.send(job);
            });
        }
        // The walker notices that nobody takes its jobs any more, or that its budget is closed.
        drop(ordered_receiver);
        budget.close();
        let walked = walker.join().unwrap_or(Err(SendError::Internal));
        emitted?;
        walked?;
        // What is not whole must not be taken for whole.
        if source.saved.is_none() {
            let end = End {
                to_guid: source.guid,
                ..End::default()
            };
            emitter.record(&Record::End(end), &[])?;
        }
        emitter.output.flush()?;
        Ok(Sent {
            bytes: progress.bytes(),
            records: emitter.records,
        })
    })
}

/// A job on its way to a worker, with where its result is waited for.
struct Work {
    job: Job,
    done: Sender<Done>,
}

/// What a worker made of a job.
type Done = Result<Job, Failure>;

/// A job that will be written next.
struct Expected {
    done: Receiver<Done>,
    /// What it took of the budget.
    weight: u64,
}

/// A worker thread: jobs first come first served; between them, blocks that the walker will need.
fn work(reader: &BlockReader, jobs: &Receiver<Work>, ahead: &Receiver<BlockPointer>, skips_damage: bool) {
    let mut scratch = Scratch::default();
    let mut ahead = ahead.clone();
    loop {
        // The walker feeds everybody, so what it waits for goes first.
        while let Ok(pointer) = ahead.try_recv() {
            let _ = reader.read_cached(&pointer);
        }
        crossbeam_channel::select! {
            recv(ahead) -> pointer => match pointer {
                // A block that cannot be read is met again by the walker, which says so.
                Ok(pointer) => drop(reader.read_cached(&pointer)),
                Err(_) => ahead = crossbeam_channel::never(),
            },
            recv(jobs) -> work => {
                let Ok(Work { mut job, done }) = work else { return };
                let outcome = job.fill(reader, &mut scratch, skips_damage).map(|()| job);
                // Nobody waits any more after an error.
                let _ = done.send(outcome);
            }
        }
    }
}

/// Takes the next job in order, when it is ready.
fn take(expected: &Expected, source: &Source) -> Result<Job, SendError> {
    let job = expected.done.recv().map_err(|_| SendError::Internal)?;
    job.map_err(|failure| failure.of_dataset(&source.name))
}

/// Gives records their checksums and writes them.
struct Emitter<'a> {
    summer: Summer,
    output: &'a mut dyn Write,
    progress: &'a Progress,
    records: u64,
}

impl Emitter<'_> {
    fn record(&mut self, record: &Record, payload: &[u8]) -> Result<(), SendError> {
        let mut job = Job::default();
        job.record(record, payload);
        self.job(&mut job)
    }

    fn job(&mut self, job: &mut Job) -> Result<(), SendError> {
        let (summer, records) = (&mut self.summer, &mut self.records);
        let (output, progress) = (&mut self.output, self.progress);
        job.finish(
            |header, payload_sum| {
                summer.stamp(header, payload_sum);
                *records = records.saturating_add(1);
            },
            &mut |bytes| {
                output.write_all(bytes)?;
                let len = u64_from_usize(bytes.len());
                progress.bytes.fetch_add(len, Ordering::Relaxed);
                Ok(())
            },
        )
    }
}

/// The walking thread.
struct Walk<'a> {
    plan: &'a Plan<'a>,
    budget: &'a Budget,
    spare: Receiver<Job>,
    jobs: Sender<Work>,
    ordered: Sender<Expected>,
    ahead: Sender<BlockPointer>,
    skips_damage: bool,
}

/// Blocks to be read ahead go to the workers, as far as they keep up.
struct ToWorkers(Sender<BlockPointer>);

impl ReadAhead for ToWorkers {
    fn read_ahead(&self, pointer: &BlockPointer) {
        let _ = self.0.try_send(*pointer);
    }
}

impl Walk<'_> {
    fn run(self) -> Result<(), SendError> {
        let ahead = ToWorkers(self.ahead.clone());
        let finished = walk(self.plan, &ahead, self.skips_damage, &mut |job| {
            let full = std::mem::replace(job, self.spare.try_recv().unwrap_or_default());
            self.hand_over(full)
        });
        match finished {
            // Whoever cancelled has an error of its own to tell.
            Ok(()) | Err(Ending::Cancelled) => Ok(()),
            Err(Ending::Failed(error)) => Err(error),
        }
    }

    fn hand_over(&self, job: Job) -> Result<(), Ending> {
        let weight = job.weight();
        if !self.budget.acquire(weight) {
            return Err(Ending::Cancelled);
        }
        let (sender, done) = bounded(1);
        self.jobs
            .send(Work { job, done: sender })
            .map_err(|_| Ending::Cancelled)?;
        self.ordered
            .send(Expected { done, weight })
            .map_err(|_| Ending::Cancelled)
    }
}
