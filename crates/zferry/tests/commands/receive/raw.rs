//! Raw streams received without any key: of every suite, of volumes, clones, large dnodes and spill blocks. What is sent
//! of the result again is the stream, and with the key it is what OpenZFS's kernel sends of the source.
//!
//! `fixtures/vault` holds the source; its `make.sh` says what lies in it.

use crate::support::{Bench, Ran, Words, contents, fixture, run, sends, sha256, undecided, vault};
use std::path::{Path, PathBuf};
use zferry_fixtures::read_manifest;

/// A pool of the name of the source's, to be received into: what is sent again names the same datasets.
fn bench() -> Bench {
    Bench::without_pool("vault")
}

/// Sends from the source.
fn sent(arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    sends(&vault(), arguments)
}

/// What is sent of a snapshot with the key, which is in a file.
fn plain(place: &Path, key: &Path, snapshot: &str) -> Vec<u8> {
    sends(place, &["-K", key.to_str().unwrap(), snapshot])
}

fn key_of(dataset: &str) -> PathBuf {
    fixture(match dataset {
        "aes-128-ccm" | "aes-192-gcm" => "vault/passphrase.key",
        "aes-192-ccm" => "vault/hex.key",
        name if name.starts_with("aes-256-gcm") => "vault/hex.key",
        _ => "vault/raw.key",
    })
}

/// What can be received without anything above it.
const DATASETS: [&str; 8] = [
    "aes-128-ccm",
    "aes-192-ccm",
    "aes-256-ccm",
    "aes-128-gcm",
    "aes-192-gcm",
    "aes-256-gcm",
    "aes-256-gcm/below",
    "aes-256-ccm/disk",
];

#[test]
fn every_suite_is_received_without_a_key_and_sent_again() {
    let bench = bench();
    let lines = read_manifest(&fixture("vault/MANIFEST")).unwrap();
    for dataset in DATASETS {
        let [a, b] = ["a", "b"].map(|snapshot| format!("vault/{dataset}@{snapshot}"));
        let target = format!("vault/{dataset}");
        for arguments in [&["-w", &a][..], &["-w", "-i", "@a", &b]] {
            let stream = sent(arguments);
            bench.creates(&[&target], &stream).succeeds();
            let again = bench.sends(arguments);
            let (again, sent) = (undecided(&again), undecided(&stream));
            assert!(again == sent, "{arguments:?}");
        }
        // With the key, every code is checked on the way; what comes out is what the kernel has sent of the source.
        let key = key_of(dataset);
        let step = bench.sends(&["-K", key.to_str().unwrap(), "-i", "@a", &b]);
        let name = format!("{}-a-b", dataset.replace('/', "-"));
        let line = lines.iter().find(|line| line.name == name).unwrap();
        assert_eq!(sha256(&step), line.sha256, "{name}");
    }
    bench.is_sound();
    let columns = "get -Hpo name,property,value,source encryptionroot,keylocation,keyformat,keystatus";
    let listed = bench.does(&format!("{columns} vault/aes-256-gcm/below"));
    assert_eq!(
        listed,
        "vault/aes-256-gcm/below\tencryptionroot\tvault/aes-256-gcm/below\t-\n\
         vault/aes-256-gcm/below\tkeylocation\tprompt\tlocal\n\
         vault/aes-256-gcm/below\tkeyformat\thex\t-\n\
         vault/aes-256-gcm/below\tkeystatus\tunavailable\t-\n"
    );
}

#[test]
fn clones_and_what_was_received_before_go_on() {
    let bench = bench();
    for (arguments, target) in [
        ("-w vault/aes-256-gcm/below@a", "vault/below"),
        (
            "-w -i vault/aes-256-gcm/below@a vault/aes-256-gcm/clone@c",
            "vault/clone",
        ),
        ("-w vault/received@b", "vault/received"),
        ("-w -i @b vault/received@c", "vault/received"),
        ("-w vault/crate@b", "vault/crate"),
    ] {
        let stream = sent(arguments);
        bench.creates(&[target], &stream).succeeds();
    }
    bench.is_sound();
    for (key, there, here) in [
        ("hex.key", "vault/aes-256-gcm/clone@c", "vault/clone@c"),
        ("raw.key", "vault/received@c", "vault/received@c"),
        ("raw.key", "vault/crate@b", "vault/crate@b"),
    ] {
        let key = fixture("vault").join(key);
        assert!(
            contents(&plain(&vault(), &key, there)) == contents(&plain(bench.folder(), &key, here)),
            "{here}"
        );
    }
    // A clone shares the key of its origin, and takes it along when that goes.
    assert_eq!(bench.get("encryptionroot", "vault/clone"), "vault/below");
    for gone in ["vault/clone", "vault/below", "vault/received", "vault/crate"] {
        bench.does(&["destroy", "-r", gone]);
    }
    bench.is_sound();
}

#[test]
fn a_raw_package_keeps_its_encryption_roots() {
    let bench = bench();
    let package = sent("-w -R vault/aes-256-gcm@b");
    bench.creates("vault/aes-256-gcm", &package).succeeds();
    let roots = bench.does("get -r -t filesystem -Ho name,value encryptionroot vault/aes-256-gcm");
    assert!(
        roots.contains("vault/aes-256-gcm/below\tvault/aes-256-gcm\n"),
        "{roots}"
    );
    assert!(
        roots.lines().all(|line| line.ends_with("\tvault/aes-256-gcm")),
        "{roots}"
    );
    let location = |place: &Path| run(place, "get -Ho value,source keylocation vault/aes-256-gcm").succeeds();
    assert_eq!(location(bench.folder()), location(&vault()));
    let key = fixture("vault/hex.key");
    for snapshot in ["vault/aes-256-gcm@b", "vault/aes-256-gcm/below@b"] {
        let [ours, theirs] = [bench.folder(), &vault()].map(|place| plain(place, &key, snapshot));
        assert!(ours == theirs, "{snapshot}");
    }
    // And once more, as an increment.
    let package = sent("-w -R vault/aes-256-ccm@a");
    bench.creates("vault/aes-256-ccm", &package).succeeds();
    let package = sent("-w -R -i @a vault/aes-256-ccm@b");
    bench.creates("vault/aes-256-ccm", &package).succeeds();
    assert_eq!(
        bench.get("encryptionroot", "vault/aes-256-ccm/disk"),
        "vault/aes-256-ccm"
    );
    bench.is_sound();
}

#[test]
fn what_does_not_fit_is_refused_in_the_words_of_zfs() {
    let bench = bench();
    let stream = sent("-w vault/aes-128-gcm@a");
    let next = sent("-w -i @a vault/aes-128-gcm@b");
    bench.creates("vault/safe", &stream).succeeds();
    let says = |refused: Ran, sentence: &str| {
        let said = refused.fails();
        assert!(said.starts_with(sentence), "{said}");
    };
    bench.does("create vault/open");
    says(
        bench.creates("-F vault/open", &stream),
        "cannot receive new filesystem stream: zfs receive -F cannot be used to destroy an encrypted filesystem or \
         overwrite an unencrypted one with an encrypted one\n",
    );
    says(
        bench.creates("vault/open", &next),
        "cannot receive incremental stream: cannot perform raw receive on top of existing unencrypted dataset\n",
    );
    // A snapshot between the two sets of initialization vectors.
    bench.does("snapshot vault/safe@between");
    says(
        bench.creates("vault/safe", &next),
        "cannot receive incremental stream: destination vault/safe has been modified\nsince most recent snapshot\n",
    );
    bench.creates("-F vault/safe", &next).succeeds();
    bench.is_sound();
}

/// The token with which the receive into a dataset goes on, if there is one.
fn token_of(bench: &Bench, dataset: &str) -> Option<String> {
    let is_there = bench.names().iter().any(|name| name == dataset);
    let token = is_there.then(|| bench.get("receive_resume_token", dataset));
    token.filter(|token| token != "-")
}

/// How long BEGIN is, and the list behind it, in bytes.
fn begin_and_list(stream: &[u8]) -> (usize, usize) {
    let length = stream
        .get(4..8)
        .unwrap()
        .try_into()
        .map(u32::from_le_bytes)
        .unwrap();
    (312, length.try_into().unwrap())
}

#[test]
fn what_was_cut_goes_on_without_a_key() {
    let bench = bench();
    for dataset in DATASETS {
        let [a, b] = ["a", "b"].map(|snapshot| format!("vault/{dataset}@{snapshot}"));
        let target = format!("vault/{dataset}");
        for arguments in [&["-w", &a][..], &["-w", "-i", "@a", &b]] {
            let whole = sent(arguments);
            let mut stream = whole.clone();
            let mut resumed = 0;
            for share in [30, 0, 50, 99, 70] {
                let cut = &stream[..(stream.len() * share / 100).max(700).min(stream.len() - 1)];
                bench.creates(&["-s", &target], cut).fails();
                if let Some(token) = token_of(&bench, &target) {
                    stream = sent(&["-t", &token]);
                    resumed += 1;
                }
            }
            assert!(resumed > 3, "{target}: {resumed}");
            bench.creates(&["-s", &target], &stream).succeeds();
            let again = bench.sends(arguments);
            let (again, sent) = (undecided(&again), undecided(&whole));
            assert!(again == sent, "{arguments:?}");
        }
    }
    bench.is_sound();
}

#[test]
fn of_what_is_cut_in_its_list_of_keys_nothing_is_kept() {
    let bench = bench();
    bench.creates(&["vault"], &sent("vault/open@a")).fails();
    bench
        .creates(&["vault/first"], &sent("-w vault/open@a"))
        .succeeds();
    let before = bench.names();
    let stream = sent("-w vault/aes-256-gcm@a");
    let (begin, list) = begin_and_list(&stream);
    assert!(list > 100);
    for at in [
        1,
        begin - 1,
        begin,
        begin + 1,
        begin + list / 2,
        begin + list - 1,
        begin + list,
    ] {
        bench.creates(&["-s", "vault/x"], &stream[..at]).fails();
        assert_eq!(bench.names(), before, "{at}");
    }
    bench.creates(&["-s", "vault/x"], &stream).succeeds();
    bench.is_sound();
}
