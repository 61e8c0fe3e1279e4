//! Streams that change what is there: what becomes of each object, and that a cut anywhere leaves the target as it was, or
//! as it was to become.

use std::sync::Arc;

use zferry_replicate::receive::Errno;
use zferry_replicate::send::SendOptions;
use zferry_wire::Endian;
use zferry_zpool::vdev::{SimulatedDisk, WritableDisk};
use zferry_zpool::{Environment, OpenOptions, PoolWriter};
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, RecordFlags, VersionInfo};
use zferry_zstream::record::{
    Begin, Free, FreeObjects, Object, ObjsetType, Record, Spill, StreamName, TO_END, Write,
};

use crate::contents::{Contents, contents};
use crate::made::{Made, object, write};
use crate::support::Bench;

const FILE: u32 = 19;
const ATTRIBUTES: u32 = 44;

/// A stream of the snapshot `name` with the guid `to`.
fn stream(name: &str, from_guid: u64, to_guid: u64) -> Made {
    Made::with(
        Endian::Little,
        Begin {
            payload_length: 0,
            version_info: VersionInfo::new(
                HeaderType::SUBSTREAM,
                FeatureFlags::LARGE_BLOCKS | FeatureFlags::LARGE_DNODE,
            ),
            creation_time: 1_000_000,
            objset_type: ObjsetType::OTHER,
            flags: BeginFlags::FREERECORDS | BeginFlags::SPILL_BLOCK,
            to_guid,
            from_guid,
            to_name: StreamName::new(&format!("tank/fs@{name}")).unwrap(),
        },
    )
}

/// System attributes with the generation of a file.
fn attributes(generation: u8) -> Vec<u8> {
    // Magic, and a header of 8 bytes; the generation is 16 bytes behind it.
    let header = [0x5a, 0x50, 0x2f, 0, 0, 1 << 2, 0, 0];
    [&header[..], &[0; 16], &[generation], &[0; 15]].concat()
}

fn file(number: u64, block_size: u32, slots: u8) -> Record {
    match object(number, FILE, ATTRIBUTES, 40) {
        Record::Object(object) => Record::Object(Object {
            block_size,
            dnode_slots: slots,
            ..object
        }),
        other => other,
    }
}

fn block(number: u64, offset: u64, logical_size: u64) -> Record {
    Record::Write(Write {
        logical_size,
        ..write(number, FILE, offset)
    })
}

/// `new/x@a`: six files of three blocks each, and one of two slots.
fn base() -> Vec<u8> {
    let mut base = stream("a", 0, 7);
    for number in 1..=6 {
        base = base.record(file(number, 4096, 1), &attributes(1));
        for offset in [0, 4096, 8192] {
            base = base.record(block(number, offset, 4096), &[7; 4096]);
        }
    }
    base = base.record(file(10, 4096, 2), &attributes(1));
    base.record(block(10, 0, 4096), &[7; 4096]).end()
}

fn came(bench: &Bench, snapshot: &str) -> Contents {
    let options = SendOptions {
        large_blocks: true,
        ..SendOptions::default()
    };
    contents(&bench.send(snapshot, options))
}

#[test]
fn each_object_becomes_what_the_stream_says_and_the_rest_stays() {
    let mut bench = Bench::new();
    bench.receive(&base()).unwrap();
    let free = Free {
        object: 3,
        offset: 4096,
        length: 4096,
        to_guid: 8,
    };
    let gone = FreeObjects {
        first_object: 6,
        object_count: 1,
        to_guid: 8,
    };
    let spilled = |number| match file(number, 4096, 1) {
        Record::Object(object) => Record::Object(Object {
            flags: RecordFlags::OBJECT_SPILL,
            ..object
        }),
        other => other,
    };
    let spill = Record::Spill(Spill {
        object: 4,
        length: 512,
        object_type: zferry_zstream::record::ObjectType(ATTRIBUTES),
        ..Spill::default()
    });
    let step = stream("b", 7, 8)
        // The same file in larger blocks: it keeps the small ones, and what is not sent.
        .record(file(1, 16384, 1), &attributes(1))
        // Another file in its place.
        .record(file(2, 16384, 1), &attributes(2))
        .record(block(2, 0, 16384), &[8; 16384])
        // A hole in the middle.
        .record(Record::Free(free), &[])
        // A spill block.
        .record(spilled(4), &attributes(1))
        .record(spill, &[9; 512])
        // A file that grows into what was another's slot, and one that has one slot less.
        .record(file(5, 4096, 2), &attributes(3))
        .record(Record::FreeObjects(gone), &[])
        .record(file(10, 4096, 1), &attributes(4))
        .record(file(11, 4096, 1), &attributes(4))
        .end();
    bench.receive(&step).unwrap();
    assert_eq!(bench.names(), ["new", "new/x", "new/x@a", "new/x@b"]);
    let before = came(&bench, "new/x@a");
    let after = came(&bench, "new/x@b");
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 10, 11]);
    assert_eq!(after[&1].object.block_size, 4096);
    assert_eq!(after[&1].sectors, before[&1].sectors);
    assert_eq!(after[&2].object.block_size, 16384);
    assert_eq!(after[&2].sectors.len(), 32);
    assert!(after[&2].sectors.values().all(|sector| sector[0] == 8));
    assert_eq!(after[&3].sectors.len(), 16);
    assert_eq!((after[&4].spill.len(), after[&4].sectors.len()), (512, 24));
    for number in [5, 10, 11] {
        assert!(after[&number].sectors.is_empty(), "{number}");
    }
    assert_eq!(
        (after[&5].object.dnode_slots, after[&10].object.dnode_slots),
        (2, 1)
    );
    // The next one takes the spill block away and writes a large block into the file with small ones.
    let next = stream("c", 8, 9)
        .record(file(1, 16384, 1), &attributes(1))
        .record(block(1, 0, 16384), &[5; 16384])
        .record(file(4, 4096, 1), &attributes(1))
        .end();
    bench.receive(&next).unwrap();
    let last = came(&bench, "new/x@c");
    assert_eq!((last[&1].object.block_size, last[&1].sectors.len()), (4096, 32));
    assert!(last[&1].sectors.values().all(|sector| sector[0] == 5));
    assert!(last[&4].spill.is_empty());
    assert_eq!(came(&bench, "new/x@b"), after);
}

#[test]
fn a_file_does_not_get_smaller_blocks() {
    let mut bench = Bench::new();
    bench.receive(&base()).unwrap();
    let step = stream("b", 7, 8).record(file(1, 512, 1), &attributes(1)).end();
    assert_eq!(bench.receive(&step).unwrap_err().errno(), Errno::EINVAL);
    let unmarked = stream("b", 7, 8).record(file(1, 512, 1), &[9; 40]).end();
    assert_eq!(bench.receive(&unmarked).unwrap_err().errno(), Errno::EINVAL);
    assert_eq!(bench.names(), ["new", "new/x", "new/x@a"]);
}

#[test]
fn what_is_forced_takes_later_snapshots_away() {
    let mut bench = Bench::new();
    bench.receive(&base()).unwrap();
    let step = |name: &str, guid| stream(name, 7, guid).record(file(1, 4096, 1), &attributes(1));
    bench.receive(&step("b", 8).end()).unwrap();
    let other = step("c", 9).record(block(1, 0, 4096), &[1; 4096]).end();
    assert_eq!(bench.receive(&other).unwrap_err().errno(), Errno::ETXTBSY);
    bench
        .receive_with(&other, |request| request.is_forced = true)
        .unwrap();
    assert_eq!(bench.names(), ["new", "new/x", "new/x@a", "new/x@c"]);
    let full = stream("d", 0, 10).record(file(9, 4096, 1), &attributes(1)).end();
    assert_eq!(bench.receive(&full).unwrap_err().errno(), Errno::EEXIST);
    bench
        .receive_with(&full, |request| request.is_forced = true)
        .unwrap();
    assert_eq!(bench.names(), ["new", "new/x", "new/x@d"]);
    assert_eq!(came(&bench, "new/x@d").len(), 1);
}

#[test]
fn a_full_stream_over_an_origin_leaves_nothing_of_it() {
    let mut bench = Bench::new();
    bench.receive(&base()).unwrap();
    let full = stream("b", 0, 8)
        .record(file(2, 16384, 1), &attributes(1))
        .record(block(2, 0, 16384), &[3; 16384])
        .record(
            Record::FreeObjects(FreeObjects {
                first_object: 1,
                object_count: 1,
                to_guid: 8,
            }),
            &[],
        )
        .end();
    bench
        .receive_with(&full, |request| {
            "new/y".clone_into(&mut request.destination.dataset);
            request.origin = Some("new/x@a".to_owned());
        })
        .unwrap();
    let came = came(&bench, "new/y@b");
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), [2]);
    assert_eq!(came[&2].sectors.len(), 32);
}

/// Opens the pool on a disk for writing, as after a loss of power.
fn reopen(disk: SimulatedDisk) -> Bench {
    let disk = Arc::new(disk);
    let disks: Vec<Arc<dyn WritableDisk>> = vec![disk.clone()];
    let writer = PoolWriter::open(disks, &OpenOptions::default(), Environment::fixed(2, 2)).unwrap();
    Bench { disk, writer }
}

#[test]
fn a_cut_leaves_the_target_as_it_was_or_as_it_was_to_become() {
    let mut bench = Bench::new();
    bench.receive(&base()).unwrap();
    let mut step = stream("b", 7, 8);
    // An object in each block of dnodes, so that it commits on the way.
    for number in 1..5_000 {
        step = step.record(object(number * 32, FILE, ATTRIBUTES, 8), &[0; 8]);
    }
    let step = step.record(file(1, 4096, 1), &attributes(1));
    let free = Free {
        object: 1,
        offset: 0,
        length: TO_END,
        to_guid: 8,
    };
    let step = step.record(Record::Free(free), &[]).end();
    let before = came(&bench, "new/x@a");
    let names = bench.names();
    let start = bench.disk.crash(0);
    let mut whole = reopen(start.crash(0));
    let from = whole.disk.operations();
    whole.receive(&step).unwrap();
    let operations = whole.disk.operations() - from;
    let (mut old, mut new) = (0, 0);
    for cut in (0..operations).step_by(usize::try_from(operations / 6).unwrap().max(1)) {
        let mut bench = reopen(start.crash(0));
        bench.disk.fail_after(cut);
        bench.receive(&step).unwrap_err();
        let mut bench = reopen(bench.disk.crash(cut));
        bench.writer.commit().unwrap();
        if bench.names() == names {
            old += 1;
            bench.receive(&step).unwrap();
        } else {
            new += 1;
        }
        assert_eq!(bench.names(), ["new", "new/x", "new/x@a", "new/x@b"], "{cut}");
        assert_eq!(came(&bench, "new/x@a"), before, "{cut}");
        assert!(came(&bench, "new/x@b")[&1].sectors.is_empty(), "{cut}");
    }
    assert!(old > 4 && new < 3, "{old} and {new}");
}
