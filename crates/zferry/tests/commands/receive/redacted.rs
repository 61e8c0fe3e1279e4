//! `zferry receive` of redacted streams, and of what continues a dataset that was received redacted.
//!
//! `fixtures/redacted.img.zst` is a pool that OpenZFS 2.3.2 made: a file system `red/fs` with redaction bookmarks for
//! clones, and `red/r1` and `red/r12`, which OpenZFS's kernel received from redacted streams of it.

use crate::support::{Bench, Words, records, redacted, run, sends};

/// What the kernel's pool sends.
fn sent(arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    sends(&redacted(), arguments)
}

/// The first line of what is said of a stream that is not received.
fn refused(bench: &Bench, arguments: &str, stream: &[u8]) -> String {
    let said = bench.receive(arguments, stream).fails();
    said.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn what_was_received_redacted_is_what_the_kernel_received() {
    let bench = Bench::new();
    for (name, bookmark) in [("r1", "book1"), ("r12", "book12")] {
        bench
            .receive(
                &format!("tank/{name}"),
                &sent(&format!("--redact {bookmark} red/fs@a")),
            )
            .succeeds();
        let theirs = sent(&format!("red/{name}@a"));
        assert!(
            records(&bench.sends(&format!("tank/{name}@a")))[1..] == records(&theirs)[1..],
            "{name}"
        );
    }
    let asked = "get -H -o value redact_snaps,redacted tank/r12@a";
    let theirs = run(&redacted(), "get -H -o value redact_snaps,redacted red/r12@a");
    assert_eq!(bench.does(asked), theirs.succeeds());
    bench.is_sound();
}

#[test]
fn what_continues_it_must_bring_what_it_lacks_or_lack_it_too() {
    let bench = Bench::new();
    bench
        .receive("tank/r1", &sent("--redact book1 red/fs@a"))
        .succeeds();
    bench
        .receive("tank/r12", &sent("--redact book12 red/fs@a"))
        .succeeds();
    bench.receive("tank/fs", &sent("red/fs@a")).succeeds();
    let invalid = "cannot receive incremental stream: invalid backup stream";
    let whole = sent("-i @a red/fs@b");
    assert_eq!(refused(&bench, "tank/r1", &whole), invalid);
    assert_eq!(refused(&bench, "tank/r1", &sent("-i #book12 red/fs@b")), invalid);
    bench.receive("tank/fs", &whole).succeeds();

    // One of those that it is redacted for may become its clone, no other.
    bench
        .receive("-o origin=tank/r1@a tank/c1", &sent("-i red/fs@a red/c1@s"))
        .succeeds();
    let invalid = "cannot receive new filesystem stream: invalid backup stream";
    let other = sent("-i red/fs@a red/c2@s");
    assert_eq!(refused(&bench, "-o origin=tank/r1@a tank/c2", &other), invalid);
    bench.receive("-o origin=tank/r12@a tank/c2", &other).succeeds();

    for (name, bookmark) in [("r1", "book1"), ("r12", "book12")] {
        bench
            .receive(
                &format!("tank/{name}"),
                &sent(&format!("-i #{bookmark} red/fs@b")),
            )
            .succeeds();
    }
    for name in ["r1@b", "r12@b", "c1@s", "c2@s", "c1"] {
        let said = bench.does(&format!("get -H -o value redact_snaps tank/{name}"));
        assert_eq!(said, "-\n", "{name}");
    }
    bench.is_sound();
}

#[test]
fn a_redacted_receive_that_is_cut_is_gone_on_with() {
    let bench = Bench::new();
    let stream = sent("--redact book12 red/fs@a");
    let mut rest = stream.clone();
    for part in [3, 2] {
        refused(&bench, "-s tank/r", &rest[..rest.len() / part]);
        let token = bench.get("receive_resume_token", "tank/r");
        rest = sent(&format!("-t {token}"));
    }
    bench.receive("-s tank/r", &rest).succeeds();
    let theirs = sent("red/r12@a");
    assert!(records(&bench.sends("tank/r@a"))[1..] == records(&theirs)[1..]);
}
