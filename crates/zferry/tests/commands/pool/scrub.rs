//! Scrubbing pools of which copies are damaged, and pools of which all copies of something are.

use crate::support::{Bench, example_sends};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use zferry_zpool::dmu::{Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::spa::BlockPointer;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{ObjectNumber, OpenOptions, Pool};

/// Where block pointers count from, in bytes.
const DATA: u64 = 4 << 20;

/// A pool on two files, into which the example is received as `tank/home`.
fn bench(layout: &[&str]) -> Bench {
    let bench = Bench::without_pool("tank");
    let files = ["one.img", "two.img"].map(|name| bench.path(name).display().to_string());
    let create = ["pool", "create", "--size", "1G", "tank"];
    bench.does(&[&create, layout, &files.each_ref().map(String::as_str)].concat());
    bench
        .receive("tank/home", &example_sends("harbour/log@friday"))
        .succeeds();
    bench
}

/// Every block of the largest file of `tank/home`, and every other block of its object set.
fn blocks(bench: &Bench) -> (Vec<BlockPointer>, Vec<BlockPointer>) {
    let disks = ["one.img", "two.img"].map(|name| -> Arc<dyn zferry_zpool::vdev::Disk> {
        Arc::new(FileDisk::open(&bench.path(name)).unwrap())
    });
    let pool = Pool::open_disks(disks.to_vec(), &OpenOptions::default()).unwrap();
    let dsl = DslPool::new(&pool);
    let home = dsl.dataset("tank/home").unwrap().unwrap();
    let walk = Traversal::new(pool.reader());
    let (mut data, mut others) = (Vec::<(ObjectNumber, BlockPointer)>::new(), Vec::new());
    walk.run(&home.phys.root, &mut |visit| {
        match visit {
            Visit::Block { object, pointer, .. } if !pointer.is_embedded() => {
                if object.dnode.object_type.0 == 19 {
                    data.push((object.number, *pointer));
                } else {
                    others.push(*pointer);
                }
            }
            Visit::DnodeBlock { pointer, .. } => others.push(*pointer),
            _ => {}
        }
        Ok::<_, ()>(())
    })
    .unwrap();
    let first = data.first().unwrap().0;
    data.retain(|(object, _)| *object == first);
    (data.into_iter().map(|(_, pointer)| pointer).collect(), others)
}

/// Overwrites a copy of a block in a file of the pool.
fn overwrite(file: &Path, offset: u64, len: u64) {
    let file = File::options().write(true).open(file).unwrap();
    let len = usize::try_from(len).unwrap();
    file.write_all_at(&vec![0x5a; len], DATA + offset).unwrap();
}

#[test]
fn a_damaged_side_of_a_mirror_is_repaired() {
    let bench = bench(&["mirror"]);
    let (data, others) = blocks(&bench);
    for (index, pointer) in data.iter().chain(&others).enumerate() {
        let side = if index % 2 == 0 { "one.img" } else { "two.img" };
        for dva in pointer.dvas() {
            overwrite(&bench.path(side), dva.offset, pointer.physical_size());
        }
    }
    assert_eq!(bench.does("pool scrub tank"), "");
    let status = bench.does("pool status tank");
    assert!(status.contains("scan: scrub repaired "), "{status}");
    assert!(
        !status.contains("repaired 0B") && status.contains("with 0 errors"),
        "{status}"
    );
    assert!(status.contains("errors: No known data errors"), "{status}");
    // Each side is good alone, and nothing is left to be repaired.
    assert_eq!(bench.does("pool scrub -w tank"), "");
    let status = bench.does("pool status tank");
    assert!(status.contains("scan: scrub repaired 0B in "), "{status}");
    bench.does("pool check -c tank");
}

#[test]
fn what_has_no_good_copy_is_told_by_file() {
    let bench = bench(&[]);
    let (data, others) = blocks(&bench);
    let file = |vdev: u32| bench.path(if vdev == 0 { "one.img" } else { "two.img" });
    for dva in data.first().unwrap().dvas() {
        overwrite(&file(dva.vdev), dva.offset, 512);
    }
    // Of metadata there are two copies.
    for pointer in &others {
        let dva = pointer.dvas().next().unwrap();
        overwrite(&file(dva.vdev), dva.offset, 512);
    }
    let said = bench.does("pool scrub tank");
    let lines: Vec<&str> = said.lines().collect();
    let [heading, "", snapshot] = lines.as_slice() else {
        panic!("{said}");
    };
    assert_eq!(
        *heading,
        "errors: Permanent errors have been detected in the following files:"
    );
    assert!(
        snapshot.trim().starts_with("tank/home@") && snapshot.contains(":/"),
        "{said}"
    );
    let status = bench.does("pool status -v tank");
    assert!(status.contains("with 1 errors"), "{status}");
    assert!(status.contains("Permanent errors have been detected"), "{status}");
    // The pool itself counts right, before the log of errors is dropped and after.
    bench.does("pool check tank");
    for dva in data.first().unwrap().dvas() {
        assert!(dva.allocated > 0);
    }
    bench.does("destroy -r tank/home");
    assert_eq!(bench.does("pool scrub tank"), "");
    let status = bench.does("pool status -v tank");
    assert!(status.contains("errors: No known data errors"), "{status}");
    assert_eq!(bench.does("pool check tank").lines().count(), 1);
}
