//! The threads of a corrective receive: the caller's reads the stream, the others look at the blocks, and heal.
//!
//! Each block is written by whoever looks at it, and becomes what it was, so the order does not matter.

use super::super::batch::{Batch, Item};
use super::super::pipeline::{FLIGHT_BYTES, KEPT_BYTES, RECORD_BYTES};
use super::super::reading::Reading;
use super::super::{Incoming, Progress, ReceiveError};
use super::{HealReport, Unhealed, is_fatal};
use crate::budget::Budget;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::ops::Range;
use std::thread::Builder;
use zferry_blocks::compress::Compression;
use zferry_wire::{Endian, u64_from_usize, usize_from_u32};
use zferry_zpool::{HealPlace, Healed, Healer, Healing, ObjectNumber, Sent};
use zferry_zstream::record::{CompressionType, Record};
use zferry_zstream::source::Source;

/// Records on their way to a worker, and what they take of the budget.
type Work = (Batch, u64);

/// Reads the stream to its end and heals. Says how many bytes of the input have been read then.
pub(super) fn run<S: Source + Send>(
    incoming: &mut Incoming<S>,
    healer: &Healer<'_>,
    report: &mut HealReport,
    progress: &Progress,
) -> Result<u64, ReceiveError> {
    let form = Form {
        endian: incoming.endian,
        is_raw: incoming.begin.is_raw(),
    };
    let (work_sender, work) = unbounded::<Work>();
    let (spare_sender, spare) = unbounded::<Vec<u8>>();
    let budget = &Budget::new(FLIGHT_BYTES);
    std::thread::scope(|scope| {
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let mut threads = Vec::new();
        for _ in 0..workers {
            let worker = Worker {
                healing: healer.start(),
                form,
                report: HealReport::default(),
                budget,
                spare: spare_sender.clone(),
            };
            let work = work.clone();
            let thread = Builder::new().spawn_scoped(scope, move || worker.run(&work));
            match thread {
                Ok(thread) => threads.push(thread),
                // One is enough.
                Err(error) if threads.is_empty() => return Err(ReceiveError::Threads(error)),
                Err(_) => break,
            }
        }
        drop((work, spare_sender));
        let fed = feed(incoming, budget, work_sender, &spare, progress);
        let mut outcome = Ok(());
        for thread in threads {
            let (found, healed) = thread
                .join()
                .unwrap_or_else(|_| (HealReport::default(), Err(ReceiveError::Internal)));
            report.add(found);
            outcome = outcome.and(healed);
        }
        outcome.and(fed)
    })
}

/// Reads up to END, or until nobody takes what was read.
fn feed<S: Source>(
    incoming: &mut Incoming<S>,
    budget: &Budget,
    work: Sender<Work>,
    spare: &Receiver<Vec<u8>>,
    progress: &Progress,
) -> Result<u64, ReceiveError> {
    let mut reading = Reading::of_records(&mut incoming.reader, &incoming.begin);
    while !reading.is_done() {
        let mut batch = Batch::new(spare.try_recv().unwrap_or_default());
        let filled = reading.fill(&mut batch);
        progress.set(reading.position());
        let records = u64_from_usize(batch.records());
        let cost = batch.bytes().saturating_add(records.saturating_mul(RECORD_BYTES));
        let taken = records == 0 || (budget.acquire(cost) && work.send((batch, cost)).is_ok());
        filled?;
        if !taken {
            break;
        }
    }
    Ok(reading.position())
}

/// How the blocks of a stream are.
#[derive(Clone, Copy)]
struct Form {
    endian: Endian,
    is_raw: bool,
}

/// A thread that heals.
struct Worker<'a> {
    healing: Healing<'a>,
    form: Form,
    report: HealReport,
    budget: &'a Budget,
    /// Where memory goes that can be used again.
    spare: Sender<Vec<u8>>,
}

impl Worker<'_> {
    /// Heals until nothing comes any more. What cannot be healed is noted; where nothing can be healed any more, the reader
    /// is told to stop.
    fn run(mut self, work: &Receiver<Work>) -> (HealReport, Result<(), ReceiveError>) {
        while let Ok((batch, cost)) = work.recv() {
            let (items, memory) = batch.into_parts();
            for item in &items {
                if let Err(error) = self.heal(item, &memory) {
                    self.budget.close();
                    return (self.report, Err(error));
                }
            }
            self.budget.release(cost);
            if memory.capacity() <= KEPT_BYTES {
                // At the end nobody needs it any more.
                let _ = self.spare.send(memory);
            }
        }
        (self.report, Ok(()))
    }

    fn heal(&mut self, item: &Item<Range<usize>>, memory: &[u8]) -> Result<(), ReceiveError> {
        let body = memory.get(item.body.clone()).unwrap_or_default();
        let Some((object, offset, sent)) = self.form.block(&item.record, body) else {
            return Ok(());
        };
        let place = HealPlace {
            object: ObjectNumber(object),
            offset,
        };
        match self.healing.heal(place, &sent) {
            Ok(Healed { blocks, bytes }) => {
                self.report.healed = self.report.healed.saturating_add(blocks);
                self.report.written = self.report.written.saturating_add(bytes);
            }
            Err(why) => {
                let is_fatal = is_fatal(&why);
                self.report.failed = self.report.failed.saturating_add(1);
                let unhealed = Unhealed {
                    position: item.position,
                    record_type: item.record.record_type(),
                    object,
                    offset,
                    why,
                };
                if is_fatal {
                    let mut report = HealReport::default();
                    report.note(unhealed);
                    return Err(ReceiveError::Unhealed(Box::new(report)));
                }
                self.report.note(unhealed);
            }
        }
        Ok(())
    }
}

impl Form {
    /// The block behind a record: its object, where in that it is, and what the stream holds of it. `None` where there is
    /// none.
    fn block<'b>(self, record: &Record, body: &'b [u8]) -> Option<(u64, Option<u64>, Sent<'b>)> {
        let Self { endian, is_raw } = self;
        let sent = |bytes, logical_size, compression: CompressionType| {
            let compression = match compression {
                CompressionType::NONE => Compression::Off,
                other => Compression::from_id(other.0)?,
            };
            Some(Sent {
                bytes,
                logical_size,
                compression,
                endian,
                is_raw,
            })
        };
        match record {
            Record::Write(write) => {
                let sent = sent(body, write.logical_size, write.compression)?;
                Some((write.object, Some(write.offset), sent))
            }
            Record::WriteEmbedded(write) => {
                let payload = body.get(..usize_from_u32(write.physical_size)).unwrap_or(body);
                let sent = sent(payload, u64::from(write.logical_size), write.compression)?;
                let offset = Some(write.offset).filter(|_| !write.is_spill());
                Some((write.object, offset, sent))
            }
            Record::Spill(spill) => {
                let sent = sent(body, spill.length, spill.compression)?;
                Some((spill.object, None, sent))
            }
            _ => None,
        }
    }
}
