//! Each record is written as it was read, in both byte orders, and has its fields where the format says.

use proptest::prelude::*;

use super::*;
use crate::flags::{BeginFlags, RecordFlags, VersionInfo};

fn endians() -> impl Strategy<Value = Endian> {
    prop_oneof![Just(Endian::Little), Just(Endian::Big)]
}

fn flags() -> impl Strategy<Value = RecordFlags> {
    any::<u8>().prop_map(RecordFlags::from_bits_retain)
}

fn checksums() -> impl Strategy<Value = Checksum> {
    any::<[u64; 4]>().prop_map(Checksum)
}

fn crypt() -> impl Strategy<Value = CryptParameters> {
    any::<([u8; 8], [u8; 12], [u8; 16])>().prop_map(|(salt, iv, mac)| CryptParameters { salt, iv, mac })
}

fn keys() -> impl Strategy<Value = DedupKey> {
    (checksums(), any::<u64>()).prop_map(|(checksum, properties)| DedupKey { checksum, properties })
}

prop_compose! {
    fn begins()(
        payload_length: u32,
        info: u64,
        creation_time: u64,
        objset_type: u32,
        flags: u32,
        to_guid: u64,
        from_guid: u64,
        name in "[a-z/@]{0,255}",
    ) -> Begin {
        Begin {
            payload_length,
            version_info: VersionInfo(info),
            creation_time,
            objset_type: ObjsetType(objset_type),
            flags: BeginFlags::from_bits_retain(flags),
            to_guid,
            from_guid,
            to_name: StreamName::new(&name).unwrap(),
        }
    }
}

prop_compose! {
    fn objects()(
        object: u64, types: [u32; 2], block_size: u32, bonus_length: u32, bytes: [u8; 6],
        flags in flags(), raw_bonus_length: u32, to_guid: u64, max_block_id: u64,
    ) -> Object {
        Object {
            object,
            object_type: ObjectType(types[0]),
            bonus_type: ObjectType(types[1]),
            block_size,
            bonus_length,
            checksum: ChecksumType(bytes[0]),
            compression: CompressionType(bytes[1]),
            dnode_slots: bytes[2],
            flags,
            raw_bonus_length,
            to_guid,
            indirect_block_shift: bytes[3],
            levels: bytes[4],
            block_pointers: bytes[5],
            max_block_id,
        }
    }
}

prop_compose! {
    fn writes()(
        object: u64, object_type: u32, offset: u64, logical_size: u64, to_guid: u64, bytes: [u8; 2],
        flags in flags(), key in keys(), compressed_size: u64, crypt in crypt(),
    ) -> Write {
        Write {
            object,
            object_type: ObjectType(object_type),
            offset,
            logical_size,
            to_guid,
            checksum: ChecksumType(bytes[0]),
            flags,
            compression: CompressionType(bytes[1]),
            key,
            compressed_size,
            crypt,
        }
    }
}

prop_compose! {
    fn references()(words: [u64; 7], checksum: u8, flags in flags(), key in keys()) -> WriteByRef {
        let [object, offset, length, to_guid, ref_guid, ref_object, ref_offset] = words;
        let checksum = ChecksumType(checksum);
        WriteByRef { object, offset, length, to_guid, ref_guid, ref_object, ref_offset, checksum, flags, key }
    }
}

prop_compose! {
    fn embedded()(words: [u64; 4], sizes: [u32; 2], bytes: [u8; 2]) -> WriteEmbedded {
        let [object, offset, length, to_guid] = words;
        WriteEmbedded {
            object,
            offset,
            length,
            to_guid,
            compression: CompressionType(bytes[0]),
            embedded_type: EmbeddedType(bytes[1]),
            logical_size: sizes[0],
            physical_size: sizes[1],
        }
    }
}

prop_compose! {
    fn spills()(words: [u64; 4], flags in flags(), compression: u8, crypt in crypt(), object_type: u32) -> Spill {
        let [object, length, to_guid, compressed_size] = words;
        Spill {
            object,
            length,
            to_guid,
            flags,
            compression: CompressionType(compression),
            compressed_size,
            crypt,
            object_type: ObjectType(object_type),
        }
    }
}

fn ranges() -> impl Strategy<Value = Record> {
    (any::<[u64; 4]>(), crypt(), flags(), 0..4).prop_map(|(words, crypt, flags, which)| {
        let [object, offset, length, to_guid] = words;
        match which {
            0 => Record::Free(Free {
                object,
                offset,
                length,
                to_guid,
            }),
            1 => Record::Redact(Redact {
                object,
                offset,
                length,
                to_guid,
            }),
            2 => Record::FreeObjects(FreeObjects {
                first_object: object,
                object_count: length,
                to_guid,
            }),
            _ => Record::ObjectRange(ObjectRange {
                first_object: object,
                slot_count: length,
                to_guid,
                crypt,
                flags,
            }),
        }
    })
}

/// Any record with any numbers in it.
fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        begins().prop_map(|begin| Record::Begin(Box::new(begin))),
        objects().prop_map(Record::Object),
        writes().prop_map(Record::Write),
        references().prop_map(Record::WriteByRef),
        embedded().prop_map(Record::WriteEmbedded),
        spills().prop_map(Record::Spill),
        ranges(),
        (checksums(), any::<u64>()).prop_map(|(checksum, to_guid)| Record::End(End { checksum, to_guid })),
    ]
}

proptest! {
    #[test]
    fn records_survive_either_order(record in records(), endian in endians()) {
        let header = record.encode(endian);
        prop_assert_eq!(RecordType::of(&header, endian), record.record_type());
        prop_assert_eq!(Record::decode(&header, endian), Ok(record.clone()));
        if let Record::Begin(_) = record {
            prop_assert_eq!(Begin::endian_of(&header), Some(endian));
        } else {
            prop_assert!(stored_checksum(&header, endian) == checksum::ZERO);
            prop_assert_eq!(Begin::endian_of(&header), None);
        }
    }

    #[test]
    fn any_header_of_a_known_type_decodes(mut header in proptest::array::uniform32(any::<[u8; 8]>()), kind in 0_u8..11) {
        header[0] = [kind, 0, 0, 0, 0, 0, 0, 0];
        let mut bytes = [0; RECORD_SIZE];
        bytes[..256].copy_from_slice(header.as_flattened());
        match Record::decode(&bytes, Endian::Little) {
            Ok(record) => { let _ = record.payload_length(); }
            Err(error) => prop_assert!(kind == 0, "{error}"),
        }
    }
}

#[test]
fn unknown_types_and_magics_are_named() {
    let mut header = [0; RECORD_SIZE];
    assert_eq!(
        Record::decode(&header, Endian::Big),
        Err(RecordError::BadMagic(0))
    );
    header[0] = 11;
    assert_eq!(
        Record::decode(&header, Endian::Little),
        Err(RecordError::UnknownType(11))
    );
    assert_eq!(RecordType(11).name(), "unknown");
}

/// Where fields lie, against `offsetof` in OpenZFS's header.
#[test]
fn fields_lie_where_openzfs_puts_them() {
    let crypt = CryptParameters {
        salt: [0xa5; 8],
        iv: [0x1f; 12],
        mac: [0x3c; 16],
    };
    let at = |record: Record, offset: usize| record.encode(Endian::Little)[offset];

    let write = Write {
        crypt,
        compressed_size: 0x11,
        logical_size: 0x22,
        offset: 0x33,
        ..Write::default()
    };
    let record = || Record::Write(write);
    assert_eq!(
        [at(record(), 24), at(record(), 32), at(record(), 96)],
        [0x33, 0x22, 0x11]
    );
    assert_eq!(
        [at(record(), 104), at(record(), 112), at(record(), 124)],
        [0xa5, 0x1f, 0x3c]
    );
    assert_eq!([at(record(), 139), at(record(), 140)], [0x3c, 0]);

    let spill = Spill {
        crypt,
        compressed_size: 0x11,
        object_type: ObjectType(0x44),
        ..Spill::default()
    };
    let record = || Record::Spill(spill);
    assert_eq!(
        [at(record(), 40), at(record(), 48), at(record(), 56)],
        [0x11, 0xa5, 0x1f]
    );
    assert_eq!([at(record(), 68), at(record(), 84)], [0x3c, 0x44]);

    let object = Object {
        raw_bonus_length: 0x11,
        levels: 0x22,
        max_block_id: 0x33,
        ..Object::default()
    };
    let record = || Record::Object(object);
    assert_eq!(
        [at(record(), 36), at(record(), 49), at(record(), 56)],
        [0x11, 0x22, 0x33]
    );

    let key = DedupKey {
        checksum: Checksum([0x11, 0, 0, 0]),
        properties: 0x22,
    };
    let reference = WriteByRef {
        key,
        checksum: ChecksumType(8),
        ..WriteByRef::default()
    };
    let record = || Record::WriteByRef(reference);
    assert_eq!(
        [at(record(), 64), at(record(), 72), at(record(), 104)],
        [8, 0x11, 0x22]
    );

    let embedded = WriteEmbedded {
        logical_size: 0x11,
        physical_size: 0x22,
        ..WriteEmbedded::default()
    };
    let record = || Record::WriteEmbedded(embedded);
    assert_eq!([at(record(), 48), at(record(), 52)], [0x11, 0x22]);

    let range = ObjectRange {
        crypt,
        flags: RecordFlags::RAW_BYTESWAP,
        ..ObjectRange::default()
    };
    assert_eq!(at(Record::ObjectRange(range), 68), 2);
}

#[test]
fn payloads_are_padded_where_zfs_pads_them() {
    let object = |bonus_length, raw_bonus_length| Object {
        bonus_length,
        raw_bonus_length,
        ..Object::default()
    };
    assert_eq!(object(0, 0).payload_length(), 0);
    assert_eq!(object(65, 0).payload_length(), 72);
    assert_eq!(object(65, 321).payload_length(), 321);
    assert_eq!(object(u32::MAX, 0).payload_length(), 1 << 32);

    let write = |compression, compressed_size| Write {
        compression: CompressionType(compression),
        logical_size: 4096,
        compressed_size,
        ..Write::default()
    };
    assert_eq!(write(0, 512).payload_length(), 4096);
    assert_eq!(write(2, 512).payload_length(), 512);

    let spill = |compressed_size| Spill {
        length: 1024,
        compressed_size,
        ..Spill::default()
    };
    assert_eq!(
        (spill(0).payload_length(), spill(512).payload_length()),
        (1024, 512)
    );

    let embedded = WriteEmbedded {
        physical_size: 49,
        ..WriteEmbedded::default()
    };
    assert_eq!(embedded.payload_length(), 56);
}

#[test]
fn names_end_at_a_zero_byte() {
    assert_eq!(StreamName::new("a@b").unwrap().to_string(), "a@b");
    assert_eq!(StreamName::new("a\0b"), Err(NameError::Nul));
    assert_eq!(StreamName::new(&"x".repeat(256)), Err(NameError::TooLong(256)));
    let full = StreamName::new(&"x".repeat(255)).unwrap();
    assert!(full.is_terminated());
    assert_eq!(full.as_bytes().len(), 255);
}
