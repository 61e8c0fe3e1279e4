//! What datasets should hold, and random changes of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_zpool::check::{CheckOptions, check};
use zferry_zpool::dmu::{ObjectSetType, ObjectSpec, ObjectType};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::{Disk, SimulatedDisk, WritableDisk, WritableFile};
use zferry_zpool::{
    BeginOptions, BlockId, CreateOptions, DatasetId, Environment, ObjectNumber, OpenOptions, Pool,
    PoolLayout, PoolWriter, Slot, TopLayout,
};

/// A sequence of numbers that is always the same.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// What an object should hold: its blocks, those of zeros left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) block_bytes: u64,
    pub(crate) blocks: BTreeMap<u64, Vec<u8>>,
    pub(crate) spill: Option<Vec<u8>>,
}

pub(crate) type Model = BTreeMap<u64, Content>;

pub(crate) fn content(numbers: &mut Numbers, size: u64) -> Vec<u8> {
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

pub(crate) fn put(content: &mut Content, id: u64, bytes: Vec<u8>) {
    if bytes.iter().all(|byte| *byte == 0) {
        content.blocks.remove(&id);
    } else {
        content.blocks.insert(id, bytes);
    }
}

/// Changes one thing of a dataset, and the model of it.
pub(crate) fn change(writer: &mut PoolWriter, id: DatasetId, model: &mut Model, numbers: &mut Numbers) {
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
pub(crate) fn difference(found: &Model, wanted: &Model) -> Option<String> {
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
pub(crate) fn read_back(pool: &Pool, name: &str, due: &Model) -> Model {
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

pub(crate) fn create(disk: &Arc<dyn WritableDisk>, seed: u64) -> PoolWriter {
    let layout = PoolLayout {
        tops: vec![TopLayout {
            disks: vec![Arc::clone(disk)],
        }],
    };
    let environment = Environment::fixed(1_700_000_000, seed);
    PoolWriter::create(&layout, &CreateOptions::new("life"), environment).unwrap()
}

pub(crate) fn options() -> BeginOptions {
    BeginOptions {
        is_case_insensitive: false,
        set_type: ObjectSetType::OTHER,
        features: std::collections::BTreeSet::new(),
        encryption: zferry_zpool::NewEncryption::Inherited,
    }
}

/// Every counter and reference of a pool is right, and every block can be read.
pub(crate) fn assert_sound(pool: &Pool) {
    let mut lines = Vec::new();
    let options = CheckOptions {
        data: true,
        told_max: 20,
        ..CheckOptions::default()
    };
    check(pool, &options, &mut lines).unwrap();
    assert_eq!(lines, Vec::<String>::new());
}

pub(crate) fn open(disk: &Arc<dyn WritableDisk>) -> Pool {
    let disk: Arc<dyn Disk> = Arc::<dyn WritableDisk>::clone(disk);
    Pool::open(disk, &OpenOptions::default()).unwrap()
}

/// A disk of a test: in memory, or, where `ZFERRY_LEAVE_POOLS` names a folder, a file in it that is left there.
pub(crate) fn disk(name: &str, bytes: u64) -> Arc<dyn WritableDisk> {
    match std::env::var("ZFERRY_LEAVE_POOLS") {
        Ok(folder) => {
            let path = std::path::Path::new(&folder).join(format!("{name}.img"));
            let _ = std::fs::remove_file(&path);
            Arc::new(WritableFile::create(&path, bytes).unwrap())
        }
        Err(_) => Arc::new(SimulatedDisk::new(name, bytes)),
    }
}
