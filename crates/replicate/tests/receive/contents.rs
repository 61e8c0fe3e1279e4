//! What a stream says, whatever it says it with: objects, their bonus buffers, and the content of their blocks.

use std::collections::BTreeMap;

use zferry_blocks::compress::{Compression, decompress};
use zferry_zstream::flags::{BeginFlags, RecordFlags};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Object, Record};

/// A stream's objects.
pub(crate) type Contents = BTreeMap<u64, Content>;

/// An object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Its record, without the snapshot's guid.
    pub(crate) object: Object,
    pub(crate) bonus: Vec<u8>,
    /// Its bytes, by 512 of them, but for zeros.
    pub(crate) sectors: BTreeMap<u64, Vec<u8>>,
    pub(crate) spill: Vec<u8>,
}

/// Reads a full stream that is neither raw nor deduplicated.
pub(crate) fn contents(stream: &[u8]) -> Contents {
    let mut reader = StreamReader::new(stream);
    let mut contents = Contents::new();
    let mut marks_spill = false;
    while let Some(read) = reader.next().unwrap() {
        let payload = read.payload;
        match read.record {
            Record::Begin(begin) => marks_spill = begin.flags.contains(BeginFlags::SPILL_BLOCK),
            Record::Object(object) => {
                let content = contents.entry(object.object).or_default();
                content.object = Object { to_guid: 0, ..object };
                content.bonus = payload.to_vec();
            }
            Record::Write(write) => {
                let content = uncompressed(write.compression.0, payload, write.logical_size);
                put(&mut contents, write.object, write.offset, &content);
            }
            Record::WriteEmbedded(write) => {
                let stored = payload
                    .get(..usize::try_from(write.physical_size).unwrap())
                    .unwrap();
                let content = uncompressed(write.compression.0, stored, u64::from(write.logical_size));
                if write.offset > 1 << 63 {
                    contents.entry(write.object).or_default().spill = content;
                } else {
                    put(&mut contents, write.object, write.offset, &content);
                }
            }
            Record::Spill(spill) => {
                let is_new = !(marks_spill && spill.flags.contains(RecordFlags::SPILL_UNMODIFIED));
                if is_new {
                    contents.entry(spill.object).or_default().spill = payload.to_vec();
                }
            }
            _ => {}
        }
    }
    contents
}

fn put(contents: &mut Contents, object: u64, offset: u64, bytes: &[u8]) {
    let sectors = &mut contents.entry(object).or_default().sectors;
    for (at, sector) in (0..).step_by(512).zip(bytes.chunks(512)) {
        if sector.iter().any(|&byte| byte != 0) {
            sectors.insert(offset + at, sector.to_vec());
        }
    }
}

fn uncompressed(compression: u8, payload: &[u8], size: u64) -> Vec<u8> {
    let size = usize::try_from(size).unwrap();
    match compression {
        0 => payload.to_vec(),
        id => {
            let mut content = vec![0; size];
            decompress(Compression::from_id(id).unwrap(), payload, &mut content).unwrap();
            content
        }
    }
}
