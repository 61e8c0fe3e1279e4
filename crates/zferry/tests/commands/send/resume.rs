//! Sends that go on where a receiver was interrupted, beside what the kernel's `zfs send -t` sent.
//!
//! `fixtures/resumed-streams.txt` holds tokens of receives that OpenZFS 2.3.2 was interrupted in, of streams of the
//! corpus' pools cut at various places, and the SHA-256 of what its `zfs send -t` then sent: `token|sha256`.

use crate::support::{fixture, run, sends, sha256};
use std::fs;
use zferry_zstream::token::ResumeToken;

/// Tokens, with the sums of what the kernel sends on.
fn tokens() -> Vec<(String, String)> {
    let text = fs::read_to_string(fixture("resumed-streams.txt")).unwrap();
    let tokens = text.lines().map(|line| line.split_once('|').unwrap());
    tokens
        .map(|(token, sum)| (token.to_owned(), sum.to_owned()))
        .collect()
}

#[test]
fn the_rest_of_a_stream_is_what_the_kernel_sends() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let pools = corpus.file("basic.img");
    let tokens = tokens();
    assert!(tokens.len() > 30);
    for (token, expected) in tokens {
        let rest = sends(pools.parent().unwrap(), &["-t", &token]);
        assert_eq!(sha256(&rest), expected, "{token}");
    }
}

#[test]
fn a_cut_stream_has_the_token_that_the_kernel_left() {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return;
    };
    let pools = corpus.file("basic.img");
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut");
    for (token, _) in tokens() {
        let kernel = ResumeToken::decode(&token).unwrap();
        let whole = ResumeToken {
            object: 0,
            offset: 0,
            ..kernel.clone()
        };
        let stream = sends(pools.parent().unwrap(), &["-t", &whole.encode()]);
        // BEGIN is not counted; the header behind the last record must be there.
        let length = usize::try_from(kernel.bytes).unwrap() + 2 * 312;
        fs::write(&cut, &stream[..length]).unwrap();
        let ours = run(&cut, &["stream", "token", "--from", cut.to_str().unwrap()]).succeeds();
        assert_eq!(ResumeToken::decode(ours.trim()), Ok(kernel), "{token}");
    }
}

#[test]
fn what_cannot_go_on_is_refused_in_zfs_words() {
    let example = zferry_fixtures::example().unwrap();
    for (arguments, expected) in [
        (
            "-t 2-0-0-",
            "cannot resume send: resume token is corrupt (invalid version 2)",
        ),
        (
            "-t nonsense",
            "cannot resume send: resume token is corrupt (invalid format)",
        ),
        ("-t 1-0-0- -i @a", "invalid flags combined with -t"),
        ("-t 1-0-0- harbour@a", "too many arguments"),
    ] {
        let output = run(example.image(), &format!("send {arguments}")).output;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().next(), Some(expected));
        assert!(!output.status.success());
    }
}
