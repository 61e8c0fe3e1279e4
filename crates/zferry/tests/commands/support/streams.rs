//! What a stream holds, to be compared with another.

use sha2::{Digest, Sha256};
use zferry_zstream::Checksum;
use zferry_zstream::flags::RecordFlags;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{ChecksumType, DedupKey, End, Record};

/// A record, with what follows it.
pub(crate) type Part = (Record, Vec<u8>);

/// The SHA-256 of a stream, as manifests have it.
pub(crate) fn sha256(stream: &[u8]) -> String {
    let sum = Sha256::digest(stream);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// All that a stream holds, without what sums it up.
pub(crate) fn records(stream: &[u8]) -> Vec<Part> {
    let mut reader = StreamReader::new(stream);
    let mut records = Vec::new();
    while let Some(read) = reader.next().unwrap() {
        let record = match read.record {
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

/// The same, without what the pool decides that it comes from: how its blocks are summed.
pub(crate) fn undecided(stream: &[u8]) -> Vec<Part> {
    let mut records = records(stream);
    for (record, _) in &mut records {
        if let Record::Write(write) = record {
            write.checksum = ChecksumType::OFF;
            write.flags = RecordFlags::empty();
            write.key = DedupKey::default();
        }
    }
    records
}

/// The same, without BEGIN, which names the dataset.
pub(crate) fn contents(stream: &[u8]) -> Vec<Part> {
    undecided(stream).split_off(1)
}
