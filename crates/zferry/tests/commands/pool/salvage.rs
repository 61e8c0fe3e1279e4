//! Pools that are damaged at their head, and pools as they were a while ago.

use crate::support::{example_sends, run};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool};

/// Where a label's configuration lies in it, and where block pointers count from, in bytes.
const CONFIG: std::ops::Range<u64> = (16 << 10)..(128 << 10);
const LABEL: u64 = 256 << 10;
const DATA: u64 = 4 << 20;

/// A copy of the example pool, to be damaged.
fn copy(folder: &tempfile::TempDir) -> PathBuf {
    let image = folder.path().join("pool.img");
    fs::copy(zferry_fixtures::example().unwrap().image(), &image).unwrap();
    image
}

fn overwrite(image: &Path, at: std::ops::Range<u64>) {
    let file = File::options().write(true).open(image).unwrap();
    let length = usize::try_from(at.end - at.start).unwrap();
    file.write_all_at(&vec![0x5a; length], at.start).unwrap();
}

/// Overwrites every copy of the block that the newest uberblock leads to; says at which transaction group it was.
fn lose_newest_root(image: &Path) -> u64 {
    let pool = Pool::open(Arc::new(FileDisk::open(image).unwrap()), &OpenOptions::default()).unwrap();
    let uberblock = pool.uberblock();
    for dva in uberblock.root.dvas() {
        overwrite(image, DATA + dva.offset..DATA + dva.offset + 512);
    }
    uberblock.txg.0
}

#[test]
fn a_pool_whose_labels_are_gone_is_found_by_its_uberblocks() {
    let folder = tempfile::tempdir().unwrap();
    let image = copy(&folder);
    let expected = run(&image, "list -Hpr -t all").succeeds();
    let size = fs::metadata(&image).unwrap().len() / LABEL * LABEL;
    for label in [0, LABEL, size - 2 * LABEL, size - LABEL] {
        overwrite(&image, label + CONFIG.start..label + CONFIG.end);
    }
    run(&image, "list harbour").fails();
    assert_eq!(run(&image, "--salvage list -Hpr -t all").succeeds(), expected);
    let sent = run(&image, "--salvage send harbour/log@monday").bytes();
    let plain = example_sends("harbour/log@monday");
    assert!(sent == plain);
}

#[test]
fn a_pool_whose_newest_root_is_lost_opens_as_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let image = copy(&folder);
    let before = run(&image, "pool history --uberblocks -H harbour").succeeds();
    let lost = lose_newest_root(&image);
    assert!(before.starts_with(&format!("{lost}\t")), "{before}");
    run(&image, "list harbour").fails();
    let after = run(&image, "pool history --uberblocks -H harbour").succeeds();
    assert_eq!(
        before.lines().skip(1).collect::<Vec<_>>(),
        after.lines().collect::<Vec<_>>()
    );
    let older = after.lines().next().unwrap().split('\t').next().unwrap();
    let salvaged = run(&image, "--salvage list -Hpr");
    let said = String::from_utf8_lossy(&salvaged.output.stderr).into_owned();
    assert!(
        said.starts_with(&format!(
            "'harbour' is passed over as it was at transaction group {lost}: "
        )),
        "{said}"
    );
    assert_eq!(
        run(&image, &["-T", older, "list", "-Hpr"]).succeeds(),
        salvaged.succeeds()
    );
}

#[test]
fn a_moment_before_all_that_is_known_is_refused() {
    let example = zferry_fixtures::example().unwrap();
    for moment in ["1", "1990-01-01"] {
        run(example.image(), &["-T", moment, "list", "harbour"]).fails();
    }
    run(example.image(), "-T yesterday list").exits(2);
    let newest = run(example.image(), "list -Hp").succeeds();
    assert_eq!(run(example.image(), "-T 2999-01-01 list -Hp").succeeds(), newest);
}

#[test]
fn the_history_of_a_pool_is_told() {
    let example = zferry_fixtures::example().unwrap();
    let told = |options: &str| run(example.image(), &format!("pool history {options}harbour")).succeeds();
    let plain = told("");
    let mut lines = plain.lines();
    assert_eq!(lines.next(), Some("History for 'harbour':"));
    let first = lines.next().unwrap();
    assert!(first.contains(" zpool create "), "{first}");
    assert!(
        plain.contains(" zfs snapshot ") && plain.ends_with("\n\n"),
        "{plain}"
    );
    let internal = told("-i ");
    assert!(
        internal.contains("] snapshot harbour/") && internal.contains(" ioctl "),
        "{internal}"
    );
    let commands = |text: &str| text.lines().filter(|line| line.contains(" zfs ")).count();
    assert_eq!(commands(&plain), commands(&internal));
    let long = told("-l ");
    let is_signed = |line: &str| line.contains(" [user 0 ") && line.ends_with(']');
    assert!(
        long.lines()
            .skip(1)
            .filter(|line| !line.is_empty())
            .all(is_signed),
        "{long}"
    );
}
