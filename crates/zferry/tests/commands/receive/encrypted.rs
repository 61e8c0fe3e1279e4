//! Encrypted datasets that are made here: new ones, and those that plain streams become below an encrypted one; and users' keys
//! that change. What is made is sent with the key, where every code of every block is checked on the way.

use crate::support::{Bench, Words, contents, example_sends};
use std::fs;

/// A pool, with keys beside it in files that are called as the format is; `other` is another passphrase.
fn bench() -> Bench {
    let bench = Bench::new();
    fs::write(bench.path("passphrase"), "open sesame, quietly\n").unwrap();
    fs::write(bench.path("other"), "open sesame, loudly\n").unwrap();
    fs::write(bench.path("hex"), "7".repeat(64)).unwrap();
    fs::write(bench.path("raw"), [7; 32]).unwrap();
    bench
}

fn location(bench: &Bench, key: &str) -> String {
    format!("keylocation=file://{}", bench.path(key).display())
}

/// The options that make a dataset an encryption root, and its name.
fn root(bench: &Bench, suite: &str, format: &str, dataset: &str) -> Vec<String> {
    let mut words = format!("-o encryption={suite} -o keyformat={format} -o").words();
    words.push(location(bench, format));
    if format == "passphrase" {
        words.extend("-o pbkdf2iters=100000".words());
    }
    words.push(dataset.to_owned());
    words
}

fn create_root(bench: &Bench, suite: &str, format: &str, dataset: &str) {
    bench.does(&["create".words(), root(bench, suite, format, dataset)].concat());
}

#[test]
fn what_is_received_below_an_encrypted_dataset_is_encrypted() {
    let bench = bench();
    create_root(&bench, "on", "passphrase", "tank/safe");
    let monday = example_sends("harbour/chart@monday");
    // The key lies where keylocation says.
    bench.receive("tank/safe/chart", &monday).succeeds();
    let again = bench.sends("tank/safe/chart@monday");
    assert!(contents(&again) == contents(&monday));
    bench.is_sound();

    // Raw, it goes where nobody has the key, and comes back.
    let raw = bench.sends("-w tank/safe/chart@monday");
    bench.receive("tank/copy", &raw).succeeds();
    let key_file = bench.path("passphrase").display().to_string();
    let copy = bench.sends(&["-K", &key_file, "tank/copy@monday"]);
    assert!(contents(&copy) == contents(&monday));

    // Nothing of the files is in the clear.
    assert_eq!(bench.get("encryptionroot", "tank/safe/chart"), "tank/safe");
    fs::remove_file(bench.path("passphrase")).unwrap();
    let said = bench.receive("tank/safe/second", &monday).fails();
    assert_eq!(
        said.lines().next(),
        Some("cannot receive new filesystem stream: inherited key must be loaded")
    );
    bench.is_sound();
}

#[test]
fn embedded_blocks_cannot_be_encrypted() {
    let bench = bench();
    create_root(&bench, "aes-192-ccm", "hex", "tank/safe");
    let embedded = example_sends("-e harbour/chart@monday");
    let said = bench.receive("tank/safe/chart", &embedded).fails();
    assert_eq!(
        said.lines().next(),
        Some(
            "cannot receive new filesystem stream: incompatible embedded data stream feature with encrypted receive."
        )
    );
    // Compressed ones can.
    let compressed = example_sends("-L -c harbour/chart@monday");
    bench.receive("tank/safe/chart", &compressed).succeeds();
    // And what is received can be an encryption root of its own.
    let own = root(&bench, "aes-128-gcm", "raw", "tank/own");
    bench.receive(&own, &compressed).succeeds();
    let plain = example_sends("harbour/chart@monday");
    for dataset in ["tank/safe/chart@monday", "tank/own@monday"] {
        let again = bench.sends(dataset);
        assert!(contents(&again) == contents(&plain), "{dataset}");
    }
    bench.is_sound();
}

#[test]
fn keys_change_and_are_inherited() {
    let bench = bench();
    create_root(&bench, "on", "passphrase", "tank/a");
    bench.does("create tank/a/b");
    bench.does("create -V 8M tank/a/b/volume");
    create_root(&bench, "aes-256-ccm", "raw", "tank/a/own");
    bench.does("snapshot tank/a/b@s");
    bench.does("clone tank/a/b@s tank/a/clone");
    let before = bench.sends("tank/a/b@s");
    assert!(!before.is_empty());

    bench.does(&[
        "change-key",
        "-o",
        &location(&bench, "other"),
        "-o",
        "pbkdf2iters=100000",
        "tank/a",
    ]);
    let key = |name: &str| bench.path(name).display().to_string();
    let sent = bench.sends(&["-K", &key("other"), "tank/a/b@s"]);
    assert!(contents(&sent) == contents(&before));
    let error = bench.fails(&["send", "-K", &key("passphrase"), "tank/a/b@s"]);
    assert!(
        error.starts_with("Key load error: Incorrect key provided for 'tank/a'.\n"),
        "{error}"
    );
    assert_eq!(
        bench.does("load-key -n -r tank"),
        "2 / 2 key(s) successfully verified\n"
    );

    let hex = location(&bench, "hex");
    bench.does(&["change-key", "-o", "keyformat=hex", "-o", &hex, "tank/a/b"]);
    let roots = |dataset: &str| bench.get("encryptionroot", dataset);
    assert_eq!(roots("tank/a/b/volume"), "tank/a/b");
    assert_eq!(roots("tank/a/clone"), "tank/a/b");
    bench.does("change-key -i tank/a/b");
    bench.does("change-key -i tank/a/own");
    assert_eq!(roots("tank/a/b/volume"), "tank/a");
    assert_eq!(roots("tank/a/own"), "tank/a");
    bench.is_sound();
    bench.does("destroy -r tank/a");
    bench.is_sound();
}

#[test]
fn clones_of_what_is_encrypted_are_promoted() {
    let bench = bench();
    create_root(&bench, "on", "hex", "tank/a");
    bench.does("create tank/a/b");
    bench.does("snapshot -r tank/a@s");
    let before = contents(&bench.sends("tank/a/b@s"));
    let is_as_before = |snapshot: &str| contents(&bench.sends(snapshot)) == before;

    // Below one encryption root.
    bench.does("clone tank/a/b@s tank/a/clone");
    bench.does("promote tank/a/clone");
    assert_eq!(bench.get("origin", "tank/a/b"), "tank/a/clone@s");
    assert_eq!(bench.get("encryptionroot", "tank/a/clone"), "tank/a");
    assert!(is_as_before("tank/a/clone@s"));

    // Away from it.
    bench.does("clone tank/a/clone@s tank/away");
    assert_eq!(
        bench.fails("promote tank/away"),
        "cannot promote 'tank/away': cannot promote dataset outside its encryption root\n"
    );

    // The encryption root itself: what inherited its key goes with it.
    bench.does("clone tank/a@s tank/root");
    bench.does("promote tank/root");
    for dataset in ["tank/root", "tank/a", "tank/a/b", "tank/a/clone"] {
        assert_eq!(bench.get("encryptionroot", dataset), "tank/root", "{dataset}");
    }
    let location = location(&bench, "hex");
    assert_eq!(
        format!("keylocation={}", bench.get("keylocation", "tank/root")),
        location
    );
    assert_eq!(bench.get("keylocation", "tank/a"), "none");
    assert_eq!(
        bench.does("load-key -n -r tank"),
        "1 / 1 key(s) successfully verified\n"
    );
    assert!(is_as_before("tank/a/clone@s"));
    bench.is_sound();
}

#[test]
fn what_makes_no_sense_is_said_in_the_words_of_zfs() {
    let bench = bench();
    create_root(&bench, "on", "hex", "tank/safe");
    bench.does("create tank/open");
    bench.does("create tank/safe/below");
    let hex = location(&bench, "hex");
    for (options, sentence) in [
        (
            &["keyformat=passphrase", "pbkdf2iters=10"][..],
            "cannot create 'tank/x': minimum pbkdf2 iterations is 100000\n",
        ),
        (
            &["keyformat=raw"],
            "cannot create 'tank/x': Raw key too long (expected 32).\n",
        ),
    ] {
        let options: Vec<_> = options.iter().flat_map(|option| ["-o", option]).collect();
        let create = ["create", "-o", "encryption=on", "-o", &hex];
        let error = bench.fails(&[&create, &options[..], &["tank/x"]].concat());
        assert!(error.starts_with(sentence), "{options:?}: {error}");
    }
    for (arguments, sentence) in [
        (
            "create -o encryption=on tank/x",
            "cannot create 'tank/x': Keyformat required for new encryption root.\n",
        ),
        (
            "create -o keyformat=hex tank/x",
            "cannot create 'tank/x': Encryption must be turned on to set encryption properties.\n",
        ),
        (
            "load-key -n tank/open",
            "Key load error: 'tank/open' is not encrypted.\n",
        ),
        (
            "load-key -n tank/safe/below",
            "Key load error: Keys must be loaded for encryption root of 'tank/safe/below' (tank/safe).\n",
        ),
        (
            "load-key tank/safe",
            "Key load error: no key stays loaded between commands of zferry.\n",
        ),
        (
            "unload-key tank/safe",
            "Key unload error: Key already unloaded for 'tank/safe'.\n",
        ),
        (
            "change-key tank/open",
            "Key change error: Dataset not encrypted.\n",
        ),
        (
            "change-key -i tank/safe",
            "Key change error: Parent must be encrypted.\n",
        ),
        (
            "change-key -o compression=lz4 tank/safe",
            "Key change error: Only keyformat, keylocation and pbkdf2iters may be set with this command.\n",
        ),
    ] {
        let error = bench.fails(arguments);
        assert!(error.starts_with(sentence), "{arguments:?}: {error}");
    }
    fs::remove_file(bench.path("hex")).unwrap();
    assert_eq!(
        bench.fails("create tank/safe/x"),
        "cannot create 'tank/safe/x': encryption root's key is not loaded or provided\n"
    );
    bench.does("create -o encryption=off tank/safe/open");
    bench.is_sound();
}
