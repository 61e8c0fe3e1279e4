//! Losing power at any moment of a receive: the pool opens as it was before, or with all that was received.

use std::sync::Arc;

use zferry_wire::Endian;
use zferry_zpool::check::{CheckOptions, check};
use zferry_zpool::vdev::{SimulatedDisk, WritableDisk};
use zferry_zpool::{Environment, OpenOptions, PoolWriter};
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Record;

use crate::made::{Made, object, write};
use crate::support::Bench;

/// How many moments are tried, where `ZFERRY_CRASH_POINTS` does not say.
const POINTS: u64 = 40;

/// A stream of some blocks, each with another content.
fn stream() -> Vec<u8> {
    let mut made = Made::new(Endian::Little, FeatureFlags::empty());
    for number in 1..60_u8 {
        made = made.record(object(u64::from(number) * 32, 19, 44, 8), &[number; 8]);
        for block in 0..4 {
            let content: Vec<u8> = (0..4096_u32).map(|at| (at * 7 + block) as u8 ^ number).collect();
            let place = write(u64::from(number) * 32, 19, u64::from(block) * 4096);
            made = made.record(Record::Write(place), &content);
        }
    }
    made.end()
}

/// Opens a disk as after a loss of power, and holds it to what may be there.
fn opens(disk: SimulatedDisk, what: &str) -> bool {
    let disk = Arc::new(disk);
    let writable: Arc<dyn WritableDisk> = disk.clone();
    let writer = PoolWriter::open(vec![writable], &OpenOptions::default(), Environment::fixed(2, 2));
    let mut writer = writer.unwrap_or_else(|error| panic!("{what}: {error}"));
    writer.commit().unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut bench = Bench { disk, writer };
    let names = bench.names();
    let is_received = names == ["new", "new/x", "new/x@a"];
    assert!(is_received || names == ["new"], "{what}: {names:?}");
    sound(&bench, what);
    if !is_received {
        bench.receive(&stream()).unwrap();
        sound(&bench, what);
    }
    is_received
}

pub(crate) fn sound(bench: &Bench, what: &str) {
    let options = CheckOptions {
        data: true,
        ..CheckOptions::default()
    };
    let mut lines = Vec::new();
    let pool = bench.pool();
    let checked = check(&pool, &options, &mut lines);
    checked.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(lines, Vec::<String>::new(), "{what}");
}

#[test]
fn a_loss_of_power_leaves_the_pool_as_it_was() {
    let stream = stream();
    let mut whole = Bench::new();
    let before = whole.disk.operations();
    whole.receive(&stream).unwrap();
    let operations = whole.disk.operations() - before;
    let points = std::env::var("ZFERRY_CRASH_POINTS").ok();
    let points = points.and_then(|points| points.parse().ok()).unwrap_or(POINTS);
    let (mut as_it_was, mut received) = (0, 0);
    for point in 0..points {
        // Half of them among the last operations, where the commits are.
        let after = if point % 2 == 0 {
            operations * point / points
        } else {
            operations.saturating_sub(point / 2 % 40)
        };
        let mut bench = Bench::new();
        bench.disk.fail_after(after);
        let failed = bench.receive(&stream).is_err();
        assert_eq!(failed, after < operations, "after {after} of {operations}");
        let what = format!("power lost after {after} of {operations} operations, seed {point}");
        match opens(bench.disk.crash(point * 7919 + 1), &what) {
            true => received += 1,
            false => as_it_was += 1,
        }
    }
    assert!(as_it_was > received && received > 0, "{as_it_was} {received}");
}

/// The same stream, clock and source of numbers make the same pool.
#[test]
fn the_same_makes_the_same_pool() {
    let mut streams = vec![stream()];
    if let Some(corpus) = zferry_fixtures::corpus() {
        let named = ["basic-fs-c", "basic-fs-c-Lec", "basic-vol-a"];
        streams.extend(named.map(|name| std::fs::read(corpus.stream(name)).unwrap()));
    }
    for stream in streams {
        let [one, other] = [(); 2].map(|()| {
            let mut bench = Bench::new();
            bench.receive(&stream).unwrap();
            bench.disk.pages()
        });
        assert!(one == other);
    }
}
