//! `zferry receive -s` and `-A`: what is kept of a stream that is cut, what is said of it, and how it goes on.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;
use zferry_fixtures::example;

/// A folder with an empty pool `tank` in it.
struct Bench {
    folder: TempDir,
}

/// Sends from the example pool.
fn sent(arguments: &[&str]) -> Vec<u8> {
    let mut send = Command::new(env!("CARGO_BIN_EXE_zferry"));
    send.arg("-d").arg(example().unwrap().image());
    let output = send.arg("send").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let image = bench.folder.path().join("tank.img").display().to_string();
        succeeds(&bench.run(&["pool", "create", "--size", "256M", "tank", &image], &[]));
        bench
    }

    /// Runs zferry on the pool with a stream on standard input.
    fn run(&self, arguments: &[&str], stream: &[u8]) -> Output {
        let path = self.folder.path().join("stream");
        fs::write(&path, stream).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        let stdin = Stdio::from(fs::File::open(&path).unwrap());
        command.arg("-d").arg(self.folder.path().join("tank.img"));
        command.args(arguments).stdin(stdin).output().unwrap()
    }

    fn receive(&self, arguments: &[&str], stream: &[u8]) -> Output {
        self.run(&[&["receive"], arguments].concat(), stream)
    }

    fn names(&self) -> String {
        succeeds(&self.run(&["list", "-H", "-r", "-t", "all", "-o", "name", "tank"], &[]))
    }

    /// The token with which the receive into a dataset goes on.
    fn token(&self, dataset: &str) -> String {
        let arguments = ["get", "-H", "-o", "value", "receive_resume_token", dataset];
        succeeds(&self.run(&arguments, &[])).trim().to_owned()
    }

    /// What is said of a receive that fails, without its tokens.
    fn fails(&self, arguments: &[&str], stream: &[u8]) -> String {
        let output = self.receive(arguments, stream);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        said.lines()
            .map(|line| match line.split_once(" -t ") {
                Some((before, token)) => {
                    let named = arguments.last().unwrap().split('@').next().unwrap();
                    assert_eq!(token, self.token(named));
                    format!("{before} -t TOKEN\n")
                }
                None => format!("{line}\n"),
            })
            .collect()
    }
}

fn succeeds(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_stream_that_is_cut_is_gone_on_with() {
    let bench = Bench::new();
    let stream = sent(&["-Lec", "harbour/photos@monday"]);
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &stream[..stream.len() / 2]), @"
    cannot receive new filesystem stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 82940: the stream is cut: 8932 of the 90112 bytes that follow the WRITE record at offset 73696 are there
    ");
    let token = bench.token("tank/x");
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &stream), @"
    cannot receive new filesystem stream: destination 'tank/x' exists
    must specify -F to overwrite it
    ");
    assert_snapshot!(bench.fails(&["-s", "tank/y"], &sent(&["-t", &token])), @"cannot receive resume stream: destination 'tank/y' does not exist");
    let rest = sent(&["-t", &token]);
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &rest[..rest.len().saturating_sub(1)]), @"
    cannot receive resume stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 93479: the stream is cut: 311 of the 312 bytes of a record are there
    ");
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &rest), @"
    cannot receive resume stream: incompatible embedded data stream feature with encrypted receive.
    the stream goes on at another place than where the receive was interrupted
    ");
    let rest = sent(&["-t", &bench.token("tank/x")]);
    let said = succeeds(&bench.receive(&["-v", "-d", "tank"], &sent(&["harbour/log@monday"])));
    assert!(said.starts_with("receiving full stream"), "{said}");
    let said = succeeds(&bench.receive(&["-sv", "tank/x"], &rest));
    assert_snapshot!(said.lines().next().unwrap(), @"receiving full stream of harbour/photos@monday into tank/x@monday");
    assert_eq!(bench.token("tank/x"), "-");
    let whole = Bench::new();
    succeeds(&whole.receive(&["tank/x"], &stream));
    let [one, other] =
        [&bench, &whole].map(|bench| bench.run(&["send", "-Lec", "tank/x@monday"], &[]).stdout);
    assert!(one == other);
}

#[test]
fn over_what_is_there_it_is_kept_out_of_sight() {
    let bench = Bench::new();
    succeeds(&bench.receive(&["tank/x"], &sent(&["harbour/log@monday"])));
    let before = bench.names();
    let change = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &change[..change.len().saturating_sub(400)]), @"
    cannot receive incremental stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 28040: the stream is cut: 224 of the 312 bytes of a record are there
    ");
    assert_eq!(bench.names(), before);
    let token = bench.token("tank/x");
    assert_snapshot!(bench.fails(&["tank/x"], &change), @r#"cannot receive incremental stream: destination tank/x contains partially-complete state from "zfs receive -s"."#);
    succeeds(&bench.run(&["snapshot", "tank/x@late"], &[]));
    let rest = sent(&["-t", &token]);
    assert_snapshot!(bench.fails(&["-s", "tank/x"], &rest), @"
    cannot receive resume stream: kernel modules must be upgraded to receive this stream.
    the target has newer snapshots than the one that the interrupted receive continues
    ");
    assert_eq!(bench.token("tank/x"), token);
    succeeds(&bench.receive(&["-F", "tank/x"], &rest));
    assert_eq!(bench.names(), "tank\ntank/x\ntank/x@monday\ntank/x@tuesday\n");

    let full = sent(&["harbour/photos@monday"]);
    succeeds(&bench.receive(&["tank/empty"], &full));
    succeeds(&bench.run(&["destroy", "tank/empty@monday"], &[]));
    bench.fails(&["-sF", "tank/empty"], &full[..full.len() / 2]);
    let rest = sent(&["-t", &bench.token("tank/empty")]);
    assert_snapshot!(bench.fails(&["-s", "tank/empty"], &rest), @"
    cannot receive resume stream: Resuming recv on existing destination 'tank/empty'
    must specify -F to overwrite it
    ");
    succeeds(&bench.receive(&["-s", "-F", "tank/empty"], &rest));
}

#[test]
fn what_was_kept_can_be_thrown_away() {
    let bench = Bench::new();
    let full = sent(&["harbour/log@monday"]);
    bench.fails(&["-s", "tank/x"], &full[..full.len() / 2]);
    assert_snapshot!(bench.fails(&["-A", "tank"], &[]), @"'tank' does not have any resumable receive state to abort");
    assert_snapshot!(bench.fails(&["-A", "tank/none"], &[]), @"cannot open 'tank/none': dataset does not exist");
    for option in ["-s", "-d", "-e", "-n", "-u"] {
        let output = bench.receive(&["-A", option, "tank/x"], &[]);
        assert_eq!(output.status.code(), Some(2));
    }
    succeeds(&bench.receive(&["-A", "tank/x"], &[]));
    assert_eq!(bench.names(), "tank\n");
    succeeds(&bench.receive(&["tank/x"], &full));
    let change = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    bench.fails(&["-s", "tank/x"], &change[..change.len().saturating_sub(400)]);
    succeeds(&bench.receive(&["-A", "tank/x"], &[]));
    assert_eq!(bench.token("tank/x"), "-");
    assert_snapshot!(bench.fails(&["-A", "tank/x"], &[]), @"'tank/x' does not have any resumable receive state to abort");
    // It goes with its dataset, too.
    bench.fails(&["-s", "tank/x"], &change[..change.len().saturating_sub(400)]);
    succeeds(&bench.run(&["destroy", "-r", "tank/x"], &[]));
    assert_eq!(bench.names(), "tank\n");
}

#[test]
fn of_a_stream_that_ends_at_once_nothing_is_kept() {
    let bench = Bench::new();
    let full = sent(&["harbour/log@monday"]);
    let image = bench.folder.path().join("new.img").display().to_string();
    let create = ["-s", "--create", &image, "--size", "256M", "new/x"];
    let output = bench.receive(&create, &full[..400]);
    assert!(!output.status.success());
    assert!(fs::metadata(&image).is_err());
    let output = bench.receive(&create, &full[..full.len() / 2]);
    assert!(!output.status.success());
    assert!(fs::metadata(&image).is_ok());
}
