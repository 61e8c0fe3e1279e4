//! Reading where the bytes of removed vdevs are now.

use super::BlockReader;
use crate::dmu::ObjectSet;
use crate::vdev::{ENTRIES_MAX, ENTRY_BYTES, Mapping, VdevKind, VdevNodes};
use crate::{BlockId, Corrupt, Error, ObjectNumber};
use zferry_wire::{Reader, usize_from_u64};

/// Reads the mappings of all removed vdevs.
///
/// A mapping's own blocks may lie on a vdev that was removed later: whichever can be read comes first, and the others
/// may then be readable in turn.
///
/// # Errors
/// Where one cannot be read even though all others have been, or is damaged.
pub(crate) fn read_mappings(reader: &BlockReader, meta: &ObjectSet, nodes: &VdevNodes) -> Result<(), Error> {
    let objects: Vec<Option<u64>> = nodes
        .tops()
        .map(|top| match nodes.get(top)?.kind {
            VdevKind::Indirect { mapping } => Some(mapping),
            _ => None,
        })
        .collect();
    loop {
        let waiting: Vec<usize> = reader.vdevs().unmapped().collect();
        let mut failure = None;
        let mut is_stuck = true;
        for vdev in &waiting {
            let object = objects.get(*vdev).copied().flatten().unwrap_or(0);
            match read_mapping(reader, meta, ObjectNumber(object)) {
                Ok(mapping) => {
                    reader.vdevs().set_mapping(*vdev, mapping);
                    is_stuck = false;
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            None => return Ok(()),
            Some(error) if is_stuck => return Err(error),
            Some(_) => {}
        }
    }
}

fn read_mapping(reader: &BlockReader, meta: &ObjectSet, number: ObjectNumber) -> Result<Mapping, Error> {
    let object = meta.object(reader, number)?;
    let [_highest_offset, _mapped, count] = Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
    let bytes = count.saturating_mul(ENTRY_BYTES);
    if count > ENTRIES_MAX || bytes > object.dnode.content_bytes() {
        return Err(Corrupt::new(format!("mapping of a removed vdev with {count} entries")).into());
    }
    let mut mapping = Mapping::default();
    let mut left = usize_from_u64(bytes);
    // An entry may begin in one block and end in the next.
    let mut pending = Vec::new();
    let mut id = 0_u64;
    while left > 0 {
        let missing = || Corrupt::new("mapping of a removed vdev with a hole");
        let block = object.block(reader, BlockId(id))?.ok_or_else(missing)?;
        let used = block.bytes.get(..left.min(block.bytes.len())).unwrap_or_default();
        left = left.saturating_sub(used.len());
        id = id.saturating_add(1);
        pending.extend_from_slice(used);
        let rest = pending.len().checked_rem(usize_from_u64(ENTRY_BYTES));
        let whole = pending.len().saturating_sub(rest.unwrap_or(0));
        mapping.extend(pending.get(..whole).unwrap_or_default(), block.endian)?;
        pending.drain(..whole);
    }
    Ok(mapping)
}
