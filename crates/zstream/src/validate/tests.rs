//! What each rule refuses, and what it lets pass.

use super::*;
use crate::flags::{HeaderType, VersionInfo};
use crate::record::{EmbeddedType, Free, FreeObjects, ObjsetType, Redact, StreamName};

fn rules(features: FeatureFlags) -> Rules {
    Rules::of(&Begin {
        payload_length: 0,
        version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
        creation_time: 0,
        objset_type: ObjsetType::ZFS,
        flags: BeginFlags::SPILL_BLOCK,
        to_guid: 1,
        from_guid: 0,
        to_name: StreamName::new("pool/fs@snap").unwrap(),
    })
}

fn plain(record: Record) -> Result<(), Invalid> {
    rules(FeatureFlags::empty()).check(&record)
}

const OBJECT: Object = Object {
    object: 1,
    object_type: ObjectType(19),
    bonus_type: ObjectType::SA,
    block_size: 512,
    bonus_length: 168,
    checksum: ChecksumType(0),
    compression: CompressionType(0),
    dnode_slots: 1,
    flags: RecordFlags::empty(),
    raw_bonus_length: 0,
    to_guid: 1,
    indirect_block_shift: 0,
    levels: 0,
    block_pointers: 0,
    max_block_id: 0,
};

fn write() -> Write {
    Write {
        object: 1,
        object_type: ObjectType(19),
        logical_size: 512,
        ..Write::default()
    }
}

#[test]
fn objects() {
    let object = |object| plain(Record::Object(object));
    assert_eq!(object(OBJECT), Ok(()));
    assert_eq!(
        object(Object {
            dnode_slots: 0,
            ..OBJECT
        }),
        Ok(())
    );
    assert_eq!(
        object(Object { object: 0, ..OBJECT }),
        Err(Invalid::ObjectNumber(0))
    );
    assert_eq!(
        object(Object {
            object: 1 << 48,
            ..OBJECT
        }),
        Err(Invalid::ObjectNumber(1 << 48))
    );
    assert_eq!(
        object(Object {
            object_type: ObjectType(0),
            ..OBJECT
        }),
        Err(Invalid::ObjectType(0))
    );
    assert_eq!(
        object(Object {
            object_type: ObjectType(54),
            ..OBJECT
        }),
        Err(Invalid::ObjectType(54))
    );
    assert_eq!(
        object(Object {
            object_type: ObjectType(0xc4),
            ..OBJECT
        }),
        Ok(())
    );
    assert_eq!(
        object(Object {
            object_type: ObjectType(0xca),
            ..OBJECT
        }),
        Err(Invalid::ObjectType(0xca))
    );
    assert_eq!(
        object(Object {
            block_size: 513,
            ..OBJECT
        }),
        Err(Invalid::BlockSize(513))
    );
    assert!(
        object(Object {
            block_size: 256 << 10,
            ..OBJECT
        })
        .is_err()
    );
    assert!(
        object(Object {
            bonus_length: 321,
            ..OBJECT
        })
        .is_err()
    );
    assert!(
        object(Object {
            dnode_slots: 2,
            ..OBJECT
        })
        .is_err()
    );
    assert!(
        object(Object {
            raw_bonus_length: 192,
            ..OBJECT
        })
        .is_err()
    );
    assert!(object(Object { levels: 1, ..OBJECT }).is_err());
    assert_eq!(
        object(Object {
            flags: RecordFlags::RAW_BYTESWAP,
            ..OBJECT
        }),
        Err(Invalid::Flags(2))
    );

    let large = rules(FeatureFlags::LARGE_BLOCKS | FeatureFlags::LARGE_DNODE);
    let object = Object {
        block_size: 16 << 20,
        dnode_slots: 32,
        bonus_length: 16192,
        ..OBJECT
    };
    assert_eq!(large.check(&Record::Object(object)), Ok(()));
    let object = Object {
        dnode_slots: 33,
        ..OBJECT
    };
    assert!(large.check(&Record::Object(object)).is_err());
}

#[test]
fn raw_objects() {
    let raw = rules(FeatureFlags::RAW);
    let object = Object {
        raw_bonus_length: 320,
        levels: 6,
        block_pointers: 3,
        ..OBJECT
    };
    assert_eq!(raw.check(&Record::Object(object)), Ok(()));
    for wrong in [
        Object {
            raw_bonus_length: 64,
            ..object
        },
        Object {
            raw_bonus_length: 384,
            ..object
        },
        Object { levels: 13, ..object },
        Object {
            block_pointers: 4,
            ..object
        },
    ] {
        assert!(raw.check(&Record::Object(wrong)).is_err(), "{wrong:?}");
    }
    let range = ObjectRange {
        first_object: 64,
        slot_count: 32,
        ..ObjectRange::default()
    };
    assert_eq!(raw.check(&Record::ObjectRange(range)), Ok(()));
    assert!(plain(Record::ObjectRange(range)).is_err());
    assert!(
        raw.check(&Record::ObjectRange(ObjectRange {
            first_object: 65,
            ..range
        }))
        .is_err()
    );
    assert!(
        raw.check(&Record::ObjectRange(ObjectRange {
            slot_count: 31,
            ..range
        }))
        .is_err()
    );
    assert!(
        raw.check(&Record::WriteEmbedded(WriteEmbedded::default()))
            .is_err()
    );
}

#[test]
fn writes() {
    let compressed = Write {
        compression: CompressionType::LZ4,
        compressed_size: 512,
        ..write()
    };
    assert_eq!(plain(Record::Write(write())), Ok(()));
    assert!(plain(Record::Write(compressed)).is_err());
    let rules = rules(FeatureFlags::COMPRESSED);
    assert_eq!(rules.check(&Record::Write(compressed)), Ok(()));
    for wrong in [
        Write {
            compressed_size: 0,
            ..compressed
        },
        Write {
            compressed_size: 513,
            ..compressed
        },
        Write {
            compressed_size: 512,
            ..write()
        },
        Write {
            logical_size: 256,
            ..write()
        },
        Write {
            logical_size: 32 << 20,
            ..write()
        },
        Write {
            offset: u64::MAX - 511,
            ..write()
        },
        Write {
            compression: CompressionType(17),
            ..compressed
        },
        Write {
            checksum: ChecksumType(15),
            ..write()
        },
    ] {
        assert!(rules.check(&Record::Write(wrong)).is_err(), "{wrong:?}");
    }
}

#[test]
fn embedded_and_referenced_writes() {
    let embedded = WriteEmbedded {
        object: 1,
        length: 256 << 10,
        logical_size: 512,
        physical_size: 112,
        compression: CompressionType(3),
        ..WriteEmbedded::default()
    };
    let embed = rules(FeatureFlags::EMBED_DATA);
    assert_eq!(embed.check(&Record::WriteEmbedded(embedded)), Ok(()));
    assert!(plain(Record::WriteEmbedded(embedded)).is_err());
    for wrong in [
        WriteEmbedded {
            physical_size: 113,
            ..embedded
        },
        WriteEmbedded {
            logical_size: 111,
            ..embedded
        },
        WriteEmbedded {
            logical_size: 1 << 20,
            ..embedded
        },
        WriteEmbedded {
            embedded_type: EmbeddedType(3),
            ..embedded
        },
    ] {
        assert!(embed.check(&Record::WriteEmbedded(wrong)).is_err(), "{wrong:?}");
    }

    let reference = WriteByRef {
        object: 1,
        ref_object: 1,
        length: 512,
        ..WriteByRef::default()
    };
    assert_eq!(
        rules(FeatureFlags::DEDUP).check(&Record::WriteByRef(reference)),
        Ok(())
    );
    assert!(plain(Record::WriteByRef(reference)).is_err());
}

#[test]
fn ranges_and_spills() {
    let free = Free {
        object: 1,
        offset: 512,
        length: TO_END,
        to_guid: 1,
    };
    assert_eq!(plain(Record::Free(free)), Ok(()));
    assert!(
        plain(Record::Free(Free {
            length: u64::MAX - 1,
            ..free
        }))
        .is_err()
    );
    let objects = FreeObjects {
        first_object: 0,
        object_count: u64::MAX,
        to_guid: 1,
    };
    assert_eq!(plain(Record::FreeObjects(objects)), Ok(()));
    assert!(
        plain(Record::FreeObjects(FreeObjects {
            first_object: 1,
            ..objects
        }))
        .is_err()
    );
    let redact = Redact {
        object: 1,
        offset: 0,
        length: 512,
        to_guid: 1,
    };
    assert!(plain(Record::Redact(redact)).is_err());
    assert_eq!(
        rules(FeatureFlags::REDACTED).check(&Record::Redact(redact)),
        Ok(())
    );

    let spill = Spill {
        object: 1,
        length: 512,
        ..Spill::default()
    };
    assert_eq!(plain(Record::Spill(spill)), Ok(()));
    assert!(
        plain(Record::Spill(Spill {
            compressed_size: 512,
            ..spill
        }))
        .is_err()
    );
    assert!(rules(FeatureFlags::RAW).check(&Record::Spill(spill)).is_err());
}
