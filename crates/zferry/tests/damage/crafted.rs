//! Damage that somebody meant: metadata that leads round in circles, or to far more than there is.

use crate::command::{MEMORY_KIB, Run};
use crate::random::{LOOKS, SENDS, soft_example};
use std::sync::Arc;
use zferry_blocks::checksum::seal_embedded;
use zferry_fixtures::{META, Part, SoftPool};
use zferry_wire::Endian;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool, zap};

/// Where offset 0 of a block pointer lies in an image.
const DATA_OFFSET: u64 = 4 << 20;
/// An indirect block, in bytes: 1024 pointers.
const INDIRECT_BYTES: usize = 128 << 10;
const POINTER_BYTES: usize = 128;
/// A transaction group that no stream of the example starts from.
const BIRTH: u64 = 1 << 32;
const TYPE_FILE: u8 = 19;
/// The words of a directory's and of a dataset's bonus buffer.
const DIR_PARENT: u64 = 2;
const DIR_ORIGIN: u64 = 3;
const DIR_CHILDREN: u64 = 4;
const DIR_PROPERTIES: u64 = 10;
const DATASET_PREVIOUS: u64 = 1;
const DATASET_PREVIOUS_TXG: u64 = 2;

/// Runs every command on the pool. Each may fail, and one has to: the damage arrived.
fn check(pool: &SoftPool) {
    assert!(codes(pool).contains(&1));
}

/// What every command exits with, on the pool.
fn codes(pool: &SoftPool) -> Vec<i32> {
    run(pool, LOOKS.iter().chain(&SENDS))
}

/// What each of the commands exits with, on the pool.
fn run<'a>(pool: &SoftPool, commands: impl Iterator<Item = &'a &'a [&'a str]>) -> Vec<i32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("harbour.img");
    pool.image.save(&path).unwrap();
    let run = Run {
        image: &path,
        folder: folder.path(),
        memory_kib: MEMORY_KIB,
        stdin: None,
    };
    commands.map(|arguments| run.zferry(arguments).unwrap()).collect()
}

/// Asks the example what `question` wants to know of it.
fn ask<T>(question: impl FnOnce(&DslPool<'_>) -> T) -> T {
    let example = zferry_fixtures::example().unwrap();
    let disk = Arc::new(FileDisk::open(example.image()).unwrap());
    let pool = Pool::open(disk, &OpenOptions::default()).unwrap();
    question(&DslPool::new(&pool))
}

/// The object of a directory.
fn dir(name: &str) -> u64 {
    ask(|dsl| dsl.dir(name).unwrap().unwrap().number.0)
}

/// The object of a head or snapshot.
fn dataset(name: &str) -> u64 {
    ask(|dsl| dsl.dataset(name).unwrap().unwrap().number.0)
}

/// The objects of the directories in the root.
fn dirs() -> Vec<u64> {
    let children = ask(|dsl| dsl.children(&dsl.root().unwrap()).unwrap());
    let visible = children.iter().filter(|(name, _)| !name.starts_with('$'));
    visible.map(|(_, number)| number.0).collect()
}

/// The object of the table of what lies in the root.
fn root_children() -> u64 {
    ask(|dsl| dsl.root().unwrap().phys.children.unwrap().0)
}

/// Where the bonus buffer of a meta object lies in the image, in bytes.
fn bonus(pool: &SoftPool, object: u64) -> u64 {
    let dnode = pool.dnode(META, object).unwrap();
    dnode + 64 + u64::from(pool.image.bytes(dnode + 3, 1)[0]) * POINTER_BYTES as u64
}

fn set_bonus_word(pool: &mut SoftPool, object: u64, word: u64, value: u64) {
    let offset = bonus(pool, object) + 8 * word;
    pool.image.write(offset, &value.to_le_bytes());
}

/// Puts `bytes`, which must not be all zero, where nothing is. Returns where that is in the image.
fn put(pool: &mut SoftPool, bytes: &[u8]) -> u64 {
    let len = bytes.len().next_multiple_of(INDIRECT_BYTES);
    let used: Vec<u64> = pool.image.used().collect();
    let is_free = |offset: &u64| {
        let after = used.partition_point(|page| page < offset);
        used.get(after).is_none_or(|page| *page >= offset + len as u64)
    };
    let mut offsets = (2 * DATA_OFFSET..pool.image.size() - len as u64).step_by(INDIRECT_BYTES);
    let offset = offsets.find(is_free).unwrap();
    pool.image.write(offset, bytes);
    offset
}

/// A pointer to `len` bytes at `offset` of the image, in three copies, neither compressed nor summed.
fn pointer(offset: u64, len: usize, object_type: u8, level: u8, is_gang: bool) -> [u8; POINTER_BYTES] {
    let sectors = len as u64 / 512;
    let place = ((offset - DATA_OFFSET) / 512) | (u64::from(is_gang) << 63);
    let mut words = [0_u64; 16];
    for copy in 0..3 {
        words[2 * copy] = sectors;
        words[2 * copy + 1] = place;
    }
    words[6] = ((sectors - 1) * 0x1_0001)
        | (2 << 32)
        | (2 << 40)
        | (u64::from(object_type) << 48)
        | (u64::from(level) << 56)
        | (1 << 63);
    words[10] = BIRTH;
    words[11] = 1;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.try_into().unwrap()
}

/// A pointer to a tree of twelve levels, in each of which a thousand pointers lead to the same block. At its foot is
/// `leaf`.
fn endless_tree(pool: &mut SoftPool, leaf: &[u8], object_type: u8) -> [u8; POINTER_BYTES] {
    let mut below = leaf.to_vec();
    for level in 1..12 {
        let offset = put(pool, &below.repeat(INDIRECT_BYTES / POINTER_BYTES));
        below = pointer(offset, INDIRECT_BYTES, object_type, level, false).to_vec();
    }
    below.try_into().unwrap()
}

/// Makes a dnode the head of a tree of twelve levels.
fn set_tree(pool: &mut SoftPool, dnode: u64, top: &[u8; POINTER_BYTES]) {
    pool.image.write(dnode + 1, &[17, 12, 1]);
    pool.image.write(dnode + 16, &u64::MAX.to_le_bytes());
    pool.image.write(dnode + 64, top);
}

/// Where the dnodes of files lie in the image, in bytes.
fn files(pool: &SoftPool) -> Vec<u64> {
    let blocks = pool.blocks.iter().filter(|block| {
        let is_dnodes = matches!(
            block.part,
            Part::Block {
                object: 0,
                level: 0,
                ..
            }
        );
        block.set != META && is_dnodes
    });
    let dnodes = blocks.flat_map(|block| (block.offset..block.offset + block.len as u64).step_by(512));
    dnodes
        .filter(|dnode| pool.image.bytes(*dnode, 1) == [TYPE_FILE])
        .collect()
}

#[test]
fn directories_that_hold_each_other() {
    let mut pool = soft_example();
    for dir in dirs() {
        set_bonus_word(&mut pool, dir, DIR_CHILDREN, root_children());
    }
    check(&pool);
    for dir in dirs() {
        set_bonus_word(&mut pool, dir, DIR_PARENT, dir);
    }
    check(&pool);
}

#[test]
fn one_directory_under_many_names() {
    let mut pool = soft_example();
    let (object, level, id) = (root_children(), 0, 0);
    let table = pool.find(META, Part::Block { object, level, id }).unwrap();
    let photos = dir("harbour/photos");
    for entry in (64..table.len as u64).step_by(64) {
        if pool.image.bytes(table.offset + entry + 14, 1) != [0] {
            pool.image.write(table.offset + entry, &photos.to_le_bytes());
        }
    }
    check(&pool);
}

#[test]
fn clones_of_their_own_clones() {
    let (log, draft) = (dir("harbour/log"), dir("harbour/draft"));
    let proof = dataset("harbour/draft@proof");
    // What was never an origin is looked for in all of them.
    let ancestry: [&[&str]; 2] = [
        &["send", "-i", "harbour/photos@monday", "harbour/draft@proof"],
        &[
            "get",
            "-H",
            "written@harbour/photos@monday",
            "harbour/draft@proof",
        ],
    ];
    for changed in [log, draft] {
        let mut pool = soft_example();
        set_bonus_word(&mut pool, changed, DIR_ORIGIN, proof);
        codes(&pool);
        assert_eq!(run(&pool, ancestry.iter()).first(), Some(&1));
    }
}

#[test]
fn snapshots_before_themselves() {
    let mut pool = soft_example();
    for name in ["harbour/photos", "harbour/photos@tuesday", "harbour/log@friday"] {
        let snapshot = dataset(name);
        set_bonus_word(&mut pool, snapshot, DATASET_PREVIOUS, snapshot);
        set_bonus_word(&mut pool, snapshot, DATASET_PREVIOUS_TXG, u64::MAX);
    }
    check(&pool);
}

#[test]
fn files_without_end() {
    let mut pool = soft_example();
    let mut hole = [0; POINTER_BYTES];
    hole[80..88].copy_from_slice(&BIRTH.to_le_bytes());
    let top = endless_tree(&mut pool, &hole, TYPE_FILE);
    for file in files(&pool) {
        set_tree(&mut pool, file, &top);
    }
    check(&pool);
}

#[test]
fn logs_of_space_without_end() {
    let mut pool = soft_example();
    let logs = ask(|dsl| {
        let table = dsl
            .pool()
            .directory_object("com.delphix:log_spacemap_zap")
            .unwrap();
        let logs = zap::entries(dsl.pool().reader(), &table).unwrap();
        logs.iter()
            .filter_map(|log| log.value.as_u64())
            .collect::<Vec<_>>()
    });
    assert!(!logs.is_empty());
    for log in logs {
        let dnode = pool.dnode(META, log).unwrap();
        let leaf = pool.image.bytes(dnode + 64, POINTER_BYTES);
        let top = endless_tree(&mut pool, &leaf, leaf[54]);
        set_tree(&mut pool, dnode, &top);
        set_bonus_word(&mut pool, log, 1, u64::MAX);
    }
    check(&pool);
}

#[test]
fn tables_of_all_that_a_block_holds() {
    const BLOCK_BYTES: usize = 1 << 20;
    const TYPE_ZAP: u8 = 0xc4;
    let mut pool = soft_example();
    let mut table = vec![0; BLOCK_BYTES];
    table[..8].copy_from_slice(&((1_u64 << 63) + 3).to_le_bytes());
    for (number, entry) in (1_u64..).zip(table.chunks_exact_mut(64)).skip(1) {
        entry[..8].copy_from_slice(&(number << 20).to_le_bytes());
        let name = format!("x:{number}");
        entry[14..14 + name.len()].copy_from_slice(name.as_bytes());
    }
    let offset = put(&mut pool, &table);
    let block = pointer(offset, BLOCK_BYTES, TYPE_ZAP, 0, false);
    let (photos, log) = (dir("harbour/photos"), dir("harbour/log"));
    let tables = ask(|dsl| {
        let photos = dsl
            .head(&dsl.dir("harbour/photos").unwrap().unwrap())
            .unwrap()
            .unwrap();
        [
            photos.phys.snapshots,
            photos.dir.phys.properties,
            photos.dir.phys.children,
        ]
    });
    for table in tables.into_iter().flatten() {
        let dnode = pool.dnode(META, table.0).unwrap();
        let sectors = (BLOCK_BYTES / 512) as u16;
        pool.image.write(dnode + 2, &[1, 1]);
        pool.image.write(dnode + 8, &sectors.to_le_bytes());
        pool.image.write(dnode + 16, &0_u64.to_le_bytes());
        pool.image.write(dnode + 64, &block);
        set_bonus_word(&mut pool, log, DIR_PROPERTIES, table.0);
        set_bonus_word(&mut pool, photos, DIR_PROPERTIES, table.0);
    }
    check(&pool);
}

#[test]
fn gangs_of_themselves() {
    let mut pool = soft_example();
    for file in files(&pool) {
        let sectors = pool.image.bytes(file + 8, 2);
        let len = 512 * usize::from(u16::from_le_bytes(sectors.try_into().unwrap()));
        let offset = put(&mut pool, &[0xff; 512]);
        let gang = pointer(offset, len, TYPE_FILE, 0, true);
        let mut header = [0; 512];
        for piece in header.chunks_exact_mut(POINTER_BYTES).take(3) {
            piece.copy_from_slice(&gang);
        }
        seal_embedded(&mut header, [0, offset - DATA_OFFSET, BIRTH, 0], Endian::Little);
        pool.image.write(offset, &header);
        pool.image.write(file + 2, &[1, 1]);
        pool.image.write(file + 64, &gang);
    }
    check(&pool);
}

#[test]
fn vdevs_of_countless_metaslabs() {
    let mut pool = soft_example();
    let object = ask(|dsl| dsl.pool().directory_object("config").unwrap().number.0);
    let (level, id) = (0, 0);
    let block = pool.find(META, Part::Block { object, level, id }).unwrap();
    let config = pool.image.bytes(block.offset, block.len);
    for (name, value) in [(&b"metaslab_shift"[..], 1_u64), (b"asize", u64::MAX)] {
        let at = config
            .windows(name.len())
            .position(|bytes| bytes == name)
            .unwrap();
        // The name is filled up to a multiple of four bytes; then come the type and the number of elements.
        let value_at = at + name.len().next_multiple_of(4) + 8;
        pool.image
            .write(block.offset + value_at as u64, &value.to_be_bytes());
    }
    codes(&pool);
}
