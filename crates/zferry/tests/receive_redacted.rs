//! `zferry receive` of redacted streams, and of what continues a dataset that was received redacted.
//!
//! `fixtures/redacted.img.zst` is a pool that OpenZFS 2.3.2 made: a file system `red/fs` with redaction bookmarks for
//! clones, and `red/r1` and `red/r12`, which OpenZFS's kernel received from redacted streams of it.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The image of the senders' pool.
fn image() -> PathBuf {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/redacted.img.zst");
    let image = zferry_fixtures::target().join("redacted.img");
    zferry_fixtures::unpack_image(&packed, &image).unwrap();
    image
}

fn zferry(image: &Path, arguments: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command.arg("-d").arg(image).args(arguments.split(' '));
    command.env_remove("ZFERRY_PATH").output().unwrap()
}

/// What the kernel's pool sends.
fn sent(arguments: &str) -> Vec<u8> {
    let output = zferry(&image(), &format!("send {arguments}"));
    assert!(output.status.success(), "{arguments}");
    output.stdout
}

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("tank.img");
        let mut create = Command::new(env!("CARGO_BIN_EXE_zferry"));
        create
            .args(["pool", "create", "--size", "256M", "tank"])
            .arg(&image);
        assert!(create.status().unwrap().success());
        Self { folder }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("tank.img")
    }

    fn try_receive(&self, arguments: &str, stream: &[u8]) -> Output {
        let path = self.folder.path().join("stream");
        fs::write(&path, stream).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        command.arg("-d").arg(self.image()).arg("receive");
        command
            .args(arguments.split(' '))
            .stdin(Stdio::from(fs::File::open(path).unwrap()))
            .output()
            .unwrap()
    }

    fn receive(&self, arguments: &str, stream: &[u8]) {
        let output = self.try_receive(arguments, stream);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {error}");
    }

    fn refuses(&self, arguments: &str, stream: &[u8]) -> String {
        let output = self.try_receive(arguments, stream);
        assert!(!output.status.success(), "{arguments}");
        let error = String::from_utf8(output.stderr).unwrap();
        error.lines().next().unwrap_or_default().to_owned()
    }

    fn says(&self, arguments: &str) -> String {
        let output = zferry(&self.image(), arguments);
        assert!(output.status.success(), "{arguments}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The bytes that the pool sends, behind BEGIN, which has the name, and before END, which sums that.
    fn sends(&self, arguments: &str) -> Vec<Vec<u8>> {
        let output = zferry(&self.image(), &format!("send {arguments}"));
        assert!(output.status.success(), "{arguments}");
        records(&output.stdout)
    }
}

/// The records of a stream but for BEGIN and END, each with its payload.
fn records(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = zferry_zstream::reader::StreamReader::new(stream);
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        use zferry_zstream::record::Record;
        if !matches!(record.record, Record::Begin(_) | Record::End(_)) {
            // The record's own sum is over all before it.
            records.push([&record.header[..280], record.payload].concat());
        }
    }
    records
}

#[test]
fn what_was_received_redacted_is_what_the_kernel_received() {
    let bench = Bench::new();
    for (name, bookmark) in [("r1", "book1"), ("r12", "book12")] {
        bench.receive(
            &format!("tank/{name}"),
            &sent(&format!("--redact {bookmark} red/fs@a")),
        );
        let theirs = sent(&format!("red/{name}@a"));
        assert!(
            bench.sends(&format!("tank/{name}@a")) == records(&theirs),
            "{name}"
        );
    }
    let asked = "get -H -o value redact_snaps,redacted tank/r12@a";
    let theirs = zferry(&image(), "get -H -o value redact_snaps,redacted red/r12@a").stdout;
    assert_eq!(bench.says(asked), String::from_utf8(theirs).unwrap());
    assert!(bench.says("pool check tank").contains("OK"));
}

#[test]
fn what_continues_it_must_bring_what_it_lacks_or_lack_it_too() {
    let bench = Bench::new();
    bench.receive("tank/r1", &sent("--redact book1 red/fs@a"));
    bench.receive("tank/r12", &sent("--redact book12 red/fs@a"));
    bench.receive("tank/fs", &sent("red/fs@a"));
    let invalid = "cannot receive incremental stream: invalid backup stream";
    let whole = sent("-i @a red/fs@b");
    assert_eq!(bench.refuses("tank/r1", &whole), invalid);
    assert_eq!(bench.refuses("tank/r1", &sent("-i #book12 red/fs@b")), invalid);
    bench.receive("tank/fs", &whole);

    // One of those that it is redacted for may become its clone, no other.
    bench.receive("-o origin=tank/r1@a tank/c1", &sent("-i red/fs@a red/c1@s"));
    let invalid = "cannot receive new filesystem stream: invalid backup stream";
    let other = sent("-i red/fs@a red/c2@s");
    assert_eq!(bench.refuses("-o origin=tank/r1@a tank/c2", &other), invalid);
    bench.receive("-o origin=tank/r12@a tank/c2", &other);

    for (name, bookmark) in [("r1", "book1"), ("r12", "book12")] {
        bench.receive(
            &format!("tank/{name}"),
            &sent(&format!("-i #{bookmark} red/fs@b")),
        );
    }
    for name in ["r1@b", "r12@b", "c1@s", "c2@s", "c1"] {
        let said = bench.says(&format!("get -H -o value redact_snaps tank/{name}"));
        assert_eq!(said, "-\n", "{name}");
    }
    assert!(bench.says("pool check tank").contains("OK"));
}

#[test]
fn a_redacted_receive_that_is_cut_is_gone_on_with() {
    let bench = Bench::new();
    let stream = sent("--redact book12 red/fs@a");
    let mut rest = stream.clone();
    for part in [3, 2] {
        bench.refuses("-s tank/r", &rest[..rest.len() / part]);
        let token = bench.says("get -H -o value receive_resume_token tank/r");
        rest = sent(&format!("-t {}", token.trim()));
    }
    bench.receive("-s tank/r", &rest);
    let theirs = sent("red/r12@a");
    assert!(bench.sends("tank/r@a") == records(&theirs));
}
