//! Scrubbing pools of which copies are damaged, and pools of which all copies of something are.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test")]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use zferry_zpool::dmu::{Traversal, Visit};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::spa::BlockPointer;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{ObjectNumber, OpenOptions, Pool, Txg};

/// Where block pointers count from, in bytes.
const DATA: u64 = 4 << 20;

fn zferry(folder: &Path, arguments: &[&str], input: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command
        .arg("-d")
        .arg(folder)
        .args(arguments)
        .env_remove("ZFERRY_PATH");
    if let Some(input) = input {
        command.stdin(File::open(input).unwrap());
    }
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// A pool on two files, into which the example is received as `tank/home`.
fn pool(folder: &Path, layout: &[&str]) {
    let mut arguments = vec!["pool", "create", "--size", "1G", "tank"];
    let files: Vec<String> = ["one.img", "two.img"]
        .map(|name| folder.join(name).to_str().unwrap().to_owned())
        .to_vec();
    arguments.extend(layout);
    arguments.extend(files.iter().map(String::as_str));
    out(&zferry(folder, &arguments, None));
    let example = zferry_fixtures::example().unwrap();
    let sent = Command::new(env!("CARGO_BIN_EXE_zferry"))
        .arg("-d")
        .arg(example.image())
        .args(["send", "harbour/log@friday"])
        .output()
        .unwrap();
    assert!(sent.status.success());
    let stream = folder.join("stream");
    std::fs::write(&stream, sent.stdout).unwrap();
    out(&zferry(folder, &["receive", "tank/home"], Some(&stream)));
    std::fs::remove_file(stream).unwrap();
}

/// Every block of the largest file of `tank/home`, and every other block of its object set.
fn blocks(folder: &Path) -> (Vec<BlockPointer>, Vec<BlockPointer>) {
    let disks = ["one.img", "two.img"].map(|name| -> Arc<dyn zferry_zpool::vdev::Disk> {
        Arc::new(FileDisk::open(&folder.join(name)).unwrap())
    });
    let pool = Pool::open_disks(disks.to_vec(), &OpenOptions::default()).unwrap();
    let dsl = DslPool::new(&pool);
    let home = dsl.dataset("tank/home").unwrap().unwrap();
    let walk = Traversal {
        reader: pool.reader(),
        since: Txg(0),
        resume: None,
        ahead: &(),
        skips_damage: false,
    };
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
    let folder = tempfile::tempdir().unwrap();
    pool(folder.path(), &["mirror"]);
    let (data, others) = blocks(folder.path());
    for (index, pointer) in data.iter().chain(&others).enumerate() {
        let side = if index % 2 == 0 { "one.img" } else { "two.img" };
        for dva in pointer.dvas() {
            overwrite(&folder.path().join(side), dva.offset, pointer.physical_size());
        }
    }
    assert_eq!(out(&zferry(folder.path(), &["pool", "scrub", "tank"], None)), "");
    let status = out(&zferry(folder.path(), &["pool", "status", "tank"], None));
    assert!(status.contains("scan: scrub repaired "), "{status}");
    assert!(
        !status.contains("repaired 0B") && status.contains("with 0 errors"),
        "{status}"
    );
    assert!(status.contains("errors: No known data errors"), "{status}");
    // Each side is good alone, and nothing is left to be repaired.
    assert_eq!(
        out(&zferry(folder.path(), &["pool", "scrub", "-w", "tank"], None)),
        ""
    );
    let status = out(&zferry(folder.path(), &["pool", "status", "tank"], None));
    assert!(status.contains("scan: scrub repaired 0B in "), "{status}");
    out(&zferry(folder.path(), &["pool", "check", "-c", "tank"], None));
}

#[test]
fn what_has_no_good_copy_is_told_by_file() {
    let folder = tempfile::tempdir().unwrap();
    pool(folder.path(), &[]);
    let (data, others) = blocks(folder.path());
    let file = |vdev: u32| folder.path().join(if vdev == 0 { "one.img" } else { "two.img" });
    for dva in data.first().unwrap().dvas() {
        overwrite(&file(dva.vdev), dva.offset, 512);
    }
    // Of metadata there are two copies.
    for pointer in &others {
        let dva = pointer.dvas().next().unwrap();
        overwrite(&file(dva.vdev), dva.offset, 512);
    }
    let said = out(&zferry(folder.path(), &["pool", "scrub", "tank"], None));
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
    let status = out(&zferry(folder.path(), &["pool", "status", "-v", "tank"], None));
    assert!(status.contains("with 1 errors"), "{status}");
    assert!(status.contains("Permanent errors have been detected"), "{status}");
    // The pool itself counts right, before the log of errors is dropped and after.
    out(&zferry(folder.path(), &["pool", "check", "tank"], None));
    for dva in data.first().unwrap().dvas() {
        assert!(dva.allocated > 0);
    }
    out(&zferry(folder.path(), &["destroy", "-r", "tank/home"], None));
    assert_eq!(out(&zferry(folder.path(), &["pool", "scrub", "tank"], None)), "");
    let status = out(&zferry(folder.path(), &["pool", "status", "-v", "tank"], None));
    assert!(status.contains("errors: No known data errors"), "{status}");
    assert_eq!(
        out(&zferry(folder.path(), &["pool", "check", "tank"], None))
            .lines()
            .count(),
        1
    );
}
