//! Random changes of a dataset, and what the pool says of it afterwards; and what a loss of power leaves.

use crate::model::{Model, Numbers, change, create, difference, disk, open, options, read_back};
use std::sync::Arc;
use zferry_zpool::vdev::{SimulatedDisk, WritableDisk};
use zferry_zpool::{Environment, OpenOptions, PoolWriter};

#[test]
fn random_changes_read_back() {
    for seed in 1..=3 {
        let disk = disk(&format!("life{seed}"), 256 << 20);
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
    let disk = disk("long", 128 << 20);
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

#[test]
fn what_was_not_finished_leaves_no_trace() {
    let disk: Arc<dyn WritableDisk> = Arc::new(SimulatedDisk::new("life", 128 << 20));
    let reopen = || {
        let environment = Environment::fixed(1_700_000_000, 4);
        PoolWriter::open(vec![Arc::clone(&disk)], &OpenOptions::default(), environment).unwrap()
    };
    let mut writer = create(&disk, 21);
    writer.create_file_system("life/fs", &[]).unwrap();
    for _ in 0..3 {
        writer.commit().unwrap();
    }
    let allocated = |writer: &PoolWriter| writer.pool().usage().unwrap().allocated;
    let before = allocated(&writer);
    let mut numbers = Numbers(5);

    // Forgotten before it was committed.
    let id = writer.begin_dataset("life/x", &options()).unwrap();
    let mut model = Model::new();
    for _ in 0..50 {
        change(&mut writer, id, &mut model, &mut numbers);
    }
    writer.discard().unwrap();
    assert!(writer.find("life/x").is_err());
    writer.commit().unwrap();
    assert!(allocated(&writer).abs_diff(before) < 64 << 10);

    // Committed in the middle, and then cut off.
    let id = writer.begin_dataset("life/x", &options()).unwrap();
    let mut model = Model::new();
    for _ in 0..5 {
        for _ in 0..50 {
            change(&mut writer, id, &mut model, &mut numbers);
        }
        writer.commit().unwrap();
    }
    assert!(allocated(&writer) > before + (128 << 10));
    drop(writer);
    let mut writer = reopen();
    assert!(writer.find("life/x").is_err() && writer.find("life/fs").is_ok());
    writer.commit().unwrap();
    assert!(
        allocated(&writer).abs_diff(before) < 64 << 10,
        "{} {before}",
        allocated(&writer)
    );
    assert!(writer.create_file_system("life/x", &[]).is_ok());
    writer.commit().unwrap();
}
