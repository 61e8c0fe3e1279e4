//! A piece of the stream: records laid out in order, with gaps for the blocks that are still to be read.

use super::SendError;
use super::damage::{Damage, pattern, sum_of_pattern};
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};
use zferry_zpool::dmu::ByteOrder;
use zferry_zpool::spa::{BlockPointer, BlockReader};
use zferry_zstream::record::{self, CompressionType, Header, RECORD_SIZE, Record};
use zferry_zstream::writer::Fletcher4;

/// A job is handed over when it holds this many bytes of stream, or tells of so many blocks that cannot be read.
const JOB_BYTES: usize = 512 << 10;
const JOB_DAMAGE: usize = 512;
/// About how much memory it takes to tell of one, in bytes.
const DAMAGE_BYTES: usize = 1 << 10;

/// Records, one after another, as they will be written.
#[derive(Debug, Default)]
pub(super) struct Job {
    /// The bytes; what lies behind `used` is left from an earlier job.
    bytes: Vec<u8>,
    used: usize,
    records: Vec<Placed>,
    fills: Vec<Fill>,
    /// What could not be read, in the order of the walk: each with how many records are before it.
    damage: Vec<(usize, Damage)>,
}

/// Where a record lies in a job.
#[derive(Clone, Copy, Debug)]
struct Placed {
    header: usize,
    payload_len: usize,
    payload_sum: Fletcher4,
    /// So many bytes of the pattern are sent instead of the payload.
    pattern_len: Option<usize>,
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
        self.used == 0 && self.damage.is_empty()
    }

    /// Whether it is time to hand it over.
    pub(super) const fn is_full(&self) -> bool {
        self.used >= JOB_BYTES || self.damage.len() >= JOB_DAMAGE
    }

    /// How much memory it stands for, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let damage = self.damage.len().saturating_mul(DAMAGE_BYTES);
        u64_from_usize(self.used.saturating_add(damage))
    }

    /// What could not be read, to be taken away.
    pub(super) fn take_damage(&mut self) -> impl Iterator<Item = Damage> {
        std::mem::take(&mut self.damage)
            .into_iter()
            .map(|(_, damage)| damage)
    }

    /// Notes what the walk could not read.
    pub(super) fn note(&mut self, damage: Damage) {
        self.damage.push((self.records.len(), damage));
    }

    /// Makes an empty job that keeps the memory of this one.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        self.records.clear();
        self.fills.clear();
        self.damage.clear();
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
            pattern_len: None,
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
                pattern_len: None,
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

    /// Reads the blocks that belong into the gaps, and sums them. Where one cannot be read, and that `skips_damage`, the
    /// pattern is sent for it.
    pub(super) fn fill(
        &mut self,
        reader: &BlockReader,
        scratch: &mut Scratch,
        skips_damage: bool,
    ) -> Result<(), Failure> {
        for fill in &self.fills {
            let last = fill.first_record.saturating_add(fill.parts);
            let placed = self.records.get_mut(fill.first_record..last).unwrap_or_default();
            let outcome = if let [record] = placed {
                let payload = payload_mut(&mut self.bytes, record);
                let outcome = read(reader, fill, payload, scratch);
                record.payload_sum = Fletcher4::of(payload, Endian::OURS);
                outcome
            } else {
                read_in_parts(reader, fill, placed, &mut self.bytes, scratch)
            };
            match outcome {
                Ok(()) => {}
                Err(error) if skips_damage && error.is_damage() => {
                    for record in placed {
                        record.becomes_pattern(fill, &mut self.bytes);
                    }
                    self.damage
                        .push((fill.first_record, Damage::of_block(fill, error)));
                }
                Err(source) => return Err(Failure::new(fill, source)),
            }
        }
        // What the walk noted was there before.
        self.damage.sort_by_key(|(record, _)| *record);
        Ok(())
    }

    /// Gives every record its checksum, through `stamp`, and hands out the finished bytes, in one piece where nothing is
    /// damaged.
    pub(super) fn finish<E>(
        &mut self,
        mut stamp: impl FnMut(&mut Header, &Fletcher4),
        write: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut written = 0;
        for record in &self.records {
            let header = self
                .bytes
                .get_mut(record.header..)
                .and_then(|bytes| bytes.first_chunk_mut());
            if let Some(header) = header {
                stamp(header, &record.payload_sum);
            }
            if let Some(len) = record.pattern_len {
                let payload = record.header.saturating_add(RECORD_SIZE);
                write(self.bytes.get(written..payload).unwrap_or_default())?;
                pattern(len, write)?;
                written = payload.saturating_add(record.payload_len);
            }
        }
        match self.bytes.get(written..self.used) {
            Some(rest) if !rest.is_empty() => write(rest),
            _ => Ok(()),
        }
    }
}

impl Placed {
    /// The pattern goes in the place of what cannot be read: uncompressed, but where the receiver gets stored bytes.
    fn becomes_pattern(&mut self, fill: &Fill, bytes: &mut [u8]) {
        let mut len = self.payload_len;
        let header = bytes.get_mut(self.header..).and_then(<[u8]>::first_chunk_mut);
        if fill.form == Form::Compressed
            && let Some(header) = header
            && let Ok(Record::Write(write)) = Record::decode(header, Endian::OURS)
        {
            len = usize_from_u64(write.logical_size);
            let write = record::Write {
                compression: CompressionType::NONE,
                compressed_size: 0,
                ..write
            };
            *header = Record::Write(write).encode(Endian::OURS);
        }
        self.payload_sum = sum_of_pattern(len);
        self.pattern_len = Some(len);
    }
}

/// Reads a large block for a receiver that takes none so large: it is read once and cut.
fn read_in_parts(
    reader: &BlockReader,
    fill: &Fill,
    placed: &mut [Placed],
    bytes: &mut [u8],
    scratch: &mut Scratch,
) -> Result<(), zferry_zpool::Error> {
    let mut whole = std::mem::take(&mut scratch.whole);
    whole.resize(usize_from_u64(fill.pointer.logical_size()), 0);
    let outcome = read(reader, fill, &mut whole, scratch);
    let mut rest = whole.as_slice();
    for record in placed {
        let payload = payload_mut(bytes, record);
        let (part, tail) = rest.split_at_checked(payload.len()).unwrap_or_default();
        if part.len() == payload.len() {
            payload.copy_from_slice(part);
        }
        record.payload_sum = Fletcher4::of(payload, Endian::OURS);
        rest = tail;
    }
    scratch.whole = whole;
    outcome
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
