//! What becomes of an object that is there when a record says that it is another, or has changed its shape: as
//! `receive_handle_existing_object` in `module/zfs/dmu_recv.c` decides it.

use super::apply::Failure;
use super::rules::record::RecordFault;
use zferry_wire::{Endian, Reader};
use zferry_zpool::dmu::{ObjectSpec, ObjectType};
use zferry_zpool::{ObjectInfo, ObjectNumber, ObjectSetWriter, Slot};

/// What the bonus buffer of a file holds before it held system attributes: `znode_phys_t`.
const ZNODE: ObjectType = ObjectType(17);
/// Where that has the generation, in bytes.
const ZNODE_GENERATION: usize = 64;
/// What it holds since.
const SYSTEM_ATTRIBUTES: ObjectType = ObjectType(44);
/// What the header of system attributes begins with.
const SA_MAGIC: u32 = 0x2f_505a;
/// Where behind that header the generation is, in bytes.
const SA_GENERATION: usize = 16;

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was freed, as its number of slots changes.
    Freed,
    /// It is there, and its blocks shall have this size, in bytes.
    Stays {
        /// That of the stream, or where the file is the same and was received in smaller blocks, theirs.
        block_bytes: u32,
    },
}

/// Clears an object that is there of what cannot stay when it becomes what `spec` says.
///
/// A sender that may send large blocks can follow one that had to split them: the file is the same, in larger blocks,
/// and what the stream does not touch must stay. In every other case where the size of blocks differs, the object is
/// another one, or has one block, which the stream sends.
pub(super) fn make_room(
    objects: &mut ObjectSetWriter<'_>,
    number: ObjectNumber,
    found: &ObjectInfo,
    spec: &ObjectSpec,
    is_full: bool,
) -> Result<Fate, Failure> {
    if spec.slots != found.slots {
        objects.free_object(number)?;
        return Ok(Fate::Freed);
    }
    let mut fate = Fate::Stays {
        block_bytes: spec.block_bytes,
    };
    let mut is_other = spec.pointer_count() < found.pointers;
    if u64::from(spec.block_bytes) != found.block_bytes {
        let is_file = |object_type| object_type == ObjectType::PLAIN_FILE_CONTENTS;
        let may_be_same =
            !is_full && is_file(spec.object_type) && is_file(found.object_type) && found.max_block.0 > 0;
        if may_be_same && is_same_file(number, found, spec)? {
            let kept = u32::try_from(found.block_bytes).unwrap_or(u32::MAX);
            if spec.block_bytes < kept {
                return Err(RecordFault::SmallerBlocks {
                    object: number.0,
                    found: spec.block_bytes,
                    had: kept,
                }
                .into());
            }
            fate = Fate::Stays { block_bytes: kept };
        } else {
            is_other = true;
        }
    }
    if is_other {
        objects.free_range(number, 0, None)?;
    }
    Ok(fate)
}

/// Whether an object has the kind and sizes already that it shall have.
pub(super) fn is_same(found: &ObjectInfo, spec: &ObjectSpec) -> bool {
    found.object_type == spec.object_type
        && found.block_bytes == u64::from(spec.block_bytes)
        && found.bonus_type == spec.bonus_type
        && found.bonus.len() == spec.bonus.len()
}

/// Frees the objects in the slots that a large dnode takes behind its first.
pub(super) fn free_slots(
    objects: &mut ObjectSetWriter<'_>,
    number: ObjectNumber,
    slots: u8,
) -> Result<(), Failure> {
    for behind in 1..u64::from(slots) {
        let slot = ObjectNumber(number.0.saturating_add(behind));
        if let Slot::Object(_) = objects.slot(slot)? {
            objects.free_object(slot)?;
        }
    }
    Ok(())
}

/// Whether an object is the same file as the one that the stream has under its number.
fn is_same_file(number: ObjectNumber, found: &ObjectInfo, spec: &ObjectSpec) -> Result<bool, RecordFault> {
    let unknown = RecordFault::Generation(number.0);
    let old = generation(found.bonus_type, &found.bonus).ok_or(unknown)?;
    let new = generation(spec.bonus_type, &spec.bonus).ok_or(unknown)?;
    Ok(old == new)
}

/// The generation of a file, by which files that had the same number one after another are told apart.
fn generation(bonus_type: ObjectType, bonus: &[u8]) -> Option<u64> {
    let mut reader = Reader::new(bonus, Endian::Little);
    if bonus_type == ZNODE {
        reader.skip(ZNODE_GENERATION).ok()?;
        return reader.u64().ok();
    }
    if bonus_type != SYSTEM_ATTRIBUTES {
        return None;
    }
    let (magic, layout) = (reader.u32().ok()?, reader.u16().ok()?);
    match magic {
        // Nothing has been put in yet.
        0 => return Some(0),
        SA_MAGIC => {}
        _ => return None,
    }
    let header = usize::from(layout >> 10).saturating_mul(8);
    let mut reader = Reader::new(bonus, Endian::Little);
    reader.skip(header.saturating_add(SA_GENERATION)).ok()?;
    reader.u64().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_generation_in_its_bonus_buffer() {
        let mut old = vec![0; 264];
        old[64] = 7;
        assert_eq!(generation(ZNODE, &old), Some(7));
        assert_eq!(generation(ZNODE, &old[..64]), None);
        let mut new = vec![0; 168];
        new[..4].copy_from_slice(&SA_MAGIC.to_le_bytes());
        new[5] = 1 << 2;
        new[8 + 16] = 9;
        assert_eq!(generation(SYSTEM_ATTRIBUTES, &new), Some(9));
        assert_eq!(generation(SYSTEM_ATTRIBUTES, &[0; 168]), Some(0));
        assert_eq!(generation(SYSTEM_ATTRIBUTES, &[1; 168]), None);
        assert_eq!(generation(ObjectType::NONE, &new), None);
    }
}
