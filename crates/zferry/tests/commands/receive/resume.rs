//! `zferry receive -s` and `-A`: what is kept of a stream that is cut, what is said of it, and how it goes on.

use crate::support::{Bench, example_sends};
use insta::assert_snapshot;
use std::fs;

/// The token with which the receive into a dataset goes on.
fn token_of(bench: &Bench, dataset: &str) -> String {
    bench.get("receive_resume_token", dataset)
}

/// What is said of a receive that fails, without its tokens.
fn fails(bench: &Bench, arguments: &str, stream: &[u8]) -> String {
    let said = bench.receive(arguments, stream).fails();
    said.lines()
        .map(|line| match line.split_once(" -t ") {
            Some((before, shown)) => {
                let named = arguments.split([' ', '@']).find(|word| word.starts_with("tank"));
                assert_eq!(shown, token_of(bench, named.unwrap()));
                format!("{before} -t TOKEN\n")
            }
            None => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn a_stream_that_is_cut_is_gone_on_with() {
    let bench = Bench::new();
    let stream = example_sends("-Lec harbour/photos@monday");
    assert_snapshot!(fails(&bench, "-s tank/x", &stream[..stream.len() / 2]), @"
    cannot receive new filesystem stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 82940: the stream is cut: 8932 of the 90112 bytes that follow the WRITE record at offset 73696 are there
    ");
    let token = token_of(&bench, "tank/x");
    assert_snapshot!(fails(&bench, "-s tank/x", &stream), @"
    cannot receive new filesystem stream: destination 'tank/x' exists
    must specify -F to overwrite it
    ");
    assert_snapshot!(fails(&bench, "-s tank/y", &example_sends(&["-t", &token])), @"cannot receive resume stream: destination 'tank/y' does not exist");
    let rest = example_sends(&["-t", &token]);
    assert_snapshot!(fails(&bench, "-s tank/x", &rest[..rest.len().saturating_sub(1)]), @"
    cannot receive resume stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 93479: the stream is cut: 311 of the 312 bytes of a record are there
    ");
    assert_snapshot!(fails(&bench, "-s tank/x", &rest), @"
    cannot receive resume stream: incompatible embedded data stream feature with encrypted receive.
    the stream goes on at another place than where the receive was interrupted
    ");
    let rest = example_sends(&["-t", &token_of(&bench, "tank/x")]);
    let said = bench
        .receive("-v -d tank", &example_sends("harbour/log@monday"))
        .succeeds();
    assert!(said.starts_with("receiving full stream"), "{said}");
    let said = bench.receive("-sv tank/x", &rest).succeeds();
    assert_snapshot!(said.lines().next().unwrap(), @"receiving full stream of harbour/photos@monday into tank/x@monday");
    assert_eq!(token_of(&bench, "tank/x"), "-");
    let whole = Bench::new();
    whole.receive("tank/x", &stream).succeeds();
    let [one, other] = [&bench, &whole].map(|bench| bench.sends("-Lec tank/x@monday"));
    assert!(one == other);
}

#[test]
fn over_what_is_there_it_is_kept_out_of_sight() {
    let bench = Bench::new();
    bench
        .receive("tank/x", &example_sends("harbour/log@monday"))
        .succeeds();
    let before = bench.names();
    let change = example_sends("-i @monday harbour/log@tuesday");
    assert_snapshot!(fails(&bench, "-s tank/x", &change[..change.len().saturating_sub(400)]), @"
    cannot receive incremental stream: checksum mismatch or incomplete stream.
    Partially received snapshot is saved.
    A resuming stream can be generated on the sending system by running:
        zfs send -t TOKEN
    at offset 28040: the stream is cut: 224 of the 312 bytes of a record are there
    ");
    assert_eq!(bench.names(), before);
    let token = token_of(&bench, "tank/x");
    assert_snapshot!(fails(&bench, "tank/x", &change), @r#"cannot receive incremental stream: destination tank/x contains partially-complete state from "zfs receive -s"."#);
    bench.does("snapshot tank/x@late");
    let rest = example_sends(&["-t", &token]);
    assert_snapshot!(fails(&bench, "-s tank/x", &rest), @"
    cannot receive resume stream: kernel modules must be upgraded to receive this stream.
    the target has newer snapshots than the one that the interrupted receive continues
    ");
    assert_eq!(token_of(&bench, "tank/x"), token);
    bench.receive("-F tank/x", &rest).succeeds();
    assert_eq!(
        bench.names(),
        ["tank", "tank/x", "tank/x@monday", "tank/x@tuesday"]
    );

    let full = example_sends("harbour/photos@monday");
    bench.receive("tank/empty", &full).succeeds();
    bench.does("destroy tank/empty@monday");
    fails(&bench, "-sF tank/empty", &full[..full.len() / 2]);
    let rest = example_sends(&["-t", &token_of(&bench, "tank/empty")]);
    assert_snapshot!(fails(&bench, "-s tank/empty", &rest), @"
    cannot receive resume stream: Resuming recv on existing destination 'tank/empty'
    must specify -F to overwrite it
    ");
    bench.receive("-s -F tank/empty", &rest).succeeds();
}

#[test]
fn what_was_kept_can_be_thrown_away() {
    let bench = Bench::new();
    let full = example_sends("harbour/log@monday");
    fails(&bench, "-s tank/x", &full[..full.len() / 2]);
    assert_snapshot!(fails(&bench, "-A tank", &[]), @"'tank' does not have any resumable receive state to abort");
    assert_snapshot!(fails(&bench, "-A tank/none", &[]), @"cannot open 'tank/none': dataset does not exist");
    for option in ["-s", "-d", "-e", "-n", "-u"] {
        bench.receive(&["-A", option, "tank/x"], &[]).exits(2);
    }
    bench.receive("-A tank/x", &[]).succeeds();
    assert_eq!(bench.names(), ["tank"]);
    bench.receive("tank/x", &full).succeeds();
    let change = example_sends("-i @monday harbour/log@tuesday");
    fails(&bench, "-s tank/x", &change[..change.len().saturating_sub(400)]);
    bench.receive("-A tank/x", &[]).succeeds();
    assert_eq!(token_of(&bench, "tank/x"), "-");
    assert_snapshot!(fails(&bench, "-A tank/x", &[]), @"'tank/x' does not have any resumable receive state to abort");
    // It goes with its dataset, too.
    fails(&bench, "-s tank/x", &change[..change.len().saturating_sub(400)]);
    bench.does("destroy -r tank/x");
    assert_eq!(bench.names(), ["tank"]);
}

#[test]
fn of_a_stream_that_ends_at_once_nothing_is_kept() {
    let bench = Bench::new();
    let full = example_sends("harbour/log@monday");
    let image = bench.path("new.img").display().to_string();
    let create = ["-s", "--create", &image, "--size", "256M", "new/x"];
    bench.receive(&create, &full[..400]).fails();
    assert!(fs::metadata(&image).is_err());
    bench.receive(&create, &full[..full.len() / 2]).fails();
    assert!(fs::metadata(&image).is_ok());
}
