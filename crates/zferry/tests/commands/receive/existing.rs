//! `zferry receive` into what exists: incremental streams, clones, `-F`, and what it says of targets that do not fit.

use crate::support::{Bench, example_sends};
use zferry_fixtures::example;

/// A pool with `tank/x`, received from a full stream of `harbour/log@monday`.
fn with_log() -> Bench {
    let bench = Bench::without_pool("tank");
    bench
        .creates("tank/x", &example_sends("harbour/log@monday"))
        .succeeds();
    bench
}

#[test]
fn increments_come_one_after_another_and_go_out_as_they_came() {
    let bench = with_log();
    for (from, to) in [("@monday", "tuesday"), ("@tuesday", "friday")] {
        let step = example_sends(&["-i", from, &format!("harbour/log@{to}")]);
        let said = bench.receive("-v tank/x", &step).succeeds();
        let first = format!("receiving incremental stream of harbour/log@{to} into tank/x@{to}");
        assert_eq!(said.lines().next(), Some(&*first));
        let again = bench.sends(&["-i", from, &format!("tank/x@{to}")]);
        assert_eq!(step.len(), again.len());
    }
    let whole = example_sends("harbour/log@friday");
    assert_eq!(whole.len(), bench.sends("tank/x@friday").len());
    assert_eq!(
        bench.names(),
        [
            "tank",
            "tank/x",
            "tank/x@monday",
            "tank/x@tuesday",
            "tank/x@friday"
        ]
    );
}

#[test]
fn snapshots_without_changes_are_no_obstacle() {
    let bench = with_log();
    bench.does("snapshot tank/x@mine");
    let step = example_sends("-i @monday harbour/log@tuesday");
    bench.receive("tank/x", &step).succeeds();
    let names = bench.names();
    assert_eq!(
        names,
        ["tank", "tank/x", "tank/x@monday", "tank/x@mine", "tank/x@tuesday"]
    );
}

#[test]
fn what_was_changed_stays_unless_it_is_forced_away() {
    let bench = with_log();
    let (tuesday, friday) = (
        example_sends("-i @monday harbour/log@tuesday"),
        example_sends("-i @monday harbour/log@friday"),
    );
    bench.receive("tank/x", &tuesday).succeeds();
    let error = bench.receive("tank/x", &friday).fails();
    assert_eq!(
        error,
        "cannot receive incremental stream: destination tank/x has been modified\nsince most recent snapshot\n"
    );
    bench.receive("-F tank/x", &friday).succeeds();
    assert_eq!(
        bench.names(),
        ["tank", "tank/x", "tank/x@monday", "tank/x@friday"]
    );
}

#[test]
fn what_does_not_fit_is_said_in_zfs_words() {
    let bench = with_log();
    let (step, skipped, full, clone) = (
        example_sends("-i @monday harbour/log@tuesday"),
        example_sends("-i @tuesday harbour/log@friday"),
        example_sends("harbour/chart@monday"),
        example_sends("-i harbour/log@monday harbour/draft@proof"),
    );
    let new = "cannot receive new filesystem stream:";
    for (arguments, stream, sentence) in [
        (
            "tank/x",
            &skipped,
            "cannot receive incremental stream: most recent snapshot of tank/x does not\nmatch incremental source\n"
                .to_owned(),
        ),
        (
            "tank/x@monday",
            &skipped,
            "cannot restore to tank/x@monday: destination already exists\n".to_owned(),
        ),
        (
            "tank/none",
            &step,
            "cannot receive incremental stream: destination 'tank/none' does not exist\n".to_owned(),
        ),
        (
            "tank/x",
            &full,
            format!("{new} destination 'tank/x' exists\nmust specify -F to overwrite it\n"),
        ),
        (
            "-F tank/x",
            &full,
            format!("{new} destination has snapshots (eg. tank/x@monday)\nmust destroy them to overwrite it\n"),
        ),
        (
            "-F tank",
            &full,
            format!("{new} destination tank is the root dataset\ncannot overwrite with a ZVOL\n"),
        ),
        (
            "-o origin=tank/x@none tank/c",
            &clone,
            "cannot receive: specified origin fs (tank/x@none) does not exist\n".to_owned(),
        ),
        (
            "-o origin=other/x@monday tank/c",
            &clone,
            format!("{new} operation crosses datasets or pools\n"),
        ),
        (
            "-o origin=tank/x@monday tank/x",
            &clone,
            format!("{new} destination 'tank/x' exists\nmust specify -F to overwrite it\n"),
        ),
    ] {
        let error = bench.receive(arguments, stream).fails();
        assert_eq!(error, sentence, "{arguments:?}");
    }
    assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
}

#[test]
fn a_clone_finds_its_origin() {
    let bench = with_log();
    let clone = example_sends("-i harbour/log@monday harbour/draft@proof");
    let said = bench.receive("-v tank/found", &clone).succeeds();
    assert_eq!(
        said.lines().next(),
        Some("found clone origin tank/x@monday"),
        "{said}"
    );
    let given = ["-o", "origin=tank/x@monday", "tank/given"];
    bench.receive(&given, &clone).succeeds();
    let got = bench.does("get -H -o value origin tank/found tank/given");
    assert_eq!(got, "tank/x@monday\ntank/x@monday\n");
    // A full stream can go over an origin, too.
    let full = example_sends("harbour/log@friday");
    bench
        .receive("-o origin=tank/x@monday tank/over", &full)
        .succeeds();
    assert_eq!(bench.sends("tank/over@friday").len(), full.len());
    let error = with_log().receive("-o origin=tank/x tank/c", &clone).fails();
    assert!(
        error.starts_with("cannot receive new filesystem stream: invalid backup stream\n"),
        "{error}"
    );
}

#[test]
fn a_forced_full_stream_takes_the_place_of_what_there_was() {
    let bench = with_log();
    bench.does("create tank/y");
    let full = example_sends("harbour/log@monday");
    bench.receive("-F -o compression=zstd tank/y", &full).succeeds();
    let names = ["tank", "tank/x", "tank/x@monday", "tank/y", "tank/y@monday"];
    assert_eq!(bench.names(), names);
    let got = bench.does("get -H -o value,source compression tank/y");
    assert_eq!(got, "zstd\tlocal\n");
    // It goes on from there.
    let step = example_sends("-i @monday harbour/log@tuesday");
    bench.receive("tank/y", &step).succeeds();
}

#[test]
fn what_is_known_is_read_and_left_alone() {
    let bench = with_log();
    let step = example_sends("-i @monday harbour/log@tuesday");
    bench.receive("tank/x", &step).succeeds();
    let said = bench.receive("-v tank/x", &step).succeeds();
    assert_eq!(
        said.lines().nth(1),
        Some("snap tank/x@tuesday already exists; ignoring")
    );
}

#[test]
fn a_renamed_target_is_found_by_what_it_has() {
    let bench = with_log();
    let step = example_sends("-i @monday harbour/log@tuesday");
    bench.receive("-d tank", &step).succeeds();
    assert_eq!(
        bench.names(),
        ["tank", "tank/x", "tank/x@monday", "tank/x@tuesday"]
    );
}

#[test]
fn an_increment_that_is_cut_or_damaged_leaves_the_target_as_it_was() {
    let bench = with_log();
    let step = example_sends("-i @monday harbour/log@tuesday");
    let before = bench.sends("tank/x@monday");
    let mut damaged = step.clone();
    damaged[4000] ^= 1;
    for stream in [&step[..step.len() - 700], &damaged] {
        bench.receive("tank/x", stream).fails();
        assert_eq!(bench.names(), ["tank", "tank/x", "tank/x@monday"]);
    }
    assert!(bench.image().exists() && bench.sends("tank/x@monday") == before);
    bench.receive("tank/x", &step).succeeds();
}

#[test]
fn what_users_have_is_kept_up_where_openzfs_counts_it() {
    let bench = Bench::without_pool("harbour");
    std::fs::copy(example().unwrap().image(), bench.image()).unwrap();
    let users = |bench: &Bench, dataset: &str| {
        let properties = "userused@0,userobjused@0,groupused@0,groupobjused@0,userused@1000,userobjused@1000";
        bench.get(properties, dataset)
    };
    bench.is_sound();
    for (dataset, from, to) in [
        ("log", "monday", "tuesday"),
        ("log", "tuesday", "friday"),
        ("photos", "monday", "tuesday"),
    ] {
        let step = example_sends(&format!("-Lec -i @{from} harbour/{dataset}@{to}"));
        let copy = format!("harbour/copy-{dataset}-{to}");
        // A clone begins with the tables of what OpenZFS counted.
        bench.does(&format!("clone harbour/{dataset}@{from} {copy}"));
        bench.does(&format!("promote {copy}"));
        let before = users(&bench, &copy);
        bench.receive(&["-F", &copy], &step).succeeds();
        bench.is_sound();
        assert_ne!(users(&bench, &copy), before, "{dataset}");
        bench.does(&format!("promote harbour/{dataset}"));
    }
}
