//! The walk of a send: what it comes by, merged with what is redacted, is laid out as records, job by job.

use super::SendError;
use super::damage::Damage;
use super::job::Job;
use super::merge::Merger;
use super::plan::Plan;
use super::recorder::Recorder;
use zferry_zpool::dmu::{Object, ReadAhead, Stop, Visit};
use zferry_zpool::{Error, ObjectNumber};

/// What ends a walk early.
#[derive(Debug)]
pub(super) enum Ending {
    /// Nobody takes what it makes any more.
    Cancelled,
    /// Something cannot be sent.
    Failed(SendError),
}

/// Takes a job that is full, and leaves an empty one.
pub(super) type Take<'a> = dyn FnMut(&mut Job) -> Result<(), Ending> + 'a;

/// Lays out records and hands them over.
pub(super) struct Layout<'a> {
    recorder: Recorder<'a>,
    job: Job,
    take: &'a mut Take<'a>,
}

impl Layout<'_> {
    /// Adds the records of what the walk came by.
    pub(super) fn visit(&mut self, visit: &Visit<'_>) -> Result<(), Ending> {
        self.recorder
            .visit(visit, &mut self.job)
            .map_err(Ending::Failed)?;
        self.hand_over_full()
    }

    /// Adds a range of an object's bytes that are left out.
    pub(super) fn redact(&mut self, object: ObjectNumber, offset: u64, length: u64) -> Result<(), Ending> {
        self.recorder.redact(object, offset, length, &mut self.job);
        self.hand_over_full()
    }

    /// Adds blocks of an object, from `start` to before `end`, that are holes.
    pub(super) fn free_blocks(&mut self, object: &Object, start: u64, end: u64) -> Result<(), Ending> {
        self.recorder.free_blocks(object, start, end, &mut self.job);
        self.hand_over_full()
    }

    /// Notes what cannot be read.
    fn note(&mut self, damage: Damage) -> Result<(), Ending> {
        self.job.note(damage);
        self.hand_over_full()
    }

    fn hand_over_full(&mut self) -> Result<(), Ending> {
        if self.job.is_full() {
            (self.take)(&mut self.job)?;
        }
        Ok(())
    }
}

/// Walks all that is sent and hands over its records.
pub(super) fn walk<'a>(
    plan: &'a Plan<'a>,
    ahead: &dyn ReadAhead,
    skips_damage: bool,
    take: &'a mut Take<'a>,
) -> Result<(), Ending> {
    let source = plan.source;
    let pool_error = |error: Error| {
        Ending::Failed(SendError::Pool {
            dataset: source.name.clone(),
            source: error,
        })
    };
    let mut merger = Merger::new(plan).map_err(pool_error)?;
    let mut layout = Layout {
        recorder: Recorder::new(source, plan.features, &plan.set.meta_dnode.dnode),
        job: Job::default(),
        take,
    };
    let ending = |stop| match stop {
        Stop::Pool(error) => pool_error(error),
        Stop::Visitor(ending) => ending,
    };
    let walked =
        plan.traversal(ahead, skips_damage)
            .run(&source.root, &mut |visit| match (&mut merger, visit) {
                (_, visit) if source.saved.is_some_and(|saved| saved.is_behind(&visit)) => Ok(()),
                (_, Visit::Lost { object, place, error }) => {
                    layout.note(Damage::of_metadata(object, place, error))
                }
                (Some(merger), visit) => merger.visit(&visit, &mut layout).map_err(ending),
                (None, visit) => layout.visit(&visit),
            });
    walked.map_err(ending)?;
    if let Some(merger) = &mut merger {
        merger.finish(&mut layout).map_err(ending)?;
    }
    layout.recorder.flush(&mut layout.job);
    if layout.job.is_empty() {
        Ok(())
    } else {
        (layout.take)(&mut layout.job)
    }
}
