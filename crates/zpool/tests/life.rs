//! Random changes of a dataset, and what the pool says of it afterwards; and what a loss of power leaves.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::as_conversions
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_zpool::dmu::{ObjectSetType, ObjectSpec, ObjectType};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, SimulatedDisk, WritableDisk, WritableFile};
use zferry_zpool::{
    BeginOptions, BlockId, CreateOptions, DatasetId, Environment, ObjectNumber, OpenOptions, Pool,
    PoolLayout, PoolWriter, Slot, TopLayout,
};

/// A sequence of numbers that is always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// What an object should hold: its blocks, those of zeros left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    block_bytes: u64,
    blocks: BTreeMap<u64, Vec<u8>>,
    spill: Option<Vec<u8>>,
}

type Model = BTreeMap<u64, Content>;

fn content(numbers: &mut Numbers, size: u64) -> Vec<u8> {
    let kind = numbers.below(6);
    let seed = numbers.next();
    (0..size)
        .map(|at| match kind {
            0 => 0,
            1 => (seed >> (at % 8)) as u8 & 1,
            2 if at > 40 => 0,
            _ => (seed.wrapping_mul(at.wrapping_mul(2_654_435_761) + 1) >> 32) as u8,
        })
        .collect()
}

fn put(content: &mut Content, id: u64, bytes: Vec<u8>) {
    if bytes.iter().all(|byte| *byte == 0) {
        content.blocks.remove(&id);
    } else {
        content.blocks.insert(id, bytes);
    }
}

/// Changes one thing of a dataset, and the model of it.
fn change(writer: &mut PoolWriter, id: DatasetId, model: &mut Model, numbers: &mut Numbers) {
    let object = 1 + numbers.below(200);
    let number = ObjectNumber(object);
    let free = matches!(writer.objects(id).unwrap().slot(number).unwrap(), Slot::Free);
    let existing = model.get(&object).cloned();
    assert_eq!(
        existing.is_some(),
        matches!(writer.objects(id).unwrap().slot(number).unwrap(), Slot::Object(_))
    );
    match (existing, numbers.below(8)) {
        (None, _) if free => {
            let slots = if numbers.below(4) == 0 {
                1 + numbers.below(4) as u8
            } else {
                1
            };
            let block_bytes = 512 << numbers.below(6);
            let spec = ObjectSpec {
                slots,
                ..ObjectSpec::new(ObjectType::PLAIN_FILE_CONTENTS, block_bytes as u32)
            };
            let bonus = vec![object as u8; 168];
            let spec = spec.with_bonus(ObjectType::SYSTEM_ATTRIBUTES, bonus);
            if writer.objects(id).unwrap().claim(number, &spec).is_ok() {
                let fresh = Content {
                    block_bytes,
                    ..Content::default()
                };
                model.insert(object, fresh);
            }
        }
        (Some(_), 0) => {
            writer.objects(id).unwrap().free_object(number).unwrap();
            model.remove(&object);
        }
        (Some(mut old), 1) => {
            let start = numbers.below(40 * old.block_bytes);
            let len = (numbers.below(3) > 0).then(|| numbers.below(30 * old.block_bytes));
            writer
                .objects(id)
                .unwrap()
                .free_range(number, start, len)
                .unwrap();
            let end = len.map_or(u64::MAX, |len| start + len);
            for (block, mut bytes) in old.blocks.clone() {
                for (at, byte) in bytes.iter_mut().enumerate() {
                    let place = block * old.block_bytes + at as u64;
                    if (start..end).contains(&place) {
                        *byte = 0;
                    }
                }
                put(&mut old, block, bytes);
            }
            model.insert(object, old);
        }
        (Some(mut old), 2) => {
            let size = 512 << numbers.below(3);
            let bytes = content(numbers, size);
            let policy = writer
                .block_policy(id, ObjectType::SYSTEM_ATTRIBUTES, 0, 0)
                .unwrap();
            let block = policy
                .prepare(ObjectType::SYSTEM_ATTRIBUTES, bytes.clone())
                .unwrap();
            if block.is_hole() {
                writer.objects(id).unwrap().remove_spill(number).unwrap();
                old.spill = None;
            } else {
                writer.objects(id).unwrap().set_spill(number, &block).unwrap();
                old.spill = Some(bytes);
            }
            model.insert(object, old);
        }
        (Some(mut old), 3) => {
            let start = numbers.below(300 * old.block_bytes);
            let len = 1 + numbers.below(3 * old.block_bytes);
            let bytes = content(numbers, len);
            writer.objects(id).unwrap().write(number, start, &bytes).unwrap();
            for (at, byte) in (start..).zip(bytes) {
                let size = old.block_bytes as usize;
                let block = old
                    .blocks
                    .entry(at / old.block_bytes)
                    .or_insert_with(|| vec![0; size]);
                block[(at % old.block_bytes) as usize] = byte;
            }
            old.blocks.retain(|_, bytes| bytes.iter().any(|byte| *byte != 0));
            model.insert(object, old);
        }
        (Some(mut old), _) => {
            let far = if numbers.below(10) == 0 { 1 << 22 } else { 1500 };
            let first = numbers.below(far);
            for block in first..first + 1 + numbers.below(4) {
                let bytes = content(numbers, old.block_bytes);
                let policy = writer
                    .block_policy(id, ObjectType::PLAIN_FILE_CONTENTS, 0, 0)
                    .unwrap();
                let ready = policy
                    .prepare(ObjectType::PLAIN_FILE_CONTENTS, bytes.clone())
                    .unwrap();
                writer
                    .objects(id)
                    .unwrap()
                    .write_block(number, BlockId(block), &ready)
                    .unwrap();
                put(&mut old, block, bytes);
            }
            model.insert(object, old);
        }
        _ => {}
    }
}

/// Where two states differ first.
fn difference(found: &Model, wanted: &Model) -> Option<String> {
    for object in found.keys().chain(wanted.keys()) {
        let (Some(found), Some(wanted)) = (found.get(object), wanted.get(object)) else {
            return Some(format!(
                "object {object} is there once only: found {}",
                found.contains_key(object)
            ));
        };
        if found.block_bytes != wanted.block_bytes || found.spill != wanted.spill {
            return Some(format!("object {object}: block size or spill block"));
        }
        for id in found.blocks.keys().chain(wanted.blocks.keys()) {
            let (there, due) = (found.blocks.get(id), wanted.blocks.get(id));
            if there != due {
                let at = there
                    .zip(due)
                    .map(|(there, due)| there.iter().zip(due).position(|(a, b)| a != b));
                let sides = (there.is_some(), due.is_some());
                let size = found.block_bytes;
                return Some(format!(
                    "object {object}, block {id} of {size}: there and due {sides:?}, differ at {at:?}"
                ));
            }
        }
    }
    None
}

/// What a committed pool holds, read by the reading half.
fn read_back(pool: &Pool, name: &str, due: &Model) -> Model {
    let dsl = DslPool::new(pool);
    let dataset = dsl.dataset(name).unwrap().unwrap();
    let set = dsl.object_set(&dataset).unwrap().unwrap();
    let mut model = Model::new();
    for object in 1..=200 {
        let Ok(object) = set.object(pool.reader(), ObjectNumber(object)) else {
            continue;
        };
        let mut found = Content {
            block_bytes: object.dnode.data_bytes(),
            ..Content::default()
        };
        assert_eq!(object.dnode.bonus(), [object.number.0 as u8; 168]);
        // Far blocks lie in wide holes: only those that are due are looked for.
        let far = due
            .get(&object.number.0)
            .map(|content| content.blocks.keys().copied());
        let near = 0..=object.dnode.max_block.0.min(2100);
        for id in near.chain(far.into_iter().flatten()) {
            if let Some(pointer) = object.pointer(pool.reader(), BlockId(id)).unwrap() {
                let block = pool.reader().read(&pointer).unwrap();
                put(&mut found, id, block.bytes);
            }
        }
        if let Some(spill) = &object.dnode.spill {
            found.spill = Some(pool.reader().read(spill).unwrap().bytes);
        }
        model.insert(object.number.0, found);
    }
    model
}

fn create(disk: &Arc<dyn WritableDisk>, seed: u64) -> PoolWriter {
    let layout = PoolLayout {
        tops: vec![TopLayout {
            disks: vec![Arc::clone(disk)],
        }],
    };
    let environment = Environment::fixed(1_700_000_000, seed);
    PoolWriter::create(&layout, &CreateOptions::new("life"), environment).unwrap()
}

fn options() -> BeginOptions {
    BeginOptions {
        is_case_insensitive: false,
        set_type: ObjectSetType::OTHER,
        features: std::collections::BTreeSet::new(),
    }
}

fn open(disk: &Arc<dyn WritableDisk>) -> Pool {
    let disk: Arc<dyn Disk> = Arc::<dyn WritableDisk>::clone(disk);
    Pool::open(disk, &OpenOptions::default()).unwrap()
}

#[test]
fn random_changes_read_back() {
    for seed in 1..=3 {
        let disk: Arc<dyn WritableDisk> = match std::env::var("ZFERRY_LEAVE_POOLS") {
            Ok(folder) => {
                let path = std::path::Path::new(&folder).join(format!("life{seed}.img"));
                let _ = std::fs::remove_file(&path);
                Arc::new(WritableFile::create(&path, 256 << 20).unwrap())
            }
            Err(_) => Arc::new(SimulatedDisk::new("life", 256 << 20)),
        };
        let mut writer = create(&disk, seed);
        let mut numbers = Numbers(seed * 0x9e37_79b9);
        let id = writer.begin_dataset("life/x", &options()).unwrap();
        let mut model = Model::new();
        let mut snapshots = Vec::new();
        for round in 0..30 {
            for _ in 0..numbers.below(60) {
                change(&mut writer, id, &mut model, &mut numbers);
            }
            if round == 0 {
                writer.finish_dataset(id, "s0", 77, 1_600_000_000).unwrap();
                snapshots.push(("s0".to_owned(), model.clone()));
            } else if numbers.below(3) == 0 {
                let name = format!("s{round}");
                writer.snapshot("life/x", &name).unwrap();
                snapshots.push((name, model.clone()));
            }
            writer.commit().unwrap();
            if numbers.below(8) == 0 {
                drop(writer);
                let environment = Environment::fixed(1_700_000_000, seed + round);
                writer =
                    PoolWriter::open(vec![Arc::clone(&disk)], &OpenOptions::default(), environment).unwrap();
            }
        }
        writer.commit().unwrap();
        let pool = open(&disk);
        assert_eq!(
            difference(&read_back(&pool, "life/x", &model), &model),
            None,
            "seed {seed}"
        );
        for (name, model) in &snapshots {
            assert_eq!(
                &read_back(&pool, &format!("life/x@{name}"), model),
                model,
                "seed {seed}, snapshot {name}"
            );
        }
    }
}

#[test]
fn what_is_left_after_a_crash_is_a_commit() {
    let disk = Arc::new(SimulatedDisk::new("life", 256 << 20));
    let as_written: Arc<dyn WritableDisk> = disk.clone();
    let mut writer = create(&as_written, 5);
    let mut numbers = Numbers(99);
    let id = writer.begin_dataset("life/x", &options()).unwrap();
    let mut model = Model::new();
    change(&mut writer, id, &mut model, &mut numbers);
    writer.finish_dataset(id, "s", 77, 1_600_000_000).unwrap();
    writer.commit().unwrap();
    let mut states = vec![model.clone()];
    let rounds = std::env::var("ZFERRY_LIFE_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(12) {
        for _ in 0..20 {
            change(&mut writer, id, &mut model, &mut numbers);
        }
        // Cut the commit at some operation, and see what the disk has.
        disk.fail_after(numbers.below(60));
        let committed = writer.commit().is_ok();
        for cut in 0..4 {
            let left = Arc::new(disk.crash(round * 64 + cut));
            let left: Arc<dyn WritableDisk> = left;
            let found = read_back(&open(&left), "life/x", &model);
            let is_old = states
                .last()
                .is_some_and(|state| difference(&found, state).is_none());
            assert!(
                is_old || difference(&found, &model).is_none(),
                "round {round}, cut {cut}"
            );
            let environment = Environment::fixed(1_700_000_000, 9);
            let mut again = PoolWriter::open(vec![left], &OpenOptions::default(), environment).unwrap();
            again.create_file_system("life/more", &[]).unwrap();
            again.commit().unwrap();
        }
        disk.fail_after(u64::MAX);
        if !committed {
            // The life goes on from what is there.
            drop(writer);
            let environment = Environment::fixed(1_700_000_000, round);
            let as_written: Arc<dyn WritableDisk> = disk.clone();
            writer = PoolWriter::open(vec![as_written], &OpenOptions::default(), environment).unwrap();
            writer.commit().unwrap();
            model = read_back(writer.pool(), "life/x", &model);
        }
        states.push(model.clone());
    }
}

#[test]
fn space_maps_stay_small_in_a_long_life() {
    let disk: Arc<dyn WritableDisk> = match std::env::var("ZFERRY_LEAVE_POOLS") {
        Ok(folder) => {
            let path = std::path::Path::new(&folder).join("long.img");
            let _ = std::fs::remove_file(&path);
            Arc::new(WritableFile::create(&path, 128 << 20).unwrap())
        }
        Err(_) => Arc::new(SimulatedDisk::new("long", 128 << 20)),
    };
    let mut writer = create(&disk, 3);
    let mut numbers = Numbers(77);
    let id = writer.begin_dataset("life/x", &options()).unwrap();
    writer.finish_dataset(id, "s", 7, 1_600_000_000).unwrap();
    writer.commit().unwrap();
    let mut model = Model::new();
    for _ in 0..400 {
        for _ in 0..4 {
            change(&mut writer, id, &mut model, &mut numbers);
        }
        writer.commit().unwrap();
    }
    drop(writer);
    let pool = open(&disk);
    assert_eq!(difference(&read_back(&pool, "life/x", &model), &model), None);
    // The pool's own metadata stays small, however often it is written.
    let used = pool.usage().unwrap().allocated;
    let live: u64 = model
        .values()
        .flat_map(|content| content.blocks.values())
        .map(|block| block.len() as u64)
        .sum();
    assert!(used < 3 * live + (16 << 20), "{used} bytes for {live}");
}

#[test]
fn the_same_changes_make_the_same_bytes() {
    let life = || {
        let disk = Arc::new(SimulatedDisk::new("same", 128 << 20));
        let as_written: Arc<dyn WritableDisk> = disk.clone();
        let mut writer = create(&as_written, 11);
        let mut numbers = Numbers(12);
        let id = writer.begin_dataset("life/x", &options()).unwrap();
        let mut model = Model::new();
        for round in 0..4 {
            for _ in 0..30 {
                change(&mut writer, id, &mut model, &mut numbers);
            }
            writer.snapshot("life/x", &format!("s{round}")).unwrap();
            writer.commit().unwrap();
        }
        disk
    };
    assert!(life().pages() == life().pages());
}
