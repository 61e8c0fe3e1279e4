//! Encrypted datasets that are made here: new ones, and those that plain streams become below an encrypted one; and users' keys
//! that change. What is made is sent with the key, where every code of every block is checked on the way.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use zferry_fixtures::example;
use zferry_zstream::Checksum;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{ChecksumType, DedupKey, End, Record, Write};

/// A pool, with keys beside it.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(bench.path("passphrase"), "open sesame, quietly\n").unwrap();
        fs::write(bench.path("other"), "open sesame, loudly\n").unwrap();
        fs::write(bench.path("hex"), "7".repeat(64)).unwrap();
        fs::write(bench.path("raw"), [7; 32]).unwrap();
        let image = bench.path("tank.img").display().to_string();
        bench.succeeds(&["pool", "create", "tank", "--size", "256M", &image]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn location(&self, name: &str) -> String {
        format!("keylocation=file://{}", self.path(name).display())
    }

    fn run_with(&self, arguments: &[&str], input: Option<&Path>) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command
            .arg("-d")
            .arg(self.path("tank.img"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_remove("ZFERRY_PATH");
        if let Some(path) = input {
            command.stdin(Stdio::from(File::open(path).unwrap()));
        }
        command.output().unwrap()
    }

    fn succeeds(&self, arguments: &[&str]) -> String {
        let output = self.run_with(arguments, None);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {complaint}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn fails(&self, arguments: &[&str]) -> String {
        let output = self.run_with(arguments, None);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    fn receive(&self, arguments: &[&str], stream: &[u8]) -> Output {
        let path = self.path("stream");
        fs::write(&path, stream).unwrap();
        self.run_with(&[&["receive"], arguments].concat(), Some(&path))
    }

    fn check(&self) {
        self.succeeds(&["pool", "check", "-c", "tank"]);
    }
}

fn send_example(arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command.arg("-d").arg(example().unwrap().image()).arg("send");
    let sent = command.args(arguments).output().unwrap();
    assert!(sent.status.success());
    sent.stdout
}

/// The records behind BEGIN, without what their pool decides.
fn records(stream: &[u8]) -> Vec<(Record, Vec<u8>)> {
    let mut reader = StreamReader::new(stream);
    let mut records = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        let record = match read.record {
            Record::Begin(_) => continue,
            Record::Write(write) => Record::Write(Write {
                checksum: ChecksumType::OFF,
                key: DedupKey::default(),
                flags: zferry_zstream::flags::RecordFlags::empty(),
                ..write
            }),
            Record::End(end) => Record::End(End {
                checksum: Checksum::default(),
                ..end
            }),
            other => other,
        };
        records.push((record, read.payload.to_vec()));
    }
    records
}

#[test]
fn what_is_received_below_an_encrypted_dataset_is_encrypted() {
    let bench = Bench::new();
    let key = bench.location("passphrase");
    bench.succeeds(&[
        "create",
        "-o",
        "encryption=on",
        "-o",
        "keyformat=passphrase",
        "-o",
        &key,
        "-o",
        "pbkdf2iters=100000",
        "tank/safe",
    ]);
    let monday = send_example(&["harbour/chart@monday"]);
    // The key lies where keylocation says.
    let output = bench.receive(&["tank/safe/chart"], &monday);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let again = bench.run_with(&["send", "tank/safe/chart@monday"], None);
    assert!(records(&again.stdout) == records(&monday));
    bench.check();

    // Raw, it goes where nobody has the key, and comes back.
    let raw = bench
        .run_with(&["send", "-w", "tank/safe/chart@monday"], None)
        .stdout;
    assert!(bench.receive(&["tank/copy"], &raw).status.success());
    let key_file = bench.path("passphrase");
    let key_file = key_file.to_str().unwrap();
    let copy = bench.run_with(&["send", "-K", key_file, "tank/copy@monday"], None);
    assert!(records(&copy.stdout) == records(&monday));

    // Nothing of the files is in the clear.
    let root = bench.succeeds(&["get", "-Ho", "value", "encryptionroot", "tank/safe/chart"]);
    assert_eq!(root, "tank/safe\n");
    fs::remove_file(bench.path("passphrase")).unwrap();
    let output = bench.receive(&["tank/safe/second"], &monday);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).lines().next(),
        Some("cannot receive new filesystem stream: inherited key must be loaded")
    );
    bench.check();
}

#[test]
fn embedded_blocks_cannot_be_encrypted() {
    let bench = Bench::new();
    let key = bench.location("hex");
    bench.succeeds(&[
        "create",
        "-o",
        "encryption=aes-192-ccm",
        "-o",
        "keyformat=hex",
        "-o",
        &key,
        "tank/safe",
    ]);
    let embedded = send_example(&["-e", "harbour/chart@monday"]);
    let output = bench.receive(&["tank/safe/chart"], &embedded);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).lines().next(),
        Some(
            "cannot receive new filesystem stream: incompatible embedded data stream feature with encrypted receive."
        )
    );
    // Compressed ones can.
    let compressed = send_example(&["-L", "-c", "harbour/chart@monday"]);
    assert!(bench.receive(&["tank/safe/chart"], &compressed).status.success());
    // And what is received can be an encryption root of its own.
    let raw_key = bench.location("raw");
    let own = [
        "-o",
        "encryption=aes-128-gcm",
        "-o",
        "keyformat=raw",
        "-o",
        &raw_key,
        "tank/own",
    ];
    assert!(bench.receive(&own, &compressed).status.success());
    let plain = send_example(&["harbour/chart@monday"]);
    for dataset in ["tank/safe/chart@monday", "tank/own@monday"] {
        let again = bench.run_with(&["send", dataset], None);
        assert!(records(&again.stdout) == records(&plain), "{dataset}");
    }
    bench.check();
}

#[test]
fn keys_change_and_are_inherited() {
    let bench = Bench::new();
    let [passphrase, other, hex, raw] =
        ["passphrase", "other", "hex", "raw"].map(|name| bench.location(name));
    bench.succeeds(&[
        "create",
        "-o",
        "encryption=on",
        "-o",
        "keyformat=passphrase",
        "-o",
        &passphrase,
        "-o",
        "pbkdf2iters=100000",
        "tank/a",
    ]);
    bench.succeeds(&["create", "tank/a/b"]);
    bench.succeeds(&["create", "-V", "8M", "tank/a/b/volume"]);
    bench.succeeds(&[
        "create",
        "-o",
        "encryption=aes-256-ccm",
        "-o",
        "keyformat=raw",
        "-o",
        &raw,
        "tank/a/own",
    ]);
    bench.succeeds(&["snapshot", "tank/a/b@s"]);
    bench.succeeds(&["clone", "tank/a/b@s", "tank/a/clone"]);
    let before = bench.run_with(&["send", "tank/a/b@s"], None).stdout;
    assert!(!before.is_empty());

    bench.succeeds(&["change-key", "-o", &other, "-o", "pbkdf2iters=100000", "tank/a"]);
    let key = |name: &str| bench.path(name).display().to_string();
    let sent = bench.run_with(&["send", "-K", &key("other"), "tank/a/b@s"], None);
    assert!(records(&sent.stdout) == records(&before));
    let error = bench.fails(&["send", "-K", &key("passphrase"), "tank/a/b@s"]);
    assert!(
        error.starts_with("Key load error: Incorrect key provided for 'tank/a'.\n"),
        "{error}"
    );
    assert_eq!(
        bench.succeeds(&["load-key", "-n", "-r", "tank"]),
        "2 / 2 key(s) successfully verified\n"
    );

    bench.succeeds(&["change-key", "-o", "keyformat=hex", "-o", &hex, "tank/a/b"]);
    let roots = |dataset: &str| bench.succeeds(&["get", "-Ho", "value", "encryptionroot", dataset]);
    assert_eq!(roots("tank/a/b/volume"), "tank/a/b\n");
    assert_eq!(roots("tank/a/clone"), "tank/a/b\n");
    bench.succeeds(&["change-key", "-i", "tank/a/b"]);
    bench.succeeds(&["change-key", "-i", "tank/a/own"]);
    assert_eq!(roots("tank/a/b/volume"), "tank/a\n");
    assert_eq!(roots("tank/a/own"), "tank/a\n");
    bench.check();
    bench.succeeds(&["destroy", "-r", "tank/a"]);
    bench.check();
}

#[test]
fn what_makes_no_sense_is_said_in_the_words_of_zfs() {
    let bench = Bench::new();
    let hex = bench.location("hex");
    bench.succeeds(&[
        "create",
        "-o",
        "encryption=on",
        "-o",
        "keyformat=hex",
        "-o",
        &hex,
        "tank/safe",
    ]);
    bench.succeeds(&["create", "tank/open"]);
    bench.succeeds(&["create", "tank/safe/below"]);
    for (arguments, sentence) in [
        (
            &["create", "-o", "encryption=on", "tank/x"][..],
            "cannot create 'tank/x': Keyformat required for new encryption root.\n",
        ),
        (
            &["create", "-o", "keyformat=hex", "tank/x"],
            "cannot create 'tank/x': Encryption must be turned on to set encryption properties.\n",
        ),
        (
            &[
                "create",
                "-o",
                "encryption=on",
                "-o",
                "keyformat=passphrase",
                "-o",
                &hex,
                "-o",
                "pbkdf2iters=10",
                "tank/x",
            ],
            "cannot create 'tank/x': minimum pbkdf2 iterations is 100000\n",
        ),
        (
            &[
                "create",
                "-o",
                "encryption=on",
                "-o",
                "keyformat=raw",
                "-o",
                &hex,
                "tank/x",
            ],
            "cannot create 'tank/x': Raw key too long (expected 32).\n",
        ),
        (
            &["load-key", "-n", "tank/open"],
            "Key load error: 'tank/open' is not encrypted.\n",
        ),
        (
            &["load-key", "-n", "tank/safe/below"],
            "Key load error: Keys must be loaded for encryption root of 'tank/safe/below' (tank/safe).\n",
        ),
        (
            &["load-key", "tank/safe"],
            "Key load error: no key stays loaded between commands of zferry.\n",
        ),
        (
            &["unload-key", "tank/safe"],
            "Key unload error: Key already unloaded for 'tank/safe'.\n",
        ),
        (
            &["change-key", "tank/open"],
            "Key change error: Dataset not encrypted.\n",
        ),
        (
            &["change-key", "-i", "tank/safe"],
            "Key change error: Parent must be encrypted.\n",
        ),
        (
            &["change-key", "-o", "compression=lz4", "tank/safe"],
            "Key change error: Only keyformat, keylocation and pbkdf2iters may be set with this command.\n",
        ),
    ] {
        let error = bench.fails(arguments);
        assert!(error.starts_with(sentence), "{arguments:?}: {error}");
    }
    fs::remove_file(bench.path("hex")).unwrap();
    assert_eq!(
        bench.fails(&["create", "tank/safe/x"]),
        "cannot create 'tank/safe/x': encryption root's key is not loaded or provided\n"
    );
    bench.succeeds(&["create", "-o", "encryption=off", "tank/safe/open"]);
    bench.check();
}
