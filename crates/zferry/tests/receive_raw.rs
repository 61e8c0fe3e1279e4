//! Raw streams received without any key: of every suite, of volumes, clones, large dnodes and spill blocks. What is sent
//! of the result again is the stream, and with the key it is what OpenZFS's kernel sends of the source.
//!
//! `fixtures/vault` holds the source; its `make.sh` says what lies in it.

#![expect(clippy::unwrap_used, reason = "a test")]

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;
use zferry_fixtures::{Line, read_manifest, target, unpack_image, workspace};
use zferry_zstream::Checksum;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{ChecksumType, DedupKey, End, Record, Write};

fn fixture(name: &str) -> PathBuf {
    workspace().join("crates/zferry/tests/fixtures/vault").join(name)
}

fn vault() -> PathBuf {
    let image = target().join("vault").join("vault.img");
    unpack_image(&fixture("vault.img.zst"), &image).unwrap();
    image
}

fn lines() -> Vec<Line> {
    read_manifest(&fixture("MANIFEST")).unwrap()
}

fn zferry(place: &Path, arguments: &[&str], input: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command
        .arg("-d")
        .arg(place)
        .args(arguments)
        .env_remove("ZFERRY_PATH");
    if let Some(path) = input {
        command.stdin(Stdio::from(File::open(path).unwrap()));
    }
    command.output().unwrap()
}

fn succeed(output: &Output) -> Vec<u8> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    output.stdout.clone()
}

/// A pool of the name of the source's, to be received into.
struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn place(&self) -> &Path {
        self.folder.path()
    }

    /// Sends from the source, and keeps the stream as a file.
    fn stream(&self, arguments: &[&str]) -> PathBuf {
        let sent = succeed(&zferry(&vault(), &[&["send"], arguments].concat(), None));
        let path = self
            .place()
            .join(arguments.concat().replace(['/', '@', '#'], "_"));
        fs::write(&path, sent).unwrap();
        path
    }

    fn receive(&self, arguments: &[&str], stream: &Path) -> Output {
        let image = self.place().join("pool.img").display().to_string();
        let create = ["receive", "--create", &image, "--size", "256M"];
        zferry(self.place(), &[&create, arguments].concat(), Some(stream))
    }

    fn send(&self, arguments: &[&str]) -> Vec<u8> {
        succeed(&zferry(self.place(), &[&["send"], arguments].concat(), None))
    }

    /// Everything in the pool is as it says, and as it is counted.
    fn check(&self) {
        succeed(&zferry(self.place(), &["pool", "check", "-c", "vault"], None));
    }
}

/// A stream without what its pool decides: how its blocks are summed.
fn undecided(stream: &[u8]) -> Vec<(Record, Vec<u8>)> {
    let mut reader = StreamReader::new(stream);
    let mut records = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        let record = match read.record {
            Record::Write(write) => Record::Write(Write {
                checksum: ChecksumType::OFF,
                flags: zferry_zstream::flags::RecordFlags::empty(),
                key: DedupKey::default(),
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

fn key_of(dataset: &str) -> PathBuf {
    fixture(match dataset {
        "aes-128-ccm" | "aes-192-gcm" => "passphrase.key",
        "aes-192-ccm" => "hex.key",
        name if name.starts_with("aes-256-gcm") => "hex.key",
        _ => "raw.key",
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
    let bench = Bench::new();
    let lines = lines();
    for dataset in DATASETS {
        let [a, b] = ["a", "b"].map(|snapshot| format!("vault/{dataset}@{snapshot}"));
        let target = format!("vault/{dataset}");
        for arguments in [&["-w", &a][..], &["-w", "-i", "@a", &b]] {
            let stream = bench.stream(arguments);
            succeed(&bench.receive(&[&target], &stream));
            let again = bench.send(arguments);
            let (again, sent) = (undecided(&again), undecided(&fs::read(&stream).unwrap()));
            assert!(again == sent, "{arguments:?}");
        }
        // With the key, every code is checked on the way; what comes out is what the kernel has sent of the source.
        let key = key_of(dataset);
        let plain = bench.send(&["-K", key.to_str().unwrap(), "-i", "@a", &b]);
        let sum: String = Sha256::digest(&plain)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let name = format!("{}-a-b", dataset.replace('/', "-"));
        let line = lines.iter().find(|line| line.name == name).unwrap();
        assert_eq!(sum, line.sha256, "{name}");
    }
    bench.check();
    let listed = succeed(&zferry(
        bench.place(),
        &[
            "get",
            "-Hpo",
            "name,property,value,source",
            "encryptionroot,keylocation,keyformat,keystatus",
            "vault/aes-256-gcm/below",
        ],
        None,
    ));
    assert_eq!(
        String::from_utf8(listed).unwrap(),
        "vault/aes-256-gcm/below\tencryptionroot\tvault/aes-256-gcm/below\t-\n\
         vault/aes-256-gcm/below\tkeylocation\tprompt\tlocal\n\
         vault/aes-256-gcm/below\tkeyformat\thex\t-\n\
         vault/aes-256-gcm/below\tkeystatus\tunavailable\t-\n"
    );
}

#[test]
fn clones_and_what_was_received_before_go_on() {
    let bench = Bench::new();
    for (arguments, target) in [
        (&["-w", "vault/aes-256-gcm/below@a"][..], "vault/below"),
        (
            &[
                "-w",
                "-i",
                "vault/aes-256-gcm/below@a",
                "vault/aes-256-gcm/clone@c",
            ],
            "vault/clone",
        ),
        (&["-w", "vault/received@b"], "vault/received"),
        (&["-w", "-i", "@b", "vault/received@c"], "vault/received"),
        (&["-w", "vault/crate@b"], "vault/crate"),
    ] {
        let stream = bench.stream(arguments);
        succeed(&bench.receive(&[target], &stream));
    }
    bench.check();
    let plain = |place: &Path, key: &Path, snapshot: &str| {
        let output = zferry(place, &["send", "-K", key.to_str().unwrap(), snapshot], None);
        undecided(&succeed(&output)).split_off(1)
    };
    for (key, there, here) in [
        ("hex.key", "vault/aes-256-gcm/clone@c", "vault/clone@c"),
        ("raw.key", "vault/received@c", "vault/received@c"),
        ("raw.key", "vault/crate@b", "vault/crate@b"),
    ] {
        let key = fixture(key);
        assert!(
            plain(&vault(), &key, there) == plain(bench.place(), &key, here),
            "{here}"
        );
    }
    // A clone shares the key of its origin, and takes it along when that goes.
    let origin = zferry(
        bench.place(),
        &["get", "-Ho", "value", "encryptionroot", "vault/clone"],
        None,
    );
    assert_eq!(succeed(&origin), b"vault/below\n");
    for gone in ["vault/clone", "vault/below", "vault/received", "vault/crate"] {
        succeed(&zferry(bench.place(), &["destroy", "-r", gone], None));
    }
    bench.check();
}

#[test]
fn a_raw_package_keeps_its_encryption_roots() {
    let bench = Bench::new();
    let package = bench.stream(&["-w", "-R", "vault/aes-256-gcm@b"]);
    succeed(&bench.receive(&["vault/aes-256-gcm"], &package));
    let columns = [
        "get",
        "-r",
        "-t",
        "filesystem",
        "-Ho",
        "name,value",
        "encryptionroot",
        "vault/aes-256-gcm",
    ];
    let roots = succeed(&zferry(bench.place(), &columns, None));
    let roots = String::from_utf8(roots).unwrap();
    assert!(
        roots.contains("vault/aes-256-gcm/below\tvault/aes-256-gcm\n"),
        "{roots}"
    );
    assert!(
        roots.lines().all(|line| line.ends_with("\tvault/aes-256-gcm")),
        "{roots}"
    );
    let location = |place: &Path| {
        let columns = ["get", "-Ho", "value,source", "keylocation", "vault/aes-256-gcm"];
        succeed(&zferry(place, &columns, None))
    };
    assert_eq!(location(bench.place()), location(&vault()));
    let key = fixture("hex.key");
    for snapshot in ["vault/aes-256-gcm@b", "vault/aes-256-gcm/below@b"] {
        let arguments = ["send", "-K", key.to_str().unwrap(), snapshot];
        let [ours, theirs] = [bench.place(), &vault()].map(|place| succeed(&zferry(place, &arguments, None)));
        assert!(ours == theirs, "{snapshot}");
    }
    // And once more, as an increment.
    let package = bench.stream(&["-w", "-R", "vault/aes-256-ccm@a"]);
    succeed(&bench.receive(&["vault/aes-256-ccm"], &package));
    let package = bench.stream(&["-w", "-R", "-i", "@a", "vault/aes-256-ccm@b"]);
    succeed(&bench.receive(&["vault/aes-256-ccm"], &package));
    let root = ["get", "-Ho", "value", "encryptionroot", "vault/aes-256-ccm/disk"];
    assert_eq!(
        succeed(&zferry(bench.place(), &root, None)),
        b"vault/aes-256-ccm\n"
    );
    bench.check();
}

#[test]
fn what_does_not_fit_is_refused_in_the_words_of_zfs() {
    let bench = Bench::new();
    let stream = bench.stream(&["-w", "vault/aes-128-gcm@a"]);
    let next = bench.stream(&["-w", "-i", "@a", "vault/aes-128-gcm@b"]);
    succeed(&bench.receive(&["vault/safe"], &stream));
    let says = |output: &Output, sentence: &str| {
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.starts_with(sentence), "{said}");
    };
    succeed(&zferry(bench.place(), &["create", "vault/open"], None));
    says(
        &bench.receive(&["-F", "vault/open"], &stream),
        "cannot receive new filesystem stream: zfs receive -F cannot be used to destroy an encrypted filesystem or \
         overwrite an unencrypted one with an encrypted one\n",
    );
    says(
        &bench.receive(&["vault/open"], &next),
        "cannot receive incremental stream: cannot perform raw receive on top of existing unencrypted dataset\n",
    );
    // A snapshot between the two sets of initialization vectors.
    succeed(&zferry(bench.place(), &["snapshot", "vault/safe@between"], None));
    says(
        &bench.receive(&["vault/safe"], &next),
        "cannot receive incremental stream: destination vault/safe has been modified\nsince most recent snapshot\n",
    );
    succeed(&bench.receive(&["-F", "vault/safe"], &next));
    bench.check();
}
