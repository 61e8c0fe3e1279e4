//! Directories and the links between datasets: sums over children, and tables that must name each other.

use super::chain::Computed;
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::names::Names;
use super::tally::Tally;
use crate::dsl::{DatasetPhys, DirFlags, DirPhys, Sizes};
use crate::zap;
use crate::{Error, ObjectNumber, Pool, Txg};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What the directories that only count must show.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counting {
    /// The pool's own metadata: the directory `$MOS`.
    pub(super) meta: Option<Tally>,
    /// What is to be freed: the directory `$FREE`.
    pub(super) free: Option<Tally>,
}

/// Checks directories and links.
pub(super) struct DirCheck<'c, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) meta: &'c MetaObjects,
    pub(super) names: &'c Names,
    pub(super) computed: &'c HashMap<ObjectNumber, Computed>,
    pub(super) counting: Counting,
    pub(super) findings: &'c mut Findings<'o>,
    /// The directories in each.
    children: BTreeMap<ObjectNumber, Vec<ObjectNumber>>,
    /// The datasets of each directory.
    members: BTreeMap<ObjectNumber, Vec<ObjectNumber>>,
    /// The datasets for which a snapshot is the one before.
    followers: BTreeMap<ObjectNumber, Vec<ObjectNumber>>,
    /// The heads of the clones of each directory's snapshots.
    clones: BTreeMap<ObjectNumber, BTreeSet<u64>>,
}

/// What lies below a directory, its own snapshots among it.
#[derive(Clone, Copy, Debug, Default)]
struct Below {
    filesystems: u64,
    snapshots: u64,
    temporary: u64,
}

impl Below {
    /// Adds the snapshots of one directory, and that directory where it is a file system below.
    const fn add(&mut self, own: Self, is_below: bool) {
        self.snapshots = self.snapshots.saturating_add(own.snapshots);
        self.temporary = self.temporary.saturating_add(own.temporary);
        if is_below {
            self.filesystems = self.filesystems.saturating_add(1);
        }
    }
}

impl<'c, 'o> DirCheck<'c, 'o> {
    pub(super) fn new(
        pool: &'c Pool,
        meta: &'c MetaObjects,
        names: &'c Names,
        computed: &'c HashMap<ObjectNumber, Computed>,
        counting: Counting,
        findings: &'c mut Findings<'o>,
    ) -> Self {
        let (mut children, mut clones) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for (number, dir) in &meta.dirs {
            if let Some(parent) = dir.parent {
                children.entry(parent).or_default().push(*number);
            }
            let origin = dir.origin.and_then(|origin| meta.datasets.get(&origin));
            if let (Some(origin), Some(head)) = (origin, dir.head) {
                clones.entry(origin.dir).or_default().insert(head.0);
            }
        }
        let (mut members, mut followers) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (number, dataset) in &meta.datasets {
            members.entry(dataset.dir).or_default().push(*number);
            if let Some(previous) = dataset.prev_snapshot {
                followers.entry(previous).or_default().push(*number);
            }
        }
        Self {
            pool,
            meta,
            names,
            computed,
            counting,
            findings,
            children,
            members,
            followers,
            clones,
        }
    }

    /// Checks everything.
    pub(super) fn run(&mut self) {
        let meta = self.meta;
        for (number, dir) in &meta.dirs {
            self.space(*number, dir);
            self.dir_links(*number, dir);
        }
        for (number, dataset) in &meta.datasets {
            self.links(*number, dataset);
        }
        self.counts();
    }

    fn spot(&self, number: ObjectNumber) -> Spot {
        Spot::dataset(&self.names.get(number)).object(number)
    }

    fn compare(&mut self, number: ObjectNumber, field: &'static str, found: u64, expected: u64) {
        if found != expected {
            self.findings.report(self.spot(number), field, found, expected);
        }
    }

    /// What the head of a directory uses, and what its snapshots use. `None` where a tree could not be read.
    fn head_and_snapshots(&self, number: ObjectNumber, dir: &DirPhys) -> Option<(Sizes, Sizes)> {
        let Some(head) = dir.head else {
            let name = self.names.get(number);
            let counted = match name.rsplit('/').next() {
                Some("$MOS") => self.counting.meta?,
                Some("$FREE") => self.counting.free?,
                _ => Tally::default(),
            };
            return Some((counted.sizes, Sizes::default()));
        };
        let mut snapshots = Sizes::default();
        for member in self.members.get(&number).into_iter().flatten() {
            let computed = self
                .computed
                .get(member)
                .filter(|computed| computed.is_complete)?;
            snapshots = snapshots.plus(computed.gone_after_origin.sizes);
        }
        Some((self.computed.get(&head)?.after_origin.sizes, snapshots))
    }

    fn space(&mut self, number: ObjectNumber, dir: &DirPhys) {
        let children = self.children.get(&number).cloned().unwrap_or_default();
        let children: Vec<&DirPhys> = children
            .iter()
            .filter_map(|child| self.meta.dirs.get(child))
            .collect();
        let sum =
            |value: fn(&DirPhys) -> u64| children.iter().map(|dir| value(dir)).fold(0, u64::wrapping_add);
        let child = Sizes {
            used: sum(|dir| dir.used),
            compressed: sum(|dir| dir.compressed),
            uncompressed: sum(|dir| dir.uncompressed),
        };
        let reserved = sum(|dir| dir.reserved.saturating_sub(dir.used));
        let by = &dir.used_by;
        let has_breakdown = dir.flags.contains(DirFlags::USED_BREAKDOWN);
        if has_breakdown {
            self.compare(number, "dd_used_breakdown[CHILD]", by.children, child.used);
            self.compare(
                number,
                "dd_used_breakdown[CHILD_RSRV]",
                by.child_reservations,
                reserved,
            );
            let parts = [
                by.head,
                by.snapshots,
                by.children,
                by.child_reservations,
                by.ref_reservation,
            ];
            self.compare(
                number,
                "dd_used_bytes",
                dir.used,
                parts.into_iter().fold(0, u64::wrapping_add),
            );
        }
        let Some((head, snapshots)) = self.head_and_snapshots(number, dir) else {
            return;
        };
        let ref_reserved = self.ref_reserved(dir);
        if has_breakdown {
            self.compare(number, "dd_used_breakdown[HEAD]", by.head, head.used);
            self.compare(number, "dd_used_breakdown[SNAP]", by.snapshots, snapshots.used);
            self.compare(
                number,
                "dd_used_breakdown[REFRSRV]",
                by.ref_reservation,
                ref_reserved,
            );
        } else {
            let expected = head.plus(snapshots).plus(child).used;
            self.compare(
                number,
                "dd_used_bytes",
                dir.used,
                expected.wrapping_add(reserved).wrapping_add(ref_reserved),
            );
        }
        let all = head.plus(snapshots).plus(child);
        self.compare(number, "dd_compressed_bytes", dir.compressed, all.compressed);
        self.compare(
            number,
            "dd_uncompressed_bytes",
            dir.uncompressed,
            all.uncompressed,
        );
    }

    /// What the head has reserved beyond what it has written.
    fn ref_reserved(&mut self, dir: &DirPhys) -> u64 {
        let reserved = self.property(dir, "refreservation");
        let head = dir.head.and_then(|head| self.meta.datasets.get(&head));
        reserved.saturating_sub(head.map_or(0, |head| head.unique))
    }

    /// What a directory itself has for a property: what was set, or else what was received.
    fn property(&self, dir: &DirPhys, name: &str) -> u64 {
        let table = dir.properties.and_then(|table| self.pool.meta_object(table).ok());
        let find = |suffix: &str| {
            let table = table.as_ref()?;
            let found = zap::lookup(self.pool.reader(), table, &format!("{name}{suffix}"));
            found.ok().flatten()
        };
        let received = || find("$recvd").filter(|_| find("$inherit").is_none());
        let value = find("").or_else(received);
        value.and_then(|value| value.as_u64()).unwrap_or(0)
    }

    /// The numbers in a table, which may be missing.
    fn numbers(&mut self, owner: ObjectNumber, table: Option<ObjectNumber>) -> Option<BTreeSet<u64>> {
        let Some(table) = table else {
            return Some(BTreeSet::new());
        };
        let entries = self
            .pool
            .meta_object(table)
            .and_then(|object| zap::entries(self.pool.reader(), &object));
        match entries {
            Ok(entries) => Some(entries.iter().filter_map(|entry| entry.value.as_u64()).collect()),
            Err(error) => {
                self.findings.unreadable(self.spot(owner).object(table), &error);
                None
            }
        }
    }

    fn compare_table(
        &mut self,
        number: ObjectNumber,
        field: &'static str,
        table: Option<ObjectNumber>,
        expected: &BTreeSet<u64>,
    ) {
        let Some(found) = self.numbers(number, table) else {
            return;
        };
        for missing in expected.difference(&found) {
            let spot = self.spot(number);
            self.findings
                .report(spot, field, format!("no entry for {missing}"), missing);
        }
        for wrong in found.difference(expected) {
            let spot = self.spot(number);
            self.findings.report(spot, field, wrong, "no such entry");
        }
    }

    fn dir_links(&mut self, number: ObjectNumber, dir: &DirPhys) {
        let children = self
            .children
            .get(&number)
            .into_iter()
            .flatten()
            .map(|child| child.0)
            .collect();
        self.compare_table(number, "dd_child_dir_zapobj", dir.children, &children);
        let clones = self.clones.get(&number).cloned().unwrap_or_default();
        // Before version 26 of pools there were no tables of clones.
        if dir.clones.is_some() || self.pool.version() >= 26 {
            self.compare_table(number, "dd_clones", dir.clones, &clones);
        }
        if let Some(head) = dir.head {
            let found = self.meta.datasets.get(&head);
            if found.is_none_or(|found| found.dir != number || found.is_snapshot()) {
                let spot = self.spot(number);
                self.findings
                    .report(spot, "dd_head_dataset_obj", head, "the head of the directory");
            }
            let origin = self
                .oldest(head)
                .and_then(|oldest| self.meta.datasets.get(&oldest)?.prev_snapshot);
            if dir.origin.is_some() && origin != dir.origin {
                let (found, expected) = (dir.origin.unwrap_or_default(), origin.unwrap_or_default());
                self.compare(number, "dd_origin_obj", found.0, expected.0);
            }
        }
        let snapshots: Vec<ObjectNumber> = self.members.get(&number).cloned().unwrap_or_default();
        let is_snapshot = |member: &&ObjectNumber| Some(**member) != dir.head;
        let snapshots = snapshots
            .iter()
            .filter(is_snapshot)
            .map(|member| member.0)
            .collect();
        if let Some(head) = dir.head.and_then(|head| self.meta.datasets.get(&head)) {
            self.compare_table(number, "ds_snapnames_zapobj", head.snapshots, &snapshots);
        }
    }

    /// The oldest dataset of the directory of a head: the head itself where it has no snapshots.
    fn oldest(&self, head: ObjectNumber) -> Option<ObjectNumber> {
        let dir = self.meta.datasets.get(&head)?.dir;
        let mut at = head;
        // No chain is longer than there are datasets.
        for _ in 0..self.meta.datasets.len() {
            let previous = self.meta.datasets.get(&at)?.prev_snapshot;
            match previous {
                Some(previous) if self.meta.datasets.get(&previous)?.dir == dir => at = previous,
                _ => return Some(at),
            }
        }
        None
    }

    fn links(&mut self, number: ObjectNumber, dataset: &DatasetPhys) {
        let followers = self.followers.get(&number).cloned().unwrap_or_default();
        if !self.meta.dirs.contains_key(&dataset.dir) {
            let spot = self.spot(number);
            self.findings
                .report(spot, "ds_dir_obj", dataset.dir, "a directory");
        }
        if dataset.prev_snapshot.is_none() {
            self.compare(number, "ds_prev_snap_txg", dataset.prev_snapshot_txg.0, 0);
        }
        if let Some(previous) = dataset.prev_snapshot {
            let found = self
                .meta
                .datasets
                .get(&previous)
                .map(|previous| previous.creation_txg);
            match found {
                Some(Txg(expected)) => {
                    self.compare(number, "ds_prev_snap_txg", dataset.prev_snapshot_txg.0, expected);
                    // A head may be as old as the pool; a snapshot comes after those before it.
                    if dataset.is_snapshot() && expected >= dataset.creation_txg.0 {
                        let spot = self.spot(number);
                        self.findings.report(
                            spot,
                            "ds_creation_txg",
                            dataset.creation_txg,
                            format!("more than {expected}"),
                        );
                    }
                }
                None => {
                    let spot = self.spot(number);
                    self.findings
                        .report(spot, "ds_prev_snap_obj", previous, "a snapshot");
                }
            }
        }
        let is_head = self
            .meta
            .dirs
            .get(&dataset.dir)
            .is_some_and(|dir| dir.head == Some(number));
        if is_head {
            self.compare(number, "ds_num_children", dataset.num_children, 0);
            let next = dataset.next_snapshot.unwrap_or_default();
            self.compare(number, "ds_next_snap_obj", next.0, 0);
            return;
        }
        self.compare(
            number,
            "ds_num_children",
            dataset.num_children,
            zferry_wire::u64_from_usize(followers.len()),
        );
        let dir_of = |follower: &ObjectNumber| self.meta.datasets.get(follower).map(|follower| follower.dir);
        let (own, clones): (Vec<ObjectNumber>, Vec<ObjectNumber>) = followers
            .iter()
            .partition(|follower| dir_of(follower) == Some(dataset.dir));
        let next = dataset.next_snapshot.unwrap_or_default();
        if own != [next] {
            let expected = own.first().copied().unwrap_or_default();
            let spot = self.spot(number);
            self.findings.report(spot, "ds_next_snap_obj", next, expected);
        }
        let clones = clones.iter().map(|clone| clone.0).collect();
        // Before version 11 of pools, clones were not noted.
        if dataset.next_clones.is_some() || self.pool.version() >= 11 {
            self.compare_table(number, "ds_next_clones_obj", dataset.next_clones, &clones);
        }
    }

    /// Checks how many file systems and snapshots lie below each directory, where that is counted.
    ///
    /// OpenZFS counts temporary snapshots, whose names begin with `%`, as they come and go, but not where it begins to
    /// count when they are there already.
    fn counts(&mut self) {
        const FILESYSTEMS: &str = "com.joyent:filesystem_count";
        const SNAPSHOTS: &str = "com.joyent:snapshot_count";
        let mut counts = HashMap::<ObjectNumber, Below>::new();
        for number in self.meta.dirs.keys() {
            let name = self.names.get(*number);
            if name.rsplit('/').next().is_some_and(|name| name.starts_with('$')) {
                continue;
            }
            let own = self.own_snapshots(*number);
            let mut at = Some(*number);
            // No name has more components than this.
            for depth in 0..256 {
                let Some(above) = at else { break };
                counts.entry(above).or_default().add(own, depth > 0);
                at = self.meta.dirs.get(&above).and_then(|dir| dir.parent);
            }
        }
        let dirs: Vec<ObjectNumber> = self.meta.dirs.keys().copied().collect();
        for number in dirs {
            let below = counts.get(&number).copied().unwrap_or_default();
            let snapshots = below.snapshots..=below.snapshots.saturating_add(below.temporary);
            for (key, expected) in [
                (FILESYSTEMS, below.filesystems..=below.filesystems),
                (SNAPSHOTS, snapshots),
            ] {
                match self.entry(number, key) {
                    Ok(Some(found)) if !expected.contains(&found) => {
                        let spot = self.spot(number);
                        self.findings.report(spot, key, found, expected.start());
                    }
                    Ok(_) => {}
                    Err(error) => self.findings.unreadable(self.spot(number), &error),
                }
            }
        }
    }

    /// The snapshots of a directory itself.
    fn own_snapshots(&self, number: ObjectNumber) -> Below {
        let head = self.meta.dirs.get(&number).and_then(|dir| dir.head);
        let members = self.members.get(&number).into_iter().flatten();
        let mut own = Below::default();
        for member in members.filter(|member| Some(**member) != head) {
            let count = if self.names.get(*member).contains("@%") {
                &mut own.temporary
            } else {
                &mut own.snapshots
            };
            *count = count.saturating_add(1);
        }
        own
    }

    /// A number in a directory's own table.
    fn entry(&self, number: ObjectNumber, key: &str) -> Result<Option<u64>, Error> {
        const ZAPPED: u8 = 0xc4;
        let object = self.pool.meta_object(number)?;
        if object.dnode.object_type.0 != ZAPPED {
            return Ok(None);
        }
        zap::lookup_u64(self.pool.reader(), &object, key)
    }
}
