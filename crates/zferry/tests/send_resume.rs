//! Sends that go on where a receiver was interrupted, beside what the kernel's `zfs send -t` sent.
//!
//! `fixtures/resumed-streams.txt` holds tokens of receives that OpenZFS 2.3.2 was interrupted in, of streams of the
//! corpus' pools cut at various places, and the SHA-256 of what its `zfs send -t` then sent: `token|sha256`.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use zferry_zstream::token::ResumeToken;

fn send(pools: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command.arg("-d").arg(pools).arg("send").args(arguments);
    command.env_remove("ZFERRY_PATH").output().unwrap()
}

#[test]
fn the_rest_of_a_stream_is_what_the_kernel_sends() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let tokens = include_str!("fixtures/resumed-streams.txt");
    assert!(tokens.lines().count() > 30);
    for (token, expected) in tokens.lines().map(|line| line.split_once('|').unwrap()) {
        let output = send(corpus.file("basic.img").parent().unwrap(), &["-t", token]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{token}: {error}");
        let sum: String = Sha256::digest(&output.stdout)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(sum, expected, "{token}");
    }
}

#[test]
fn a_cut_stream_has_the_token_that_the_kernel_left() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut");
    for (token, _) in include_str!("fixtures/resumed-streams.txt")
        .lines()
        .map(|line| line.split_once('|').unwrap())
    {
        let kernel = ResumeToken::decode(token).unwrap();
        let whole = ResumeToken {
            object: 0,
            offset: 0,
            ..kernel.clone()
        };
        let pools = corpus.file("basic.img");
        let output = send(pools.parent().unwrap(), &["-t", &whole.encode()]);
        assert!(output.status.success(), "{token}");
        // BEGIN is not counted; the header behind the last record must be there.
        let length = usize::try_from(kernel.bytes).unwrap() + 2 * 312;
        std::fs::write(&cut, &output.stdout[..length]).unwrap();
        let ours = Command::new(env!("CARGO_BIN_EXE_zferry"))
            .args(["stream", "token", "--from"])
            .arg(&cut)
            .output()
            .unwrap();
        assert!(ours.status.success(), "{token}: {ours:?}");
        let ours = String::from_utf8(ours.stdout).unwrap();
        assert_eq!(ResumeToken::decode(ours.trim()), Ok(kernel), "{token}");
    }
}

#[test]
fn what_cannot_go_on_is_refused_in_zfs_words() {
    let example = zferry_fixtures::example().unwrap();
    for (arguments, expected) in [
        (
            &["-t", "2-0-0-"][..],
            "cannot resume send: resume token is corrupt (invalid version 2)",
        ),
        (
            &["-t", "nonsense"],
            "cannot resume send: resume token is corrupt (invalid format)",
        ),
        (&["-t", "1-0-0-", "-i", "@a"], "invalid flags combined with -t"),
        (&["-t", "1-0-0-", "harbour@a"], "too many arguments"),
    ] {
        let output = send(example.image(), arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().next(), Some(expected));
        assert!(!output.status.success());
    }
}
