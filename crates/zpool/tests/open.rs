//! Opens the pools that OpenZFS made, and reads what leads to everything else.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;
use zferry_zpool::dmu::{ObjectSetType, ObjectType, Stop, Traversal, Visit};
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool, zap};

fn check(path: &std::path::Path, name: &str) {
    let disk = Arc::new(FileDisk::open(path).unwrap());
    let pool = Pool::open(disk, &OpenOptions::default()).unwrap();
    assert_eq!(pool.name().unwrap(), name);
    assert_eq!(pool.meta().set_type, ObjectSetType::META);
    let root = pool.directory_object("root_dataset").unwrap();
    assert!(
        matches!(root.dnode.bonus_type, ObjectType::DSL_DIR),
        "{}",
        root.dnode.bonus_type
    );
    // Every block of the pool's own metadata can be read, and every ZAP among it.
    let walk = Traversal::new(pool.reader());
    let mut zaps = 0;
    let outcome: Result<(), Stop<zferry_zpool::Error>> = walk.run(&pool.uberblock().root, &mut |visit| {
        match visit {
            Visit::Block { pointer, .. } => drop(pool.reader().read(pointer)?),
            Visit::Object { object, .. } if matches!(object.dnode.object_type.0, 1 | 13 | 14 | 15 | 0xc4) => {
                zaps = u32::saturating_add(zaps, 1);
                for entry in zap::entries(pool.reader(), object)? {
                    let name = entry.name_lossy();
                    if !name.contains('\u{fffd}') && !name.is_empty() {
                        let found = zap::lookup(pool.reader(), object, &name)?;
                        assert_eq!(
                            found.as_ref(),
                            Some(&entry.value),
                            "{name} in object {}",
                            object.number
                        );
                    }
                }
            }
            _ => {}
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(zaps > 3, "{zaps} ZAPs");
}

#[test]
fn the_example_pool_opens() {
    let example = zferry_fixtures::example().unwrap();
    check(example.image(), "harbour");
}

#[test]
fn the_corpus_opens() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    for name in ["basic", "feat", "gang", "v28", "crypt"] {
        check(&corpus.file(&format!("{name}.img")), name);
    }
}
