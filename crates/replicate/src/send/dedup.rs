//! Deduplicated streams: a block that was sent before is sent as a reference to where it was (`zfs send -D`, as OpenZFS
//! had it until 0.8).
//!
//! The stream is rewritten on its way out: a WRITE that is the same as an earlier one in all but its object and offset
//! becomes a WRITE_BYREF, 312 bytes without payload, that names the dataset, object and offset of the first. What is
//! left of the WRITEs is not touched, so `zstream redup` makes the same stream of it as would have been sent without.
//!
//! OpenZFS recognised blocks by the checksums of their pointers, and summed those whose checksum is too weak for that
//! anew; here every one is summed, fields and payload alike, so that nothing but a copy is ever taken for one.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};
use zferry_wire::Endian;
use zferry_zstream::StreamError;
use zferry_zstream::flags::{FeatureFlags, VersionInfo};
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{Begin, Record, Write as WriteRecord, WriteByRef};
use zferry_zstream::writer::{StreamWriter, WriteError};

/// How many blocks are remembered. Those beyond are sent as they are. A block takes about 70 bytes of memory, and of
/// blocks of 128 KiB this is 128 GiB.
const BLOCKS_MAX: usize = 1 << 20;

/// Why a stream could not be deduplicated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DedupError {
    /// What came in is no whole stream.
    #[error(transparent)]
    Input(#[from] StreamError),
    /// The stream could not be written.
    #[error(transparent)]
    Output(#[from] WriteError),
    /// The deduplicator ended without a word.
    #[error("the deduplicator ended unexpectedly; please report this")]
    Interrupted,
}

/// What was found twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deduplicated {
    /// Blocks that were sent as references.
    pub references: u64,
    /// The bytes of payload that were saved by it.
    pub saved_bytes: u64,
}

/// The first place of a block in the stream.
#[derive(Clone, Copy, Debug)]
struct First {
    guid: u64,
    object: u64,
    offset: u64,
}

/// Copies a stream, or a package of streams, and leaves out what it holds twice.
///
/// # Errors
/// [`DedupError`] where the input is damaged or cut, and where the output fails.
pub fn deduplicate(input: impl Read, output: impl Write) -> Result<Deduplicated, DedupError> {
    let mut reader = StreamReader::new(input);
    let mut writer: Option<StreamWriter<_>> = None;
    let mut output = Some(output);
    let mut blocks = Blocks::default();
    let mut found = Deduplicated::default();
    while let Some(next) = reader.next()? {
        // The byte order is that of the first record; a package has one throughout.
        let writer = match (&mut writer, output.take()) {
            (Some(writer), _) => writer,
            (none, Some(output)) => none.insert(StreamWriter::with_endian(output, next.endian)),
            (None, None) => return Err(WriteError::Io(io::ErrorKind::BrokenPipe.into()).into()),
        };
        match (next.place, next.record) {
            (Place::PackageBegin, Record::Begin(begin)) => {
                writer.begin_package(marked(*begin), next.payload)?;
            }
            (Place::PackageHeaderEnd, _) => {}
            (Place::PackageEnd, _) => writer.end_package()?,
            (Place::StreamBegin, Record::Begin(begin)) => writer.begin(marked(*begin), next.payload)?,
            (Place::StreamEnd, Record::End(end)) => writer.end(end.to_guid)?,
            (_, Record::Write(write)) => match blocks.first_of(&write, next.payload) {
                Some(first) => {
                    writer.record(&Record::WriteByRef(reference(&write, first)), &[])?;
                    found.references = found.references.saturating_add(1);
                    found.saved_bytes = found.saved_bytes.saturating_add(write.payload_length());
                }
                None => writer.record(&Record::Write(write), next.payload)?,
            },
            (_, record) => writer.record(&record, next.payload)?,
        }
    }
    if let Some(writer) = writer {
        writer.into_inner().flush().map_err(WriteError::Io)?;
    }
    Ok(found)
}

/// A BEGIN that says what its stream holds.
fn marked(begin: Begin) -> Begin {
    let features = begin.features() | FeatureFlags::DEDUP | FeatureFlags::DEDUPPROPS;
    Begin {
        version_info: VersionInfo::new(begin.version_info.header_type(), features),
        ..begin
    }
}

/// A record that stands for `write`, whose block was sent at `first`.
fn reference(write: &WriteRecord, first: First) -> WriteByRef {
    WriteByRef {
        object: write.object,
        offset: write.offset,
        length: write.logical_size,
        to_guid: write.to_guid,
        ref_guid: first.guid,
        ref_object: first.object,
        ref_offset: first.offset,
        checksum: write.checksum,
        flags: write.flags,
        key: write.key,
    }
}

/// The blocks that were sent.
#[derive(Debug, Default)]
struct Blocks {
    seen: HashMap<[u8; 32], First>,
}

impl Blocks {
    /// Where a block was sent before; `None`, and it is remembered, where this is the first time.
    fn first_of(&mut self, write: &WriteRecord, payload: &[u8]) -> Option<First> {
        let anywhere = WriteRecord {
            object: 0,
            offset: 0,
            to_guid: 0,
            ..*write
        };
        let mut hash = Sha256::new();
        hash.update(Record::Write(anywhere).encode(Endian::OURS));
        hash.update(payload);
        let key = hash.finalize().into();
        let first = self.seen.get(&key).copied();
        if first.is_none() && self.seen.len() < BLOCKS_MAX {
            self.seen.insert(
                key,
                First {
                    guid: write.to_guid,
                    object: write.object,
                    offset: write.offset,
                },
            );
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_zstream::flags::{BeginFlags, HeaderType};
    use zferry_zstream::record::{ObjsetType, StreamName};

    fn begin() -> Begin {
        Begin {
            payload_length: 0,
            version_info: VersionInfo::new(HeaderType::SUBSTREAM, FeatureFlags::LZ4),
            creation_time: 1,
            objset_type: ObjsetType::ZFS,
            flags: BeginFlags::empty(),
            to_guid: 7,
            from_guid: 0,
            to_name: StreamName::new("pool/fs@snap").unwrap(),
        }
    }

    fn write(object: u64, offset: u64) -> Record {
        Record::Write(WriteRecord {
            object,
            offset,
            logical_size: 512,
            to_guid: 7,
            ..WriteRecord::default()
        })
    }

    /// A stream of the given blocks, each at its own offset of one object.
    fn stream(blocks: &[u8]) -> Vec<u8> {
        let mut writer = StreamWriter::new(Vec::new());
        writer.begin(begin(), &[]).unwrap();
        for (index, block) in (0_u64..).zip(blocks) {
            writer.record(&write(2, index * 512), &[*block; 512]).unwrap();
        }
        writer.end(7).unwrap();
        writer.into_inner()
    }

    #[test]
    fn what_repeats_is_referred_to() {
        let mut short = Vec::new();
        let found = deduplicate(&*stream(&[1, 2, 1, 1]), &mut short).unwrap();
        assert_eq!(
            found,
            Deduplicated {
                references: 2,
                saved_bytes: 1024
            }
        );
        let mut reader = StreamReader::new(&*short);
        let mut references = Vec::new();
        while let Some(next) = reader.next().unwrap() {
            match next.record {
                Record::Begin(begin) => {
                    let expected = FeatureFlags::LZ4 | FeatureFlags::DEDUP | FeatureFlags::DEDUPPROPS;
                    assert_eq!(begin.features(), expected);
                }
                Record::WriteByRef(reference) => {
                    references.push((
                        reference.offset,
                        reference.ref_guid,
                        reference.ref_object,
                        reference.ref_offset,
                    ));
                }
                _ => {}
            }
        }
        assert_eq!(references, [(1024, 7, 2, 0), (1536, 7, 2, 0)]);
    }

    #[test]
    fn a_stream_without_copies_only_gets_its_marks() {
        let plain = stream(&[1, 2, 3]);
        let mut marked = Vec::new();
        let found = deduplicate(&*plain, &mut marked).unwrap();
        assert_eq!((found, marked.len()), (Deduplicated::default(), plain.len()));
    }

    #[test]
    fn a_stream_that_is_cut_is_not_passed_off_as_whole() {
        let plain = stream(&[1, 2, 3]);
        let cut = plain.get(..plain.len() - 312).unwrap();
        let mut short = Vec::new();
        assert!(deduplicate(cut, &mut short).is_err());
        let mut reader = StreamReader::new(&*short);
        let outcome = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                other => break other.map(|_| ()),
            }
        };
        assert!(outcome.is_err());
    }
}
