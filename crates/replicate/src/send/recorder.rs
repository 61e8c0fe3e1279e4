//! From what a walk comes by to records: which kind each block becomes, and which neighbours become one.
//!
//! Frees of adjoining ranges wait to be merged; any other record sends them off first. An object's first record is
//! followed at once by the free of all that lies behind its last block.

use super::encryption::crypt_parameters;
use super::job::{Form, Job};
use super::{SendError, Source};
use zferry_blocks::checksum::ChecksumAlgorithm;
use zferry_blocks::compress::Compression;
use zferry_wire::{Endian, usize_from_u64};
use zferry_zpool::dmu::{ByteOrder, Dnode, Object, ObjectType, Visit};
use zferry_zpool::spa::{BlockPointer, EmbeddedType};
use zferry_zpool::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use zferry_zstream::Checksum;
use zferry_zstream::flags::{FeatureFlags, RecordFlags};
use zferry_zstream::record::{self, ChecksumType, CompressionType, DedupKey, Record, TO_END};

/// The largest block of a stream without large blocks, in bytes.
const OLD_BLOCK_BYTES_MAX: u64 = 128 << 10;
/// The number under which a spill block goes where blocks are numbered: two below zero, as an unsigned number.
const SPILL_BLOCK: u64 = BlockId::SPILL.0;

/// Makes records of what a walk comes by.
#[derive(Debug)]
pub(super) struct Recorder<'a> {
    source: &'a Source,
    features: FeatureFlags,
    since: Txg,
    /// How many object numbers the snapshot can have used: no free beyond them is sent.
    object_limit: u64,
    pending: Option<Pending>,
}

/// A record that may still grow.
#[derive(Clone, Copy, Debug)]
enum Pending {
    Free(record::Free),
    Redact(record::Redact),
    FreeObjects(record::FreeObjects),
}

impl Pending {
    const fn into_record(self) -> Record {
        match self {
            Self::Free(free) => Record::Free(free),
            Self::Redact(redact) => Record::Redact(redact),
            Self::FreeObjects(free) => Record::FreeObjects(free),
        }
    }
}

impl<'a> Recorder<'a> {
    /// A recorder for a stream of `source` with `features`, whose dnodes lie in `meta`.
    pub(super) fn new(source: &'a Source, features: FeatureFlags, meta: &Dnode) -> Self {
        Self {
            source,
            features,
            since: source.since(),
            object_limit: meta
                .max_block
                .0
                .wrapping_add(1)
                .wrapping_mul(meta.slots_per_data_block()),
            pending: None,
        }
    }

    /// Adds the records of one visit to `job`.
    pub(super) fn visit(&mut self, visit: &Visit<'_>, job: &mut Job) -> Result<(), SendError> {
        match *visit {
            Visit::DnodeBlock {
                first,
                slots,
                pointer,
            } => {
                self.object_range(first, slots, pointer, job);
                Ok(())
            }
            Visit::FreeSlot(number) => {
                self.free_objects(number.0, 1, job);
                Ok(())
            }
            Visit::Object { object, pointer } => self.object(object, pointer, job),
            Visit::Hole { object, level, id } => {
                self.hole(object, level, id, job);
                Ok(())
            }
            Visit::Block { object, id, pointer } => self.block(object, id, pointer, job),
            Visit::Spill { object, pointer } => self.spill(object, pointer, job),
            // Nothing is sent of it.
            Visit::Lost { .. } => Ok(()),
        }
    }

    /// Sends off what waits to grow.
    pub(super) fn flush(&mut self, job: &mut Job) {
        if let Some(pending) = self.pending.take() {
            job.record(&pending.into_record(), &[]);
        }
    }

    fn free_objects(&mut self, first: u64, count: u64, job: &mut Job) {
        let mut count = count;
        // Receivers of old walk over every number of a range, so none is named that cannot exist.
        if self.object_limit > 0 {
            if first >= self.object_limit {
                return;
            }
            if first.wrapping_add(count) > self.object_limit {
                count = self.object_limit.saturating_sub(first);
            }
        }
        if let Some(Pending::FreeObjects(pending)) = &mut self.pending
            && pending.first_object.wrapping_add(pending.object_count) == first
        {
            pending.object_count = pending.object_count.wrapping_add(count);
            return;
        }
        self.flush(job);
        let free = record::FreeObjects {
            first_object: first,
            object_count: count,
            to_guid: self.source.guid,
        };
        self.pending = Some(Pending::FreeObjects(free));
    }

    fn free(&mut self, object: ObjectNumber, offset: u64, length: u64, job: &mut Job) {
        let wraps = offset.checked_add(length).is_none();
        if let Some(Pending::Free(pending)) = &mut self.pending
            && pending.object == object.0
            && pending.offset.wrapping_add(pending.length) == offset
        {
            pending.length = if wraps || length == TO_END {
                TO_END
            } else {
                pending.length.wrapping_add(length)
            };
            return;
        }
        self.flush(job);
        let free = record::Free {
            object: object.0,
            offset,
            length: if wraps { TO_END } else { length },
            to_guid: self.source.guid,
        };
        if length == TO_END {
            job.record(&Record::Free(free), &[]);
        } else {
            self.pending = Some(Pending::Free(free));
        }
    }

    /// A range of an object's bytes that are left out.
    pub(super) fn redact(&mut self, object: ObjectNumber, offset: u64, length: u64, job: &mut Job) {
        if let Some(Pending::Redact(pending)) = &mut self.pending
            && pending.object == object.0
            && pending.offset.wrapping_add(pending.length) == offset
        {
            pending.length = pending.length.wrapping_add(length);
            return;
        }
        self.flush(job);
        let redact = record::Redact {
            object: object.0,
            offset,
            length,
            to_guid: self.source.guid,
        };
        self.pending = Some(Pending::Redact(redact));
    }

    fn is_raw(&self) -> bool {
        self.features.contains(FeatureFlags::RAW)
    }

    /// Receivers of raw streams make each block of dnodes again as it was, for its code covers all of it.
    fn object_range(&mut self, first: ObjectNumber, slots: u64, pointer: &BlockPointer, job: &mut Job) {
        if !self.is_raw() {
            return;
        }
        self.flush(job);
        let range = record::ObjectRange {
            first_object: first.0,
            slot_count: slots,
            to_guid: self.source.guid,
            crypt: crypt_parameters(pointer),
            flags: byte_swap(pointer),
        };
        job.record(&Record::ObjectRange(range), &[]);
    }

    fn object(&mut self, object: &Object, pointer: &BlockPointer, job: &mut Job) -> Result<(), SendError> {
        self.flush(job);
        let dnode = &object.dnode;
        let mut block_size = dnode.data_bytes();
        if !self.features.contains(FeatureFlags::LARGE_BLOCKS) {
            block_size = block_size.min(OLD_BLOCK_BYTES_MAX);
        }
        let mut flags = RecordFlags::empty();
        flags.set(RecordFlags::OBJECT_SPILL, dnode.spill.is_some());
        let mut header = record::Object {
            object: object.number.0,
            object_type: stream_type(dnode.object_type),
            bonus_type: stream_type(dnode.bonus_type),
            block_size: u32::try_from(block_size).unwrap_or(u32::MAX),
            bonus_length: u32::from(dnode.bonus_len),
            checksum: ChecksumType(dnode.checksum),
            compression: CompressionType(dnode.compression),
            dnode_slots: dnode.extra_slots.wrapping_add(1),
            flags,
            to_guid: self.source.guid,
            ..record::Object::default()
        };
        if self.is_raw() {
            header.flags |= byte_swap(pointer);
            header.max_block_id = dnode.max_block.0;
            header.indirect_block_shift = dnode.indirect_shift;
            header.levels = dnode.levels;
            header.block_pointers = u8::try_from(dnode.pointers.len()).unwrap_or(u8::MAX);
            // All of the bonus area is encrypted, so what lies behind its meaningful part is needed too.
            let area = if dnode.bonus_len == 0 { &[] } else { &*dnode.bonus };
            header.raw_bonus_length = u32::try_from(area.len()).unwrap_or(u32::MAX);
            job.record(&Record::Object(header), area);
        } else {
            job.record(&Record::Object(header), &self.bonus(object)?);
        }
        let end = dnode.max_block.0.wrapping_add(1).wrapping_mul(dnode.data_bytes());
        self.free(object.number, end, TO_END, job);
        self.unmodified_spill(object, job)
    }

    /// The bonus buffer, up to the next multiple of eight bytes, in the stream's byte order.
    fn bonus(&self, object: &Object) -> Result<Vec<u8>, SendError> {
        let dnode = &object.dnode;
        let padded = usize::from(dnode.bonus_len).next_multiple_of(8);
        let mut bonus = dnode.bonus.get(..padded).unwrap_or(&dnode.bonus).to_vec();
        bonus.resize(padded, 0);
        if dnode.endian != Endian::OURS {
            let meaningful = bonus.get_mut(..usize::from(dnode.bonus_len)).unwrap_or_default();
            self.byte_order(object, dnode.bonus_type)?.swap(meaningful);
        }
        Ok(bonus)
    }

    /// Old receivers lose a spill block when its object changes in some ways, so it is sent again.
    fn unmodified_spill(&mut self, object: &Object, job: &mut Job) -> Result<(), SendError> {
        match &object.dnode.spill {
            Some(spill) if !spill.is_hole() && spill.logical_birth() <= self.since => {
                self.spill(object, spill, job)
            }
            _ => Ok(()),
        }
    }

    fn hole(&mut self, object: &Object, level: u8, id: BlockId, job: &mut Job) {
        let dnode = &object.dnode;
        let Some((start, span)) = range_of(dnode, level, id) else {
            return;
        };
        let is_meta = object.number == ObjectNumber(0);
        // What lies past the last block was freed by the record behind the object's own.
        if !is_meta && !dnode.object_type.is_metadata() && start > dnode.max_block.0 {
            return;
        }
        let end = start.checked_add(span).unwrap_or(0);
        if is_meta {
            let slots = dnode.slots_per_data_block();
            let first = start.wrapping_mul(slots);
            self.free_objects(first, end.wrapping_mul(slots).wrapping_sub(first), job);
            return;
        }
        self.free_blocks(object, start, end, job);
    }

    /// Blocks of an object from `start` to before `end` that are holes.
    pub(super) fn free_blocks(&mut self, object: &Object, start: u64, end: u64, job: &mut Job) {
        let dnode = &object.dnode;
        // A range that begins past what a length can say can never have held anything.
        let Some(offset) = start.checked_mul(dnode.data_bytes()) else {
            return;
        };
        let end = end.saturating_mul(dnode.data_bytes());
        self.free(object.number, offset, end.wrapping_sub(offset), job);
    }

    fn block(
        &mut self,
        object: &Object,
        id: BlockId,
        pointer: &BlockPointer,
        job: &mut Job,
    ) -> Result<(), SendError> {
        let dnode = &object.dnode;
        let start = id.0;
        // A block past the last is no part of the object, and is not sent by OpenZFS either.
        if !dnode.object_type.is_metadata() && start > dnode.max_block.0 {
            return Ok(());
        }
        let size = dnode.data_bytes();
        let offset = start.wrapping_mul(size);
        if pointer.is_redacted() {
            self.redact(object.number, offset, size, job);
            return Ok(());
        }
        if pointer.logical_size() != size || pointer.level() != 0 {
            return Err(self.corrupt(
                object,
                format!("block {id} is {pointer}, blocks have {size} bytes"),
            ));
        }
        if self.is_sent_embedded(pointer) {
            self.embedded(object, offset, size, pointer, job);
            return Ok(());
        }
        if pointer.object_type() == ObjectType::SYSTEM_ATTRIBUTES {
            return Err(self.corrupt(
                object,
                format!("block {id} is {pointer}, which only spill blocks are"),
            ));
        }
        self.flush(job);
        if size > OLD_BLOCK_BYTES_MAX && !self.features.contains(FeatureFlags::LARGE_BLOCKS) {
            if self.is_raw() {
                let finding =
                    format!("block {id} is {pointer}, in a dataset that says it has no large blocks");
                return Err(self.corrupt(object, finding));
            }
            return self.split(object, offset, pointer, job);
        }
        self.write(object, offset, pointer, job)
    }

    /// A block that lies in its pointer is sent as it lies there, if the receiver knows what that is.
    fn is_sent_embedded(&self, pointer: &BlockPointer) -> bool {
        let compression = pointer.compression();
        let is_legacy = Compression::from_id(compression).is_some_and(Compression::is_legacy);
        pointer.embedded_type() == Some(EmbeddedType::DATA)
            && self.features.contains(FeatureFlags::EMBED_DATA)
            && (is_legacy || self.features.contains(FeatureFlags::LZ4))
            && (compression != Compression::Zstd.id() || self.features.contains(FeatureFlags::ZSTD))
    }

    fn embedded(&mut self, object: &Object, offset: u64, size: u64, pointer: &BlockPointer, job: &mut Job) {
        self.flush(job);
        let mut payload = pointer.embedded_payload();
        payload.resize(payload.len().next_multiple_of(8), 0);
        let header = record::WriteEmbedded {
            object: object.number.0,
            offset,
            length: size,
            to_guid: self.source.guid,
            compression: CompressionType(pointer.compression()),
            embedded_type: record::EmbeddedType(EmbeddedType::DATA.0),
            logical_size: u32::try_from(pointer.logical_size()).unwrap_or(u32::MAX),
            physical_size: u32::try_from(pointer.physical_size()).unwrap_or(u32::MAX),
        };
        job.record(&Record::WriteEmbedded(header), &payload);
    }

    /// A block above 128 KiB, cut for a receiver that takes none so large.
    fn split(
        &mut self,
        object: &Object,
        offset: u64,
        pointer: &BlockPointer,
        job: &mut Job,
    ) -> Result<(), SendError> {
        let size = pointer.logical_size();
        let template = record::Write {
            object: object.number.0,
            object_type: stream_type(object.dnode.object_type),
            to_guid: self.source.guid,
            checksum: ChecksumType::OFF,
            ..record::Write::default()
        };
        let starts = (0..size).step_by(usize_from_u64(OLD_BLOCK_BYTES_MAX));
        let records = starts.map(|start| {
            Record::Write(record::Write {
                offset: offset.wrapping_add(start),
                logical_size: size.saturating_sub(start).min(OLD_BLOCK_BYTES_MAX),
                ..template
            })
        });
        let form = Form::Content(self.byte_order(object, object.dnode.object_type)?);
        job.block(records, *pointer, form, object.number.0, offset);
        Ok(())
    }

    fn write(
        &mut self,
        object: &Object,
        offset: u64,
        pointer: &BlockPointer,
        job: &mut Job,
    ) -> Result<(), SendError> {
        // Metadata is never sent compressed: a receiver of the other byte order must be able to swap it.
        let compressed = self.features.contains(FeatureFlags::COMPRESSED)
            && pointer.endian() == Endian::OURS
            && !pointer.is_embedded()
            && !pointer.object_type().is_metadata()
            && pointer.compression() != Compression::Off.id();
        let mut header = record::Write {
            object: object.number.0,
            object_type: stream_type(object.dnode.object_type),
            offset,
            logical_size: pointer.logical_size(),
            to_guid: self.source.guid,
            checksum: ChecksumType::OFF,
            ..record::Write::default()
        };
        if compressed || self.is_raw() {
            header.compression = CompressionType(pointer.compression());
            header.compressed_size = pointer.physical_size();
        }
        if self.is_raw() {
            header.flags |= byte_swap(pointer);
            header.crypt = crypt_parameters(pointer);
        }
        // What was summed is what is sent, but for encrypted blocks that are sent in the clear.
        if !pointer.is_embedded() && (self.is_raw() || !pointer.uses_crypt()) {
            header.checksum = ChecksumType(pointer.checksum_type());
            let algorithm = ChecksumAlgorithm::from_id(pointer.checksum_type());
            let dedup = algorithm.is_some_and(ChecksumAlgorithm::is_dedup_capable);
            header.flags.set(RecordFlags::CHECKSUM_DEDUP, dedup);
            header.key = dedup_key(pointer);
        }
        let form = if self.is_raw() {
            Form::Stored
        } else if compressed {
            Form::Compressed
        } else {
            Form::Content(self.byte_order(object, object.dnode.object_type)?)
        };
        job.block(
            std::iter::once(Record::Write(header)),
            *pointer,
            form,
            object.number.0,
            offset,
        );
        Ok(())
    }

    fn spill(&mut self, object: &Object, pointer: &BlockPointer, job: &mut Job) -> Result<(), SendError> {
        // A removed spill block needs no record: the object's own says that there is none.
        if pointer.is_hole() {
            return Ok(());
        }
        if pointer.object_type() != ObjectType::SYSTEM_ATTRIBUTES {
            return Err(self.corrupt(object, format!("its spill block is {pointer}")));
        }
        let size = pointer.logical_size();
        if self.is_sent_embedded(pointer) {
            self.embedded(object, SPILL_BLOCK.wrapping_mul(size), size, pointer, job);
            return Ok(());
        }
        self.flush(job);
        let mut flags = RecordFlags::empty();
        flags.set(
            RecordFlags::SPILL_UNMODIFIED,
            pointer.logical_birth() <= self.since,
        );
        let mut header = record::Spill {
            object: object.number.0,
            length: size,
            to_guid: self.source.guid,
            flags,
            ..Default::default()
        };
        // System attributes say themselves in which order they are.
        let mut form = Form::Content(ByteOrder::Bytes);
        if self.is_raw() {
            header.flags |= byte_swap(pointer);
            header.compression = CompressionType(pointer.compression());
            header.compressed_size = pointer.physical_size();
            header.crypt = crypt_parameters(pointer);
            form = Form::Stored;
        }
        job.block(
            std::iter::once(Record::Spill(header)),
            *pointer,
            form,
            object.number.0,
            SPILL_BLOCK,
        );
        Ok(())
    }

    fn byte_order(&self, object: &Object, object_type: ObjectType) -> Result<ByteOrder, SendError> {
        object_type.byte_order().ok_or_else(|| SendError::ByteOrder {
            dataset: self.source.name.clone(),
            object: object.number.0,
            object_type: object_type.0,
        })
    }

    fn corrupt(&self, object: &Object, finding: String) -> SendError {
        let source = Error::from(Corrupt::new(format!("object {}: {finding}", object.number)));
        SendError::Pool {
            dataset: self.source.name.clone(),
            source,
        }
    }
}

/// The flag of a raw record for bytes that are not in the stream's order.
fn byte_swap(pointer: &BlockPointer) -> RecordFlags {
    if pointer.endian() == Endian::OURS {
        RecordFlags::empty()
    } else {
        RecordFlags::RAW_BYTESWAP
    }
}

/// The first data block below a pointer and how many there are; `None` where no number says it.
pub(super) fn range_of(dnode: &Dnode, level: u8, id: BlockId) -> Option<(u64, u64)> {
    let span = 1_u64.checked_shl(dnode.span_shift(level))?;
    Some((id.0.checked_mul(span)?, span))
}

fn stream_type(object_type: ObjectType) -> record::ObjectType {
    record::ObjectType(u32::from(object_type.0))
}

/// What a WRITE says of its block so that equal blocks can be recognised.
fn dedup_key(pointer: &BlockPointer) -> DedupKey {
    let sectors = |bytes: u64| (bytes >> 9).wrapping_sub(1) & 0xffff;
    let crypt = u64::from(pointer.uses_crypt());
    let properties = sectors(pointer.logical_size())
        | sectors(pointer.physical_size()) << 16
        | u64::from(pointer.compression() & 0x7f) << 32
        | crypt << 39;
    DedupKey {
        checksum: Checksum(pointer.checksum().0),
        properties,
    }
}
