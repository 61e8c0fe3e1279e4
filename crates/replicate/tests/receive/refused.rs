//! Streams that cannot be received: each gives OpenZFS's errno, and leaves the pool as it was.

use zferry_replicate::receive::Errno;
use zferry_wire::Endian;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::record::{
    Begin, CompressionType, Free, ObjsetType, Record, Spill, StreamName, Write, WriteByRef,
};

use crate::made::{Made, object, write};
use crate::support::Bench;

fn made() -> Made {
    Made::new(
        Endian::Little,
        FeatureFlags::COMPRESSED | FeatureFlags::DEDUP | FeatureFlags::LZ4,
    )
    .record(object(1, 19, 0, 0), &[])
}

/// Receives what cannot be received, and holds the pool to what it was.
fn refused(stream: &[u8]) -> Errno {
    let mut bench = Bench::new();
    let parents = ["new/a".to_owned(), "new/a/b".to_owned()];
    let error = bench.receive_below(stream, &parents).unwrap_err();
    assert_eq!(bench.names(), ["new"], "{error}");
    // The pool is still good for another.
    bench.receive(&made().end()).unwrap();
    assert_eq!(bench.names(), ["new", "new/x", "new/x@a"], "{error}");
    error.errno()
}

#[test]
fn records_must_fit_the_objects_that_are_there() {
    let block = [7; 4096];
    let free = Record::Free(Free {
        object: 2,
        offset: 0,
        length: 512,
        to_guid: 7,
    });
    let spill = Record::Spill(Spill {
        object: 2,
        length: 512,
        ..Spill::default()
    });
    let damaged = Record::Write(Write {
        compression: CompressionType::LZ4,
        compressed_size: 1024,
        logical_size: 8192,
        ..write(1, 19, 0)
    });
    let unknown = Record::WriteByRef(WriteByRef {
        object: 1,
        length: 4096,
        ref_guid: 99,
        ref_object: 1,
        ..WriteByRef::default()
    });
    for (what, record, payload, errno) in [
        (
            "WRITE without its object",
            Record::Write(write(2, 19, 0)),
            &block[..],
            Errno::EINVAL,
        ),
        ("FREE without its object", free, &[][..], Errno::EINVAL),
        ("SPILL without its object", spill, &block[..512], Errno::EINVAL),
        (
            "content that does not uncompress",
            damaged,
            &block[..1024],
            Errno::EPERM,
        ),
        ("reference to another snapshot", unknown, &[][..], Errno::EINVAL),
        (
            "object without a type",
            object(2, 0, 0, 0),
            &[][..],
            Errno::EINVAL,
        ),
        (
            "object with blocks of no size",
            object(2, 99, 0, 0),
            &[][..],
            Errno::EINVAL,
        ),
    ] {
        let stream = made()
            .record(Record::Write(write(1, 19, 0)), &block)
            .record(record, payload);
        assert_eq!(refused(&stream.end()), errno, "{what}");
    }
}

#[test]
fn a_stream_that_is_cut_or_damaged_leaves_no_trace() {
    let stream = made().record(Record::Write(write(1, 19, 0)), &[7; 4096]).end();
    for end in [313, 624, 900, 1000, stream.len() - 312, stream.len() - 1] {
        assert_eq!(
            refused(&stream[..end]),
            Errno::ZFS_ERR_STREAM_TRUNCATED,
            "cut at {end}"
        );
    }
    let mut damaged = stream;
    damaged[1000] ^= 1;
    assert_eq!(refused(&damaged), Errno::ECKSUM);
}

#[test]
fn begin_is_checked_against_the_pool() {
    let begin = |features, flags, from_guid, objset_type| Begin {
        payload_length: 0,
        version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
        creation_time: 1,
        objset_type: ObjsetType(objset_type),
        flags,
        to_guid: 7,
        from_guid,
        to_name: StreamName::new("tank/fs@a").unwrap(),
    };
    let none = FeatureFlags::empty();
    let flags = BeginFlags::FREERECORDS;
    for (what, begin, errno) in [
        ("no type", begin(none, flags, 0, 9), Errno::EINVAL),
        (
            "unknown feature",
            begin(FeatureFlags::from_bits_retain(1 << 45), flags, 0, 2),
            Errno::ZFS_ERR_UNKNOWN_SEND_STREAM_FEATURE,
        ),
    ] {
        assert_eq!(refused(&Made::with(Endian::Little, begin).end()), errno, "{what}");
    }
}

#[test]
fn a_name_is_given_once() {
    let mut bench = Bench::new();
    bench.receive(&made().end()).unwrap();
    let error = bench.receive(&made().end()).unwrap_err();
    assert_eq!(error.errno(), Errno::EEXIST);
    assert_eq!(bench.names(), ["new", "new/x", "new/x@a"]);
}

#[test]
fn a_fault_behind_much_that_was_committed_leaves_no_trace() {
    let mut stream = made();
    // An object in each block of dnodes, so that much metadata changes.
    for number in 1..8_000 {
        stream = stream.record(object(number * 32, 19, 44, 8), &[1; 8]);
    }
    let stream = stream.record(Record::Write(write(5, 19, 0)), &[0; 4096]);
    assert_eq!(refused(&stream.end()), Errno::EINVAL);
}
