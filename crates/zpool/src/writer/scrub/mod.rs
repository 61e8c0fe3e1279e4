//! Scrubbing: every copy of every block is read and compared with its checksum, and a bad one is written anew from a good
//! one. What has no good copy left is damaged, and is noted in the pool as OpenZFS does ([`record`]).
//!
//! Every dataset is walked against the snapshot before it, so that each block is read once. Of a block that is put
//! together from pieces (a gang), one copy is read, and none repaired.

mod copies;
mod record;

use crate::check::meta::MetaObjects;
use crate::check::names::Names;
use crate::check::tree_diff::{Changes, Sides, Where, compare};
use crate::dmu::{Dnode, Object};
use crate::spa::{BlockPointer, BlockReader};
use crate::vdev::WriteTree;
use crate::{BlockId, Error, ObjectNumber, Place, PoolWriter, Txg};
use copies::{Copies, Outcome};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many blocks are read together.
const BATCH: usize = 512;
/// The smallest sector, in bytes: no pool has more blocks than its space has of these, embedded ones aside.
const SECTOR_BYTES: u64 = 512;
/// How often a block may be come by where trees are damaged, or blocks are shared.
const VISITS_MAX: u64 = 64;

/// A block of which no copy is what its pointer says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// The dataset in which it was found; 0 for the pool's own metadata.
    pub dataset: ObjectNumber,
    /// The name of the dataset; empty for the pool's own metadata.
    pub name: String,
    /// The head of the dataset's directory.
    head: ObjectNumber,
    /// The object.
    pub object: ObjectNumber,
    /// The level of the block.
    pub level: u8,
    /// The number of the block.
    pub block: BlockId,
    /// When the block was written.
    birth: Txg,
}

/// What a scrub came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrubReport {
    /// How much was read, in bytes of space: all copies.
    pub examined: u64,
    /// How much was written anew, in bytes.
    pub repaired: u64,
    /// What could not be repaired.
    pub damage: Vec<Damage>,
}

/// How a scrub is done.
pub struct ScrubOptions<'p> {
    /// How many threads read; 0 counts as one.
    pub threads: usize,
    /// Is told how much was examined, and how much there is, in bytes. The first may pass the second.
    pub progress: &'p mut dyn FnMut(u64, u64),
}

impl std::fmt::Debug for ScrubOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrubOptions")
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}

impl PoolWriter {
    /// Reads every copy of every block, repairs what can be repaired, and notes in the pool what was done. What the open
    /// transaction group has changed is committed first.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read so far that there is nothing to walk, or where writing fails. A block
    /// that cannot be read is no error, but told in the report.
    pub fn scrub(&mut self, options: ScrubOptions<'_>) -> Result<ScrubReport, Error> {
        let started = self.environment.now().seconds;
        self.commit()?;
        let report = self.walk_all(options)?;
        self.io.vdevs.flush()?;
        self.record_scrub(&report, started)?;
        self.commit()?;
        Ok(report)
    }

    fn walk_all(&self, options: ScrubOptions<'_>) -> Result<ScrubReport, Error> {
        let total = self.io.allocator.allocated();
        let mut scrub = Scrub {
            reader: self.pool.reader(),
            vdevs: &self.io.vdevs,
            options,
            total,
            visits_left: (total / SECTOR_BYTES).saturating_mul(VISITS_MAX),
            dataset: ObjectNumber(0),
            meta: Some(MetaObjects::default()),
            waiting: Vec::new(),
            report: ScrubReport::default(),
            bad: BTreeMap::new(),
            failed: None,
        };
        let roots = Sides {
            earlier: BlockPointer::default(),
            later: self.pool.uberblock().root,
        };
        compare(scrub.reader, roots, &mut scrub);
        let meta = scrub.meta.take().unwrap_or_default();
        for (number, dataset) in &meta.datasets {
            let previous = dataset
                .prev_snapshot
                .and_then(|number| meta.datasets.get(&number));
            scrub.dataset = *number;
            let roots = Sides {
                earlier: previous.map(|previous| previous.root).unwrap_or_default(),
                later: dataset.root,
            };
            compare(scrub.reader, roots, &mut scrub);
        }
        scrub.finish();
        if let Some(error) = scrub.failed {
            return Err(error);
        }
        let names = Names::read(&self.pool, &meta)?;
        let bad = scrub
            .bad
            .into_iter()
            .map(|((dataset, object, level, block), birth)| {
                let phys = meta.datasets.get(&dataset);
                let head = phys.and_then(|phys| meta.dirs.get(&phys.dir)?.head);
                Damage {
                    dataset,
                    name: phys.map(|_| names.get(dataset)).unwrap_or_default(),
                    head: head.unwrap_or(dataset),
                    object,
                    level,
                    block,
                    birth,
                }
            });
        scrub.report.damage = bad.collect();
        Ok(scrub.report)
    }
}

/// A block by its dataset, object, level and number.
type Key = (ObjectNumber, ObjectNumber, u8, BlockId);

/// A scrub under way.
struct Scrub<'s, 'p> {
    reader: &'s BlockReader,
    vdevs: &'s WriteTree,
    options: ScrubOptions<'p>,
    total: u64,
    visits_left: u64,
    /// The dataset that is walked; 0 for the pool's own metadata.
    dataset: ObjectNumber,
    /// Where directories and datasets are noted, while the pool's own metadata is walked.
    meta: Option<MetaObjects>,
    waiting: Vec<(Key, BlockPointer)>,
    report: ScrubReport,
    bad: BTreeMap<Key, Txg>,
    /// Why nothing more can be repaired.
    failed: Option<Error>,
}

impl Scrub<'_, '_> {
    fn key(&self, place: Where) -> Key {
        match place {
            Where::Root => (self.dataset, ObjectNumber(0), u8::MAX, BlockId(0)),
            Where::Block(Place { object, level, block }) => (self.dataset, object, level, block),
        }
    }

    /// Reads what waits.
    fn finish(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let next = Mutex::new(waiting.iter());
        let (reader, vdevs) = (self.reader, self.vdevs);
        let threads = self.options.threads.clamp(1, waiting.len().max(1));
        let done: Vec<(Key, Txg, Result<Outcome, Error>)> = thread::scope(|scope| {
            let work = || {
                let mut done = Vec::new();
                let mut copies = Copies::new(reader, vdevs);
                loop {
                    let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((key, pointer)) = taken else { return done };
                    done.push((*key, pointer.logical_birth(), copies.scrub(pointer)));
                }
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_default())
                .collect()
        });
        for (key, birth, outcome) in done {
            match outcome {
                Ok(outcome) => {
                    self.report.examined = self.report.examined.saturating_add(outcome.examined);
                    self.report.repaired = self.report.repaired.saturating_add(outcome.repaired);
                    if outcome.is_lost {
                        self.bad.insert(key, birth);
                    }
                }
                Err(error) => {
                    self.failed.get_or_insert(error);
                }
            }
        }
        (self.options.progress)(self.report.examined, self.total);
    }
}

impl Changes for Scrub<'_, '_> {
    fn born(&mut self, place: Where, pointer: &BlockPointer) {
        self.visits_left = self.visits_left.saturating_sub(1);
        if pointer.is_hole() || pointer.is_embedded() || pointer.is_redacted() {
            return;
        }
        self.waiting.push((self.key(place), *pointer));
        if self.waiting.len() >= BATCH {
            self.finish();
        }
    }

    fn gone(&mut self, _: Where, _: &BlockPointer) {
        self.visits_left = self.visits_left.saturating_sub(1);
    }

    fn below(&mut self, _: Where, _: &BlockPointer, _: u64, _: Txg) {}

    fn object(&mut self, number: ObjectNumber, _: Option<&Dnode>, later: Option<&Dnode>) {
        let (Some(meta), Some(dnode)) = (&mut self.meta, later) else {
            return;
        };
        let object = Object {
            number,
            dnode: dnode.clone(),
        };
        // An object that makes no sense has a right checksum: it is for a check to tell.
        if let Err(error) = meta.note(&object) {
            tracing::debug!(%number, %error, "an object that makes no sense");
        }
    }

    fn problem(&mut self, is_later: bool, place: Where, error: Error) {
        // Of an earlier set it is told where that is the later one.
        if is_later {
            tracing::debug!(?place, %error, "a block that leads to others cannot be read");
            self.bad.entry(self.key(place)).or_insert(Txg(0));
        }
    }

    fn is_over(&self) -> bool {
        self.visits_left == 0 || self.failed.is_some()
    }
}
