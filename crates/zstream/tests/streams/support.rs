//! Streams for tests: takes them apart, and puts them together in any byte order and of any age.

use std::fs;
use std::path::PathBuf;

use zferry_nvlist::{Encoding, NvList};
use zferry_wire::Endian;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, RecordFlags, VersionInfo};
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{
    Begin, CompressionType, CryptParameters, End, Free, FreeObjects, Header, Object, ObjectRange, ObjectType,
    ObjsetType, Record, Redact, Spill, StreamName, TO_END, Write, WriteByRef, WriteEmbedded,
};
use zferry_zstream::writer::Fletcher4;

/// A record, where it stands, and its payload.
pub(crate) type Piece = (Place, Record, Vec<u8>);

/// Every stream of the corpus, also those that its manifest does not list; none where there is no corpus.
pub(crate) fn corpus() -> Vec<PathBuf> {
    let Some(corpus) = zferry_fixtures::corpus() else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = fs::read_dir(corpus.file(""))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "zsend"))
        .collect();
    found.sort();
    assert!(found.len() > 100, "{}", found.len());
    found
}

/// One stream of the corpus.
pub(crate) fn corpus_stream(name: &str) -> Option<Vec<u8>> {
    let corpus = zferry_fixtures::corpus()?;
    Some(fs::read(corpus.stream(name)).unwrap())
}

/// Takes a stream apart.
pub(crate) fn take_apart(stream: &[u8]) -> Vec<Piece> {
    let mut reader = StreamReader::new(stream);
    let mut pieces = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        pieces.push((record.place, record.record, record.payload.to_vec()));
    }
    pieces
}

/// Puts a stream together with new checksums. Without `own` checksums as releases before 0.7 did.
pub(crate) fn put_together(pieces: &[Piece], endian: Endian, own: bool) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut sum = Fletcher4::new(endian);
    let lay_down = |header: &mut Header, at: usize, sum: &Fletcher4| {
        for (word, to) in sum.checksum().0.into_iter().zip(header[at..].chunks_exact_mut(8)) {
            to.copy_from_slice(&endian.bytes_u64(word));
        }
    };
    for (place, record, payload) in pieces {
        let mut header = record.encode(endian);
        if let Record::Begin(_) = record {
            sum = Fletcher4::new(endian);
        }
        if matches!(place, Place::StreamEnd | Place::PackageHeaderEnd) {
            lay_down(&mut header, 8, &sum);
        }
        sum.update(&header[..280]);
        if own && matches!(place, Place::Inside | Place::StreamEnd) {
            lay_down(&mut header, 280, &sum);
        }
        sum.update(&header[280..]);
        sum.update(payload);
        stream.extend_from_slice(&header);
        stream.extend_from_slice(payload);
    }
    stream
}

/// Where each record of the stream begins, and the end.
pub(crate) fn boundaries(pieces: &[Piece]) -> Vec<usize> {
    let mut at = 0;
    let mut found = vec![0];
    for (_, _, payload) in pieces {
        at += 312 + payload.len();
        found.push(at);
    }
    found
}

fn begin(
    header_type: HeaderType,
    features: FeatureFlags,
    name: &str,
    guids: (u64, u64),
    list: &[u8],
) -> Piece {
    let place = match header_type {
        HeaderType::COMPOUND => Place::PackageBegin,
        _ => Place::StreamBegin,
    };
    let begin = Begin {
        payload_length: u32::try_from(list.len()).unwrap(),
        version_info: VersionInfo::new(header_type, features),
        creation_time: 1_700_000_000,
        objset_type: ObjsetType::ZFS,
        flags: BeginFlags::FREERECORDS | BeginFlags::SPILL_BLOCK,
        to_guid: guids.1,
        from_guid: guids.0,
        to_name: StreamName::new(name).unwrap(),
    };
    (place, Record::Begin(Box::new(begin)), list.to_vec())
}

fn bytes(length: u64, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| seed.wrapping_add((at * at % 251) as u8))
        .collect()
}

fn inside(record: Record) -> Piece {
    let length = record.payload_length();
    (Place::Inside, record, bytes(length, 3))
}

fn end(to_guid: u64) -> Piece {
    let end = End {
        to_guid,
        ..End::default()
    };
    (Place::StreamEnd, Record::End(end), Vec::new())
}

/// A stream with every record that streams without encryption have.
pub(crate) fn plain(from_guid: u64, to_guid: u64, name: &str) -> Vec<Piece> {
    let features = FeatureFlags::EMBED_DATA
        | FeatureFlags::REDACTED
        | FeatureFlags::DEDUP
        | FeatureFlags::COMPRESSED
        | FeatureFlags::LZ4;
    let write = Write {
        object: 2,
        object_type: ObjectType(19),
        logical_size: 1024,
        to_guid,
        checksum: zferry_zstream::record::ChecksumType(7),
        ..Write::default()
    };
    vec![
        begin(HeaderType::SUBSTREAM, features, name, (from_guid, to_guid), &[]),
        inside(Record::FreeObjects(FreeObjects {
            first_object: 0,
            object_count: 1,
            to_guid,
        })),
        inside(Record::Object(Object {
            object: 2,
            object_type: ObjectType(19),
            bonus_type: ObjectType::SA,
            block_size: 1024,
            bonus_length: 165,
            dnode_slots: 1,
            flags: RecordFlags::OBJECT_SPILL,
            to_guid,
            ..Object::default()
        })),
        inside(Record::Free(Free {
            object: 2,
            offset: 5120,
            length: TO_END,
            to_guid,
        })),
        inside(Record::Write(write)),
        inside(Record::Write(Write {
            offset: 1024,
            compression: CompressionType::LZ4,
            compressed_size: 512,
            ..write
        })),
        inside(Record::WriteEmbedded(WriteEmbedded {
            object: 2,
            offset: 2048,
            length: 1024,
            to_guid,
            compression: CompressionType::LZ4,
            logical_size: 1024,
            physical_size: 59,
            ..WriteEmbedded::default()
        })),
        inside(Record::WriteByRef(WriteByRef {
            object: 2,
            offset: 3072,
            length: 1024,
            to_guid,
            ref_guid: to_guid,
            ref_object: 2,
            ..WriteByRef::default()
        })),
        inside(Record::Redact(Redact {
            object: 2,
            offset: 4096,
            length: 1024,
            to_guid,
        })),
        inside(Record::Spill(Spill {
            object: 2,
            length: 512,
            to_guid,
            ..Spill::default()
        })),
        end(to_guid),
    ]
}

/// A raw stream.
pub(crate) fn raw(from_guid: u64, to_guid: u64, name: &str) -> Vec<Piece> {
    let mut list = NvList::new();
    list.insert("crypt_keydata", NvList::new());
    let list = list.encode(Encoding::Native, Endian::Little);
    let crypt = CryptParameters {
        salt: [1; 8],
        iv: [2; 12],
        mac: [3; 16],
    };
    let features = FeatureFlags::RAW | FeatureFlags::COMPRESSED;
    vec![
        begin(HeaderType::SUBSTREAM, features, name, (from_guid, to_guid), &list),
        inside(Record::ObjectRange(ObjectRange {
            slot_count: 32,
            to_guid,
            crypt,
            ..ObjectRange::default()
        })),
        inside(Record::Object(Object {
            object: 3,
            object_type: ObjectType(19),
            bonus_type: ObjectType::SA,
            block_size: 512,
            bonus_length: 168,
            raw_bonus_length: 192,
            dnode_slots: 1,
            to_guid,
            indirect_block_shift: 17,
            levels: 1,
            block_pointers: 1,
            ..Object::default()
        })),
        inside(Record::Write(Write {
            object: 3,
            object_type: ObjectType(19),
            logical_size: 512,
            to_guid,
            compression: CompressionType::OFF,
            compressed_size: 512,
            crypt,
            ..Write::default()
        })),
        inside(Record::Spill(Spill {
            object: 3,
            length: 512,
            to_guid,
            compression: CompressionType::OFF,
            compressed_size: 512,
            crypt,
            ..Spill::default()
        })),
        end(to_guid),
    ]
}

/// A full replication package of two datasets, one of them with two snapshots.
pub(crate) fn package() -> Vec<Piece> {
    let mut datasets = NvList::new();
    for (name, guid) in [("pool/fs", 11_u64), ("pool/fs/safe", 20)] {
        let mut snapshots = NvList::new();
        snapshots.insert("b", guid);
        let mut dataset = NvList::new();
        dataset.insert("name", name).insert("snaps", snapshots);
        datasets.insert(format!("{guid:#x}"), dataset);
    }
    let mut list = NvList::new();
    list.insert("tosnap", "b").insert("fss", datasets);
    let list = list.encode(Encoding::Xdr, Endian::Big);
    let mut header = begin(
        HeaderType::COMPOUND,
        FeatureFlags::empty(),
        "pool/fs@b",
        (0, 0),
        &list,
    );
    if let Record::Begin(begin) = &mut header.1 {
        begin.creation_time = 0;
        begin.objset_type = ObjsetType::NONE;
        begin.flags = BeginFlags::empty();
    }
    let package_end = |place| (place, Record::End(End::default()), Vec::new());
    let mut pieces = vec![header, package_end(Place::PackageHeaderEnd)];
    pieces.extend(plain(0, 10, "pool/fs@a"));
    pieces.extend(plain(10, 11, "pool/fs@b"));
    pieces.extend(raw(0, 20, "pool/fs/safe@b"));
    pieces.push(package_end(Place::PackageEnd));
    pieces
}

/// Both byte orders, with records' own checksums and without.
pub(crate) const KINDS: [(Endian, bool); 4] = [
    (Endian::Little, true),
    (Endian::Little, false),
    (Endian::Big, true),
    (Endian::Big, false),
];
