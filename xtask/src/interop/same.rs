//! Whether two pools say the same of a snapshot: their streams are compared, but for what each pool decides for itself.
//!
//! - The checksums of blocks.
//! - How a block is packed that the receiver compressed. What was compressed in the stream that it received must still
//!   be so, bit for bit; of the rest it counts what is unpacked.
//! - Which holes an increment tells of. That a hole of the base is one still may be told or not; but what held data there
//!   must be freed by both or by neither.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use zferry_blocks::compress::{Compression, decompress};
use zferry_wire::usize_from_u64;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{CompressionType, DedupKey, Record, Write};

/// Parts of objects, by object.
type Parts = BTreeMap<u64, Vec<Range<u64>>>;

/// What is known of the streams that both pools received.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Which blocks came compressed: object and offset.
    compressed: BTreeSet<(u64, u64)>,
}

impl Sent {
    /// Notes what a stream has that was received.
    pub(super) fn note(&mut self, stream: &Path) -> Result<()> {
        let mut reader = StreamReader::new(File::open(stream)?);
        while let Some(read) = reader.next_passing()? {
            if let Record::Write(write) = read.record
                && write.compressed_size != 0
            {
                self.compressed.insert((write.object, write.offset));
            }
        }
        Ok(())
    }

    /// Compares what two pools say of one snapshot. `base` is what one of them says of the snapshot that both send
    /// from, sent whole.
    pub(super) fn compare(&self, ours: &Path, theirs: &Path, base: Option<&Path>) -> Result<()> {
        let mut ours = StreamReader::new(File::open(ours)?);
        let mut theirs = StreamReader::new(File::open(theirs)?);
        let [mut our_holes, mut their_holes] = [Parts::new(), Parts::new()];
        loop {
            let one = loop {
                match ours.next()? {
                    Some(read) if note_hole(&read.record, &mut our_holes) => {}
                    other => break other,
                }
            };
            let other = loop {
                match theirs.next()? {
                    Some(read) if note_hole(&read.record, &mut their_holes) => {}
                    other => break other,
                }
            };
            let (one, other) = match (one, other) {
                (Some(one), Some(other)) => (one, other),
                (None, None) => break,
                _ => bail!("one stream ends before the other"),
            };
            let payloads = [one.payload, other.payload];
            if let (Record::Write(mine), Record::Write(yours)) = (&one.record, &other.record)
                && !self.compressed.contains(&(mine.object, mine.offset))
            {
                ensure!(
                    unpacked(mine, one.payload)? == unpacked(yours, other.payload)?,
                    "at offset {} the contents of {mine:?} differ",
                    one.position
                );
                let (mine, yours) = (unpacked_record(mine), unpacked_record(yours));
                ensure!(
                    mine == yours,
                    "`ozfs send` says {mine:?}, of its own pool {yours:?}"
                );
                continue;
            }
            let (mine, yours) = (undecided(one.record), undecided(other.record));
            ensure!(
                mine == yours,
                "at offset {} `ozfs send` says {mine:?}, of its own pool {yours:?}",
                one.position
            );
            let [mine_payload, yours_payload] = payloads;
            ensure!(
                mine_payload == yours_payload,
                "at offset {} the payload of {mine:?} differs",
                one.position
            );
        }
        match base {
            Some(base) => same_holes(&our_holes, &their_holes, &data(base)?),
            None => Ok(()),
        }
    }
}

/// A record without what is up to the pool.
pub(super) fn undecided(record: Record) -> Record {
    match record {
        Record::Write(write) => Record::Write(Write {
            key: DedupKey::default(),
            ..write
        }),
        Record::End(end) => Record::End(zferry_zstream::record::End {
            checksum: zferry_zstream::Checksum::default(),
            ..end
        }),
        other => other,
    }
}

/// A WRITE without how its block is packed.
fn unpacked_record(write: &Write) -> Write {
    Write {
        key: DedupKey::default(),
        compression: CompressionType::default(),
        compressed_size: 0,
        ..*write
    }
}

/// What a WRITE's payload holds.
fn unpacked(write: &Write, payload: &[u8]) -> Result<Vec<u8>> {
    if write.compressed_size == 0 {
        return Ok(payload.to_vec());
    }
    let mut bytes = vec![0; usize_from_u64(write.logical_size)];
    let algorithm = Compression::from_id(write.compression.0).context("an unknown compression")?;
    decompress(algorithm, payload, &mut bytes)?;
    Ok(bytes)
}

/// Notes what a FREE frees; `false` if it is another record.
fn note_hole(record: &Record, holes: &mut Parts) -> bool {
    let Record::Free(free) = record else { return false };
    let part = free.offset..free.offset.saturating_add(free.length);
    holes.entry(free.object).or_default().push(part);
    true
}

/// Where a full stream has data.
fn data(stream: &Path) -> Result<Parts> {
    let mut reader = StreamReader::new(File::open(stream)?);
    let mut data = Parts::new();
    while let Some(read) = reader.next_passing()? {
        let (object, offset, length) = match read.record {
            Record::Write(write) => (write.object, write.offset, write.logical_size),
            Record::WriteEmbedded(write) => (write.object, write.offset, write.length),
            _ => continue,
        };
        let part = offset..offset.saturating_add(length);
        data.entry(object).or_default().push(part);
    }
    Ok(data)
}

/// Whether both free the same of what held data.
fn same_holes(ours: &Parts, theirs: &Parts, data: &Parts) -> Result<()> {
    for (object, parts) in data {
        let [ours, theirs] =
            [ours, theirs].map(|holes| holes.get(object).map(Vec::as_slice).unwrap_or_default());
        for part in parts {
            let [mine, yours] = [ours, theirs].map(|holes| freed(part, holes));
            ensure!(
                mine == yours,
                "of object {object}, {part:?}, `ozfs send` frees {mine:?}, of its own pool {yours:?}"
            );
        }
    }
    Ok(())
}

/// What of `part` lies in `holes`: in order, and put together where it touches.
fn freed(part: &Range<u64>, holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut within: Vec<_> = holes
        .iter()
        .map(|hole| hole.start.max(part.start)..hole.end.min(part.end))
        .filter(|hole| !hole.is_empty())
        .collect();
    within.sort_by_key(|hole| hole.start);
    let mut joined: Vec<Range<u64>> = Vec::new();
    for hole in within {
        match joined.last_mut() {
            Some(last) if hole.start <= last.end => last.end = last.end.max(hole.end),
            _ => joined.push(hole),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_where_there_was_data() {
        let parts =
            |parts: &[(u64, u64)]| Parts::from([(7, parts.iter().map(|&(start, end)| start..end).collect())]);
        let data = parts(&[(100, 200), (300, 400)]);
        let (ours, theirs) = (parts(&[(0, 150), (150, 200)]), parts(&[(90, 300)]));
        same_holes(&ours, &theirs, &data).unwrap();
        same_holes(&ours, &parts(&[(90, 301)]), &data).unwrap_err();
        same_holes(&ours, &Parts::new(), &data).unwrap_err();
        same_holes(&Parts::new(), &parts(&[(200, 300)]), &data).unwrap();
    }
}
