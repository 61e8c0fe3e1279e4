//! Streams that cannot be received, by what their records say; in the order of `receive_process_record` in
//! `module/zfs/dmu_recv.c`.

use anyhow::{Context, Result};
use zferry_wire::Endian;
use zferry_zstream::flags::{FeatureFlags, RecordFlags};
use zferry_zstream::record::{
    ChecksumType, CompressionType, EmbeddedType, Free, FreeObjects, Object, ObjectRange, ObjectType, Record,
    Spill, TO_END, Write, WriteByRef, WriteEmbedded,
};

use super::cases::{Case, Templates};
use super::made::{Made, object, write};

const TARGET: &str = "judge/new@a";
const BLOCK: [u8; 4096] = [7; 4096];

/// A stream with an object 1 of a block, and then this.
fn behind(what: &str, record: Record, payload: &[u8]) -> Result<Case> {
    let features =
        FeatureFlags::COMPRESSED | FeatureFlags::LZ4 | FeatureFlags::LARGE_DNODE | FeatureFlags::EMBED_DATA;
    let made = Made::new(features)?
        .record(Record::Object(object(1, 19)), &[])
        .record(Record::Write(write(1, 8192)), &BLOCK)
        .record(record, payload);
    Ok(Case::new(what, TARGET, made.end()))
}

/// All that fail at a record.
pub(super) fn cases(templates: &Templates) -> Result<Vec<Case>> {
    let mut cases = objects()?;
    cases.extend(writes()?);
    cases.extend(others()?);
    cases.extend(raw(templates)?);
    Ok(cases)
}

fn objects() -> Result<Vec<Case>> {
    let two = object(2, 19);
    let files = [
        (
            "OBJECT without a type",
            Object {
                object_type: ObjectType(0),
                ..two
            },
        ),
        (
            "OBJECT of an unknown type",
            Object {
                object_type: ObjectType(60),
                ..two
            },
        ),
        (
            "OBJECT with an unknown bonus type",
            Object {
                bonus_type: ObjectType(60),
                ..two
            },
        ),
        (
            "OBJECT with an unknown checksum",
            Object {
                checksum: ChecksumType(60),
                ..two
            },
        ),
        (
            "OBJECT with an unknown compression",
            Object {
                compression: CompressionType(60),
                ..two
            },
        ),
        ("OBJECT with blocks of no size", Object { block_size: 0, ..two }),
        (
            "OBJECT with blocks of a strange size",
            Object {
                block_size: 1000,
                ..two
            },
        ),
        (
            "OBJECT with blocks too large",
            Object {
                block_size: 32 << 20,
                ..two
            },
        ),
        (
            "OBJECT with too many slots",
            Object {
                dnode_slots: 33,
                ..two
            },
        ),
        (
            "OBJECT with unknown flags",
            Object {
                flags: RecordFlags::from_bits_retain(0x80),
                ..two
            },
        ),
        (
            "OBJECT with a raw bonus",
            Object {
                raw_bonus_length: 8,
                ..two
            },
        ),
        ("OBJECT with levels", Object { levels: 1, ..two }),
        (
            "OBJECT with block pointers",
            Object {
                block_pointers: 1,
                ..two
            },
        ),
        (
            "OBJECT with an indirect block's size",
            Object {
                indirect_block_shift: 17,
                ..two
            },
        ),
        (
            "OBJECT that is no number of one",
            Object {
                object: 1 << 48,
                ..two
            },
        ),
    ];
    let mut cases = Vec::new();
    for (what, file) in files {
        let payload: &[u8] = if file.raw_bonus_length == 0 { &[] } else { &[0; 8] };
        cases.push(behind(what, Record::Object(file), payload)?);
    }
    let large = Object {
        bonus_type: ObjectType(44),
        bonus_length: 20_000,
        ..two
    };
    cases.push(behind(
        "OBJECT with too large a bonus",
        Record::Object(large),
        &[1; 20_000],
    )?);
    Ok(cases)
}

fn writes() -> Result<Vec<Case>> {
    let compressed = Write {
        compression: CompressionType::LZ4,
        compressed_size: 1024,
        ..write(1, 12288)
    };
    let embedded = WriteEmbedded {
        object: 1,
        offset: 12288,
        length: 4096,
        to_guid: 0x7007,
        compression: CompressionType::LZ4,
        embedded_type: EmbeddedType(0),
        logical_size: 4096,
        physical_size: 40,
    };
    let by_ref = WriteByRef {
        object: 1,
        offset: 12288,
        length: 4096,
        ref_guid: 99,
        ref_object: 1,
        ..WriteByRef::default()
    };
    let far = Write {
        offset: u64::MAX - 4095,
        logical_size: 8192,
        ..write(1, 0)
    };
    let plain = [
        ("WRITE without its object", write(9, 0)),
        ("WRITE that goes back", write(1, 4096)),
        (
            "WRITE of an unknown type",
            Write {
                object_type: ObjectType(60),
                ..write(1, 12288)
            },
        ),
    ];
    let mut cases = Vec::new();
    for (what, write) in plain {
        cases.push(behind(what, Record::Write(write), &BLOCK)?);
    }
    cases.push(behind("WRITE past the end", Record::Write(far), &[7; 8192])?);
    let wide = Write {
        logical_size: 8192,
        ..compressed
    };
    cases.push(behind(
        "WRITE that does not uncompress",
        Record::Write(wide),
        &[0xff; 1024],
    )?);
    cases.push(behind(
        "WRITE_BYREF to what is not there",
        Record::WriteByRef(by_ref),
        &[],
    )?);
    for (what, embedded) in [
        (
            "WRITE_EMBEDDED past the end",
            WriteEmbedded {
                offset: u64::MAX - 100,
                ..embedded
            },
        ),
        (
            "WRITE_EMBEDDED too large",
            WriteEmbedded {
                physical_size: 120,
                ..embedded
            },
        ),
        (
            "WRITE_EMBEDDED of an unknown type",
            WriteEmbedded {
                embedded_type: EmbeddedType(9),
                ..embedded
            },
        ),
        (
            "WRITE_EMBEDDED, unknown compression",
            WriteEmbedded {
                compression: CompressionType(60),
                ..embedded
            },
        ),
    ] {
        let length = usize::try_from(embedded.physical_size)?;
        cases.push(behind(what, Record::WriteEmbedded(embedded), &vec![1; length])?);
    }
    Ok(cases)
}

fn others() -> Result<Vec<Case>> {
    let free = Free {
        object: 2,
        offset: 0,
        length: 512,
        to_guid: 0x7007,
    };
    let spill = Spill {
        object: 2,
        length: 512,
        object_type: ObjectType(44),
        to_guid: 0x7007,
        ..Spill::default()
    };
    let range = ObjectRange {
        first_object: 32,
        slot_count: 32,
        to_guid: 0x7007,
        ..ObjectRange::default()
    };
    let many = FreeObjects {
        first_object: u64::MAX,
        object_count: 2,
        to_guid: 0x7007,
    };
    let mut unknown = Record::Free(free).encode(Endian::Little);
    *unknown.first_mut().context("no byte")? = 77;
    let begun = Made::new(FeatureFlags::empty())?;
    Ok(vec![
        behind("FREE without its object", Record::Free(free), &[])?,
        behind(
            "FREE past the end",
            Record::Free(Free {
                object: 1,
                offset: 512,
                length: u64::MAX - 2,
                ..free
            }),
            &[],
        )?,
        behind(
            "FREE to the end, without its object",
            Record::Free(Free {
                length: TO_END,
                ..free
            }),
            &[],
        )?,
        behind("FREEOBJECTS past the end", Record::FreeObjects(many), &[])?,
        behind("SPILL without its object", Record::Spill(spill), &BLOCK[..512])?,
        behind(
            "SPILL too small",
            Record::Spill(Spill {
                object: 1,
                length: 256,
                ..spill
            }),
            &BLOCK[..256],
        )?,
        behind("OBJECT_RANGE in what is not raw", Record::ObjectRange(range), &[])?,
        Case::new("unknown record", TARGET, begun.bytes(&unknown, &[]).end()),
    ])
}

/// A raw stream, in which a record stands instead of those that were sent.
fn raw(templates: &Templates) -> Result<Vec<Case>> {
    let begun = templates.raw.clone().short(0).begun(|_| {})?;
    let range = ObjectRange {
        first_object: 0,
        slot_count: 32,
        ..ObjectRange::default()
    };
    let two = Object {
        indirect_block_shift: 17,
        levels: 1,
        block_pointers: 3,
        ..object(2, 19)
    };
    let ranges = [
        (
            "raw OBJECT_RANGE of another length",
            ObjectRange {
                slot_count: 31,
                ..range
            },
        ),
        (
            "raw OBJECT_RANGE at another place",
            ObjectRange {
                first_object: 5,
                ..range
            },
        ),
    ];
    let mut cases = Vec::new();
    for (what, range) in ranges {
        let made = begun.clone().record(Record::ObjectRange(range), &[]);
        cases.push(Case::new(what, TARGET, made.end()));
    }
    let outside = begun.clone().record(Record::Object(two), &[]);
    cases.push(Case::new("raw OBJECT outside of a range", TARGET, outside.end()));
    for (what, file) in [
        ("raw OBJECT outside of its range", Object { object: 40, ..two }),
        (
            "raw OBJECT with a short bonus",
            Object {
                bonus_type: ObjectType(44),
                bonus_length: 8,
                ..two
            },
        ),
        (
            "raw OBJECT with too large indirect blocks",
            Object {
                indirect_block_shift: 40,
                ..two
            },
        ),
        ("raw OBJECT with too many levels", Object { levels: 40, ..two }),
        (
            "raw OBJECT with too many pointers",
            Object {
                block_pointers: 4,
                ..two
            },
        ),
        (
            "raw OBJECT with too long a bonus",
            Object {
                bonus_type: ObjectType(44),
                bonus_length: 8,
                raw_bonus_length: 400,
                block_pointers: 1,
                ..two
            },
        ),
    ] {
        let length = usize::try_from(file.raw_bonus_length)?;
        let made = begun
            .clone()
            .record(Record::ObjectRange(range), &[])
            .record(Record::Object(file), &vec![1; length]);
        cases.push(Case::new(what, TARGET, made.end()));
    }
    let spill = Spill {
        object: 1,
        length: 512,
        object_type: ObjectType(60),
        compressed_size: 512,
        ..Spill::default()
    };
    let embedded = WriteEmbedded {
        object: 1,
        length: 4096,
        logical_size: 4096,
        physical_size: 40,
        ..WriteEmbedded::default()
    };
    for (what, record, payload) in [
        (
            "raw SPILL of an unknown type",
            Record::Spill(spill),
            &BLOCK[..512],
        ),
        (
            "raw SPILL of no size",
            Record::Spill(Spill {
                object_type: ObjectType(44),
                compressed_size: 0,
                ..spill
            }),
            &[],
        ),
        (
            "raw WRITE_EMBEDDED",
            Record::WriteEmbedded(embedded),
            &BLOCK[..40],
        ),
        (
            "raw WRITE without its object",
            Record::Write(Write {
                compressed_size: 4096,
                compression: CompressionType::OFF,
                ..write(9, 0)
            }),
            &BLOCK[..],
        ),
        (
            "raw FREE without its object",
            Record::Free(Free {
                object: 9,
                length: TO_END,
                ..Free::default()
            }),
            &[],
        ),
    ] {
        let made = begun
            .clone()
            .record(Record::ObjectRange(range), &[])
            .record(record, payload);
        cases.push(Case::new(what, TARGET, made.end()));
    }
    Ok(cases)
}
