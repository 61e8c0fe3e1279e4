//! Readers of a pool that is written to meanwhile: each sees the state that it opened, as long as it likes.

use crate::model::{Model, Numbers, assert_sound, change, create, difference, options, read_back};
use std::io;
use std::path::Path;
use std::sync::Arc;
use zferry_zpool::check::{CheckOptions, check};
use zferry_zpool::vdev::{Disk, FileDisk, WritableDisk, WritableFile};
use zferry_zpool::{Environment, OpenOptions, Pool, PoolWriter};

/// A file that is read without saying so to whoever writes.
#[derive(Debug)]
struct Unheld(FileDisk);

impl Disk for Unheld {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn size(&self) -> u64 {
        self.0.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_at(buffer, offset)
    }
}

fn pool(disk: Arc<dyn Disk>) -> Pool {
    // Without a cache, everything is read when it is asked for.
    let options = OpenOptions {
        cache_bytes: 0,
        ..OpenOptions::default()
    };
    Pool::open(disk, &options).unwrap()
}

/// How much a check finds to be wrong.
fn findings(pool: &Pool) -> usize {
    let mut lines = Vec::new();
    check(pool, &CheckOptions::default(), &mut lines).map_or(1, |_| lines.len())
}

fn writer(path: &Path, seed: u64) -> PoolWriter {
    let disk: Arc<dyn WritableDisk> = Arc::new(WritableFile::open(path).unwrap());
    let environment = Environment::fixed(1_700_000_000, seed);
    PoolWriter::open(vec![disk], &OpenOptions::default(), environment).unwrap()
}

#[test]
fn the_space_of_what_a_reader_has_open_is_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("life.img");
    let disk: Arc<dyn WritableDisk> = Arc::new(WritableFile::create(&path, 80 << 20).unwrap());
    let mut changed = create(&disk, 7);
    drop(disk);
    let mut numbers = Numbers(4242);
    let mut id = changed.begin_dataset("life/x", &options()).unwrap();
    changed.finish_dataset(id, "s", 7, 1_600_000_000).unwrap();
    changed.commit().unwrap();
    let mut model = Model::new();
    let mut readers: Vec<(Pool, Model)> = Vec::new();
    let mut unheld = None;
    for round in 0..90 {
        for _ in 0..6 {
            change(&mut changed, id, &mut model, &mut numbers);
        }
        changed.commit().unwrap();
        if round == 3 {
            let disk = Unheld(FileDisk::open(&path).unwrap());
            unheld = Some(pool(Arc::new(disk)));
        }
        if round % 10 == 0 && readers.len() < 3 {
            let disk = FileDisk::open(&path).unwrap();
            readers.push((pool(Arc::new(disk)), model.clone()));
        }
        if numbers.below(4) == 0 {
            // Another process goes on.
            drop(changed);
            changed = writer(&path, round);
            id = changed.find("life/x").unwrap();
        }
        if round % 30 == 29 {
            for (pool, model) in &readers {
                assert_eq!(
                    difference(&read_back(pool, "life/x", model), model),
                    None,
                    "round {round}"
                );
                assert_sound(pool);
            }
            readers.remove(0);
        }
    }
    // Without the holds, all of this would show nothing.
    assert!(unheld.is_some_and(|pool| findings(&pool) > 0));
    drop(readers);
    changed.commit().unwrap();
    drop(changed);
    let now = pool(Arc::new(FileDisk::open(&path).unwrap()));
    assert_eq!(difference(&read_back(&now, "life/x", &model), &model), None);
    assert_sound(&now);
}
