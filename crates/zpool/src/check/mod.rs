//! Checking a pool: every counter and every reference is computed again from the trees, and compared.
//!
//! OpenZFS trusts most of what a pool counts: a wrong counter is noticed by neither import nor scrub nor `zdb`, and bites
//! years later. [`check`] computes it all again:
//!
//! - the blocks of every object set: births, fills, levels, sizes, and the space that each object uses;
//! - the space and the objects of each user, group and project, where they are counted and not encrypted;
//! - datasets and directories: what they reference, use alone and pass on to their parents, and the links between them;
//! - deadlists and other lists of block pointers: that they hold exactly what they must, and their sums;
//! - the pool's own objects: each named from somewhere, and what is named there; and how often each feature is used;
//! - labels: that they are there, and that the uberblock counts the same vdevs;
//! - space maps: that what is allocated is referenced exactly once, and what is referenced is allocated.
//!
//! # Memory
//! A check keeps a few hundred bytes for each dataset and some tens for each object of the pool's metadata, and two sets
//! of sectors of at most 48 MiB each. Where the sectors of a pool need more than that, they are looked at a range at a
//! time, and the trees are walked once for each. Of blocks that are shared by deduplication or cloning it keeps the first
//! million.

mod block_list;
mod bookmarks;
mod chain;
mod claims;
mod data;
mod destroyed;
mod dirs;
mod features;
mod finding;
mod labels;
mod livelist;
mod measure;
pub(crate) mod meta;
pub(crate) mod names;
mod objects;
mod pending;
mod sectors;
mod shared;
mod space;
mod tally;
mod tree_check;
pub(crate) mod tree_diff;
mod users;

pub use finding::{Finding, Observer, Spot};

use crate::dmu::LogHeader;
use crate::spa::BlockPointer;
use crate::{Error, ObjectNumber, Pool, Txg};
use bookmarks::Bookmarks;
use chain::{Chains, Computed};
use claims::{Claims, Window};
use data::DataCheck;
use dirs::{Counting, DirCheck};
use features::check_features;
use finding::Findings;
use livelist::Livelists;
use measure::Measure;
use meta::MetaObjects;
use names::Names;
use objects::References;
use pending::Pending;
use sectors::SectorSet;
use shared::SharedBlocks;
use space::SpaceCheck;
use std::collections::HashMap;
use tally::Tally;
use tree_check::{Lifetime, TreeCheck};
use tree_diff::{Sides, compare};

/// How a pool is checked.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Whether every block of data is read and its checksum compared, too. Metadata always is.
    pub data: bool,
    /// How many threads read data; 0 counts as one.
    pub threads: usize,
    /// How many findings of one kind are told one by one; more are only counted.
    pub told_max: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            data: false,
            threads: 1,
            told_max: 200,
        }
    }
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// How many disagreements were found.
    pub findings: u64,
    /// How many of them were counted without telling each.
    pub untold: u64,
    /// How many file systems, volumes and snapshots were looked at.
    pub datasets: u64,
    /// How many blocks were looked at that take space, each once.
    pub blocks: u64,
    /// How much space they take, in bytes.
    pub bytes: u64,
}

/// The name under which the pool's own metadata is shown.
const META: &str = "MOS";
/// The smallest sector, in bytes: no pool has more blocks than its space has of these, embedded ones aside.
const SECTOR_BYTES: u64 = 512;
/// How many embedded blocks and holes there may be for each other block.
const BLOCKS_PER_SECTOR: u64 = 4;

/// Checks a pool, and tells `observer` what disagrees.
///
/// # Errors
/// Where the pool's own metadata cannot be read so far that there is nothing to check. What cannot be read further on is
/// a finding.
pub fn check(pool: &Pool, options: &CheckOptions, observer: &mut dyn Observer) -> Result<CheckReport, Error> {
    let measure = Measure::new(pool)?;
    let mut findings = Findings::new(observer, options.told_max);
    let mut check = Check {
        pool,
        measure: &measure,
        options,
        total: space::allocated_bytes(pool)?,
        report: CheckReport::default(),
    };
    check.run(&mut findings)?;
    let (found, untold) = findings.counts();
    Ok(CheckReport {
        findings: found,
        untold,
        ..check.report
    })
}

struct Check<'c> {
    pool: &'c Pool,
    measure: &'c Measure,
    options: &'c CheckOptions,
    total: u64,
    report: CheckReport,
}

impl<'c> Check<'c> {
    fn run(&mut self, findings: &mut Findings<'_>) -> Result<(), Error> {
        labels::check_labels(self.pool, findings);
        labels::check_guids(self.pool, findings);
        let mut window = Window::default();
        let mut is_first_pass = true;
        loop {
            let mut claims = Claims {
                reader: self.pool.reader(),
                measure: self.measure,
                window,
                sectors: SectorSet::default(),
                shared: SharedBlocks::default(),
                is_first_pass,
                claimed: 0,
                blocks: 0,
            };
            let shared = SharedBlocks::read(self.pool, findings, &mut |table, dvas, findings| {
                for dva in dvas {
                    claims.claim_range(&|| Spot::meta(table), *dva, findings);
                }
            })?;
            claims.shared = shared;
            self.pass(&mut claims, findings)?;
            if is_first_pass {
                claims.shared.check(findings);
                self.report.blocks = claims.blocks;
                self.report.bytes = claims.claimed;
            }
            SpaceCheck {
                pool: self.pool,
                claims: &mut claims,
                findings,
            }
            .run()?;
            let Some(end) = claims.window.end else {
                return Ok(());
            };
            window = Window {
                start: end,
                end: None,
            };
            is_first_pass = false;
        }
    }

    /// Walks everything that refers to blocks.
    fn pass(&mut self, claims: &mut Claims<'c>, findings: &mut Findings<'_>) -> Result<(), Error> {
        let space = self.measure.tops().values().map(crate::spa::TopVdevSpace::space);
        let space = space.fold(0, u64::saturating_add);
        let blocks_max = (space / SECTOR_BYTES).saturating_mul(BLOCKS_PER_SECTOR);
        let is_first_pass = claims.is_first_pass;
        let reads = self.options.data && is_first_pass;
        let mut data = reads.then(|| DataCheck::new(self.pool.reader(), self.options.threads));
        let mut meta = MetaObjects::default();
        let counted = self.walk_meta(&mut meta, claims, findings, blocks_max, &mut data);
        self.report.datasets = zferry_wire::u64_from_usize(meta.datasets.len());
        let names = Names::read(self.pool, &meta)?;
        let free = Pending {
            pool: self.pool,
            measure: self.measure,
            meta: &meta,
            claims,
            findings,
            blocks_max,
        }
        .run()?;
        let mut chains = Chains {
            pool: self.pool,
            meta: &meta,
            names: &names,
            measure: self.measure,
            claims,
            findings,
            blocks_max,
            total: self.total,
            data: &mut data,
        };
        let computed: HashMap<ObjectNumber, Computed> = chains.run();
        if let Some(data) = &mut data {
            data.finish(findings);
        }
        self.claim_logs(&meta, &names, claims, findings);
        if is_first_pass {
            Livelists {
                pool: self.pool,
                measure: self.measure,
                findings,
                lists_max: meta.types.len(),
            }
            .check(&meta, &names, &computed);
            Bookmarks {
                pool: self.pool,
                meta: &meta,
                names: &names,
                findings,
            }
            .check();
            let counting = Counting { meta: counted, free };
            DirCheck::new(self.pool, &meta, &names, &computed, counting, findings).run();
            let counts = References::new(self.pool, &meta, findings).run();
            if counts.is_complete {
                check_features(self.pool, &meta, &counts, findings)?;
            }
        }
        Ok(())
    }

    /// Claims what the intent logs of heads keep.
    fn claim_logs(
        &self,
        meta: &MetaObjects,
        names: &Names,
        claims: &mut Claims<'c>,
        findings: &mut Findings<'_>,
    ) {
        let heads = meta.dirs.values().filter_map(|dir| dir.head);
        for number in heads {
            let Some(head) = meta.datasets.get(&number).filter(|head| !head.root.is_hole()) else {
                continue;
            };
            // What cannot be read was told when the tree was walked.
            let Ok(block) = self.pool.reader().read_cached(&head.root) else {
                continue;
            };
            let Some(header) = LogHeader::of_set(&block) else {
                continue;
            };
            let name = names.get(number);
            header.for_each(self.pool.reader(), self.pool.uberblock().txg, &mut |pointer| {
                claims.claim(&|| Spot::dataset(&name), pointer, findings);
            });
        }
    }

    /// Walks the pool's own metadata. Returns what it takes, where all could be read.
    fn walk_meta(
        &self,
        meta: &mut MetaObjects,
        claims: &mut Claims<'c>,
        findings: &mut Findings<'_>,
        blocks_max: u64,
        data: &mut Option<DataCheck<'c>>,
    ) -> Option<Tally> {
        let uberblock = self.pool.uberblock();
        let lifetime = Lifetime {
            after: Txg(0),
            until: uberblock.txg,
            origin: Txg(0),
            before_previous: Txg(0),
        };
        let mut check = TreeCheck::new(META, self.measure, claims, findings, lifetime, blocks_max);
        check.meta = Some(meta);
        check.data = data.as_mut();
        check.total = self.total;
        let roots = Sides {
            earlier: BlockPointer::default(),
            later: uberblock.root,
        };
        compare(self.pool.reader(), roots, &mut check);
        let is_complete = check.change.is_complete && check.blocks_left > 0;
        is_complete.then_some(check.change.born)
    }
}
