//! Streams made here, record by record, in any byte order.

use zferry_wire::Endian;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::record::{
    Begin, CompressionType, End, Object, ObjectType, ObjsetType, Record, StreamName, TO_END, Write,
};
use zferry_zstream::writer::Fletcher4;

use crate::contents::contents;
use crate::support::Bench;

/// A stream in the making. Like those of the first releases, it has no checksum but that of END.
pub(crate) struct Made {
    bytes: Vec<u8>,
    sum: Fletcher4,
    endian: Endian,
}

impl Made {
    /// A full stream of `tank/fs@a`.
    pub(crate) fn new(endian: Endian, features: FeatureFlags) -> Self {
        Self::with(
            endian,
            Begin {
                payload_length: 0,
                version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
                creation_time: 1_000_000,
                // Of no kind whose objects anybody looks into.
                objset_type: ObjsetType::OTHER,
                flags: BeginFlags::FREERECORDS,
                to_guid: 7,
                from_guid: 0,
                to_name: StreamName::new("tank/fs@a").unwrap(),
            },
        )
    }

    /// A stream with this BEGIN.
    pub(crate) fn with(endian: Endian, begin: Begin) -> Self {
        Self::with_list(endian, begin, &[])
    }

    /// A stream with this BEGIN, and a list behind it.
    pub(crate) fn with_list(endian: Endian, begin: Begin, list: &[u8]) -> Self {
        let made = Self {
            bytes: Vec::new(),
            sum: Fletcher4::new(endian),
            endian,
        };
        made.record(Record::Begin(Box::new(begin)), list)
    }

    pub(crate) fn record(mut self, record: Record, payload: &[u8]) -> Self {
        for bytes in [&record.encode(self.endian)[..], payload] {
            self.sum.update(bytes);
            self.bytes.extend_from_slice(bytes);
        }
        self
    }

    /// Ends the stream.
    pub(crate) fn end(mut self) -> Vec<u8> {
        let mut header = Record::End(End::default()).encode(self.endian);
        for (word, to) in self
            .sum
            .checksum()
            .0
            .into_iter()
            .zip(header[8..].chunks_exact_mut(8))
        {
            to.copy_from_slice(&self.endian.bytes_u64(word));
        }
        self.bytes.extend_from_slice(&header);
        self.bytes
    }
}

/// An object of a type, with blocks of 4 KiB.
pub(crate) fn object(number: u64, object_type: u32, bonus_type: u32, bonus_length: u32) -> Record {
    Record::Object(Object {
        object: number,
        object_type: ObjectType(object_type),
        bonus_type: ObjectType(bonus_type),
        bonus_length,
        block_size: 4096,
        ..Object::default()
    })
}

/// A WRITE of 4 KiB.
pub(crate) fn write(object: u64, object_type: u32, offset: u64) -> Write {
    Write {
        object,
        object_type: ObjectType(object_type),
        offset,
        logical_size: 4096,
        ..Write::default()
    }
}

fn numbers(endian: Endian, seed: u64, count: u64) -> Vec<u8> {
    (0..count)
        .flat_map(|number| endian.bytes_u64(number * 0x0102_0304_0506 + seed))
        .collect()
}

#[test]
fn the_other_byte_order_is_turned_round_by_type() {
    let endian = Endian::Big;
    let stream = Made::new(endian, FeatureFlags::COMPRESSED)
        // Numbers of 64 bits, with a bonus buffer of such.
        .record(object(1, 2, 4, 8), &numbers(endian, 5, 1))
        .record(object(2, 19, 0, 0), &[])
        .record(Record::Write(write(1, 2, 0)), &numbers(endian, 3, 512))
        .record(Record::Write(write(2, 19, 8192)), &numbers(endian, 9, 512))
        .end();
    let mut bench = Bench::new();
    bench.receive(&stream).unwrap();
    let came = contents(&bench.send("new/x@a", zferry_replicate::send::SendOptions::default()));
    let ours = Endian::Little;
    assert_eq!(came[&1].bonus, numbers(ours, 5, 1));
    assert_eq!(came[&1].sectors[&0], numbers(ours, 3, 512)[..512]);
    // What a file holds is bytes in any order.
    assert_eq!(came[&2].sectors[&8192], numbers(endian, 9, 512)[..512]);
    assert_eq!(came[&2].sectors.len(), 8);
}

#[test]
fn blocks_of_another_size_than_their_objects_are_written_where_they_belong() {
    let large = Write {
        logical_size: 16 << 10,
        ..write(1, 19, 4096)
    };
    let compressed = Write {
        logical_size: 8 << 10,
        compression: CompressionType::OFF,
        compressed_size: 8 << 10,
        ..write(1, 19, 32 << 10)
    };
    let stream = Made::new(Endian::Little, FeatureFlags::COMPRESSED)
        .record(object(1, 19, 0, 0), &[])
        .record(Record::Write(large), &numbers(Endian::Little, 1, 2048))
        .record(Record::Write(compressed), &numbers(Endian::Little, 2, 1024))
        .end();
    let mut bench = Bench::new();
    bench.receive(&stream).unwrap();
    let came = contents(&bench.send("new/x@a", zferry_replicate::send::SendOptions::default()));
    let bytes: Vec<u8> = came[&1]
        .sectors
        .range(4096..20 << 10)
        .flat_map(|(_, sector)| sector.clone())
        .collect();
    assert!(bytes == numbers(Endian::Little, 1, 2048));
    let bytes: Vec<u8> = came[&1]
        .sectors
        .range(32 << 10..)
        .flat_map(|(_, sector)| sector.clone())
        .collect();
    assert!(bytes == numbers(Endian::Little, 2, 1024));
}

#[test]
fn what_a_stream_replaces_or_frees_is_gone() {
    let free = |object, offset, length| {
        Record::Free(zferry_zstream::record::Free {
            object,
            offset,
            length,
            to_guid: 7,
        })
    };
    let content = numbers(Endian::Little, 1, 512);
    let stream = Made::new(Endian::Little, FeatureFlags::LARGE_DNODE)
        .record(object(1, 19, 0, 0), &[])
        .record(object(2, 19, 0, 0), &[])
        .record(object(3, 19, 0, 0), &[])
        .record(Record::Write(write(1, 19, 0)), &content)
        .record(Record::Write(write(1, 19, 4096)), &content)
        .record(Record::Write(write(2, 19, 0)), &content)
        .record(Record::Write(write(3, 19, 0)), &content)
        .record(free(1, 4096, TO_END), &[])
        // A dnode of two slots takes the place of two objects.
        .record(
            Record::Object(Object {
                object: 2,
                object_type: ObjectType(20),
                block_size: 1024,
                dnode_slots: 2,
                ..Object::default()
            }),
            &[],
        )
        .end();
    let mut bench = Bench::new();
    bench.receive(&stream).unwrap();
    let came = contents(&bench.send("new/x@a", zferry_replicate::send::SendOptions::default()));
    assert_eq!(came.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(came[&1].sectors.len(), 8);
    assert_eq!((came[&2].object.block_size, came[&2].sectors.len()), (1024, 0));
}
