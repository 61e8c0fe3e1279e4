//! `zferry receive`: what it makes, what it says, and what it leaves behind when it fails.

use crate::support::{Bench, example_sends};

/// A stream of the example pool.
fn chart() -> Vec<u8> {
    example_sends("-L -e -c harbour/chart@monday")
}

#[test]
fn a_pool_is_made_and_filled() {
    let (bench, stream) = (Bench::without_pool("tank"), chart());
    let said = bench.creates("-v tank/chart", &stream).succeeds();
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
    bench
        .creates("-d tank", &example_sends("harbour/photos@monday"))
        .succeeds();
    bench
        .receive("-o compression=zstd -o my:note=x tank/c@d", &stream)
        .succeeds();
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
    let got = bench.does("get -H -o value,source compression,my:note tank/c");
    assert_eq!(got, "zstd\tlocal\nx\tlocal\n");
}

#[test]
fn a_rehearsal_makes_nothing() {
    let (bench, stream) = (Bench::without_pool("tank"), chart());
    let said = bench.creates("-n -v -e tank", &stream).succeeds();
    assert_eq!(
        said,
        "would receive full stream of harbour/chart@monday into tank/chart@monday\n"
    );
    assert!(!bench.image().exists());
}

#[test]
fn what_is_cut_or_damaged_leaves_no_trace() {
    let (bench, stream) = (Bench::without_pool("tank"), chart());
    let cut = &stream[..stream.len() - 1000];
    let error = bench.creates("tank/x", cut).fails();
    assert!(
        error.starts_with("cannot receive new filesystem stream: incomplete stream\n"),
        "{error}"
    );
    assert!(!bench.image().exists());

    bench.creates("tank/x", &stream).succeeds();
    let mut damaged = stream.clone();
    damaged[2000] ^= 4;
    let error = bench.creates("tank/y", &damaged).fails();
    assert!(
        error.starts_with("cannot receive new filesystem stream: checksum mismatch\n"),
        "{error}"
    );
    let error = bench.creates("tank/y", &[]).fails();
    assert_eq!(error, "cannot receive: failed to read from stream\n");
    let error = bench.creates("tank/y", &[7; 400]).fails();
    assert_eq!(error, "cannot receive: invalid stream (bad magic number)\n");
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn what_is_in_the_way_is_said_in_zfs_words() {
    let (bench, stream) = (Bench::without_pool("tank"), chart());
    bench.creates("tank/x", &stream).succeeds();
    for (arguments, sentence) in [
        (
            "tank/x",
            "cannot receive new filesystem stream: destination 'tank/x' exists\nmust specify -F to overwrite it\n",
        ),
        (
            "tank/a/b",
            "cannot open 'tank/a': dataset does not exist\ncannot receive new filesystem stream: unable to restore to destination\n",
        ),
        (
            "-d tank/a",
            "cannot receive: specified fs (tank/a) does not exist\n",
        ),
        (
            "-e tank@a",
            "cannot receive: invalid argument - snapshot not allowed with -e\n",
        ),
        (
            "-o used=1 tank/y",
            "cannot receive: cannot receive: invalid property 'used'\n",
        ),
        (
            "-o atime=maybe tank/y",
            "cannot receive new filesystem stream: property 'atime' does not apply to datasets of this type\n",
        ),
        (
            "-o readonly=maybe tank/y",
            "cannot receive new filesystem stream: 'readonly' must be one of 'on | off'\n",
        ),
    ] {
        let error = bench.creates(arguments, &stream).fails();
        assert_eq!(error, sentence, "{arguments:?}");
    }
    let error = bench.creates("other/y", &stream).fails();
    assert!(error.starts_with("cannot create 'other': "), "{error}");
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn a_command_line_that_makes_no_sense_is_a_usage_error() {
    let bench = Bench::without_pool("tank");
    for (arguments, sentence) in [
        ("receive", "missing snapshot argument\n"),
        ("receive a/b c/d", "too many arguments\n"),
        (
            "receive -d -e a",
            "invalid option combination: -d and -e are mutually exclusive\n",
        ),
        ("recv -o atime a/b", "missing '=' for property=value argument\n"),
        (
            "recv -x atime -o atime=on a/b",
            "property 'atime' specified multiple times\n",
        ),
    ] {
        let error = bench.run(arguments).exits(2);
        assert!(error.starts_with(sentence), "{arguments:?}: {error}");
    }
}
