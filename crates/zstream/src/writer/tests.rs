//! A package ends as libzfs ends it, and a payload of the wrong length is refused.

use super::*;
use crate::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use crate::record::{ObjsetType, StreamName, WriteEmbedded, stored_checksum};

fn begin(header_type: HeaderType, payload_length: u32) -> Begin {
    Begin {
        payload_length,
        version_info: VersionInfo::new(header_type, FeatureFlags::empty()),
        creation_time: 0,
        objset_type: ObjsetType::ZFS,
        flags: BeginFlags::empty(),
        to_guid: 7,
        from_guid: 0,
        to_name: StreamName::new("pool/fs@snap").unwrap(),
    }
}

fn header(bytes: &[u8], index: usize) -> &Header {
    bytes[index * 312..].first_chunk().unwrap()
}

#[test]
fn a_package_ends_as_libzfs_ends_it() {
    for endian in [Endian::Little, Endian::Big] {
        let mut writer = StreamWriter::with_endian(Vec::new(), endian);
        writer.begin_package(begin(HeaderType::COMPOUND, 0), &[]).unwrap();
        writer.begin(begin(HeaderType::SUBSTREAM, 0), &[]).unwrap();
        writer.end(7).unwrap();
        writer.end_package().unwrap();
        assert_eq!(writer.position(), 5 * 312);
        let bytes = writer.into_inner();

        let Ok(Record::End(first)) = Record::decode(header(&bytes, 1), endian) else {
            panic!()
        };
        assert_eq!(
            first.checksum,
            Fletcher4::of(header(&bytes, 0), endian).checksum()
        );
        assert_eq!(first.to_guid, 0);
        assert!(stored_checksum(header(&bytes, 1), endian) == checksum::ZERO);

        let Ok(Record::End(inner)) = Record::decode(header(&bytes, 3), endian) else {
            panic!()
        };
        assert_eq!(
            inner.checksum,
            Fletcher4::of(header(&bytes, 2), endian).checksum()
        );
        let covered = &bytes[2 * 312..3 * 312 + 280];
        assert_eq!(
            stored_checksum(header(&bytes, 3), endian),
            Fletcher4::of(covered, endian).checksum()
        );

        assert_eq!(
            Record::decode(header(&bytes, 4), endian),
            Ok(Record::End(End::default()))
        );
        assert_eq!(header(&bytes, 4).iter().filter(|&&byte| byte != 0).count(), 1);
    }
}

#[test]
fn a_payload_of_the_wrong_length_is_refused() {
    let mut writer = StreamWriter::new(Vec::new());
    let record = Record::WriteEmbedded(WriteEmbedded {
        physical_size: 9,
        ..WriteEmbedded::default()
    });
    let error = writer.record(&record, &[0; 9]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "WRITE_EMBEDDED record of 16 bytes of payload written with 9"
    );
    assert!(writer.into_inner().is_empty());
}
