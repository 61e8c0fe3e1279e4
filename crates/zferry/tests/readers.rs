//! One writer and many readers, as processes: what readers see while a receive is under way, who is told that a pool is
//! written to, and what a killed writer leaves.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File, TryLockError};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::thread;

use tempfile::TempDir;
use zferry_fixtures::example;

/// A pool `tank` with `tank/x@monday`.
struct Bench {
    folder: TempDir,
}

/// A receive that has got the first half of its stream.
struct Receiving {
    process: Child,
    input: ChildStdin,
    rest: Vec<u8>,
}

/// Sends from the example pool.
fn sent(arguments: &[&str]) -> Vec<u8> {
    let mut send = Command::new(env!("CARGO_BIN_EXE_zferry"));
    send.arg("-d").arg(example().unwrap().image());
    succeeds(send.arg("send").args(arguments).output().unwrap())
}

fn succeeds(output: Output) -> Vec<u8> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    output.stdout
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let stream = bench.folder.path().join("stream");
        fs::write(&stream, sent(&["harbour/log@monday"])).unwrap();
        let mut receive = Command::new(env!("CARGO_BIN_EXE_zferry"));
        receive.args(["receive", "--size", "256M", "tank/x", "--create"]);
        receive.arg(bench.image()).stdin(File::open(stream).unwrap());
        succeeds(receive.output().unwrap());
        bench
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("tank.img")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command.arg("-d").arg(self.image()).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Vec<u8> {
        succeeds(self.command(arguments).output().unwrap())
    }

    /// Everything that readers can tell of the pool.
    fn told(&self) -> [Vec<u8>; 4] {
        [
            self.run(&[
                "list",
                "-Hp",
                "-r",
                "-t",
                "all",
                "-o",
                "space,refer,written,createtxg",
                "tank",
            ]),
            self.run(&["get", "-Hp", "-r", "all", "tank"]),
            self.run(&["send", "tank/x@monday"]),
            self.run(&["pool", "check", "--data", "tank"]),
        ]
    }

    /// Starts to receive the next snapshot into `tank/x`, and returns when the pool is open for that.
    fn receiving(&self) -> Receiving {
        let mut stream = sent(&["-i", "@monday", "harbour/log@tuesday"]);
        let mut receive = self.command(&["receive", "tank/x"]);
        let mut process = receive.stdin(Stdio::piped()).spawn().unwrap();
        let mut input = process.stdin.take().unwrap();
        let rest = stream.split_off(stream.len() / 2);
        input.write_all(&stream).unwrap();
        let file = File::open(self.image()).unwrap();
        loop {
            match file.try_lock_shared() {
                Err(TryLockError::WouldBlock) => break,
                other => other.unwrap(),
            }
            file.unlock().unwrap();
            thread::yield_now();
        }
        Receiving { process, input, rest }
    }
}

impl Receiving {
    fn finish(mut self) {
        self.input.write_all(&self.rest).unwrap();
        drop(self.input);
        assert!(self.process.wait().unwrap().success());
    }
}

#[test]
fn readers_see_the_last_whole_state() {
    let bench = Bench::new();
    let before = bench.told();
    let receiving = bench.receiving();
    assert!(bench.told() == before);
    receiving.finish();
    let names = bench.run(&["list", "-H", "-t", "snapshot", "-o", "name"]);
    assert_eq!(names, b"tank/x@monday\ntank/x@tuesday\n");
}

#[test]
fn a_second_writer_is_told_who_writes() {
    let bench = Bench::new();
    let receiving = bench.receiving();
    let refused = bench.command(&["snapshot", "tank/x@mine"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    let who = format!("it is written to by process {} (", receiving.process.id());
    assert!(said.contains(&who) && said.contains(" receive tank/x)"), "{said}");
    receiving.finish();
    bench.run(&["snapshot", "tank/x@mine"]);
}

#[test]
fn a_second_writer_waits_if_it_is_told_to() {
    let bench = Bench::new();
    let receiving = bench.receiving();
    let waiting = bench.command(&["--wait", "snapshot", "tank/x@mine"]).spawn();
    receiving.finish();
    assert!(waiting.unwrap().wait().unwrap().success());
    let names = bench.run(&["list", "-H", "-t", "snapshot", "-o", "name"]);
    assert_eq!(names, b"tank/x@monday\ntank/x@tuesday\ntank/x@mine\n");
}

#[test]
fn a_killed_writer_leaves_neither_its_lock_nor_half_a_dataset() {
    let bench = Bench::new();
    let before = bench.told();
    let mut receiving = bench.receiving();
    receiving.process.kill().unwrap();
    receiving.process.wait().unwrap();
    assert!(bench.told() == before);
    bench.run(&["snapshot", "tank/x@mine"]);
    bench.receiving().finish();
    bench.run(&["pool", "check", "--data", "tank"]);
}
