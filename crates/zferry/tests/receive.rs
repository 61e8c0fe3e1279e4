//! `zferry receive`: what it makes, what it says, and what it leaves behind when it fails.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use zferry_fixtures::example;

/// A folder with a stream of the example pool in it.
struct Bench {
    folder: TempDir,
    stream: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let mut send = Command::new(env!("CARGO_BIN_EXE_zferry"));
        send.arg("-d").arg(example().unwrap().image());
        let sent = send
            .args(["send", "-L", "-e", "-c", "harbour/chart@monday"])
            .output()
            .unwrap();
        assert!(sent.status.success());
        Self {
            folder: tempfile::tempdir().unwrap(),
            stream: sent.stdout,
        }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("tank.img")
    }

    /// Runs zferry on the pool with a stream on standard input.
    fn run(&self, arguments: &[&str], stream: &[u8]) -> Output {
        let path = self.folder.path().join("stream");
        fs::write(&path, stream).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command
            .arg("-d")
            .arg(self.folder.path())
            .args(arguments)
            .stdin(Stdio::from(fs::File::open(path).unwrap()));
        command.output().unwrap()
    }

    /// Receives into a new pool or the one that was made.
    fn receive(&self, arguments: &[&str], stream: &[u8]) -> Output {
        let image = self.image().display().to_string();
        let create = ["receive", "--create", &image, "--size", "256M"];
        self.run(&[&create, arguments].concat(), stream)
    }

    fn succeeds(output: &Output) -> String {
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}");
        String::from_utf8(output.stdout.clone()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let listed = self.run(&["list", "-H", "-r", "-t", "all", "-o", "name"], &[]);
        Self::succeeds(&listed).lines().map(str::to_owned).collect()
    }
}

/// What is printed on standard error by a command that fails with this exit code.
fn fails(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code));
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_pool_is_made_and_filled() {
    let bench = Bench::new();
    let said = Bench::succeeds(&bench.receive(&["-v", "tank/chart"], &bench.stream));
    let mut lines = said.lines();
    assert_eq!(
        lines.next(),
        Some("receiving full stream of harbour/chart@monday into tank/chart@monday")
    );
    let summary = lines.next().unwrap();
    assert!(
        summary.starts_with("received ") && summary.contains(" stream in "),
        "{summary}"
    );
    Bench::succeeds(&bench.receive(&["-d", "tank"], &{
        let mut send = Command::new(env!("CARGO_BIN_EXE_zferry"));
        send.arg("-d").arg(example().unwrap().image());
        send.args(["send", "harbour/photos@monday"])
            .output()
            .unwrap()
            .stdout
    }));
    Bench::succeeds(&bench.run(
        &["receive", "-o", "compression=zstd", "-o", "my:note=x", "tank/c@d"],
        &bench.stream,
    ));
    assert_eq!(
        bench.names(),
        [
            "tank",
            "tank/c",
            "tank/c@d",
            "tank/chart",
            "tank/chart@monday",
            "tank/photos",
            "tank/photos@monday"
        ]
    );
    let got = bench.run(
        &["get", "-H", "-o", "value,source", "compression,my:note", "tank/c"],
        &[],
    );
    assert_eq!(Bench::succeeds(&got), "zstd\tlocal\nx\tlocal\n");
}

#[test]
fn a_rehearsal_makes_nothing() {
    let bench = Bench::new();
    let said = Bench::succeeds(&bench.receive(&["-n", "-v", "-e", "tank"], &bench.stream));
    assert_eq!(
        said,
        "would receive full stream of harbour/chart@monday into tank/chart@monday\n"
    );
    assert!(!bench.image().exists());
}

#[test]
fn what_is_cut_or_damaged_leaves_no_trace() {
    let bench = Bench::new();
    let cut = &bench.stream[..bench.stream.len() - 1000];
    let error = fails(&bench.receive(&["tank/x"], cut), 1);
    assert!(
        error.starts_with("cannot receive new filesystem stream: incomplete stream\n"),
        "{error}"
    );
    assert!(!bench.image().exists());

    Bench::succeeds(&bench.receive(&["tank/x"], &bench.stream));
    let mut damaged = bench.stream.clone();
    damaged[2000] ^= 4;
    let error = fails(&bench.receive(&["tank/y"], &damaged), 1);
    assert!(
        error.starts_with("cannot receive new filesystem stream: checksum mismatch\n"),
        "{error}"
    );
    let error = fails(&bench.receive(&["tank/y"], &[]), 1);
    assert_eq!(error, "cannot receive: failed to read from stream\n");
    let error = fails(&bench.receive(&["tank/y"], &[7; 400]), 1);
    assert_eq!(error, "cannot receive: invalid stream (bad magic number)\n");
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn what_is_in_the_way_is_said_in_zfs_words() {
    let bench = Bench::new();
    Bench::succeeds(&bench.receive(&["tank/x"], &bench.stream));
    for (arguments, sentence) in [
        (
            &["tank/x"][..],
            "cannot receive new filesystem stream: destination 'tank/x' exists\nmust specify -F to overwrite it\n",
        ),
        (
            &["tank/a/b"],
            "cannot open 'tank/a': dataset does not exist\ncannot receive new filesystem stream: unable to restore to destination\n",
        ),
        (
            &["-d", "tank/a"],
            "cannot receive: specified fs (tank/a) does not exist\n",
        ),
        (
            &["-e", "tank@a"],
            "cannot receive: invalid argument - snapshot not allowed with -e\n",
        ),
        (
            &["-o", "used=1", "tank/y"],
            "cannot receive: cannot receive: invalid property 'used'\n",
        ),
        (
            &["-o", "atime=maybe", "tank/y"],
            "cannot receive new filesystem stream: property 'atime' does not apply to datasets of this type\n",
        ),
        (
            &["-o", "readonly=maybe", "tank/y"],
            "cannot receive new filesystem stream: 'readonly' must be one of 'on | off'\n",
        ),
    ] {
        let error = fails(&bench.receive(arguments, &bench.stream), 1);
        assert_eq!(error, sentence, "{arguments:?}");
    }
    let error = fails(&bench.receive(&["other/y"], &bench.stream), 1);
    assert!(error.starts_with("cannot create 'other': "), "{error}");
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let bench = Bench::new();
    for (arguments, sentence) in [
        (&["receive"][..], "missing snapshot argument\n"),
        (&["receive", "a/b", "c/d"], "too many arguments\n"),
        (
            &["receive", "-d", "-e", "a"],
            "invalid option combination: -d and -e are mutually exclusive\n",
        ),
        (
            &["recv", "-o", "atime", "a/b"],
            "missing '=' for property=value argument\n",
        ),
        (
            &["recv", "-x", "atime", "-o", "atime=on", "a/b"],
            "property 'atime' specified multiple times\n",
        ),
    ] {
        let error = fails(&bench.run(arguments, &[]), 2);
        assert!(error.starts_with(sentence), "{arguments:?}: {error}");
    }
}
