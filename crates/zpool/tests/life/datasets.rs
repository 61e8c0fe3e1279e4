//! Random lives of whole datasets: snapshots, clones, exchanged contents, going back, destruction.

use crate::model::{
    Model, Numbers, assert_sound, change, create, difference, disk, open, options, read_back,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{SimulatedDisk, WritableDisk};
use zferry_zpool::{Environment, Error, ObjectNumber, OpenOptions, Pool, PoolWriter};

/// What a head and its snapshots, in their order, should hold.
#[derive(Clone, Debug, Default)]
struct Head {
    model: Model,
    snapshots: Vec<(String, Model)>,
    /// The snapshot that it was cloned from, by its full name.
    origin: Option<String>,
}

/// What a pool should hold: heads by their names.
type Heads = BTreeMap<String, Head>;

struct Life {
    disk: Arc<dyn WritableDisk>,
    writer: PoolWriter,
    numbers: Numbers,
    heads: Heads,
    /// Snapshots that are held, by their own names, which are unique.
    held: BTreeSet<String>,
    count: u64,
    is_slow: bool,
}

/// What other datasets lie in.
const HOME: &str = "life/home";
/// How many heads there are at most, so that a long life does not become slow.
const HEADS_MAX: usize = 12;
/// How many snapshots a head has at most.
const SNAPSHOTS_MAX: usize = 12;

impl Life {
    fn new(disk: Arc<dyn WritableDisk>, seed: u64) -> Self {
        let mut writer = create(&disk, seed);
        writer.create_file_system(HOME, &[]).unwrap();
        Self {
            disk,
            writer,
            numbers: Numbers(seed * 0x9e37_79b9 + 1),
            heads: Heads::new(),
            held: BTreeSet::new(),
            count: 0,
            is_slow: false,
        }
    }

    fn slow(mut self) -> Self {
        self.is_slow = true;
        self.limit();
        self
    }

    fn fresh(&mut self, what: &str) -> String {
        self.count += 1;
        format!("{what}{}", self.count)
    }

    fn pick(&mut self) -> Option<String> {
        let names: Vec<String> = self.heads.keys().cloned().collect();
        (!names.is_empty()).then(|| names[self.numbers.below(names.len() as u64) as usize].clone())
    }

    /// Some snapshot: its head's name, and its place among the snapshots.
    fn pick_snapshot(&mut self) -> Option<(String, usize)> {
        let head = self.pick()?;
        let count = self.heads[&head].snapshots.len() as u64;
        (count > 0).then(|| (head, self.numbers.below(count) as usize))
    }

    fn snapshot_object(&self, head: &str, at: usize) -> ObjectNumber {
        let name = format!("{head}@{}", self.heads[head].snapshots[at].0);
        let dsl = DslPool::new(self.writer.pool());
        dsl.dataset(&name).unwrap().unwrap().number
    }

    fn clones_of(&self, snapshot: &str) -> usize {
        let origins = self.heads.values().filter_map(|head| head.origin.as_deref());
        origins.filter(|origin| *origin == snapshot).count()
    }

    fn change(&mut self, name: &str) {
        let id = self.writer.find(name).unwrap();
        let head = self.heads.get_mut(name).unwrap();
        for _ in 0..1 + self.numbers.below(30) {
            change(&mut self.writer, id, &mut head.model, &mut self.numbers);
        }
    }

    fn begin(&mut self) {
        let name = format!("life/{}", self.fresh("fs"));
        let id = self.writer.begin_dataset(&name, &options()).unwrap();
        let mut head = Head::default();
        for _ in 0..20 {
            change(&mut self.writer, id, &mut head.model, &mut self.numbers);
        }
        let first = self.fresh("first");
        self.writer
            .finish_dataset(id, &first, self.count, 1_600_000_000)
            .unwrap();
        head.snapshots.push((first, head.model.clone()));
        self.heads.insert(name, head);
    }

    fn clone_one(&mut self) {
        let Some((head, at)) = self.pick_snapshot() else {
            return;
        };
        let origin = self.snapshot_object(&head, at);
        let name = format!("life/{}", self.fresh("clone"));
        self.writer.clone_dataset(origin, &name, &[]).unwrap();
        let (snapshot, model) = self.heads[&head].snapshots[at].clone();
        let clone = Head {
            model,
            snapshots: Vec::new(),
            origin: Some(format!("{head}@{snapshot}")),
        };
        self.heads.insert(name, clone);
    }

    fn destroy_snapshot(&mut self) {
        let Some((head, at)) = self.pick_snapshot() else {
            return;
        };
        let number = self.snapshot_object(&head, at);
        let name = format!("{head}@{}", self.heads[&head].snapshots[at].0);
        let destroyed = self.writer.destroy_snapshot(number, false);
        let own_name = &self.heads[&head].snapshots[at].0;
        if self.clones_of(&name) > 0 || self.held.contains(own_name) {
            assert!(matches!(destroyed, Err(Error::Exists(_) | Error::Held(_))));
        } else {
            destroyed.unwrap();
            self.heads.get_mut(&head).unwrap().snapshots.remove(at);
        }
    }

    fn destroy_head(&mut self) {
        let Some(name) = self.pick() else { return };
        let id = self.writer.find(&name).unwrap();
        let destroyed = self.writer.destroy_head(id);
        if self.heads[&name].snapshots.is_empty() {
            destroyed.unwrap();
            self.heads.remove(&name);
        } else {
            assert!(matches!(destroyed, Err(Error::Invalid(_))));
        }
    }

    fn roll_back(&mut self) {
        let Some(name) = self.pick() else { return };
        let id = self.writer.find(&name).unwrap();
        let newest = self.heads[&name].snapshots.last().map(|(_, model)| model.clone());
        match newest {
            Some(model) => {
                self.writer.rollback(id).unwrap();
                self.heads.get_mut(&name).unwrap().model = model;
            }
            None => assert!(matches!(self.writer.rollback(id), Err(Error::Missing(_)))),
        }
    }

    /// What receiving an increment does: a hidden clone is changed, exchanged, and the head gets a snapshot.
    fn exchange(&mut self) {
        let Some(name) = self.pick() else { return };
        let id = self.writer.find(&name).unwrap();
        let Some(origin) = self.writer.newest_snapshot(id).unwrap() else {
            return;
        };
        let clone = self
            .writer
            .begin_hidden(id, "%recv", Some(origin), &options())
            .unwrap();
        let mut model = self.heads[&name].snapshots.last().unwrap().1.clone();
        for _ in 0..2 {
            for _ in 0..1 + self.numbers.below(20) {
                change(&mut self.writer, clone, &mut model, &mut self.numbers);
            }
            self.writer.commit().unwrap();
        }
        self.writer.clone_swap(clone, id).unwrap();
        let snapshot = self.fresh("received");
        self.writer
            .finish_dataset(id, &snapshot, self.count, 1_600_000_000)
            .unwrap();
        assert_eq!(self.writer.find_hidden(id, "%recv").unwrap(), Some(clone));
        self.writer.destroy_head(clone).unwrap();
        let head = self.heads.get_mut(&name).unwrap();
        head.model = model.clone();
        head.snapshots.push((snapshot, model));
    }

    fn promote(&mut self) {
        let Some(name) = self.pick() else { return };
        let id = self.writer.find(&name).unwrap();
        let Some(origin) = self.heads[&name].origin.clone() else {
            assert!(matches!(self.writer.promote(id), Err(Error::Invalid(_))));
            return;
        };
        self.writer.promote(id).unwrap();
        let (old, snapshot) = origin.split_once('@').unwrap();
        let old_head = self.heads.get_mut(old).unwrap();
        let at = old_head.snapshots.iter().position(|(name, _)| name == snapshot);
        let rest = old_head.snapshots.split_off(at.unwrap() + 1);
        let mut moved = std::mem::replace(&mut old_head.snapshots, rest);
        let above = old_head.origin.replace(origin.clone());
        for head in self.heads.values_mut() {
            if let Some((from, snapshot)) = head.origin.as_deref().and_then(|origin| origin.split_once('@'))
                && from == old
                && moved.iter().any(|(name, _)| name == snapshot)
            {
                head.origin = Some(format!("{name}@{snapshot}"));
            }
        }
        let head = self.heads.get_mut(&name).unwrap();
        moved.append(&mut head.snapshots);
        head.snapshots = moved;
        head.origin = above;
    }

    fn rename(&mut self) {
        let Some(old) = self.pick() else { return };
        let parent = ["life", HOME][self.numbers.below(2) as usize];
        let new = format!("{parent}/{}", self.fresh("renamed"));
        self.writer.rename_dataset(&old, &new).unwrap();
        let head = self.heads.remove(&old).unwrap();
        self.heads.insert(new.clone(), head);
        for head in self.heads.values_mut() {
            if let Some((from, snapshot)) = head.origin.as_deref().and_then(|origin| origin.split_once('@'))
                && from == old
            {
                head.origin = Some(format!("{new}@{snapshot}"));
            }
        }
    }

    fn hold_or_release(&mut self) {
        let Some((head, at)) = self.pick_snapshot() else {
            return;
        };
        let name = self.heads[&head].snapshots[at].0.clone();
        let number = self.snapshot_object(&head, at);
        if self.held.remove(&name) {
            self.writer.release(number, "tag").unwrap();
            assert!(matches!(
                self.writer.release(number, "tag"),
                Err(Error::Missing(_))
            ));
        } else {
            self.writer.hold(number, "tag").unwrap();
            assert!(matches!(self.writer.hold(number, "tag"), Err(Error::Exists(_))));
            self.held.insert(name);
        }
    }

    fn bookmark(&mut self) {
        let Some((head, at)) = self.pick_snapshot() else {
            return;
        };
        let number = self.snapshot_object(&head, at);
        let id = self.writer.find(&head).unwrap();
        let [one, other] = ["mark", "copy"].map(|what| self.fresh(what));
        self.writer.bookmark(id, number, &one).unwrap();
        assert!(matches!(
            self.writer.bookmark(id, number, &one),
            Err(Error::Exists(_))
        ));
        self.writer.copy_bookmark(id, &one, &other).unwrap();
        self.writer.destroy_bookmark(id, &one).unwrap();
        if self.numbers.below(2) == 0 {
            self.writer.destroy_bookmark(id, &other).unwrap();
        }
    }

    fn snapshot(&mut self, name: &str) {
        let snapshot = self.fresh("s");
        self.writer.snapshot(name, &snapshot).unwrap();
        let head = self.heads.get_mut(name).unwrap();
        head.snapshots.push((snapshot, head.model.clone()));
    }

    /// Does something by chance.
    fn act(&mut self) {
        let is_full = self.heads.len() > HEADS_MAX
            || self
                .heads
                .values()
                .any(|head| head.snapshots.len() > SNAPSHOTS_MAX);
        // Then what is destroyed prevails.
        if is_full && self.numbers.below(4) > 0 {
            return match self.numbers.below(8) {
                0 => self.hold_or_release(),
                1 => self.promote(),
                2 | 3 => self.destroy_head(),
                _ => self.destroy_snapshot(),
            };
        }
        match self.numbers.below(17) {
            0 => self.begin(),
            1 | 2 => self.clone_one(),
            3 | 4 => self.destroy_snapshot(),
            5 => self.destroy_head(),
            6 => self.roll_back(),
            7 | 8 => self.exchange(),
            9 | 10 => self.promote(),
            11 => self.rename(),
            12 => self.hold_or_release(),
            13 => self.bookmark(),
            _ => {
                if let Some(name) = self.pick() {
                    self.change(&name);
                    if self.numbers.below(2) == 0 {
                        self.snapshot(&name);
                    }
                }
            }
        }
    }

    fn step(&mut self) {
        self.act();
        self.writer.commit().unwrap();
        if self.numbers.below(10) == 0 {
            self.reopen();
        } else {
            self.limit();
        }
    }

    fn reopen(&mut self) {
        let environment = Environment::fixed(1_700_000_000, self.count + 1000);
        let disks = vec![Arc::clone(&self.disk)];
        // The old one must let go of its locks first.
        let other: Arc<dyn WritableDisk> = Arc::new(SimulatedDisk::new("none", 64 << 20));
        drop(std::mem::replace(&mut self.writer, create(&other, 1)));
        self.writer = PoolWriter::open(disks, &OpenOptions::default(), environment).unwrap();
        self.limit();
    }

    /// Some lives free what they destroy in small steps, which are interrupted by others.
    fn limit(&mut self) {
        if self.is_slow {
            self.writer.set_freed_at_once(0, 1 + self.numbers.below(40));
        }
    }

    fn check(&self) {
        self.check_on(&self.disk);
    }

    /// The pool on a disk is sound, and every dataset and snapshot holds what it should.
    fn check_on(&self, disk: &Arc<dyn WritableDisk>) {
        let pool = open(disk);
        assert_sound(&pool);
        for (name, head) in &self.heads {
            let found = read_back(&pool, name, &head.model);
            assert_eq!(difference(&found, &head.model), None, "{name}");
            for (snapshot, model) in &head.snapshots {
                let found = read_back(&pool, &format!("{name}@{snapshot}"), model);
                assert_eq!(difference(&found, model), None, "{name}@{snapshot}");
            }
        }
    }

    /// Destroys everything, and says how much is allocated afterwards.
    fn end(&mut self) -> u64 {
        self.writer.set_freed_at_once(64 << 20, 1 << 17);
        for head in self.heads.keys().cloned().collect::<Vec<_>>() {
            for at in 0..self.heads[&head].snapshots.len() {
                if self.held.remove(&self.heads[&head].snapshots[at].0) {
                    let number = self.snapshot_object(&head, at);
                    self.writer.release(number, "tag").unwrap();
                }
            }
        }
        while !self.heads.is_empty() {
            let names: Vec<String> = self.heads.keys().cloned().collect();
            for name in names {
                let id = self.writer.find(&name).unwrap();
                while let Some(newest) = self.writer.newest_snapshot(id).unwrap() {
                    if self.writer.destroy_snapshot(newest, false).is_err() {
                        break;
                    }
                }
                if self.writer.newest_snapshot(id).unwrap().is_none() {
                    self.writer.destroy_head(id).unwrap();
                    self.heads.remove(&name);
                }
                self.writer.commit().unwrap();
            }
        }
        for _ in 0..3 {
            self.writer.commit().unwrap();
        }
        assert_eq!(self.writer.freeing().unwrap(), 0);
        self.writer.pool().usage().unwrap().allocated
    }
}

fn steps() -> u64 {
    let steps = std::env::var("ZFERRY_LIFE_STEPS").ok();
    steps.and_then(|steps| steps.parse().ok()).unwrap_or(60)
}

#[test]
fn every_dataset_stays_what_it_is() {
    for seed in 1..=3 {
        let mut life = Life::new(disk(&format!("datasets{seed}"), 512 << 20), seed);
        life.begin();
        life.writer.commit().unwrap();
        for step in 0..steps() {
            life.step();
            if step % 20 == 19 {
                life.check();
            }
        }
        life.check();
    }
}

#[test]
fn what_is_destroyed_slowly_is_freed_all_the_same() {
    for seed in 1..=4 {
        let mut life = Life::new(disk(&format!("slow{seed}"), 512 << 20), seed + 40).slow();
        life.begin();
        life.writer.commit().unwrap();
        for step in 0..steps() {
            life.step();
            if step % 7 == 6 {
                life.check();
            }
        }
        life.check();
        // Pools that are left for other judges are left with something to be freed.
        if std::env::var_os("ZFERRY_LEAVE_POOLS").is_none() {
            assert!(life.end() < 2 << 20);
            assert_sound(&open(&life.disk));
        }
    }
}

#[test]
fn all_space_comes_back() {
    for seed in 11..=13 {
        let mut life = Life::new(disk(&format!("empty{seed}"), 512 << 20), seed);
        for _ in 0..3 {
            life.writer.commit().unwrap();
        }
        let before = life.writer.pool().usage().unwrap().allocated;
        life.begin();
        life.writer.commit().unwrap();
        for _ in 0..steps() {
            life.step();
        }
        let after = life.end();
        assert!(after < before + (1 << 20), "{before} → {after}");
    }
}

/// Whether a pool has this and nothing else.
fn has(pool: &Pool, heads: &Heads, held: &BTreeSet<String>) -> bool {
    let dsl = DslPool::new(pool);
    let visible = |name: &str| {
        let children = dsl.children(&dsl.dir(name).unwrap().unwrap()).unwrap();
        let visible = children.iter().filter(|(name, _)| !name.starts_with(['$', '%']));
        visible.count()
    };
    visible("life") + visible(HOME) == heads.len() + 1
        && heads.iter().all(|(name, head)| {
            let Some(dataset) = dsl.dataset(name).unwrap() else {
                return false;
            };
            let snapshots = dsl.snapshots(&dataset).unwrap();
            let is_held = |name: &str| {
                let snapshot = dsl.snapshot(&dataset, name).unwrap();
                snapshot.is_some_and(|snapshot| !dsl.holds(&snapshot).unwrap().is_empty())
            };
            snapshots.len() == head.snapshots.len()
                && head
                    .snapshots
                    .iter()
                    .all(|(name, _)| is_held(name) == held.contains(name))
                && difference(&read_back(pool, name, &head.model), &head.model).is_none()
        })
}

#[test]
fn a_cut_leaves_one_state_or_the_next() {
    let rounds = std::env::var("ZFERRY_LIFE_ROUNDS").ok();
    let rounds = rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(30);
    let mut disk = Arc::new(SimulatedDisk::new("life", 512 << 20));
    let mut life = Life::new(disk.clone(), 21);
    life.begin();
    life.writer.commit().unwrap();
    let mut choices = Numbers(7);
    let mut lost = 0;
    for round in 0..rounds {
        let before = (life.heads.clone(), life.held.clone());
        life.act();
        disk.fail_after(choices.below(80));
        let committed = life.writer.commit().is_ok();
        let left = Arc::new(disk.crash(round));
        let as_left: Arc<dyn WritableDisk> = left.clone();
        let pool = open(&as_left);
        let is_new = has(&pool, &life.heads, &life.held);
        assert!(is_new || has(&pool, &before.0, &before.1), "round {round}");
        assert!(is_new || !committed, "round {round}");
        if committed {
            disk.fail_after(u64::MAX);
        } else {
            // Life goes on with what is left.
            lost += 1;
            if !is_new {
                (life.heads, life.held) = before;
            }
            life.check_on(&as_left);
            disk = left;
            life.disk = as_left;
            life.reopen();
        }
    }
    assert!(lost > rounds / 10);
    life.check();
    assert!(life.end() < 1 << 20);
}

#[test]
fn a_marked_snapshot_goes_with_what_kept_it() {
    let mut life = Life::new(disk("deferred", 128 << 20), 31);
    life.begin();
    life.writer.commit().unwrap();
    let head = life.pick().unwrap();
    let number = life.snapshot_object(&head, 0);
    life.writer.hold(number, "tag").unwrap();
    let clone = life.writer.clone_dataset(number, "life/clone", &[]).unwrap();
    assert!(matches!(
        life.writer.destroy_snapshot(number, false),
        Err(Error::Exists(_))
    ));
    life.writer.destroy_snapshot(number, true).unwrap();
    life.writer.commit().unwrap();
    life.writer.release(number, "tag").unwrap();
    assert!(life.writer.dataset_now(number).is_ok());
    life.writer.destroy_head(clone).unwrap();
    assert!(life.writer.dataset_now(number).is_err());
    life.writer.commit().unwrap();
    assert_eq!(life.writer.freeing().unwrap(), 0);
    let id = life.writer.find(&head).unwrap();
    assert_eq!(life.writer.newest_snapshot(id).unwrap(), None);
}

#[test]
fn a_large_head_is_freed_in_steps() {
    let disk = disk("steps", 512 << 20);
    let mut life = Life::new(disk, 51);
    life.begin();
    life.writer.commit().unwrap();
    let name = life.pick().unwrap();
    for _ in 0..40 {
        life.change(&name);
    }
    life.snapshot(&name);
    life.writer.commit().unwrap();
    let origin = life.snapshot_object(&name, 1);
    let clone = life.writer.clone_dataset(origin, "life/clone", &[]).unwrap();
    life.writer.commit().unwrap();
    for _ in 0..40 {
        let model = &mut life.heads.get_mut(&name).unwrap().snapshots[1].1;
        for _ in 0..20 {
            change(&mut life.writer, clone, model, &mut life.numbers);
        }
    }
    life.heads.get_mut(&name).unwrap().snapshots[1].1 = life.heads[&name].model.clone();
    life.writer.commit().unwrap();

    life.writer.set_freed_at_once(0, 50);
    life.writer.destroy_head(clone).unwrap();
    let mut left = life.writer.freeing().unwrap();
    assert!(left > 1 << 20);
    let mut steps = 0;
    while left > 0 {
        life.writer.commit().unwrap();
        if steps % 4 == 1 {
            life.check();
            life.reopen();
            life.writer.set_freed_at_once(0, 50);
        }
        steps += 1;
        let now = life.writer.freeing().unwrap();
        assert!(now < left);
        left = now;
        if steps == 3 && std::env::var_os("ZFERRY_LEAVE_POOLS").is_some() {
            return;
        }
    }
    assert!(steps > 5, "{steps}");
    life.check();
}
