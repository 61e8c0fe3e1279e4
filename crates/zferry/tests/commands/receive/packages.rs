//! `zferry receive` of packages: whole trees, what is left out of them, their properties and holds, and incremental ones
//! over what exists. What is expected here, OpenZFS's own `zfs receive` makes and says of the same streams.

use crate::support::{Bench, Words, example_sends, run, sends, sha256};
use std::path::Path;
use zferry_fixtures::packages;
use zferry_nvlist::{Encoding, Endian, Limits, NvList};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Begin, Record};
use zferry_zstream::writer::{Fletcher4, Summer};

/// Sends from the pool `fleet`.
fn sent(arguments: &(impl Words + ?Sized)) -> Vec<u8> {
    sends(&packages().unwrap().image("fleet"), arguments)
}

/// Whatever lies below a dataset of a pool: names with the guids of snapshots and with origins, sorted. The dataset is
/// called `-`.
fn tree(place: &Path, top: &str) -> Vec<String> {
    let listed = run(place, &format!("list -Hr -t all -o name,guid,origin {top}")).succeeds();
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

/// The values of a property below a dataset, with their sources.
fn get(bench: &Bench, property: &str, top: &str) -> Vec<String> {
    let columns = "get -Hpr -t filesystem,volume -o name,value,received,source";
    let said = bench.does(&format!("{columns} {property} {top}"));
    said.lines().map(|line| line.replace('\t', " ")).collect()
}

/// What is said, without how long it took.
fn timeless(said: &str) -> Vec<&str> {
    said.lines()
        .filter(|line| !line.starts_with("received "))
        .collect()
}

#[test]
fn a_tree_becomes_the_same_tree() {
    let bench = Bench::new();
    bench.receive("tank/ship", &sent("-R fleet/ship@port")).succeeds();
    // What came after the snapshot is no part of it.
    let expected: Vec<_> = tree(&packages().unwrap().image("fleet"), "fleet/ship")
        .into_iter()
        .filter(|line| !line.contains("@after") && !line.starts_with("-/tender"))
        .collect();
    assert_eq!(tree(bench.folder(), "tank/ship"), expected);
    bench.is_sound();
}

#[test]
fn properties_that_were_received_are_told_from_those_that_were_set() {
    let bench = Bench::new();
    bench.receive("tank/gift", &sent("-R fleet/gift@kept")).succeeds();
    assert_eq!(
        get(&bench, "compression", "tank/gift"),
        [
            "tank/gift gzip-3 gzip-3 received",
            "tank/gift/ribbon gzip-3 - inherited from tank/gift"
        ]
    );
    assert_eq!(
        get(&bench, "quota", "tank/gift")[0],
        "tank/gift 9437184 9437184 received"
    );
    bench.does("set compression=off tank/gift");
    assert_eq!(
        get(&bench, "compression", "tank/gift")[0],
        "tank/gift off gzip-3 local"
    );
    bench.does("inherit compression tank/gift");
    assert_eq!(
        get(&bench, "compression", "tank/gift")[0],
        "tank/gift on gzip-3 default"
    );
    bench.does("inherit -S compression tank/gift");
    assert_eq!(
        get(&bench, "compression", "tank/gift")[0],
        "tank/gift gzip-3 gzip-3 received"
    );
    let own = bench.does("get -H -o value,source org.example:wrapped tank/gift@given");
    assert_eq!(own, "no\treceived\n");
    bench.is_sound();
}

#[test]
fn options_go_over_what_is_received() {
    let bench = Bench::new();
    let stream = sent("-R fleet/gift@kept");
    let options = "-o readonly=on -x compression -x quota -o org.example:also=mine";
    bench.receive(&format!("{options} tank/gift"), &stream).succeeds();
    for (property, expected) in [
        ("readonly", "tank/gift on - local"),
        ("compression", "tank/gift on gzip-3 default"),
        ("quota", "tank/gift 0 - default"),
        ("org.example:also", "tank/gift mine fleet local"),
    ] {
        assert_eq!(get(&bench, property, "tank/gift")[0], expected, "{property}");
    }
    let below = get(&bench, "readonly", "tank/gift");
    assert_eq!(below[1], "tank/gift/ribbon on - inherited from tank/gift");
    // Of a volume on its own, what it cannot have is refused.
    let volume = sent("-p fleet/ship/hold/ballast@voyage");
    assert_eq!(
        bench.receive("-o atime=off tank/vol", &volume).fails(),
        "cannot receive new filesystem stream: property 'atime' does not apply to datasets of this type\n"
    );
}

#[test]
fn holds_come_with_the_package_unless_they_are_not_wanted() {
    let bench = Bench::new();
    let stream = sent("-h fleet/ship@launch");
    bench.receive("tank/held", &stream).succeeds();
    bench.receive("-h tank/free", &stream).succeeds();
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
    let bench = Bench::new();
    bench
        .receive("tank/x", &sent("fleet/ship/bridge@launch"))
        .succeeds();
    let steps = sent("-I @launch fleet/ship/bridge@later");
    bench.receive("tank/x", &steps).succeeds();
    let said = bench.receive("-v tank/x", &steps).succeeds();
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
    let bench = Bench::new();
    let stream = sent("-R fleet/ship/bridge@later");
    let cut = stream.get(..stream.len() - 5000).unwrap();
    let error = bench.receive("tank/x", cut).fails();
    let first = "cannot receive incremental stream: incomplete stream";
    assert_eq!(error.lines().next(), Some(first));
    let whole = ["tank", "tank/x", "tank/x@launch", "tank/x@middle"];
    assert_eq!(bench.names(), whole);
    let without_end = stream.get(..stream.len() - 312).unwrap();
    let error = bench.receive("tank/y", without_end).fails();
    assert_eq!(error, "cannot receive: failed to read from stream\n");
    assert!(bench.names().contains(&"tank/y@later".to_owned()));
    bench.is_sound();
}

#[test]
fn a_package_of_many_is_not_received_as_one_snapshot() {
    let bench = Bench::new();
    let mut stream = sent("-R fleet/ship/bridge@later");
    assert_eq!(
        bench.receive("tank/x@y", &stream).fails(),
        "cannot receive: cannot specify snapshot name for multi-snapshot stream\n"
    );
    // The first byte of the name of the last snapshot, which the sum of the header covers.
    let at = stream.windows(6).position(|bytes| bytes == b"tosnap").unwrap() + 20;
    stream[at] ^= 1;
    assert_eq!(
        bench.receive("tank/x", &stream).fails(),
        "cannot receive: incorrect header checksum\n"
    );
    assert_eq!(bench.names(), ["tank"]);
}

#[test]
fn clones_find_their_origins_in_the_package_or_beside_it() {
    let bench = Bench::new();
    let clone = sent("-R fleet/ship/aft@port");
    assert_eq!(
        bench.receive("tank/aft", &clone).fails(),
        "cannot receive: local origin for clone tank/aft@mine does not exist\n"
    );
    bench
        .receive("tank/bridge", &sent("-R fleet/ship/bridge@later"))
        .succeeds();
    let said = bench.receive("-v tank/aft", &clone).succeeds();
    assert_eq!(said.lines().next(), Some("found clone origin tank/bridge@middle"));
    let origin = bench.does("get -H -o value origin tank/aft");
    assert_eq!(origin, "tank/bridge@middle\n");
    bench.is_sound();
}

/// A pool with a tree, and another that has received it.
fn sender_and_receiver() -> (Bench, Bench) {
    let (sender, receiver) = (Bench::named("src"), Bench::new());
    sender.does("create src/t");
    for name in ["a", "b", "c", "d", "a/below"] {
        sender.does(&["create", &format!("src/t/{name}")]);
    }
    for snapshot in ["one", "two"] {
        snapshot_all(&sender, snapshot);
        if snapshot == "one" {
            sender.does("clone src/t/c@one src/t/clone");
        }
    }
    receiver
        .receive("tank/t", &sender.sends("-R src/t@two"))
        .succeeds();
    assert_eq!(tree(receiver.folder(), "tank/t"), tree(sender.folder(), "src/t"));
    (sender, receiver)
}

fn snapshot_all(bench: &Bench, snapshot: &str) {
    let names = bench.does("list -H -r -o name src/t");
    for name in names.lines() {
        bench.does(&["snapshot", &format!("{name}@{snapshot}")]);
    }
}

#[test]
fn renames_promotions_and_destructions_are_followed() {
    let (sender, receiver) = sender_and_receiver();
    for act in [
        "rename src/t/a src/t/x",
        "rename src/t/b src/t/a",
        "rename src/t/x src/t/b",
        "rename src/t/b/below src/t/moved",
        "rename src/t@one src/t@first",
        "promote src/t/clone",
        "destroy -r src/t/d",
        "destroy src/t/a@one",
        "create src/t/new",
        "set org.example:tag=new src/t/new",
    ] {
        sender.does(act);
    }
    snapshot_all(&sender, "three");
    let package = sender.sends("-R -I @two src/t@three");
    let said = receiver.receive("-v -F tank/t", &package).succeeds();
    for line in [
        "promoting tank/t/clone",
        "attempting destroy tank/t/d@one",
        "attempting destroy tank/t/d",
        "attempting rename tank/t@one to tank/t@first",
        "another pass:",
    ] {
        assert!(said.lines().any(|other| other == line), "{line}: {said}");
    }
    assert_eq!(tree(receiver.folder(), "tank/t"), tree(sender.folder(), "src/t"));
    assert_eq!(
        get(&receiver, "org.example:tag", "tank/t/new"),
        ["tank/t/new new new received"]
    );
    receiver.is_sound();
}

#[test]
fn nothing_is_destroyed_that_is_not_asked_for() {
    let (sender, receiver) = sender_and_receiver();
    sender.does("destroy -r src/t/d");
    sender.does("destroy src/t/a@one");
    snapshot_all(&sender, "three");
    let package = sender.sends("-R -I @two src/t@three");
    receiver.receive("tank/t", &package).succeeds();
    let names = receiver.names();
    for name in ["tank/t/d@two", "tank/t/a@one", "tank/t/a@three"] {
        assert!(names.contains(&name.to_owned()), "{name}");
    }
}

#[test]
fn what_is_held_is_put_aside() {
    let (sender, receiver) = sender_and_receiver();
    receiver.does("hold mine tank/t/d@one");
    sender.does("destroy -r src/t/d");
    snapshot_all(&sender, "three");
    let package = sender.sends("-R -I @two src/t@three");
    let output = receiver.receive("-v -F tank/t", &package).output;
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
    receiver.is_sound();
}

#[test]
fn what_was_renamed_here_is_found_again() {
    let (sender, receiver) = sender_and_receiver();
    receiver.does("rename tank/t/a tank/t/mine");
    snapshot_all(&sender, "three");
    let package = sender.sends("-R -I @two src/t@three");
    let said = receiver.receive("-v tank/t", &package).succeeds();
    assert!(
        said.contains("attempting rename tank/t/mine to tank/t/a\nsuccess\n"),
        "{said}"
    );
    assert_eq!(tree(receiver.folder(), "tank/t"), tree(sender.folder(), "src/t"));
}

/// The token with which something below a dataset goes on, if there is one.
fn token_below(bench: &Bench, top: &str) -> Option<String> {
    if !bench.names().iter().any(|name| name == top) {
        return None;
    }
    let said = bench.does(&format!(
        "get -Hr -t filesystem,volume -o value receive_resume_token {top}"
    ));
    said.lines().find(|line| *line != "-").map(str::to_owned)
}

/// Receives what `send` makes of a token, or of none, as `arguments` have it: each time cut behind as many hundredths of
/// it as `cuts` say, then whole. Says how often there was a token to go on with.
fn receive_in_pieces(
    bench: &Bench,
    arguments: &str,
    top: &str,
    cuts: &[usize],
    send: &dyn Fn(Option<&str>) -> Vec<u8>,
) -> usize {
    let (mut token, mut resumed) = (None, 0);
    for hundredths in cuts {
        let stream = send(token.as_deref());
        let cut = stream.get(..stream.len() * hundredths / 100).unwrap();
        bench.receive(&format!("-s {arguments}"), cut).fails();
        token = token_below(bench, top);
        resumed += usize::from(token.is_some());
    }
    let said = bench.receive(&format!("-s {arguments}"), &send(token.as_deref()));
    said.succeeds();
    resumed
}

/// The arguments of a send that goes on with `package`.
fn going_on(package: &str, token: Option<&str>) -> String {
    token.map_or_else(|| package.to_owned(), |token| format!("-t {token} {package}"))
}

/// All that is to be the same below two datasets: snapshots and origins, properties, holds, and what snapshots hold.
fn everything(bench: &Bench, top: &str) -> Vec<String> {
    let mut found = tree(bench.folder(), top);
    found.extend(
        get(bench, "all", top)
            .into_iter()
            .filter(|line| line.contains(" received")),
    );
    for name in bench
        .names()
        .iter()
        .filter(|name| name.starts_with(top) && name.contains('@'))
    {
        found.push(sha256(&bench.sends(&format!("-Lec {name}"))));
        let holds = bench.does(&["holds", "-H", name]);
        found.extend(
            holds
                .lines()
                .filter_map(|line| Some(line.rsplit_once('\t')?.0.to_owned())),
        );
    }
    found.sort();
    found
}

#[test]
fn a_package_that_is_cut_goes_on_with_the_rest_of_it() {
    let package = "-R -h fleet/ship@port";
    let whole = Bench::new();
    whole.receive("tank/ship", &sent(package)).succeeds();
    let expected = everything(&whole, "tank/ship");
    let mut resumed = 0;
    for cuts in [
        &[1][..],
        &[10, 20, 30],
        &[35, 60, 5],
        &[50, 97],
        &[80, 99, 99],
        &[99],
    ] {
        let bench = Bench::new();
        let send = |token: Option<&str>| sent(&going_on(package, token));
        resumed += receive_in_pieces(&bench, "tank/ship", "tank/ship", cuts, &send);
        assert_eq!(everything(&bench, "tank/ship"), expected, "{cuts:?}");
        bench.is_sound();
    }
    assert!(resumed > 6, "{resumed}");
}

#[test]
fn an_incremental_package_that_is_cut_goes_on_with_the_rest_of_it() {
    let make = || {
        let (sender, receiver) = sender_and_receiver();
        for act in [
            "rename src/t/a src/t/x",
            "promote src/t/clone",
            "destroy -r src/t/d",
        ] {
            sender.does(act);
        }
        sender
            .receive("src/t/log", &example_sends("harbour/log@monday"))
            .succeeds();
        sender
            .receive("src/t/new", &example_sends("harbour/photos@monday"))
            .succeeds();
        snapshot_all(&sender, "three");
        (sender, receiver)
    };
    let package = "-R -p -I @two src/t@three";
    let (sender, whole) = make();
    whole.receive("-F tank/t", &sender.sends(package)).succeeds();
    let expected = tree(sender.folder(), "src/t");
    assert_eq!(tree(whole.folder(), "tank/t"), expected);
    for cuts in [&[2, 50][..], &[30, 30, 30], &[60, 90], &[97]] {
        let (sender, bench) = make();
        let send = |token: Option<&str>| sender.sends(&going_on(package, token));
        receive_in_pieces(&bench, "-F tank/t", "tank/t", cuts, &send);
        assert_eq!(
            tree(bench.folder(), "tank/t"),
            tree(sender.folder(), "src/t"),
            "{cuts:?}"
        );
        assert_eq!(
            bench.sends("-Lec tank/t/new@monday"),
            whole.sends("-Lec tank/t/new@monday")
        );
        bench.is_sound();
    }
}

#[test]
fn a_token_goes_with_its_own_package_alone() {
    let bench = Bench::new();
    let package = "-R fleet/ship/bridge@later";
    let stream = sent(package);
    let said = bench
        .receive("-s tank/x", stream.get(..stream.len() - 5000).unwrap())
        .fails();
    let last = said.lines().last().unwrap();
    assert!(
        last.starts_with("The rest of the whole package is sent by zferry send"),
        "{said}"
    );
    let token = token_below(&bench, "tank/x").unwrap();
    let image = packages().unwrap().image("fleet");
    let refused = |arguments: &str| run(&image, &format!("send -t {token} {arguments}")).fails();
    assert_eq!(
        refused("-R fleet/gift@kept"),
        "cannot resume send: 'fleet/ship/bridge@later' is not among the streams of this package\n"
    );
    assert_eq!(
        refused("-R -i @launch fleet/ship/bridge@later"),
        "cannot resume send: the stream of 'fleet/ship/bridge@later' in this package has another source than the one \
         that was interrupted\n"
    );
    let rest = sent(&going_on(package, Some(&token)));
    let file = bench.path("rest.zsend");
    std::fs::write(&file, &rest).unwrap();
    bench.does(&format!("stream verify {}", file.display()));
    bench.receive("-s tank/x", &rest).succeeds();
    assert!(bench.names().contains(&"tank/x@later".to_owned()));
}

#[test]
fn names_are_mapped_as_for_single_streams() {
    let stream = sent("-R fleet/ship/bridge@later");
    let bench = Bench::new();
    bench.receive("-d tank", &stream).succeeds();
    bench.receive("-e tank", &stream).succeeds();
    let names = bench.names();
    assert!(names.contains(&"tank/ship/bridge@later".to_owned()));
    assert!(names.contains(&"tank/bridge@later".to_owned()));
    let error = bench.receive("-n -v tank/x", &stream).fails();
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
        Record::Begin(begin) => Some(*begin),
        _ => None,
    };
    let (list, _) = NvList::decode(first.payload, &Limits::default()).unwrap();
    let list = list.encode(encoding, endian);
    let begin = Record::Begin(Box::new(Begin {
        payload_length: u32::try_from(list.len()).unwrap(),
        ..begin.unwrap()
    }));
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
    let bench = Bench::new();
    let package = sent("-R fleet/gift@kept");
    for (encoding, endian, name) in [
        (Encoding::Xdr, Endian::Big, "tank/xdr-big"),
        (Encoding::Native, Endian::Little, "tank/native-little"),
        (Encoding::Native, Endian::Big, "tank/native-big"),
    ] {
        let package = with_header(&package, encoding, endian);
        bench.receive(&[name], &package).succeeds();
        let quota = get(&bench, "quota", name);
        assert_eq!(quota[0], format!("{name} 9437184 9437184 received"));
        assert!(bench.names().contains(&format!("{name}/ribbon@kept")));
    }
}
