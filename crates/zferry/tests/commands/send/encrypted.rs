//! Encrypted datasets: raw streams without any key, others with it, and what is said where it is missing; all beside what
//! OpenZFS's kernel made of the same pools.
//!
//! `fixtures/vault` holds a pool with every suite and every form of key; its `make.sh` says what lies in it.

use crate::support::{fixture, run, sha256, vault};
use std::fs;
use std::path::{Path, PathBuf};
use zferry_fixtures::{Line, read_manifest};

/// The file with the key that it takes to send what `line` says.
fn key_of(line: &Line) -> &'static str {
    let dataset = line.arguments.last().unwrap();
    let below = dataset.split(['/', '@']).nth(1).unwrap();
    match below {
        "aes-128-ccm" | "aes-192-gcm" => "passphrase.key",
        "aes-192-ccm" | "aes-256-gcm" => "hex.key",
        _ => "raw.key",
    }
}

/// Makes the streams again, with the keys that it takes, and says which differ.
fn differing(image: &Path, lines: &[Line], key: impl Fn(&Line) -> PathBuf) -> Vec<String> {
    let compare = |line: &Line| {
        let key = key(line);
        let mut arguments = vec!["send"];
        if !line.has("-w") {
            arguments.extend(["-K", key.to_str().unwrap()]);
        }
        arguments.extend(line.arguments.iter().map(String::as_str));
        let output = run(image, &arguments).output;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (sha256(&output.stdout) != line.sha256).then(|| {
            let (bytes, wanted) = (output.stdout.len(), line.bytes);
            format!("{}: {bytes} bytes instead of {wanted}. {said}", line.name)
        })
    };
    lines.iter().filter_map(compare).collect()
}

#[test]
fn every_suite_and_key_format_sends_as_openzfs_does() {
    let lines = read_manifest(&fixture("vault/MANIFEST")).unwrap();
    assert!(lines.len() > 70, "{} streams", lines.len());
    let wrong = differing(&vault(), &lines, |line| fixture("vault").join(key_of(line)));
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        lines.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_encrypted_pool_of_the_corpus_sends_as_openzfs_does() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (passphrase, hex) = (folder.path().join("passphrase"), folder.path().join("hex"));
    fs::write(&passphrase, "correct horse battery\n").unwrap();
    fs::write(&hex, "1".repeat(64)).unwrap();
    let mut lines = corpus.manifest().unwrap();
    lines.retain(|line| line.pool() == "crypt");
    assert_eq!(lines.len(), 7);
    let wrong = differing(&corpus.file("crypt.img"), &lines, |line| {
        let is_gcm = line.name.contains("gcm");
        if is_gcm { passphrase.clone() } else { hex.clone() }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_pool_is_listed_without_any_key() {
    let columns = "name,type,used,refer,encryption,keystatus,keyformat,encryptionroot,objsetid";
    let listed = run(&vault(), &format!("list -Hpo {columns} -t all -r vault")).succeeds();
    let wanted = fs::read_to_string(fixture("vault/vault.list")).unwrap();
    // What the pool itself uses is not in there.
    let listed_below: Vec<_> = listed.lines().skip(1).collect();
    assert_eq!(listed_below, wanted.lines().collect::<Vec<_>>());
}

/// A line `$ ` with a command of OpenZFS, then what it wrote to each output, then its exit code.
struct Answer {
    words: Vec<String>,
    out: Vec<String>,
    err: Vec<String>,
    exit: i32,
}

fn answers() -> Vec<Answer> {
    let text = fs::read_to_string(fixture("vault/answers.txt")).unwrap();
    let answers = text.split("$ zfs ").skip(1).map(|answer| {
        let (command, rest) = answer.split_once('\n').unwrap();
        let lines = |mark: &str| {
            let lines = rest.lines().filter_map(|line| line.strip_prefix(mark));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        Answer {
            words: command.split(' ').map(str::to_owned).collect(),
            out: lines("out: "),
            err: lines("err: "),
            exit: lines("exit: ").first().unwrap().parse().unwrap(),
        }
    });
    answers.collect()
}

#[test]
fn what_is_missing_is_said_as_zfs_says_it() {
    let answers = answers();
    assert!(answers.len() >= 9);
    for answer in answers {
        // `load-key -L file://FOLDER/other.key DATASET` is here a part of `send -K other.key`.
        let is_load_key = answer.words[0] == "load-key";
        let mut arguments = answer.words.clone();
        if is_load_key {
            let name = answer.words[2].rsplit('/').next().unwrap();
            let key = fixture("vault").join(name).to_str().unwrap().to_owned();
            let snapshot = format!("{}@a", answer.words[3]);
            arguments = vec!["send".to_owned(), "-K".to_owned(), key, snapshot];
        }
        let output = run(&vault(), &arguments).output;
        let (out, err) = (
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        );
        // Behind zfs's sentences zferry may have a hint.
        let said: Vec<_> = err.lines().take(answer.err.len()).collect();
        assert_eq!(said, answer.err, "{arguments:?}");
        assert_eq!(out.lines().collect::<Vec<_>>(), answer.out, "{arguments:?}");
        let exit = if is_load_key { 1 } else { answer.exit };
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {err}");
    }
}
