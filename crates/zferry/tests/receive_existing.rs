//! `zferry receive` into what exists: incremental streams, clones, `-F`, and what it says of targets that do not fit.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use zferry_fixtures::example;

/// A folder with a pool `tank` in it.
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
    /// The pool has `tank/x`, received from a full stream of `harbour/log@monday`.
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let image = bench.folder.path().join("tank.img").display().to_string();
        let create = ["receive", "--create", &image, "--size", "256M", "tank/x"];
        succeeds(&bench.run(&create, &sent(&["harbour/log@monday"])));
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

    fn names(&self) -> Vec<String> {
        let listed = self.run(&["list", "-H", "-r", "-t", "all", "-o", "name", "tank"], &[]);
        succeeds(&listed).lines().map(str::to_owned).collect()
    }

    /// What the pool sends.
    fn sends(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(&[&["send"], arguments].concat(), &[]);
        succeeds_silently(&output);
        output.stdout
    }
}

fn succeeds_silently(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn succeeds(output: &Output) -> String {
    succeeds_silently(output);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is printed on standard error by a command that fails.
fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn increments_come_one_after_another_and_go_out_as_they_came() {
    let bench = Bench::new();
    for (from, to) in [("@monday", "tuesday"), ("@tuesday", "friday")] {
        let step = sent(&["-i", from, &format!("harbour/log@{to}")]);
        let said = succeeds(&bench.receive(&["-v", "tank/x"], &step));
        let first = format!("receiving incremental stream of harbour/log@{to} into tank/x@{to}");
        assert_eq!(said.lines().next(), Some(&*first));
        let again = bench.sends(&["-i", from, &format!("tank/x@{to}")]);
        assert_eq!(step.len(), again.len());
    }
    let whole = sent(&["harbour/log@friday"]);
    assert_eq!(whole.len(), bench.sends(&["tank/x@friday"]).len());
    assert_eq!(
        bench.names(),
        [
            "tank",
            "tank/x",
            "tank/x@monday",
            "tank/x@tuesday",
            "tank/x@friday"
        ]
    );
}

#[test]
fn snapshots_without_changes_are_no_obstacle() {
    let bench = Bench::new();
    succeeds(&bench.run(&["snapshot", "tank/x@mine"], &[]));
    let step = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    succeeds(&bench.receive(&["tank/x"], &step));
    let names = bench.names();
    assert_eq!(
        names,
        ["tank", "tank/x", "tank/x@monday", "tank/x@mine", "tank/x@tuesday"]
    );
}

#[test]
fn what_was_changed_stays_unless_it_is_forced_away() {
    let bench = Bench::new();
    let (tuesday, friday) = (
        sent(&["-i", "@monday", "harbour/log@tuesday"]),
        sent(&["-i", "@monday", "harbour/log@friday"]),
    );
    succeeds(&bench.receive(&["tank/x"], &tuesday));
    let error = fails(&bench.receive(&["tank/x"], &friday));
    assert_eq!(
        error,
        "cannot receive incremental stream: destination tank/x has been modified\nsince most recent snapshot\n"
    );
    succeeds(&bench.receive(&["-F", "tank/x"], &friday));
    assert_eq!(
        bench.names(),
        ["tank", "tank/x", "tank/x@monday", "tank/x@friday"]
    );
}

#[test]
fn what_does_not_fit_is_said_in_zfs_words() {
    let bench = Bench::new();
    let (step, skipped, full, clone) = (
        sent(&["-i", "@monday", "harbour/log@tuesday"]),
        sent(&["-i", "@tuesday", "harbour/log@friday"]),
        sent(&["harbour/chart@monday"]),
        sent(&["-i", "harbour/log@monday", "harbour/draft@proof"]),
    );
    let new = "cannot receive new filesystem stream:";
    for (arguments, stream, sentence) in [
        (
            &["tank/x"][..],
            &skipped,
            "cannot receive incremental stream: most recent snapshot of tank/x does not\nmatch incremental source\n"
                .to_owned(),
        ),
        (
            &["tank/x@monday"],
            &skipped,
            "cannot restore to tank/x@monday: destination already exists\n".to_owned(),
        ),
        (
            &["tank/none"],
            &step,
            "cannot receive incremental stream: destination 'tank/none' does not exist\n".to_owned(),
        ),
        (
            &["tank/x"],
            &full,
            format!("{new} destination 'tank/x' exists\nmust specify -F to overwrite it\n"),
        ),
        (
            &["-F", "tank/x"],
            &full,
            format!("{new} destination has snapshots (eg. tank/x@monday)\nmust destroy them to overwrite it\n"),
        ),
        (
            &["-F", "tank"],
            &full,
            format!("{new} destination tank is the root dataset\ncannot overwrite with a ZVOL\n"),
        ),
        (
            &["-o", "origin=tank/x@none", "tank/c"],
            &clone,
            "cannot receive: specified origin fs (tank/x@none) does not exist\n".to_owned(),
        ),
        (
            &["-o", "origin=other/x@monday", "tank/c"],
            &clone,
            format!("{new} operation crosses datasets or pools\n"),
        ),
        (
            &["-o", "origin=tank/x@monday", "tank/x"],
            &clone,
            format!("{new} destination 'tank/x' exists\nmust specify -F to overwrite it\n"),
        ),
    ] {
        let error = fails(&bench.receive(arguments, stream));
        assert_eq!(error, sentence, "{arguments:?}");
    }
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn a_clone_finds_its_origin() {
    let bench = Bench::new();
    let clone = sent(&["-i", "harbour/log@monday", "harbour/draft@proof"]);
    let said = succeeds(&bench.receive(&["-v", "tank/found"], &clone));
    assert_eq!(
        said.lines().next(),
        Some("found clone origin tank/x@monday"),
        "{said}"
    );
    let given = ["-o", "origin=tank/x@monday", "tank/given"];
    succeeds(&bench.receive(&given, &clone));
    let got = bench.run(
        &["get", "-H", "-o", "value", "origin", "tank/found", "tank/given"],
        &[],
    );
    assert_eq!(succeeds(&got), "tank/x@monday\ntank/x@monday\n");
    // A full stream can go over an origin, too.
    let full = sent(&["harbour/log@friday"]);
    succeeds(&bench.receive(&["-o", "origin=tank/x@monday", "tank/over"], &full));
    assert_eq!(bench.sends(&["tank/over@friday"]).len(), full.len());
    let error = fails(&Bench::new().receive(&["-o", "origin=tank/x", "tank/c"], &clone));
    assert!(
        error.starts_with("cannot receive new filesystem stream: invalid backup stream\n"),
        "{error}"
    );
}

#[test]
fn a_forced_full_stream_takes_the_place_of_what_there_was() {
    let bench = Bench::new();
    succeeds(&bench.run(&["create", "tank/y"], &[]));
    let full = sent(&["harbour/log@monday"]);
    succeeds(&bench.receive(&["-F", "-o", "compression=zstd", "tank/y"], &full));
    let names = ["tank", "tank/x", "tank/x@monday", "tank/y", "tank/y@monday"];
    assert_eq!(bench.names(), names);
    let got = bench.run(&["get", "-H", "-o", "value,source", "compression", "tank/y"], &[]);
    assert_eq!(succeeds(&got), "zstd\tlocal\n");
    // It goes on from there.
    let step = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    succeeds(&bench.receive(&["tank/y"], &step));
}

#[test]
fn what_is_known_is_read_and_left_alone() {
    let bench = Bench::new();
    let step = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    succeeds(&bench.receive(&["tank/x"], &step));
    let said = succeeds(&bench.receive(&["-v", "tank/x"], &step));
    assert_eq!(
        said.lines().nth(1),
        Some("snap tank/x@tuesday already exists; ignoring")
    );
}

#[test]
fn a_renamed_target_is_found_by_what_it_has() {
    let bench = Bench::new();
    let step = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    succeeds(&bench.receive(&["-d", "tank"], &step));
    assert_eq!(
        bench.names(),
        ["tank", "tank/x", "tank/x@monday", "tank/x@tuesday"]
    );
}

#[test]
fn an_increment_that_is_cut_or_damaged_leaves_the_target_as_it_was() {
    let bench = Bench::new();
    let image = bench.folder.path().join("tank.img");
    let step = sent(&["-i", "@monday", "harbour/log@tuesday"]);
    let before = bench.sends(&["tank/x@monday"]);
    let mut damaged = step.clone();
    damaged[4000] ^= 1;
    for stream in [&step[..step.len() - 700], &damaged] {
        fails(&bench.receive(&["tank/x"], stream));
        assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
    }
    assert!(image.exists() && bench.sends(&["tank/x@monday"]) == before);
    succeeds(&bench.receive(&["tank/x"], &step));
}
