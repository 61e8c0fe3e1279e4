//! Pools that are damaged at their head, and pools as they were a while ago.

#![expect(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test")]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool};

/// Where a label's configuration lies in it, and where block pointers count from, in bytes.
const CONFIG: std::ops::Range<u64> = (16 << 10)..(128 << 10);
const LABEL: u64 = 256 << 10;
const DATA: u64 = 4 << 20;

fn zferry(image: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command.arg("-d").arg(image).args(arguments);
    command.env_remove("ZFERRY_PATH").output().unwrap()
}

fn out(output: &Output) -> String {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout.clone()).unwrap()
}

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
    let expected = out(&zferry(&image, &["list", "-Hpr", "-t", "all"]));
    let size = fs::metadata(&image).unwrap().len() / LABEL * LABEL;
    for label in [0, LABEL, size - 2 * LABEL, size - LABEL] {
        overwrite(&image, label + CONFIG.start..label + CONFIG.end);
    }
    let without = zferry(&image, &["list", "harbour"]);
    assert!(!without.status.success());
    assert_eq!(
        out(&zferry(&image, &["--salvage", "list", "-Hpr", "-t", "all"])),
        expected
    );
    let sent = zferry(&image, &["--salvage", "send", "harbour/log@monday"]);
    let original = zferry_fixtures::example().unwrap();
    let plain = zferry(original.image(), &["send", "harbour/log@monday"]);
    assert!(sent.status.success() && sent.stdout == plain.stdout);
}

#[test]
fn a_pool_whose_newest_root_is_lost_opens_as_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let image = copy(&folder);
    let before = out(&zferry(
        &image,
        &["pool", "history", "--uberblocks", "-H", "harbour"],
    ));
    let lost = lose_newest_root(&image);
    assert!(before.starts_with(&format!("{lost}\t")), "{before}");
    assert!(!zferry(&image, &["list", "harbour"]).status.success());
    let after = out(&zferry(
        &image,
        &["pool", "history", "--uberblocks", "-H", "harbour"],
    ));
    assert_eq!(
        before.lines().skip(1).collect::<Vec<_>>(),
        after.lines().collect::<Vec<_>>()
    );
    let older = after.lines().next().unwrap().split('\t').next().unwrap();
    let salvaged = zferry(&image, &["--salvage", "list", "-Hpr"]);
    let said = String::from_utf8_lossy(&salvaged.stderr).into_owned();
    assert!(
        said.starts_with(&format!(
            "'harbour' is passed over as it was at transaction group {lost}: "
        )),
        "{said}"
    );
    assert_eq!(
        out(&zferry(&image, &["-T", older, "list", "-Hpr"])),
        out(&salvaged)
    );
}

#[test]
fn a_moment_before_all_that_is_known_is_refused() {
    let example = zferry_fixtures::example().unwrap();
    for moment in ["1", "1990-01-01"] {
        let output = zferry(example.image(), &["-T", moment, "list", "harbour"]);
        assert!(!output.status.success());
    }
    let output = zferry(example.image(), &["-T", "yesterday", "list"]);
    assert_eq!(output.status.code(), Some(2));
    let newest = out(&zferry(example.image(), &["list", "-Hp"]));
    assert_eq!(
        out(&zferry(example.image(), &["-T", "2999-01-01", "list", "-Hp"])),
        newest
    );
}

#[test]
fn the_history_of_a_pool_is_told() {
    let example = zferry_fixtures::example().unwrap();
    let told = |options: &[&str]| {
        let arguments = [&["pool", "history"], options, &["harbour"]].concat();
        out(&zferry(example.image(), &arguments))
    };
    let plain = told(&[]);
    let mut lines = plain.lines();
    assert_eq!(lines.next(), Some("History for 'harbour':"));
    let first = lines.next().unwrap();
    assert!(first.contains(" zpool create "), "{first}");
    assert!(
        plain.contains(" zfs snapshot ") && plain.ends_with("\n\n"),
        "{plain}"
    );
    let internal = told(&["-i"]);
    assert!(
        internal.contains("] snapshot harbour/") && internal.contains(" ioctl "),
        "{internal}"
    );
    let commands = |text: &str| text.lines().filter(|line| line.contains(" zfs ")).count();
    assert_eq!(commands(&plain), commands(&internal));
    let long = told(&["-l"]);
    let is_signed = |line: &str| line.contains(" [user 0 ") && line.ends_with(']');
    assert!(
        long.lines()
            .skip(1)
            .filter(|line| !line.is_empty())
            .all(is_signed),
        "{long}"
    );
}
