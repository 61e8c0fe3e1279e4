//! A piece of the stream: records laid out in order, with gaps for the blocks that are still to be read.

use super::SendError;
use zferry_wire::{Endian, usize_from_u64};
use zferry_zpool::dmu::ByteOrder;
use zferry_zpool::spa::{BlockPointer, BlockReader};
use zferry_zstream::record::{Header, RECORD_SIZE, Record};
use zferry_zstream::writer::Fletcher4;

/// Records, one after another, as they will be written.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// The bytes; what lies behind `used` is left from an earlier job.
    bytes: Vec<u8>,
    used: usize,
    records: Vec<Placed>,
    fills: Vec<Fill>,
}

/// Where a record lies in a job.
#[derive(Clone, Copy, Debug)]
struct Placed {
    header: usize,
    payload_len: usize,
    payload_sum: Fletcher4,
}

/// A block that belongs into a job.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    /// The block.
    pub(super) pointer: BlockPointer,
    /// What of it is sent.
    pub(super) form: Form,
    /// Whose block it is, for messages.
    pub(super) object: u64,
    /// Where it begins in its object, in bytes.
    pub(super) offset: u64,
    /// How the records that share the block take it apart: as many, each of `part` bytes but for the last.
    pub(super) parts: usize,
    /// The first of those records.
    first_record: usize,
}

/// What of a block is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Its content, put into the stream's byte order where it is in the other.
    Content(ByteOrder),
    /// Its content, compressed as it is stored.
    Compressed,
    /// Its bytes as they are stored, encrypted as they are.
    Stored,
}

impl Job {
    /// How many bytes of stream it holds.
    pub(super) const fn len(&self) -> usize {
        self.used
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Makes an empty job that keeps the memory of this one.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.records.clear();
        self.fills.clear();
    }

    fn reserve(&mut self, len: usize) -> &mut [u8] {
        let start = self.used;
        self.used = start.saturating_add(len);
        if self.bytes.len() < self.used {
            self.bytes.resize(self.used, 0);
        }
        self.bytes.get_mut(start..self.used).unwrap_or_default()
    }

    /// Appends a record with a payload that is known already.
    pub(super) fn record(&mut self, record: &Record, payload: &[u8]) {
        let header = self.used;
        self.reserve(RECORD_SIZE)
            .copy_from_slice(&record.encode(Endian::OURS));
        self.reserve(payload.len()).copy_from_slice(payload);
        let payload_sum = Fletcher4::of(payload, Endian::OURS);
        self.records.push(Placed {
            header,
            payload_len: payload.len(),
            payload_sum,
        });
    }

    /// Appends records whose payloads, together, are what is sent of a block.
    pub(super) fn block(
        &mut self,
        records: impl Iterator<Item = Record>,
        pointer: BlockPointer,
        form: Form,
        object: u64,
        offset: u64,
    ) {
        let first_record = self.records.len();
        for record in records {
            let header = self.used;
            let payload_len = usize_from_u64(record.payload_length());
            self.reserve(RECORD_SIZE)
                .copy_from_slice(&record.encode(Endian::OURS));
            self.reserve(payload_len);
            self.records.push(Placed {
                header,
                payload_len,
                payload_sum: Fletcher4::new(Endian::OURS),
            });
        }
        let parts = self.records.len().saturating_sub(first_record);
        self.fills.push(Fill {
            pointer,
            form,
            object,
            offset,
            parts,
            first_record,
        });
    }

    /// Reads the blocks that belong into the gaps, and sums them.
    pub(super) fn fill(&mut self, reader: &BlockReader, scratch: &mut Scratch) -> Result<(), Failure> {
        for fill in &self.fills {
            let last = fill.first_record.saturating_add(fill.parts);
            let placed = self.records.get_mut(fill.first_record..last).unwrap_or_default();
            if let [record] = placed {
                let payload = payload_mut(&mut self.bytes, record);
                read(reader, fill, payload, scratch).map_err(|source| Failure::new(fill, source))?;
                record.payload_sum = Fletcher4::of(payload, Endian::OURS);
                continue;
            }
            // A large block for a receiver that takes none: it is read once and cut.
            let mut whole = std::mem::take(&mut scratch.whole);
            whole.resize(usize_from_u64(fill.pointer.logical_size()), 0);
            let outcome = read(reader, fill, &mut whole, scratch);
            let mut rest = whole.as_slice();
            for record in placed {
                let payload = payload_mut(&mut self.bytes, record);
                let (part, tail) = rest.split_at_checked(payload.len()).unwrap_or_default();
                if part.len() == payload.len() {
                    payload.copy_from_slice(part);
                }
                record.payload_sum = Fletcher4::of(payload, Endian::OURS);
                rest = tail;
            }
            scratch.whole = whole;
            outcome.map_err(|source| Failure::new(fill, source))?;
        }
        Ok(())
    }

    /// Gives every record its checksum, through `stamp`, and hands out the finished bytes.
    pub(super) fn finish(&mut self, mut stamp: impl FnMut(&mut Header, &Fletcher4)) -> &[u8] {
        for record in &self.records {
            let header = self
                .bytes
                .get_mut(record.header..)
                .and_then(|bytes| bytes.first_chunk_mut());
            if let Some(header) = header {
                stamp(header, &record.payload_sum);
            }
        }
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

fn payload_mut<'a>(bytes: &'a mut [u8], record: &Placed) -> &'a mut [u8] {
    let start = record.header.saturating_add(RECORD_SIZE);
    bytes
        .get_mut(start..start.saturating_add(record.payload_len))
        .unwrap_or_default()
}

/// Working memory of one worker thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    stored: Vec<u8>,
    whole: Vec<u8>,
}

fn read(
    reader: &BlockReader,
    fill: &Fill,
    payload: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), zferry_zpool::Error> {
    match fill.form {
        Form::Stored => reader.read_stored(&fill.pointer, payload),
        Form::Compressed => reader.read_compressed(&fill.pointer, payload),
        Form::Content(order) => {
            reader.read_into(&fill.pointer, payload, &mut scratch.stored)?;
            if fill.pointer.endian() != Endian::OURS {
                order.swap(payload);
            }
            Ok(())
        }
    }
}

/// A block that could not be read.
#[derive(Debug)]
pub(super) struct Failure {
    object: u64,
    offset: u64,
    length: u64,
    source: zferry_zpool::Error,
}

impl Failure {
    fn new(fill: &Fill, source: zferry_zpool::Error) -> Self {
        Self {
            object: fill.object,
            offset: fill.offset,
            length: fill.pointer.logical_size(),
            source,
        }
    }

    /// The same as an error of the whole send.
    pub(super) fn of_dataset(self, dataset: &str) -> SendError {
        SendError::Block {
            dataset: dataset.to_owned(),
            object: self.object,
            offset: self.offset,
            length: self.length,
            source: self.source,
        }
    }
}
