//! The odd senders: machines of the other byte order, the first releases, and quirks that some release has had.
//!
//! A stream of the other byte order is made of one that OpenZFS wrote: every record and every number behind it is turned
//! round. What is received of it must be what is received of the original.

use std::collections::BTreeMap;
use std::sync::Arc;

use zferry_blocks::compress::{Compression, CompressionLevel, compress, decompress};
use zferry_fixtures::{example, target, unpack_image, workspace};
use zferry_nvlist::{Encoding, NvList};
use zferry_replicate::receive::Incoming;
use zferry_replicate::send::{self, Resolved, SendOptions, send};
use zferry_wire::Endian;
use zferry_zpool::dmu::{self, ByteOrder};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::vdev::FileDisk;
use zferry_zpool::{OpenOptions, Pool};
use zferry_zstream::Checksum;
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, RecordFlags, VersionInfo};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{
    Begin, ChecksumType, CompressionType, DedupKey, EmbeddedType, End, Free, FreeObjects, Object, ObjectType,
    Record, Redact, Spill, StreamName, TO_END, Write, WriteByRef, WriteEmbedded,
};
use zferry_zstream::source::Buffered;

use crate::contents::contents;
use crate::made::{Made, object, write};
use crate::support::Bench;

const PLAIN: SendOptions = SendOptions {
    large_blocks: false,
    embedded: false,
    compressed: false,
    raw: false,
};
const COMPACT: SendOptions = SendOptions {
    large_blocks: true,
    embedded: true,
    compressed: true,
    raw: false,
};
const RAW: SendOptions = SendOptions { raw: true, ..COMPACT };

fn sent(image: &std::path::Path, snapshot: &str, options: SendOptions) -> Vec<u8> {
    let pool = Pool::open(Arc::new(FileDisk::open(image).unwrap()), &OpenOptions::default()).unwrap();
    let dsl = DslPool::new(&pool);
    let resolved = Resolved::find(&dsl, snapshot, None).unwrap();
    let mut stream = Vec::new();
    send(
        &pool,
        &resolved.source,
        options,
        &mut stream,
        &send::Progress::default(),
    )
    .unwrap();
    stream
}

/// A pool with every kind of encryption, spill blocks, and large dnodes.
fn vault() -> std::path::PathBuf {
    let image = target().join("vault").join("senders.img");
    let packed = workspace().join("crates/zferry/tests/fixtures/vault/vault.img.zst");
    unpack_image(&packed, &image).unwrap();
    image
}

/// Whose bytes they are that a raw stream of the other byte order carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// As they were: the sender says that they are of the other order than it is.
    Kept,
    /// The sender says that they are its own.
    Own,
}

/// The stream as a big-endian machine would send it; `None` where that is too much for a test to make.
fn turned(stream: &[u8], content: Content) -> Option<Vec<u8>> {
    let mut reader = StreamReader::new(stream);
    let mut made: Option<Made> = None;
    let mut is_raw = false;
    let mut types = BTreeMap::new();
    while let Some(read) = reader.next().unwrap() {
        let payload = read.payload.to_vec();
        match read.record {
            Record::Begin(begin) => {
                is_raw = begin.version_info.features().contains(FeatureFlags::RAW);
                let list = match payload.as_slice() {
                    [] => Vec::new(),
                    list => NvList::decode(list, &zferry_nvlist::Limits::default())
                        .unwrap()
                        .0
                        .encode(Encoding::Native, Endian::Big),
                };
                let begin = Begin {
                    payload_length: u32::try_from(list.len()).unwrap(),
                    ..*begin
                };
                made = Some(Made::with_list(Endian::Big, begin, &list));
            }
            Record::End(_) => {}
            record => {
                if let Record::Object(object) = &record {
                    types.insert(object.object, object.object_type);
                }
                let (record, payload) = match record {
                    record if is_raw => (marked(record, content), payload),
                    Record::WriteEmbedded(write) => {
                        turned_embedded(write, *types.get(&write.object)?, &payload)?
                    }
                    record => {
                        let payload = turned_payload(&record, payload)?;
                        (record, payload)
                    }
                };
                made = made.map(|made| made.record(record, &payload));
            }
        }
    }
    made.map(Made::end)
}

/// A record of a raw stream that says whose byte order its content has.
fn marked(mut record: Record, content: Content) -> Record {
    let flags = match &mut record {
        Record::Object(object) => &mut object.flags,
        Record::ObjectRange(range) => &mut range.flags,
        Record::Write(write) => &mut write.flags,
        Record::Spill(spill) => &mut spill.flags,
        _ => return record,
    };
    if content == Content::Kept {
        *flags |= RecordFlags::RAW_BYTESWAP;
    }
    record
}

/// A block in its pointer is as its writer left it, and is said to be of the sender's order.
fn turned_embedded(
    write: WriteEmbedded,
    object_type: ObjectType,
    payload: &[u8],
) -> Option<(Record, Vec<u8>)> {
    let compression = Compression::from_id(write.compression.0).unwrap();
    let mut content = vec![0; usize::try_from(write.logical_size).unwrap()];
    let stored = payload.get(..usize::try_from(write.physical_size).unwrap())?;
    decompress(compression, stored, &mut content).unwrap();
    let content = turned_content(object_type, content)?;
    let mut room = vec![0; 112];
    let len = compress(compression, CompressionLevel::default(), &content, &mut room)?;
    let write = WriteEmbedded {
        physical_size: u32::try_from(len).unwrap(),
        ..write
    };
    room.truncate(len);
    room.resize(len.next_multiple_of(8), 0);
    Some((Record::WriteEmbedded(write), room))
}

fn turned_payload(record: &Record, payload: Vec<u8>) -> Option<Vec<u8>> {
    let object_type = match record {
        Record::Object(object) => object.bonus_type,
        Record::Write(write) if write.compression == CompressionType::NONE => write.object_type,
        // What is compressed, or a spill block, is not touched by any sender.
        _ => return Some(payload),
    };
    turned_content(object_type, payload)
}

fn turned_content(object_type: ObjectType, mut payload: Vec<u8>) -> Option<Vec<u8>> {
    let order = dmu::ObjectType(u8::try_from(object_type.0).unwrap()).byte_order()?;
    let before = payload.clone();
    if order == ByteOrder::Zap {
        turn_table(&mut payload);
    } else {
        order.swap(&mut payload);
    }
    let mut back = payload.clone();
    order.swap(&mut back);
    (back == before).then_some(payload)
}

/// Blocks of tables tell by their first word what they are, which is looked at as that of a big-endian machine.
fn turn_table(block: &mut [u8]) {
    let Some(word) = block.first_chunk_mut::<8>() else {
        return;
    };
    word.reverse();
    ByteOrder::Zap.swap(block);
    if let Some(word) = block.first_chunk_mut::<8>() {
        word.reverse();
    }
}

/// What a stream says, without what its pool decides.
fn undecided(stream: &[u8]) -> Vec<(Record, Vec<u8>)> {
    let mut reader = StreamReader::new(stream);
    let mut records = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        let record = match read.record {
            Record::Begin(_) => continue,
            Record::Write(write) => Record::Write(Write {
                checksum: ChecksumType::OFF,
                key: DedupKey::default(),
                flags: write.flags & RecordFlags::RAW_BYTESWAP,
                ..write
            }),
            Record::End(end) => Record::End(End {
                checksum: Checksum::default(),
                ..end
            }),
            other => other,
        };
        records.push((record, read.payload.to_vec()));
    }
    records
}

/// The name behind the `@` of what was sent.
fn snapshot(stream: &[u8]) -> String {
    let incoming = Incoming::open(Buffered::new(stream)).unwrap();
    let name = incoming.begin().to_name.to_string();
    format!("new/x@{}", name.split_once('@').unwrap().1)
}

#[test]
fn streams_of_the_other_byte_order_make_what_the_originals_make() {
    let (example, vault) = (example().unwrap(), vault());
    let mut streams = Vec::new();
    for name in ["archive@monday", "chart@tuesday", "log@friday", "photos@friday"] {
        for options in [PLAIN, COMPACT] {
            streams.push(sent(example.image(), &format!("harbour/{name}"), options));
        }
    }
    // With spill blocks, and large dnodes.
    streams.push(sent(&vault, "vault/open@b", PLAIN));
    streams.push(sent(&vault, "vault/open@b", COMPACT));
    if let Some(corpus) = zferry_fixtures::corpus() {
        for name in [
            "basic-fs-b",
            "basic-vol-a",
            "feat-emb-Lec",
            "feat-tiny-Lec",
            "feat-ci",
            "v28-z5",
            "v28-z3",
        ] {
            streams.push(std::fs::read(corpus.stream(name)).unwrap());
        }
    }
    let (mut compared, mut spills, mut embedded, mut compressed) = (0, 0, 0, 0);
    for stream in &streams {
        let Some(turned) = turned(stream, Content::Kept) else {
            continue;
        };
        assert_ne!(&turned[8..16], &stream[8..16]);
        let [ours, theirs] = [stream, &turned].map(|stream| {
            let mut bench = Bench::new();
            bench.receive(stream).unwrap();
            contents(&bench.send(&snapshot(stream), PLAIN))
        });
        for (number, object) in &ours {
            assert_eq!(
                theirs.get(number),
                Some(object),
                "{}: object {number}",
                snapshot(stream)
            );
        }
        assert_eq!(ours.len(), theirs.len());
        let mut reader = StreamReader::new(stream.as_slice());
        while let Some(read) = reader.next().unwrap() {
            match read.record {
                Record::Spill(_) => spills += 1,
                Record::WriteEmbedded(_) => embedded += 1,
                Record::Write(write) if write.compression != CompressionType::NONE => compressed += 1,
                _ => {}
            }
        }
        compared += 1;
    }
    assert!(compared >= 8, "{compared}");
    assert!(
        spills > 0 && embedded > 0 && compressed > 0,
        "{spills} {embedded} {compressed}"
    );
}

#[test]
fn raw_streams_of_the_other_byte_order_go_out_as_they_came() {
    let vault = vault();
    let file_systems = ["aes-128-ccm", "aes-256-ccm", "aes-128-gcm", "aes-256-gcm/below"];
    let file_systems = file_systems.map(|name| (name, Content::Kept));
    // Nobody looks into tables of a volume, which are in the wrong order where its content is said to be of the other.
    let volumes = [Content::Kept, Content::Own].map(|content| ("aes-256-ccm/disk", content));
    for (suite, content) in file_systems.into_iter().chain(volumes) {
        let stream = sent(&vault, &format!("vault/{suite}@b"), RAW);
        let turned = turned(&stream, content).unwrap();
        let mut bench = Bench::new();
        let received = bench.receive(&turned);
        received.unwrap_or_else(|error| panic!("{suite}: {error}"));
        let again = bench.send("new/x@b", RAW);
        // What a big-endian machine has written is of the other order than the one that sends it here.
        let expect = |(record, payload)| match content {
            Content::Own => (marked(record, Content::Kept), payload),
            Content::Kept => (record, payload),
        };
        let expected: Vec<(Record, Vec<u8>)> = undecided(&stream).into_iter().map(expect).collect();
        let came = undecided(&again);
        for (expected, came) in expected.iter().zip(&came) {
            assert_eq!(expected.0, came.0, "{suite}");
            assert!(expected.1 == came.1, "{suite}: {:?}", came.0);
        }
        assert_eq!(expected.len(), came.len(), "{suite}");
    }
}

fn begin(features: FeatureFlags, flags: BeginFlags) -> Begin {
    Begin {
        payload_length: 0,
        version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
        creation_time: 1_000_000,
        objset_type: zferry_zstream::record::ObjsetType::OTHER,
        flags,
        to_guid: 7,
        from_guid: 0,
        to_name: StreamName::new("tank/fs@a").unwrap(),
    }
}

fn free(object: u64, offset: u64, length: u64) -> Record {
    Record::Free(Free {
        object,
        offset,
        length,
        to_guid: 7,
    })
}

/// No flags at all, neither checksums nor slots in the records, and ranges of free objects without an end: so
/// OpenSolaris sent, FreeBSD after it, and ZFS on Linux up to 0.6.3.
#[test]
fn the_first_releases_say_less() {
    for endian in [Endian::Little, Endian::Big] {
        let znode: Vec<u8> = (0..264_u16).map(|byte| byte.to_le_bytes()[0]).collect();
        let file = Record::Object(Object {
            object: 7,
            object_type: ObjectType(19),
            bonus_type: ObjectType(17),
            bonus_length: 264,
            block_size: 4096,
            dnode_slots: 0,
            ..Object::default()
        });
        let free_objects = |first_object, object_count| {
            Record::FreeObjects(FreeObjects {
                first_object,
                object_count,
                to_guid: 7,
            })
        };
        let stream = Made::with(endian, begin(FeatureFlags::empty(), BeginFlags::empty()))
            .record(free_objects(0, 7), &[])
            .record(file, &znode)
            // The end is freed first; of what leads to others, too.
            .record(free(7, 8192, TO_END), &[])
            .record(Record::Write(write(7, 19, 0)), &[3; 4096])
            .record(free(7, 4096, 4096), &[])
            .record(free_objects(8, 1 << 54), &[])
            .end();
        let mut bench = Bench::new();
        bench.receive(&stream).unwrap();
        let came = contents(&bench.send("new/x@a", PLAIN));
        assert_eq!(came.keys().copied().collect::<Vec<_>>(), [7]);
        assert_eq!(came[&7].sectors.len(), 8);
        let mut expected = znode;
        if endian == Endian::Big {
            ByteOrder::Znode.swap(&mut expected);
        }
        assert!(came[&7].bonus == expected);
    }
}

/// ZFS of OpenSolaris up to OpenZFS 0.8, with `-D`, on machines of either order.
#[test]
fn deduplicated_streams_come_in_either_byte_order() {
    for endian in [Endian::Little, Endian::Big] {
        let features = FeatureFlags::DEDUP | FeatureFlags::DEDUPPROPS;
        let by_ref = Record::WriteByRef(WriteByRef {
            object: 2,
            offset: 4096,
            length: 4096,
            to_guid: 7,
            ref_guid: 7,
            ref_object: 1,
            ref_offset: 0,
            checksum: ChecksumType(8),
            // A bug of theirs: the kind of checksum stands where flags do.
            flags: RecordFlags::from_bits_retain(8),
            key: DedupKey::default(),
        });
        let stream = Made::with(endian, begin(features, BeginFlags::empty()))
            .record(object(1, 19, 0, 0), &[])
            .record(object(2, 19, 0, 0), &[])
            .record(Record::Write(write(1, 19, 0)), &[5; 4096])
            .record(by_ref, &[])
            .end();
        let mut bench = Bench::new();
        bench.receive(&stream).unwrap();
        let came = contents(&bench.send("new/x@a", PLAIN));
        assert_eq!(came[&1].sectors[&0], came[&2].sectors[&4096]);
        assert_eq!(came[&2].sectors.len(), 8);
    }
}

/// With `-e` and without `-L`, some releases embed large blocks of objects whose records say that their blocks are not.
#[test]
fn embedded_blocks_may_be_larger_than_those_of_their_objects() {
    for endian in [Endian::Little, Endian::Big] {
        let mut room = vec![0; 1 << 20];
        let content = vec![0x2a; 1 << 20];
        let compression = Compression::from_id(16).unwrap();
        let level = CompressionLevel::default();
        let len = compress(compression, level, &content, &mut room).unwrap();
        assert!(len <= 112, "{len}");
        let large = Object {
            object: 1,
            object_type: ObjectType(19),
            block_size: 128 << 10,
            ..Object::default()
        };
        let embedded = WriteEmbedded {
            object: 1,
            offset: 0,
            length: 1 << 20,
            to_guid: 7,
            compression: CompressionType::ZSTD,
            embedded_type: EmbeddedType::default(),
            logical_size: 1 << 20,
            physical_size: u32::try_from(len).unwrap(),
        };
        let features = FeatureFlags::EMBED_DATA | FeatureFlags::ZSTD;
        let stream = Made::with(endian, begin(features, BeginFlags::FREERECORDS))
            .record(Record::Object(large), &[])
            .record(Record::WriteEmbedded(embedded), &room[..len.next_multiple_of(8)])
            .end();
        let mut bench = Bench::new();
        bench.receive(&stream).unwrap();
        let came = contents(&bench.send("new/x@a", PLAIN));
        assert_eq!(came[&1].sectors.len(), 2048);
        assert!(came[&1].sectors.values().all(|sector| *sector == [0x2a; 512]));
    }
}

/// Redacted ones: the list behind BEGIN came in the order of the sender's machine up to 2.4, and in XDR since.
#[test]
fn redacted_streams_come_in_either_byte_order() {
    for (encoding, endian) in [
        (Encoding::Native, Endian::Little),
        (Encoding::Native, Endian::Big),
        (Encoding::Xdr, Endian::Little),
        (Encoding::Xdr, Endian::Big),
    ] {
        let mut list = NvList::new();
        list.insert("redact_snaps", vec![11_u64, 12]);
        let list = list.encode(encoding, endian);
        let begin = Begin {
            payload_length: u32::try_from(list.len()).unwrap(),
            ..begin(FeatureFlags::REDACTED, BeginFlags::FREERECORDS)
        };
        let redact = Redact {
            object: 1,
            offset: 4096,
            length: 8192,
            to_guid: 7,
        };
        let stream = Made::with_list(endian, begin, &list)
            .record(object(1, 19, 0, 0), &[])
            .record(Record::Write(write(1, 19, 0)), &[5; 4096])
            .record(Record::Redact(redact), &[])
            .record(Record::Write(write(1, 19, 12288)), &[6; 4096])
            .end();
        let mut bench = Bench::new();
        bench.receive(&stream).unwrap();
        let pool = bench.pool();
        let dsl = DslPool::new(&pool);
        let snapshot = dsl.dataset("new/x@a").unwrap().unwrap();
        let redacted = dsl.redaction_snapshots(&snapshot).unwrap();
        assert_eq!(redacted.as_deref(), Some(&[11, 12][..]));
        let came = contents(&bench.send("new/x@a", PLAIN));
        let offsets: Vec<u64> = came[&1].sectors.keys().copied().step_by(8).collect();
        assert_eq!(offsets, [0, 12288]);
    }
}

/// No release says of what type a spill block is; its content is as its writer left it.
#[test]
fn spill_blocks_are_not_turned_round() {
    for endian in [Endian::Little, Endian::Big] {
        let content: Vec<u8> = (0..1024_u16).map(|byte| byte.to_le_bytes()[0]).collect();
        let file = Object {
            object: 1,
            object_type: ObjectType(19),
            bonus_type: ObjectType(44),
            bonus_length: 168,
            block_size: 4096,
            flags: RecordFlags::OBJECT_SPILL,
            ..Object::default()
        };
        let spill = Spill {
            object: 1,
            length: 1024,
            to_guid: 7,
            ..Spill::default()
        };
        let stream = Made::with(endian, begin(FeatureFlags::SA_SPILL, BeginFlags::SPILL_BLOCK))
            .record(Record::Object(file), &[0; 168])
            .record(Record::Spill(spill), &content)
            .end();
        let mut bench = Bench::new();
        bench.receive(&stream).unwrap();
        let came = contents(&bench.send("new/x@a", PLAIN));
        assert!(came[&1].spill == content);
    }
}
