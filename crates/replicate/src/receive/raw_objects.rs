//! Objects of raw streams: their dnodes become exactly those of the sender, as all of them is authenticated. So an object
//! that is there and cannot be changed that far is freed and made again.

use super::apply::{Applier, Failure};
use super::existing::free_slots;
use super::payload::object_type;
use super::raw::{content_endian, parameters};
use super::rules::record::RecordFault;
use zferry_wire::usize_from_u32;
use zferry_zpool::dmu::{ObjectSpec, SealedDnodes};
use zferry_zpool::{BlockId, ObjectInfo, ObjectNumber, ObjectSetWriter, Slot};
use zferry_zstream::flags::RecordFlags;
use zferry_zstream::record::{Object, ObjectRange};

impl Applier<'_> {
    /// Notes how the block of dnodes is sealed whose objects come next.
    pub(super) fn object_range(&mut self, range: &ObjectRange) -> Result<(), Failure> {
        self.range = Some(range.first_object);
        let sealed = SealedDnodes {
            crypt: parameters(&range.crypt),
            endian: content_endian(range.flags, self.endian()),
        };
        let first = ObjectNumber(range.first_object);
        Ok(self.objects()?.set_sealed_dnodes(first, sealed)?)
    }

    /// Makes an object what its sender has, with the whole `area` behind its pointers.
    pub(super) fn raw_object(&mut self, object: &Object, area: &[u8]) -> Result<(), Failure> {
        /// How many slots a block of dnodes has.
        const SLOTS: u64 = 32;
        let number = ObjectNumber(object.object);
        self.last = None;
        let is_within = self
            .range
            .and_then(|first| object.object.checked_sub(first))
            .is_some_and(|within| within < SLOTS);
        if !is_within {
            return Err(RecordFault::OutOfRange(object.object).into());
        }
        let used = area.get(..usize_from_u32(object.bonus_length)).unwrap_or(area);
        let spec = ObjectSpec {
            bonus_type: object_type(object.bonus_type),
            bonus: used.to_vec(),
            slots: object.dnode_slots.max(1),
            indirect_shift: object.indirect_block_shift,
            levels: object.levels,
            pointers: object.block_pointers,
            checksum: object.checksum.0,
            compression: object.compression.0,
            ..ObjectSpec::new(object_type(object.object_type), object.block_size)
        };
        let has_spill = object.flags.contains(RecordFlags::OBJECT_SPILL);
        let mut objects = self.objects()?;
        let found = match objects.slot(number)? {
            Slot::Free => None,
            Slot::Interior(of) => {
                return Err(RecordFault::SlotTaken {
                    slot: number.0,
                    owner: of.0,
                }
                .into());
            }
            Slot::Object(found) => Some(found),
        };
        let stays = match &found {
            Some(found) => make_room(&mut objects, object, found, &spec)?,
            None => false,
        };
        free_slots(&mut objects, number, spec.slots)?;
        if stays {
            objects.reclaim(number, &spec, has_spill)?;
        } else {
            objects.claim(number, &spec)?;
        }
        objects.set_shape(number, object.levels, BlockId(object.max_block_id))?;
        Ok(objects.set_bonus_area(number, area)?)
    }
}

/// Clears an object that is there of what cannot stay. Whether it is there afterwards.
fn make_room(
    objects: &mut ObjectSetWriter<'_>,
    object: &Object,
    found: &ObjectInfo,
    spec: &ObjectSpec,
) -> Result<bool, Failure> {
    let number = ObjectNumber(object.object);
    let has_other_indirect = found.indirect_shift != spec.indirect_shift;
    let is_lower = spec.levels < found.levels;
    if spec.slots != found.slots || is_lower || (has_other_indirect && found.levels > 1) {
        objects.free_object(number)?;
        return Ok(false);
    }
    let is_other = u64::from(spec.block_bytes) != found.block_bytes
        || spec.pointer_count() < found.pointers
        || has_other_indirect;
    if is_other {
        objects.free_range(number, 0, None)?;
    } else {
        // What lies behind the last block is freed by a later record; but which one is the last is said here.
        let end = object
            .max_block_id
            .saturating_add(1)
            .saturating_mul(found.block_bytes);
        objects.free_range(number, end, None)?;
    }
    Ok(true)
}
