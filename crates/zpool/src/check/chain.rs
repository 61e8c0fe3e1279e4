//! Datasets, each compared with the snapshot before it: what it references, what it alone references, and what its
//! deadlist must hold.
//!
//! - What a dataset references is what the snapshot before it references, and what was born, and not what is gone.
//! - Its deadlist holds what is gone: the blocks of the snapshot before that it no longer has. They lie in lists by
//!   their birth: each in that with the largest key below it.
//! - What only a snapshot references is what is gone in the next and was born after the snapshot before.
//!
//! So every block is looked at once in the dataset in which it was born, and once more where it is gone.

use super::Measure;
use super::block_list::BlockLists;
use super::claims::Claims;
use super::data::DataCheck;
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::names::Names;
use super::tally::Tally;
use super::tree_check::{Change, Lifetime, TreeCheck};
use super::tree_diff::{Sides, compare};
use super::users::UserSums;
use crate::dmu::{Object, ObjectType};
use crate::dsl::{DatasetPhys, Sizes};
use crate::spa::BlockPointer;
use crate::zap;
use crate::{Corrupt, Error, ObjectNumber, Pool, Txg};
use std::collections::{BTreeMap, HashMap};
use zferry_wire::Reader;

/// What was computed of a dataset.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Computed {
    /// Everything that can be reached through it.
    pub(super) referenced: Tally,
    /// That of it which was born after its directory was cloned.
    pub(super) after_origin: Tally,
    /// What was born after the snapshot before it.
    pub(super) born: Tally,
    /// What its deadlist must hold of blocks that were born after its directory was cloned.
    pub(super) gone_after_origin: Tally,
    /// Of a snapshot: what nothing else references; known once the next was walked.
    pub(super) unique: Option<u64>,
    /// Whether all could be read.
    pub(super) is_complete: bool,
}

/// Walks the datasets.
pub(super) struct Chains<'c, 'a, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) meta: &'c MetaObjects,
    pub(super) names: &'c Names,
    pub(super) measure: &'c Measure,
    pub(super) claims: &'c mut Claims<'a>,
    pub(super) findings: &'c mut Findings<'o>,
    pub(super) blocks_max: u64,
    pub(super) total: u64,
    /// Reads the blocks of data, where that is wanted.
    pub(super) data: &'c mut Option<DataCheck<'a>>,
}

impl Chains<'_, '_, '_> {
    /// Walks every dataset, each after the snapshot before it.
    pub(super) fn run(&mut self) -> HashMap<ObjectNumber, Computed> {
        let mut next: BTreeMap<Option<ObjectNumber>, Vec<ObjectNumber>> = BTreeMap::new();
        for (number, dataset) in &self.meta.datasets {
            next.entry(dataset.prev_snapshot).or_default().push(*number);
        }
        let mut computed = HashMap::new();
        let mut waiting = next.get(&None).cloned().unwrap_or_default();
        while let Some(number) = waiting.pop() {
            let Some(dataset) = self.meta.datasets.get(&number) else {
                continue;
            };
            self.one(number, dataset, &mut computed);
            waiting.extend(next.get(&Some(number)).into_iter().flatten());
        }
        for number in self
            .meta
            .datasets
            .keys()
            .filter(|number| !computed.contains_key(number))
        {
            let spot = Spot::dataset(&self.names.get(*number));
            self.findings.report(
                spot,
                "ds_prev_snap_obj",
                "no way to the oldest snapshot",
                "a chain of snapshots",
            );
        }
        if self.claims.is_first_pass {
            for (number, dataset) in &self.meta.datasets {
                if let Some(computed) = computed.get(number) {
                    self.check(*number, dataset, computed);
                }
            }
        }
        computed
    }

    /// Walks a dataset and checks its deadlist.
    fn one(
        &mut self,
        number: ObjectNumber,
        dataset: &DatasetPhys,
        computed: &mut HashMap<ObjectNumber, Computed>,
    ) {
        let name = self.names.get(number);
        let previous = dataset
            .prev_snapshot
            .and_then(|previous| self.meta.datasets.get(&previous));
        let dir = self.meta.dirs.get(&dataset.dir);
        let origin = dir
            .and_then(|dir| dir.origin)
            .and_then(|origin| self.meta.datasets.get(&origin));
        let newest = self.pool.uberblock().txg;
        let lifetime = Lifetime {
            after: previous.map_or(Txg(0), |previous| previous.creation_txg),
            until: if dataset.is_snapshot() {
                dataset.creation_txg
            } else {
                newest
            },
            origin: origin.map_or(Txg(0), |origin| origin.creation_txg),
            before_previous: previous.map_or(Txg(0), |previous| previous.prev_snapshot_txg),
        };
        let is_first_pass = self.claims.is_first_pass;
        let lists = if is_first_pass {
            self.deadlist(&name, dataset)
        } else {
            None
        };
        let mut check = TreeCheck::new(
            &name,
            self.measure,
            self.claims,
            self.findings,
            lifetime,
            self.blocks_max,
        );
        check.total = self.total;
        check.data = self.data.as_mut();
        check.users = is_first_pass.then(UserSums::default);
        check.change.gone_by_key = lists
            .iter()
            .flatten()
            .map(|(key, _)| (*key, Tally::default()))
            .collect();
        let roots = Sides {
            earlier: previous.map(|previous| previous.root).unwrap_or_default(),
            later: dataset.root,
        };
        compare(self.pool.reader(), roots, &mut check);
        let is_over = check.blocks_left == 0;
        let (change, users) = (check.change, check.users);
        if let (Some(users), true) = (users, change.is_complete) {
            users.check(
                self.pool.reader(),
                &name,
                &roots.earlier,
                &roots.later,
                self.findings,
            );
        }
        if is_over {
            let found = format!("more than {} blocks", self.blocks_max);
            self.findings.report(
                Spot::dataset(&name),
                "blocks",
                found,
                "as many as the pool has room for",
            );
        }
        let before = dataset
            .prev_snapshot
            .and_then(|previous| computed.get(&previous))
            .copied();
        let before = before.unwrap_or(Computed {
            is_complete: dataset.prev_snapshot.is_none(),
            ..Computed::default()
        });
        let is_same_dir = previous.is_some_and(|previous| previous.dir == dataset.dir);
        let after_origin = if is_same_dir {
            before.after_origin
        } else {
            Tally::default()
        };
        let gone_after_origin = if is_same_dir {
            change.gone_after_origin
        } else {
            Tally::default()
        };
        computed.insert(
            number,
            Computed {
                referenced: before.referenced.plus(change.born).minus(change.gone),
                after_origin: after_origin.plus(change.born).minus(gone_after_origin),
                born: change.born,
                gone_after_origin: change.gone_after_origin,
                unique: None,
                is_complete: before.is_complete && change.is_complete && !is_over,
            },
        );
        if change.is_complete
            && let Some(snapshot) = dataset.prev_snapshot
            && previous.is_some_and(|previous| previous.next_snapshot == Some(number))
            && let Some(before) = computed.get_mut(&snapshot)
        {
            before.unique = Some(change.gone_unique.sizes.used);
        }
        if is_first_pass && let Some(lists) = lists {
            self.check_deadlist(&name, dataset, &lists, &change);
        }
    }

    /// The lists of a deadlist, by their keys; one, with the key 0, where the deadlist is such a list itself.
    fn deadlist(&mut self, name: &str, dataset: &DatasetPhys) -> Option<BTreeMap<u64, ObjectNumber>> {
        let number = dataset.deadlist?;
        match self.lists_of(number) {
            Ok(lists) => Some(lists),
            Err(error) => {
                self.findings
                    .unreadable(Spot::dataset(name).object(number), &error);
                None
            }
        }
    }

    fn lists_of(&mut self, number: ObjectNumber) -> Result<BTreeMap<u64, ObjectNumber>, Error> {
        let object = self.pool.meta_object(number)?;
        if object.dnode.object_type == ObjectType::BPOBJ {
            return Ok([(0, number)].into());
        }
        let mut lists = BTreeMap::new();
        for entry in zap::entries(self.pool.reader(), &object)? {
            let key = u64::from_str_radix(&entry.name_lossy(), 16).ok();
            let (Some(key), Some(list)) = (key, entry.value.as_u64()) else {
                let name = entry.name_lossy();
                return Err(Corrupt::new(format!("deadlist {number} has an entry '{name}'")).into());
            };
            lists.insert(key, ObjectNumber(list));
        }
        Ok(lists)
    }

    /// Compares a deadlist with what is gone.
    fn check_deadlist(
        &mut self,
        name: &str,
        dataset: &DatasetPhys,
        lists: &BTreeMap<u64, ObjectNumber>,
        change: &Change,
    ) {
        let Some(number) = dataset.deadlist else { return };
        let spot = || Spot::dataset(name).object(number);
        let mut total = Some(Tally::default());
        for (key, list) in lists {
            let until = lists
                .range(key.saturating_add(1)..)
                .next()
                .map_or(u64::MAX, |(next, _)| *next);
            let mut lists = BlockLists {
                pool: self.pool,
                measure: self.measure,
                findings: self.findings,
                lists_max: self.meta.types.len(),
            };
            let found = lists.walk(*list, &mut |pointer: &BlockPointer, findings| {
                let birth = pointer.logical_birth().0;
                if birth <= *key || birth > until {
                    let spot = Spot::dataset(name).object(*list);
                    findings.report(
                        spot,
                        "deadlist",
                        format!("a block born in {birth}"),
                        format!("births after {key}"),
                    );
                }
            });
            total = total.zip(found).map(|(total, found)| total.plus(found));
            if let (true, Some(found)) = (change.is_complete, found) {
                let expected = change.gone_by_key.get(key).copied().unwrap_or_default();
                let spot = || Spot::dataset(name).object(*list);
                self.compare_tallies(spot, "deadlist", found, expected);
            }
        }
        if let (Ok(object), Some(total)) = (self.pool.meta_object(number), total)
            && object.dnode.object_type != ObjectType::BPOBJ
        {
            match header_of(&object) {
                Ok(found) => {
                    self.compare_sizes(spot, ["dl_used", "dl_comp", "dl_uncomp"], found, total.sizes);
                }
                Err(error) => self.findings.unreadable(spot(), &error),
            }
        }
    }

    /// Compares what a list holds with what it should.
    fn compare_tallies(
        &mut self,
        spot: impl Fn() -> Spot,
        field: &'static str,
        found: Tally,
        expected: Tally,
    ) {
        if found == expected {
            return;
        }
        let text = |tally: Tally| format!("{} blocks of {} bytes", tally.count, tally.sizes.used);
        let (mut found_text, expected_text) = (text(found), text(expected));
        if found_text == expected_text {
            found_text = format!("{found_text}, others");
        }
        self.findings.report(spot(), field, found_text, expected_text);
    }

    fn compare_sizes(
        &mut self,
        spot: impl Fn() -> Spot,
        fields: [&'static str; 3],
        found: Sizes,
        expected: Sizes,
    ) {
        let [used, compressed, uncompressed] = fields;
        self.findings.compare(&spot, used, found.used, expected.used);
        self.findings
            .compare(&spot, compressed, found.compressed, expected.compressed);
        self.findings
            .compare(&spot, uncompressed, found.uncompressed, expected.uncompressed);
    }

    /// Compares the counters of a dataset with what was computed.
    fn check(&mut self, number: ObjectNumber, dataset: &DatasetPhys, computed: &Computed) {
        let name = self.names.get(number);
        let spot = || Spot::dataset(&name).object(number);
        if !computed.is_complete {
            return;
        }
        let found = Sizes {
            used: dataset.referenced,
            compressed: dataset.compressed,
            uncompressed: dataset.uncompressed,
        };
        let fields = [
            "ds_referenced_bytes",
            "ds_compressed_bytes",
            "ds_uncompressed_bytes",
        ];
        self.compare_sizes(spot, fields, found, computed.referenced.sizes);
        if dataset.is_snapshot() {
            if let Some(unique) = computed.unique {
                self.findings
                    .compare(spot, "ds_unique_bytes", dataset.unique, unique);
            }
        } else {
            self.findings
                .compare(spot, "ds_unique_bytes", dataset.unique, computed.born.sizes.used);
        }
    }
}

/// The sums in a deadlist's bonus buffer.
pub(super) fn header_of(object: &Object) -> Result<Sizes, Error> {
    let [used, compressed, uncompressed] = Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
    Ok(Sizes {
        used,
        compressed,
        uncompressed,
    })
}
