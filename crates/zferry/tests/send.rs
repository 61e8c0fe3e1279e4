//! Every stream that OpenZFS's kernel made, made again by the command that its manifest names: the same bytes.

#![expect(clippy::unwrap_used, reason = "a test")]

use sha2::{Digest, Sha256};
use std::path::Path;
use std::process::Command;
use zferry_fixtures::Line;

/// Sent from snapshots that are not in the corpus' images any more.
const GONE: [&str; 2] = ["basic-R", "basic-R-c"];

fn zferry(image: &Path, arguments: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command
        .arg("-d")
        .arg(image)
        .arg("send")
        .args(arguments)
        .env_remove("ZFERRY_PATH");
    command
}

/// Makes a stream again and compares it; says how it differs.
fn compare(image: &Path, line: &Line) -> Result<(), String> {
    let output = zferry(image, &line.arguments).output().unwrap();
    if !output.status.success() {
        return Err(format!(
            "{}: {}",
            line.name,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let sum: String = Sha256::digest(&output.stdout)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if sum == line.sha256 {
        Ok(())
    } else {
        Err(format!("{}: {} bytes differ", line.name, output.stdout.len()))
    }
}

fn is_there(line: &Line) -> bool {
    !GONE.contains(&line.name.as_str())
}

fn check(lines: &[Line], image: impl Fn(&Line) -> std::path::PathBuf, at_least: usize) {
    let lines: Vec<_> = lines.iter().filter(|line| is_there(line)).collect();
    let wrong: Vec<_> = lines
        .iter()
        .filter_map(|line| compare(&image(line), line).err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        lines.len(),
        wrong.join("\n")
    );
    assert!(
        lines.len() >= at_least,
        "only {} streams were compared",
        lines.len()
    );
}

#[test]
fn the_example_pool_sends_as_openzfs_does() {
    let example = zferry_fixtures::example().unwrap();
    check(&example.manifest().unwrap(), |_| example.image().to_owned(), 21);
}

/// Trees of datasets with clones, holds, properties and gaps, and a pool of version 15.
#[test]
fn packages_are_as_openzfs_packs_them() {
    let packages = zferry_fixtures::packages().unwrap();
    check(
        &packages.manifest().unwrap(),
        |line| packages.image(line.pool()),
        54,
    );
}

#[test]
fn the_corpus_sends_as_openzfs_does() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let lines = corpus.manifest().unwrap();
    let plain: Vec<_> = lines
        .into_iter()
        .filter(|line| ["basic", "feat", "gang", "v28"].contains(&line.pool()))
        .collect();
    check(&plain, |line| corpus.file(&format!("{}.img", line.pool())), 83);
}

/// A deduplicated stream is shorter by what repeats, and OpenZFS's `zstream redup` makes the plain stream of it.
#[test]
fn a_deduplicated_stream_becomes_the_plain_one_again() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    if Command::new("zstream").output().is_err() {
        eprintln!("skipped: there is no zstream");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for options in [&["feat/dedup@s"][..], &["-c", "feat/dedup@s"]] {
        let arguments: Vec<_> = options.iter().map(ToString::to_string).collect();
        let plain = zferry(&corpus.file("feat.img"), &arguments).output().unwrap();
        let arguments: Vec<_> = std::iter::once("-D".to_owned()).chain(arguments).collect();
        let deduplicated = zferry(&corpus.file("feat.img"), &arguments).output().unwrap();
        assert!(deduplicated.status.success() && plain.status.success());
        assert!(
            deduplicated.stdout.len() < plain.stdout.len() / 2,
            "{}",
            deduplicated.stdout.len()
        );
        let path = folder.path().join("deduplicated.zsend");
        std::fs::write(&path, &deduplicated.stdout).unwrap();
        let again = Command::new("zstream").arg("redup").arg(&path).output().unwrap();
        assert!(
            again.stdout == plain.stdout,
            "{options:?}: {} bytes",
            again.stdout.len()
        );
    }
}
