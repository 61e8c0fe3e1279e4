//! `zferry receive` of packages: whole trees, what is left out of them, their properties and holds, and incremental ones
//! over what exists. What is expected here, OpenZFS's own `zfs receive` makes and says of the same streams.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use zferry_fixtures::packages;
use zferry_nvlist::{Encoding, Endian, Limits, NvList};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Begin, Record};
use zferry_zstream::writer::{Fletcher4, Summer};

/// Sends from the pool `fleet`.
fn sent(arguments: &[&str]) -> Vec<u8> {
    let mut send = Command::new(env!("CARGO_BIN_EXE_zferry"));
    send.arg("-d").arg(packages().unwrap().image("fleet"));
    let output = send.arg("send").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    output.stdout
}

/// A folder with a pool in it.
struct Bench {
    folder: TempDir,
    pool: &'static str,
}

impl Bench {
    /// The pool has nothing in it.
    fn new(pool: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bench = Self { folder, pool };
        let image = bench.folder.path().join("pool.img").display().to_string();
        bench.does(&["pool", "create", "--size", "256M", pool, &image]);
        bench
    }

    /// Runs zferry on the pool with a stream on standard input.
    fn run(&self, arguments: &[&str], stream: &[u8]) -> Output {
        let path = self.folder.path().join("stream");
        fs::write(&path, stream).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
        let stdin = Stdio::from(fs::File::open(&path).unwrap());
        command.arg("-d").arg(self.folder.path().join("pool.img"));
        command.args(arguments).stdin(stdin).output().unwrap()
    }

    /// Runs what must succeed, and says what it printed on standard output.
    fn does(&self, arguments: &[&str]) -> String {
        succeeds(&self.run(arguments, &[]))
    }

    fn receive(&self, arguments: &[&str], stream: &[u8]) -> Output {
        self.run(&[&["receive"], arguments].concat(), stream)
    }

    /// What the pool sends.
    fn sends(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(&[&["send"], arguments].concat(), &[]);
        succeeds_silently(&output);
        output.stdout
    }

    /// Whatever lies below a dataset: names with the guids of snapshots and with origins, sorted. The dataset is called `-`.
    fn tree(&self, top: &str) -> Vec<String> {
        tree(
            &self.does(&["list", "-H", "-r", "-t", "all", "-o", "name,guid,origin", top]),
            top,
        )
    }

    /// The values of a property below a dataset, with their sources.
    fn get(&self, property: &str, top: &str) -> Vec<String> {
        let columns = "name,value,received,source";
        let said = self.does(&[
            "get",
            "-H",
            "-p",
            "-r",
            "-t",
            "filesystem,volume",
            "-o",
            columns,
            property,
            top,
        ]);
        said.lines().map(|line| line.replace('\t', " ")).collect()
    }

    fn names(&self) -> Vec<String> {
        let said = self.does(&["list", "-H", "-r", "-t", "all", "-o", "name", self.pool]);
        let mut names: Vec<_> = said.lines().map(str::to_owned).collect();
        names.sort();
        names
    }

    fn is_sound(&self) -> bool {
        self.run(&["pool", "check", self.pool], &[]).status.success()
    }
}

fn tree(listed: &str, top: &str) -> Vec<String> {
    let mut lines: Vec<_> = listed
        .lines()
        .map(|line| {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap();
            let (name, guid, origin) = (next(), next(), next());
            let guid = if name.contains('@') { guid } else { "" };
            format!(
                "{} {guid} {}",
                name.replacen(top, "-", 1),
                origin.replacen(top, "-", 1)
            )
        })
        .collect();
    lines.sort();
    lines
}

fn succeeds_silently(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn succeeds(output: &Output) -> String {
    succeeds_silently(output);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What is printed on standard error by a command that fails.
fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What is said, without how long it took.
fn timeless(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| !line.starts_with("received "))
        .collect()
}

#[test]
fn a_tree_becomes_the_same_tree() {
    let bench = Bench::new("tank");
    succeeds(&bench.receive(&["tank/ship"], &sent(&["-R", "fleet/ship@port"])));
    let mut list = Command::new(env!("CARGO_BIN_EXE_zferry"));
    list.arg("-d").arg(packages().unwrap().image("fleet"));
    let columns = [
        "list",
        "-H",
        "-r",
        "-t",
        "all",
        "-o",
        "name,guid,origin",
        "fleet/ship",
    ];
    let listed = succeeds(&list.args(columns).output().unwrap());
    // What came after the snapshot is no part of it.
    let expected: Vec<_> = tree(&listed, "fleet/ship")
        .into_iter()
        .filter(|line| !line.contains("@after") && !line.starts_with("-/tender"))
        .collect();
    assert_eq!(bench.tree("tank/ship"), expected);
    assert!(bench.is_sound());
}

#[test]
fn properties_that_were_received_are_told_from_those_that_were_set() {
    let bench = Bench::new("tank");
    succeeds(&bench.receive(&["tank/gift"], &sent(&["-R", "fleet/gift@kept"])));
    assert_eq!(
        bench.get("compression", "tank/gift"),
        [
            "tank/gift gzip-3 gzip-3 received",
            "tank/gift/ribbon gzip-3 - inherited from tank/gift"
        ]
    );
    assert_eq!(
        bench.get("quota", "tank/gift")[0],
        "tank/gift 9437184 9437184 received"
    );
    bench.does(&["set", "compression=off", "tank/gift"]);
    assert_eq!(
        bench.get("compression", "tank/gift")[0],
        "tank/gift off gzip-3 local"
    );
    bench.does(&["inherit", "compression", "tank/gift"]);
    assert_eq!(
        bench.get("compression", "tank/gift")[0],
        "tank/gift on gzip-3 default"
    );
    bench.does(&["inherit", "-S", "compression", "tank/gift"]);
    assert_eq!(
        bench.get("compression", "tank/gift")[0],
        "tank/gift gzip-3 gzip-3 received"
    );
    let own = bench.does(&[
        "get",
        "-H",
        "-o",
        "value,source",
        "org.example:wrapped",
        "tank/gift@given",
    ]);
    assert_eq!(own, "no\treceived\n");
    assert!(bench.is_sound());
}

#[test]
fn options_go_over_what_is_received() {
    let bench = Bench::new("tank");
    let stream = sent(&["-R", "fleet/gift@kept"]);
    let options = [
        "-o",
        "readonly=on",
        "-x",
        "compression",
        "-x",
        "quota",
        "-o",
        "org.example:also=mine",
    ];
    succeeds(&bench.receive(&[&options[..], &["tank/gift"]].concat(), &stream));
    for (property, expected) in [
        ("readonly", "tank/gift on - local"),
        ("compression", "tank/gift on gzip-3 default"),
        ("quota", "tank/gift 0 - default"),
        ("org.example:also", "tank/gift mine fleet local"),
    ] {
        assert_eq!(bench.get(property, "tank/gift")[0], expected, "{property}");
    }
    let below = bench.get("readonly", "tank/gift");
    assert_eq!(below[1], "tank/gift/ribbon on - inherited from tank/gift");
    // Of a volume on its own, what it cannot have is refused.
    let volume = sent(&["-p", "fleet/ship/hold/ballast@voyage"]);
    assert_eq!(
        fails(&bench.receive(&["-o", "atime=off", "tank/vol"], &volume)),
        "cannot receive new filesystem stream: property 'atime' does not apply to datasets of this type\n"
    );
}

#[test]
fn holds_come_with_the_package_unless_they_are_not_wanted() {
    let bench = Bench::new("tank");
    let stream = sent(&["-h", "fleet/ship@launch"]);
    succeeds(&bench.receive(&["tank/held"], &stream));
    succeeds(&bench.receive(&["-h", "tank/free"], &stream));
    let tags = |name: &str| -> Vec<String> {
        let said = bench.does(&["holds", "-H", name]);
        let mut tags: Vec<_> = said
            .lines()
            .filter_map(|line| line.split('\t').nth(1))
            .map(str::to_owned)
            .collect();
        tags.sort();
        tags
    };
    assert_eq!(tags("tank/held@launch"), ["owner", "zebra"]);
    assert_eq!(tags("tank/free@launch"), [""; 0]);
}

#[test]
fn what_is_there_already_is_passed_over() {
    let bench = Bench::new("tank");
    succeeds(&bench.receive(&["tank/x"], &sent(&["fleet/ship/bridge@launch"])));
    let steps = sent(&["-I", "@launch", "fleet/ship/bridge@later"]);
    succeeds(&bench.receive(&["tank/x"], &steps));
    let said = succeeds(&bench.receive(&["-v", "tank/x"], &steps));
    assert_eq!(
        timeless(&said),
        [
            "receiving incremental stream of fleet/ship/bridge@middle into tank/x@middle",
            "snap tank/x@middle already exists; ignoring",
            "receiving incremental stream of fleet/ship/bridge@later into tank/x@later",
            "snap tank/x@later already exists; ignoring",
        ]
    );
}

#[test]
fn of_a_package_that_is_cut_what_came_whole_stays() {
    let bench = Bench::new("tank");
    let stream = sent(&["-R", "fleet/ship/bridge@later"]);
    let cut = stream.get(..stream.len() - 5000).unwrap();
    let error = fails(&bench.receive(&["tank/x"], cut));
    let first = "cannot receive incremental stream: incomplete stream";
    assert_eq!(error.lines().next(), Some(first));
    let whole = ["tank", "tank/x", "tank/x@launch", "tank/x@middle"];
    assert_eq!(bench.names(), whole);
    let without_end = stream.get(..stream.len() - 312).unwrap();
    let error = fails(&bench.receive(&["tank/y"], without_end));
    assert_eq!(error, "cannot receive: failed to read from stream\n");
    assert!(bench.names().contains(&"tank/y@later".to_owned()));
    assert!(bench.is_sound());
}

#[test]
fn a_package_of_many_is_not_received_as_one_snapshot() {
    let bench = Bench::new("tank");
    let mut stream = sent(&["-R", "fleet/ship/bridge@later"]);
    assert_eq!(
        fails(&bench.receive(&["tank/x@y"], &stream)),
        "cannot receive: cannot specify snapshot name for multi-snapshot stream\n"
    );
    // The first byte of the name of the last snapshot, which the sum of the header covers.
    let at = stream.windows(6).position(|bytes| bytes == b"tosnap").unwrap() + 20;
    stream[at] ^= 1;
    assert_eq!(
        fails(&bench.receive(&["tank/x"], &stream)),
        "cannot receive: incorrect header checksum\n"
    );
    assert_eq!(bench.names(), ["tank"]);
}

#[test]
fn clones_find_their_origins_in_the_package_or_beside_it() {
    let bench = Bench::new("tank");
    let clone = sent(&["-R", "fleet/ship/aft@port"]);
    assert_eq!(
        fails(&bench.receive(&["tank/aft"], &clone)),
        "cannot receive: local origin for clone tank/aft@mine does not exist\n"
    );
    succeeds(&bench.receive(&["tank/bridge"], &sent(&["-R", "fleet/ship/bridge@later"])));
    let said = succeeds(&bench.receive(&["-v", "tank/aft"], &clone));
    assert_eq!(said.lines().next(), Some("found clone origin tank/bridge@middle"));
    let origin = bench.does(&["get", "-H", "-o", "value", "origin", "tank/aft"]);
    assert_eq!(origin, "tank/bridge@middle\n");
    assert!(bench.is_sound());
}

/// A pool with a tree, and another that has received it.
fn sender_and_receiver() -> (Bench, Bench) {
    let (sender, receiver) = (Bench::new("src"), Bench::new("tank"));
    sender.does(&["create", "src/t"]);
    for name in ["a", "b", "c", "d", "a/below"] {
        sender.does(&["create", &format!("src/t/{name}")]);
    }
    for snapshot in ["one", "two"] {
        let names = sender.does(&["list", "-H", "-r", "-o", "name", "src/t"]);
        for name in names.lines() {
            sender.does(&["snapshot", &format!("{name}@{snapshot}")]);
        }
        if snapshot == "one" {
            sender.does(&["clone", "src/t/c@one", "src/t/clone"]);
        }
    }
    succeeds(&receiver.receive(&["tank/t"], &sender.sends(&["-R", "src/t@two"])));
    assert_eq!(receiver.tree("tank/t"), sender.tree("src/t"));
    (sender, receiver)
}

fn snapshot_all(bench: &Bench, snapshot: &str) {
    let names = bench.does(&["list", "-H", "-r", "-o", "name", "src/t"]);
    for name in names.lines() {
        bench.does(&["snapshot", &format!("{name}@{snapshot}")]);
    }
}

#[test]
fn renames_promotions_and_destructions_are_followed() {
    let (sender, receiver) = sender_and_receiver();
    for act in [
        &["rename", "src/t/a", "src/t/x"][..],
        &["rename", "src/t/b", "src/t/a"],
        &["rename", "src/t/x", "src/t/b"],
        &["rename", "src/t/b/below", "src/t/moved"],
        &["rename", "src/t@one", "src/t@first"],
        &["promote", "src/t/clone"],
        &["destroy", "-r", "src/t/d"],
        &["destroy", "src/t/a@one"],
        &["create", "src/t/new"],
        &["set", "org.example:tag=new", "src/t/new"],
    ] {
        sender.does(act);
    }
    snapshot_all(&sender, "three");
    let package = sender.sends(&["-R", "-I", "@two", "src/t@three"]);
    let said = succeeds(&receiver.receive(&["-v", "-F", "tank/t"], &package));
    for line in [
        "promoting tank/t/clone",
        "attempting destroy tank/t/d@one",
        "attempting destroy tank/t/d",
        "attempting rename tank/t@one to tank/t@first",
        "another pass:",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}: {said}");
    }
    assert_eq!(receiver.tree("tank/t"), sender.tree("src/t"));
    assert_eq!(
        receiver.get("org.example:tag", "tank/t/new"),
        ["tank/t/new new new received"]
    );
    assert!(receiver.is_sound());
}

#[test]
fn nothing_is_destroyed_that_is_not_asked_for() {
    let (sender, receiver) = sender_and_receiver();
    sender.does(&["destroy", "-r", "src/t/d"]);
    sender.does(&["destroy", "src/t/a@one"]);
    snapshot_all(&sender, "three");
    let package = sender.sends(&["-R", "-I", "@two", "src/t@three"]);
    succeeds(&receiver.receive(&["tank/t"], &package));
    let names = receiver.names();
    for name in ["tank/t/d@two", "tank/t/a@one", "tank/t/a@three"] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn what_is_held_is_put_aside() {
    let (sender, receiver) = sender_and_receiver();
    receiver.does(&["hold", "mine", "tank/t/d@one"]);
    sender.does(&["destroy", "-r", "src/t/d"]);
    snapshot_all(&sender, "three");
    let package = sender.sends(&["-R", "-I", "@two", "src/t@three"]);
    let output = receiver.receive(&["-v", "-F", "tank/t"], &package);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains("failed - trying rename tank/t/d to tank/t/recv-"),
        "{said}"
    );
    let aside: Vec<_> = receiver
        .names()
        .into_iter()
        .filter(|name| name.starts_with("tank/t/recv-"))
        .collect();
    assert_eq!(aside.len(), 2, "{aside:?}");
    assert!(aside[1].contains("@recv-"), "{aside:?}");
    assert!(receiver.names().contains(&"tank/t/a@three".to_owned()));
    assert!(receiver.is_sound());
}

#[test]
fn what_was_renamed_here_is_found_again() {
    let (sender, receiver) = sender_and_receiver();
    receiver.does(&["rename", "tank/t/a", "tank/t/mine"]);
    snapshot_all(&sender, "three");
    let package = sender.sends(&["-R", "-I", "@two", "src/t@three"]);
    let said = succeeds(&receiver.receive(&["-v", "tank/t"], &package));
    assert!(
        said.contains("attempting rename tank/t/mine to tank/t/a\nsuccess\n"),
        "{said}"
    );
    assert_eq!(receiver.tree("tank/t"), sender.tree("src/t"));
}

#[test]
fn names_are_mapped_as_for_single_streams() {
    let stream = sent(&["-R", "fleet/ship/bridge@later"]);
    let bench = Bench::new("tank");
    succeeds(&bench.receive(&["-d", "tank"], &stream));
    succeeds(&bench.receive(&["-e", "tank"], &stream));
    let names = bench.names();
    assert!(names.contains(&"tank/ship/bridge@later".to_owned()));
    assert!(names.contains(&"tank/bridge@later".to_owned()));
    let error = fails(&bench.receive(&["-n", "-v", "tank/x"], &stream));
    assert_eq!(
        error,
        "cannot receive incremental stream: destination 'tank/x' does not exist\n"
    );
}

/// The same package, with its header in another encoding and byte order. The streams keep theirs.
fn with_header(package: &[u8], encoding: Encoding, endian: Endian) -> Vec<u8> {
    let mut reader = StreamReader::new(package);
    let first = reader.next().unwrap().unwrap();
    let begin = match first.record {
        Record::Begin(begin) => Some(begin),
        _ => None,
    };
    let (list, _) = NvList::decode(first.payload, &Limits::default()).unwrap();
    let list = list.encode(encoding, endian);
    let begin = Record::Begin(Begin {
        payload_length: u32::try_from(list.len()).unwrap(),
        ..begin.unwrap()
    });
    let mut summer = Summer::new(endian);
    let mut header = begin.encode(endian);
    summer.stamp(&mut header, &Fletcher4::of(&list, endian));
    assert!(reader.next().unwrap().is_some());
    let behind = package
        .get(usize::try_from(reader.position()).unwrap()..)
        .unwrap();
    [&header, &list[..], &summer.end_of_package_header(), behind].concat()
}

#[test]
fn headers_come_in_either_encoding_and_byte_order() {
    let bench = Bench::new("tank");
    let package = sent(&["-R", "fleet/gift@kept"]);
    for (encoding, endian, name) in [
        (Encoding::Xdr, Endian::Big, "tank/xdr-big"),
        (Encoding::Native, Endian::Little, "tank/native-little"),
        (Encoding::Native, Endian::Big, "tank/native-big"),
    ] {
        let package = with_header(&package, encoding, endian);
        succeeds(&bench.receive(&[name], &package));
        let quota = bench.get("quota", name);
        assert_eq!(quota[0], format!("{name} 9437184 9437184 received"));
        assert!(bench.names().contains(&format!("{name}/ribbon@kept")));
    }
}
