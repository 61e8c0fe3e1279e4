//! Records become changes of a dataset, one after another, as `receive_process_record` in `module/zfs/dmu_recv.c`
//! makes them.
//!
//! What depends on the objects that are there is checked here: a record for an object that is not, a block that does
//! not lie where blocks of its object lie, a reference to what did not come.

use super::ReceiveError;
use super::batch::{Body, Item, Recipe};
use super::existing::{Fate, free_slots, is_same, make_room};
use super::payload::{object_type, to_our_order, uncompress};
use super::resume::Point;
use super::rules::record::RecordFault;
use std::sync::Arc;
use zferry_wire::{Endian, u64_from_usize, usize_from_u32};
use zferry_zpool::dmu::ObjectSpec;
use zferry_zpool::spa::{EmbeddedType, PreparedBlock};
use zferry_zpool::{
    BlockId, DatasetId, DatasetPolicies, ObjectInfo, ObjectNumber, ObjectSetWriter, PoolWriter, Room, Slot,
};
use zferry_zstream::flags::{BeginFlags, RecordFlags};
use zferry_zstream::record::{
    Begin, CompressionType, Free, FreeObjects, Object, ObjsetType, Record, Redact, Spill, TO_END, Write,
    WriteByRef, WriteEmbedded,
};

/// No object has this number or a higher one.
const OBJECT_LIMIT: u64 = 1 << 48;

/// Why a record could not be applied.
#[derive(Debug)]
pub(super) enum Failure {
    Fault(RecordFault),
    Receive(ReceiveError),
}

impl From<RecordFault> for Failure {
    fn from(fault: RecordFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ReceiveError> for Failure {
    fn from(error: ReceiveError) -> Self {
        Self::Receive(error)
    }
}

impl From<zferry_zpool::Error> for Failure {
    fn from(error: zferry_zpool::Error) -> Self {
        Self::Receive(ReceiveError::Pool(error))
    }
}

/// Applies the records of one stream to one dataset.
#[derive(Debug)]
pub(super) struct Applier<'w> {
    writer: &'w mut PoolWriter,
    dataset: DatasetId,
    policies: DatasetPolicies,
    endian: Endian,
    /// The guid of the snapshot that is received.
    guid: u64,
    /// The first object of the newest block of dnodes of a raw stream.
    pub(super) range: Option<u64>,
    /// Whether the stream is raw.
    is_raw: bool,
    /// Whether the stream holds all there is, so that it replaces what is there.
    is_full: bool,
    /// Whether objects and spill blocks are marked as the sender knows them.
    marks_spill: bool,
    /// The object that blocks were written to last, and the size of its blocks, in bytes.
    pub(super) last: Option<(u64, u64)>,
    /// The highest object that there was a record for.
    highest: u64,
    has_committed: bool,
    /// How far it came, where that is to be noted.
    point: Option<Point>,
    /// Whether a volume is received.
    is_volume: bool,
    /// The name of the dataset that is received into, for those who read errors.
    target: &'w str,
    /// How much the dataset may grow in the open transaction group, once that is known.
    room: Option<Room>,
}

/// Whether a record adds to what there is.
const fn adds(record: &Record) -> bool {
    matches!(
        record,
        Record::Object(_)
            | Record::Write(_)
            | Record::WriteByRef(_)
            | Record::WriteEmbedded(_)
            | Record::Spill(_)
    )
}

impl<'w> Applier<'w> {
    /// Applies the stream that `begin` opens to `dataset`.
    pub(super) const fn new(
        writer: &'w mut PoolWriter,
        dataset: DatasetId,
        policies: DatasetPolicies,
        begin: &Begin,
        endian: Endian,
        target: &'w str,
    ) -> Self {
        Self {
            writer,
            dataset,
            policies,
            endian,
            guid: begin.to_guid,
            range: None,
            is_raw: begin.is_raw(),
            is_full: begin.from_guid == 0,
            marks_spill: begin.flags.contains(BeginFlags::SPILL_BLOCK),
            last: None,
            highest: 0,
            has_committed: false,
            point: None,
            is_volume: matches!(begin.objset_type, ObjsetType::ZVOL),
            target,
            room: None,
        }
    }

    /// Goes on where an earlier receive was cut: behind the objects before this one.
    pub(super) const fn go_on_at(&mut self, object: u64) {
        self.highest = object;
    }

    /// Notes with every commit how far it came.
    pub(super) fn note_point(&mut self, point: Point) {
        self.point = Some(point);
    }

    /// Applies the next record.
    pub(super) fn apply(&mut self, item: Item<Body>) -> Result<(), ReceiveError> {
        let (position, end, record_type) = (item.position, item.end, item.record.record_type());
        let place = item.record.resume_point();
        if adds(&item.record) {
            self.check_room()?;
        }
        self.apply_one(item).map_err(|failure| match failure {
            Failure::Receive(error) => error,
            Failure::Fault(fault) => ReceiveError::Record {
                position,
                record_type,
                fault,
            },
        })?;
        if let Some((point, place)) = self.point.as_mut().zip(place) {
            point.pass(place, end);
        }
        Ok(())
    }

    /// Nothing is added where a quota is used up, or the pool.
    fn check_room(&mut self) -> Result<(), ReceiveError> {
        let room = match self.room.take() {
            Some(room) => room,
            None => self.writer.room(self.dataset, self.is_volume)?,
        };
        if self.writer.growth(self.dataset) < room.bytes {
            self.room = Some(room);
            return Ok(());
        }
        let Some(depth) = room.quota_at else {
            return Err(ReceiveError::Full);
        };
        let names: Vec<_> = self.target.split('/').take(depth.saturating_add(1)).collect();
        Err(ReceiveError::Quota(names.join("/")))
    }

    /// Commits when much has changed, so that memory stays bounded.
    pub(super) fn commit_if_full(&mut self) -> Result<(), ReceiveError> {
        if self.writer.is_full_of_changes() || self.point.as_ref().is_some_and(Point::is_far) {
            self.commit()?;
        }
        Ok(())
    }

    /// Commits, with a note of how far it came where that is wanted.
    pub(super) fn commit(&mut self) -> Result<(), ReceiveError> {
        if let Some(point) = &mut self.point {
            point.note(self.writer, self.dataset)?;
        }
        self.writer.commit()?;
        self.room = None;
        self.has_committed = true;
        Ok(())
    }

    /// Whether something of the stream is in the pool for good.
    pub(super) const fn has_committed(&self) -> bool {
        self.has_committed
    }

    /// Frees every object behind the last that the stream has: of a full stream that goes over an origin.
    pub(super) fn free_behind(&mut self) -> Result<(), ReceiveError> {
        let mut objects = self.writer.objects(self.dataset)?;
        let mut from = ObjectNumber(self.highest.saturating_add(1));
        while let Some(number) = objects.next_object(from)? {
            objects.free_object(number)?;
            from = ObjectNumber(number.0.saturating_add(1));
        }
        Ok(())
    }

    fn apply_one(&mut self, item: Item<Body>) -> Result<(), Failure> {
        self.highest = self.highest.max(object_of(&item.record));
        match item.record {
            Record::Object(object) => match item.body {
                Body::Bytes(area) if self.is_raw => self.raw_object(&object, &area),
                Body::Bytes(bonus) => self.object(&object, bonus),
                Body::Ready(_) => Err(ReceiveError::Internal.into()),
            },
            Record::FreeObjects(free) => self.free_objects(&free),
            Record::Write(write) => self.write(&write, &item.record, item.body),
            Record::WriteEmbedded(write) => match item.body {
                Body::Bytes(payload) => self.write_embedded(&write, &payload),
                Body::Ready(_) => Err(ReceiveError::Internal.into()),
            },
            Record::WriteByRef(write) => self.write_by_ref(&write),
            Record::Free(free) => self.free(&free),
            Record::Redact(redact) => self.redact(&redact),
            Record::Spill(spill) => self.spill(&spill, &item.record, item.body),
            Record::ObjectRange(range) => self.object_range(&range),
            Record::Begin(_) | Record::End(_) => Err(ReceiveError::Internal.into()),
        }
    }

    /// The byte order of the stream's records.
    pub(super) const fn endian(&self) -> Endian {
        self.endian
    }

    pub(super) fn objects(&mut self) -> Result<ObjectSetWriter<'_>, Failure> {
        Ok(self.writer.objects(self.dataset)?)
    }

    fn object(&mut self, object: &Object, mut bonus: Vec<u8>) -> Result<(), Failure> {
        let number = ObjectNumber(object.object);
        self.last = None;
        to_our_order(&mut bonus, object_type(object.bonus_type), self.endian);
        let used = bonus.get(..usize_from_u32(object.bonus_length)).unwrap_or(&bonus);
        let spec = ObjectSpec {
            object_type: object_type(object.object_type),
            bonus_type: object_type(object.bonus_type),
            bonus: used.to_vec(),
            block_bytes: object.block_size,
            slots: object.dnode_slots.max(1),
            checksum: object.checksum.0,
            compression: object.compression.0,
            ..ObjectSpec::new(object_type(object.object_type), object.block_size)
        };
        let has_spill = object.flags.contains(RecordFlags::OBJECT_SPILL);
        let (marks_spill, is_full) = (self.marks_spill, self.is_full);
        let mut objects = self.objects()?;
        match objects.slot(number)? {
            Slot::Free => {
                free_slots(&mut objects, number, spec.slots)?;
                objects.claim(number, &spec)?;
            }
            Slot::Interior(of) => {
                return Err(RecordFault::SlotTaken {
                    slot: number.0,
                    owner: of.0,
                }
                .into());
            }
            Slot::Object(found) => {
                let fate = make_room(&mut objects, number, &found, &spec, is_full)?;
                free_slots(&mut objects, number, spec.slots)?;
                match fate {
                    Fate::Freed => objects.claim(number, &spec)?,
                    Fate::Stays { block_bytes } => {
                        let spec = ObjectSpec {
                            block_bytes,
                            ..spec.clone()
                        };
                        let keeps_spill = if is_same(&found, &spec) {
                            !marks_spill || has_spill
                        } else {
                            marks_spill && has_spill
                        };
                        objects.reclaim(number, &spec, keeps_spill)?;
                    }
                }
            }
        }
        // What happens to lie behind the used part is sent too, up to a multiple of 8.
        if let Some(behind) = bonus.get(spec.bonus.len()..).filter(|behind| !behind.is_empty()) {
            objects.set_behind_bonus(number, behind)?;
        }
        Ok(())
    }

    fn free_objects(&mut self, free: &FreeObjects) -> Result<(), Failure> {
        self.last = None;
        let end = free
            .first_object
            .saturating_add(free.object_count)
            .min(OBJECT_LIMIT);
        let mut objects = self.objects()?;
        let mut from = ObjectNumber(free.first_object.max(1));
        while let Some(number) = objects.next_object(from)?.filter(|number| number.0 < end) {
            objects.free_object(number)?;
            from = ObjectNumber(number.0.saturating_add(1));
        }
        Ok(())
    }

    fn write(&mut self, write: &Write, record: &Record, body: Body) -> Result<(), Failure> {
        let block_size = self.block_size(write.object)?;
        if write.logical_size == block_size && write.offset.is_multiple_of(block_size) {
            let block = match body {
                Body::Ready(block) => block,
                Body::Bytes(payload) => {
                    self.recipe(write.object, false)?
                        .block(record, payload, self.endian)?
                }
            };
            return self.write_block(write.object, write.offset, block_size, &block);
        }
        if self.is_raw {
            return Err(RecordFault::RawBlock {
                object: write.object,
                found: write.logical_size,
                expected: block_size,
            }
            .into());
        }
        let payload = match body {
            // Its object kept the smaller blocks that it has here.
            Body::Ready(block) => block.into_content()?,
            Body::Bytes(mut payload) if write.compression == CompressionType::NONE => {
                to_our_order(&mut payload, object_type(write.object_type), self.endian);
                payload
            }
            Body::Bytes(payload) => uncompress(write.compression, &payload, write.logical_size)?,
        };
        let number = ObjectNumber(write.object);
        Ok(self.objects()?.write(number, write.offset, &payload)?)
    }

    fn write_embedded(&mut self, write: &WriteEmbedded, payload: &[u8]) -> Result<(), Failure> {
        let block_size = self.block_size(write.object)?;
        let payload = payload
            .get(..usize_from_u32(write.physical_size))
            .unwrap_or(payload);
        if write.is_spill() {
            let recipe = self.recipe(write.object, true)?;
            let block = self.embedded(&recipe, write, payload);
            return Ok(self.objects()?.set_spill(ObjectNumber(write.object), &block)?);
        }
        let is_block = write.length == block_size
            && u64::from(write.logical_size) == block_size
            && write.offset.is_multiple_of(block_size);
        if is_block && write.embedded_type.0 == EmbeddedType::DATA.0 {
            let recipe = self.recipe(write.object, false)?;
            let block = self.embedded(&recipe, write, payload);
            return self.write_block(write.object, write.offset, block_size, &block);
        }
        let content = uncompress(write.compression, payload, u64::from(write.logical_size))?;
        let number = ObjectNumber(write.object);
        Ok(self.objects()?.write(number, write.offset, &content)?)
    }

    fn embedded(&self, recipe: &Recipe, write: &WriteEmbedded, payload: &[u8]) -> PreparedBlock {
        recipe.policy.prepare_embedded(
            recipe.object_type,
            u64::from(write.logical_size),
            write.compression.0,
            EmbeddedType::DATA,
            self.endian,
            payload,
        )
    }

    /// Releases before 2.0 looked the block up in any dataset received before; within one stream, it is in this one.
    fn write_by_ref(&mut self, write: &WriteByRef) -> Result<(), Failure> {
        let missing = RecordFault::Reference {
            guid: write.ref_guid,
            object: write.ref_object,
            offset: write.ref_offset,
        };
        if write.ref_guid != self.guid {
            return Err(missing.into());
        }
        let number = ObjectNumber(write.ref_object);
        let mut objects = self.objects()?;
        let Slot::Object(found) = objects.slot(number)? else {
            return Err(missing.into());
        };
        let block_size = found.block_bytes.max(1);
        if write.length != block_size || !write.ref_offset.is_multiple_of(block_size) {
            return Err(missing.into());
        }
        let block = BlockId(write.ref_offset.checked_div(block_size).unwrap_or(0));
        let content = objects.read_block(number, block)?;
        let target_size = self.block_size(write.object)?;
        if u64_from_usize(content.len()) == target_size && write.offset.is_multiple_of(target_size) {
            let recipe = self.recipe(write.object, false)?;
            let block = recipe.policy.prepare(recipe.object_type, content)?;
            return self.write_block(write.object, write.offset, target_size, &block);
        }
        let number = ObjectNumber(write.object);
        Ok(self.objects()?.write(number, write.offset, &content)?)
    }

    fn free(&mut self, free: &Free) -> Result<(), Failure> {
        self.block_size(free.object)?;
        let length = Some(free.length).filter(|length| *length != TO_END);
        let number = ObjectNumber(free.object);
        Ok(self.objects()?.free_range(number, free.offset, length)?)
    }

    /// What is left out is a hole, as OpenZFS has it until today.
    fn redact(&mut self, redact: &Redact) -> Result<(), Failure> {
        self.free(&Free {
            object: redact.object,
            offset: redact.offset,
            length: redact.length,
            to_guid: redact.to_guid,
        })
    }

    fn spill(&mut self, spill: &Spill, record: &Record, body: Body) -> Result<(), Failure> {
        // Sent for receivers that lose spill blocks; this one does not.
        if self.marks_spill && spill.flags.contains(RecordFlags::SPILL_UNMODIFIED) {
            return Ok(());
        }
        self.block_size(spill.object)?;
        let block = match body {
            Body::Ready(block) => block,
            Body::Bytes(payload) => self
                .recipe(spill.object, true)?
                .block(record, payload, self.endian)?,
        };
        let number = ObjectNumber(spill.object);
        Ok(self.objects()?.set_spill(number, &block)?)
    }

    fn write_block(
        &mut self,
        object: u64,
        offset: u64,
        block_size: u64,
        block: &PreparedBlock,
    ) -> Result<(), Failure> {
        let id = BlockId(offset.checked_div(block_size).unwrap_or(0));
        Ok(self.objects()?.write_block(ObjectNumber(object), id, block)?)
    }

    /// The size of an object's blocks, in bytes: never 0. The object must be there.
    fn block_size(&mut self, object: u64) -> Result<u64, Failure> {
        if let Some((_, block_size)) = self.last.filter(|(last, _)| *last == object) {
            return Ok(block_size);
        }
        let info = self.info(object)?;
        let block_size = info.block_bytes.max(1);
        self.last = Some((object, block_size));
        Ok(block_size)
    }

    fn info(&mut self, object: u64) -> Result<ObjectInfo, Failure> {
        match self.objects()?.slot(ObjectNumber(object))? {
            Slot::Object(info) => Ok(info),
            Slot::Free | Slot::Interior(_) => Err(RecordFault::NoObject(object).into()),
        }
    }

    /// How a block of an object is made ready that could not be before.
    fn recipe(&mut self, object: u64, is_spill: bool) -> Result<Recipe, Failure> {
        let info = self.info(object)?;
        let object_type = if is_spill {
            info.bonus_type
        } else {
            info.object_type
        };
        let policy = self
            .policies
            .for_object(object_type, info.checksum, info.compression);
        Ok(Recipe {
            policy: Arc::new(policy),
            object_type,
            is_raw: self.is_raw,
        })
    }
}

/// The object that a record is for; 0 for a range of them.
const fn object_of(record: &Record) -> u64 {
    match record {
        Record::Object(object) => object.object,
        Record::Write(write) => write.object,
        Record::WriteByRef(write) => write.object,
        Record::WriteEmbedded(write) => write.object,
        Record::Spill(spill) => spill.object,
        Record::Free(free) => free.object,
        _ => 0,
    }
}
