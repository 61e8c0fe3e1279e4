//! `zferry receive` where quotas, and what is reserved for others, leave no room.

use crate::support::{Bench, example_sends};
use insta::assert_snapshot;

#[test]
fn a_quota_above_the_target_keeps_out_what_is_too_large() {
    let bench = Bench::new();
    bench.does("create -p tank/house/room");
    let photos = example_sends("harbour/photos@monday");
    bench.does("set quota=100K tank/house");
    let said = bench.receive("tank/house/room/x", &photos).fails();
    assert_snapshot!(said, @r"
    cannot receive new filesystem stream: destination tank/house/room/x space quota exceeded.
    the quota of tank/house is used up
    ");
    assert_eq!(bench.names(), ["tank", "tank/house", "tank/house/room"]);
    // What came is kept where that is asked for, and goes on when there is room.
    bench.receive("-s tank/house/room/x", &photos).fails();
    let token = bench.get("receive_resume_token", "tank/house/room/x");
    bench.does("set quota=none tank/house");
    let rest = example_sends(&["-t", &token]);
    bench.receive("-s tank/house/room/x", &rest).succeeds();
    // What is reserved below is counted already, and so are changes of what is there.
    bench.does("set quota=1G tank/house");
    bench.does("set reservation=20M tank/house/room");
    bench.does("set quota=10M tank");
    bench
        .receive("tank/house/room/log", &example_sends("harbour/log@monday"))
        .succeeds();
    let change = example_sends("-i @monday harbour/log@tuesday");
    bench.receive("tank/house/room/log", &change).succeeds();
    let said = bench
        .receive("tank/log", &example_sends("harbour/log@monday"))
        .fails();
    assert!(said.contains("the quota of tank is used up"), "{said}");
    bench.is_sound();
}

#[test]
fn what_is_reserved_for_others_is_no_room() {
    let bench = Bench::new();
    bench.does("create tank/mine");
    let available = bench.get("available", "tank").parse::<u64>().unwrap();
    bench.does(&format!("set reservation={} tank/mine", available - 100_000));
    let photos = example_sends("harbour/photos@monday");
    let said = bench.receive("tank/x", &photos).fails();
    assert_snapshot!(said, @r"
    cannot receive new filesystem stream: out of space
    the pool is full, but for what is reserved or kept back
    ");
    bench.receive("tank/mine/x", &photos).succeeds();
    bench.is_sound();
}
