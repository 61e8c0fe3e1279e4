//! Every stream that OpenZFS's kernel made, made again by the command that its manifest names: the same bytes.

use crate::support::{run, sends, sha256};
use std::path::Path;
use std::process::Command;
use zferry_fixtures::Line;

/// Sent from snapshots that are not in the corpus' images any more.
const GONE: [&str; 2] = ["basic-R", "basic-R-c"];

/// Makes a stream again and compares it; says how it differs.
fn compare(image: &Path, line: &Line) -> Result<(), String> {
    let words = [vec!["send".to_owned()], line.arguments.clone()].concat();
    let output = run(image, &words).output;
    if !output.status.success() {
        return Err(format!(
            "{}: {}",
            line.name,
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    if sha256(&output.stdout) == line.sha256 {
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
    for options in ["feat/dedup@s", "-c feat/dedup@s"] {
        let plain = sends(&corpus.file("feat.img"), options);
        let deduplicated = sends(&corpus.file("feat.img"), &format!("-D {options}"));
        assert!(deduplicated.len() < plain.len() / 2, "{}", deduplicated.len());
        let path = folder.path().join("deduplicated.zsend");
        std::fs::write(&path, &deduplicated).unwrap();
        let again = Command::new("zstream").arg("redup").arg(&path).output().unwrap();
        assert!(again.stdout == plain, "{options:?}: {} bytes", again.stdout.len());
    }
}
