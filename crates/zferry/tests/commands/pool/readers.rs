//! One writer and many readers, as processes: what readers see while a receive is under way, who is told that a pool is
//! written to, and what a killed writer leaves.

use crate::support::{Bench, command, example_sends};
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::thread;

/// A pool `tank` with `tank/x@monday`.
fn bench() -> Bench {
    let bench = Bench::without_pool("tank");
    bench
        .creates("tank/x", &example_sends("harbour/log@monday"))
        .succeeds();
    bench
}

/// A receive that has got the first half of its stream.
struct Receiving {
    process: Child,
    input: ChildStdin,
    rest: Vec<u8>,
}

/// Everything that readers can tell of the pool.
fn told(bench: &Bench) -> [Vec<u8>; 4] {
    [
        "list -Hp -r -t all -o space,refer,written,createtxg tank",
        "get -Hp -r all tank",
        "send tank/x@monday",
        "pool check --data tank",
    ]
    .map(|arguments| bench.run(arguments).bytes())
}

/// Starts to receive the next snapshot into `tank/x`, and returns when the pool is open for that.
fn start_receiving(bench: &Bench) -> Receiving {
    let mut stream = example_sends("-i @monday harbour/log@tuesday");
    let mut receive = command(bench.folder(), "receive tank/x");
    let mut process = receive.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = process.stdin.take().unwrap();
    let rest = stream.split_off(stream.len() / 2);
    input.write_all(&stream).unwrap();
    let file = File::open(bench.image()).unwrap();
    loop {
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => break,
            other => other.unwrap(),
        }
        file.unlock().unwrap();
        if process.try_wait().unwrap().is_some() {
            // It looked for other users at the very moment when this did.
            return start_receiving(bench);
        }
        thread::yield_now();
    }
    Receiving { process, input, rest }
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
    let bench = bench();
    let before = told(&bench);
    let receiving = start_receiving(&bench);
    assert!(told(&bench) == before);
    receiving.finish();
    let names = bench.does("list -H -t snapshot -o name");
    assert_eq!(names, "tank/x@monday\ntank/x@tuesday\n");
}

#[test]
fn a_reader_gives_way_to_a_writer() {
    let niceness = |reader: &Child| -> i32 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", reader.id())).unwrap();
        // The name of the command, which may be anything, comes second and ends in the last parenthesis.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(16).unwrap().parse().unwrap()
    };
    let bench = bench();
    let read = || {
        let mut send = command(bench.folder(), "send tank/x@monday");
        let mut reader = send.stdout(Stdio::piped()).spawn().unwrap();
        // When it sends something, it has looked for writers.
        reader.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let nice = niceness(&reader);
        let mut rest = Vec::new();
        reader.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
        assert!(reader.wait().unwrap().success());
        nice
    };
    let alone = read();
    let receiving = start_receiving(&bench);
    assert_eq!(read(), 19);
    receiving.finish();
    assert_eq!(read(), alone);
}

#[test]
fn a_second_writer_is_told_who_writes() {
    let bench = bench();
    let receiving = start_receiving(&bench);
    let said = bench.fails("snapshot tank/x@mine");
    let who = format!("it is written to by process {} (", receiving.process.id());
    assert!(said.contains(&who) && said.contains(" receive tank/x)"), "{said}");
    receiving.finish();
    bench.does("snapshot tank/x@mine");
}

#[test]
fn a_second_writer_waits_if_it_is_told_to() {
    let bench = bench();
    let receiving = start_receiving(&bench);
    let waiting = command(bench.folder(), "--wait snapshot tank/x@mine").spawn();
    receiving.finish();
    assert!(waiting.unwrap().wait().unwrap().success());
    let names = bench.does("list -H -t snapshot -o name");
    assert_eq!(names, "tank/x@monday\ntank/x@tuesday\ntank/x@mine\n");
}

#[test]
fn a_killed_writer_leaves_neither_its_lock_nor_half_a_dataset() {
    let bench = bench();
    let before = told(&bench);
    let mut receiving = start_receiving(&bench);
    receiving.process.kill().unwrap();
    receiving.process.wait().unwrap();
    assert!(told(&bench) == before);
    bench.does("snapshot tank/x@mine");
    start_receiving(&bench).finish();
    bench.does("pool check --data tank");
}
