//! Who uses how much of a file system: what is counted of each file, and keeping the tables up as files change, where
//! there are any. Datasets that were made here have none: OpenZFS counts when it first mounts them.
//!
//! ```text
//! bonus of type 44    magic u32 | layout u16, bits 10–15: the header's size in units of 8 bytes | …; then, from there,
//!                     24 uid | 32 gid | 48 flags (bit 47: has a project) | 128 project        64 bits each
//! bonus of type 17    120 flags | 128 uid | 136 gid
//! tables              id in hexadecimal → bytes, `obj-` and id → files
//! ```
//!
//! As `userquota_updates_task` in `module/zfs/dmu_objset.c` has it: of a dnode that changes, what was counted goes, and what
//! it is now comes in; the flags of a dnode say what of it was counted.

use super::{ACCOUNTING_DNODES, FLAGS, OpenSet, SLOTS, SetCrypt, slot_of};
use crate::dmu::open_object::{Context, OpenObject};
use crate::dmu::{Dnode, DnodeFlags, ObjectType, SLOT_BYTES};
use crate::spa::BlockWriter;
use crate::zap::{ZapValue, write as zap};
use crate::{Corrupt, Error, ObjectNumber};
use std::collections::BTreeMap;
use zferry_wire::{Endian, Reader, u64_from_usize, usize_from_u64};

/// What a dnode counts for beside its blocks, in bytes.
const DNODE_BYTES: u64 = 512;
const SA_MAGIC: u32 = 0x2f_505a;
const HAS_PROJECT: u64 = 1 << 47;
/// Where in a dnode its flags are.
const DNODE_FLAGS: usize = 7;
/// What an object set's flags say: files are counted in full.
const FILES_COUNTED: u8 = 1 << 1;

/// What changes in the tables: which of them, and the name of an entry.
type Changes = BTreeMap<(usize, String), u64>;

/// The user, group and project of a file; `None` for what is no file.
pub(crate) fn owners(dnode: &Dnode) -> Option<[u64; 3]> {
    let bonus = dnode.bonus();
    match dnode.bonus_type {
        ObjectType::ZNODE => {
            let mut reader = Reader::new(bonus, dnode.endian);
            reader.skip(128).ok()?;
            let [user, group] = reader.u64s().ok()?;
            Some([user, group, 0])
        }
        ObjectType::SYSTEM_ATTRIBUTES => {
            let orders = [dnode.endian, dnode.endian.swapped()];
            let is_ours = |endian: &Endian| Reader::new(bonus, *endian).u32() == Ok(SA_MAGIC);
            let Some(endian) = orders.into_iter().find(is_ours) else {
                // Made, and not filled in yet.
                return Some([0; 3]);
            };
            let mut reader = Reader::new(bonus, endian);
            reader.skip(4).ok()?;
            let header = usize::from(reader.u16().ok()? >> 10).saturating_mul(8);
            let word = |offset: usize| {
                let mut reader = Reader::new(bonus, endian);
                reader.skip(header.saturating_add(offset)).ok()?;
                reader.u64().ok()
            };
            let project = if word(48)? & HAS_PROJECT != 0 {
                word(128)?
            } else {
                0
            };
            Some([word(24)?, word(32)?, project])
        }
        _ => None,
    }
}

/// What is counted of a file: the beginning of the entries' names, and how much.
pub(crate) fn counted(dnode: &Dnode) -> impl Iterator<Item = (&'static str, u64)> + use<> {
    let bytes = dnode.used.wrapping_add(DNODE_BYTES);
    let flags = dnode.flags;
    let all = [
        (DnodeFlags::USER_USED_ACCOUNTED, "", bytes),
        (DnodeFlags::USER_OBJECTS_ACCOUNTED, "obj-", 1),
    ];
    let counted = all.into_iter().filter(move |(flag, ..)| flags.contains(*flag));
    counted.map(|(_, prefix, count)| (prefix, count))
}

impl OpenSet {
    /// Brings the tables of users up to the dnodes in change, which are settled and not written yet.
    ///
    /// Of what is encrypted, OpenZFS counts nothing that is received, either.
    pub(super) fn count_users(&mut self, io: &mut BlockWriter) -> Result<(), Error> {
        let has_tables = !self.accounting_dnodes().is_empty();
        if !has_tables || !matches!(self.crypt, SetCrypt::Plain) {
            return Ok(());
        }
        let mut changes = Changes::new();
        for id in self.meta.content_ids() {
            self.count_block(io, id, &mut changes)?;
        }
        for (table, at) in ACCOUNTING_DNODES.into_iter().enumerate() {
            let changes = changes
                .iter()
                .filter(|((of, _), change)| *of == table && **change != 0);
            let changes: Vec<_> = changes
                .map(|((_, name), change)| (name.as_str(), *change))
                .collect();
            self.change_table(io, at, &changes)?;
        }
        Ok(())
    }

    /// What a block of dnodes changes. Its dnodes are marked as counted.
    fn count_block(&mut self, io: &BlockWriter, id: u64, changes: &mut Changes) -> Result<(), Error> {
        let pointer = self.meta.pointer(io, 0, id)?;
        let old = if pointer.is_hole() {
            Vec::new()
        } else {
            io.reader.read_cached(&pointer)?.bytes.clone()
        };
        let new = self.meta.content_mut(io, id)?.clone();
        let (before, after) = (heads(&old)?, heads(&new)?);
        for (slot, bytes) in &before {
            if after.get(slot) != Some(bytes) {
                add(&Dnode::decode(bytes, Endian::Little)?, changes, u64::wrapping_sub);
            }
        }
        let counts_files = self
            .header
            .get(FLAGS)
            .is_some_and(|flags| flags & FILES_COUNTED != 0);
        let mut flags = DnodeFlags::USER_USED_ACCOUNTED;
        flags.set(DnodeFlags::USER_OBJECTS_ACCOUNTED, counts_files);
        for (slot, bytes) in &after {
            if before.get(slot) == Some(bytes) {
                continue;
            }
            let mut dnode = Dnode::decode(bytes, Endian::Little)?;
            dnode.flags |= flags;
            add(&dnode, changes, u64::wrapping_add);
            let at = usize_from_u64(*slot)
                .saturating_mul(SLOT_BYTES)
                .saturating_add(DNODE_FLAGS);
            if let Some(byte) = self.meta.content_mut(io, id)?.get_mut(at) {
                *byte |= flags.bits();
            }
        }
        Ok(())
    }

    /// Changes the table whose dnode stands at `at` of the set's own block.
    fn change_table(
        &mut self,
        io: &mut BlockWriter,
        at: usize,
        changes: &[(&str, u64)],
    ) -> Result<(), Error> {
        let bytes = self
            .header
            .get(at..at.saturating_add(SLOT_BYTES))
            .unwrap_or_default();
        if changes.is_empty() || bytes.is_empty() || Dnode::is_free(bytes) {
            return Ok(());
        }
        // It has no number below which the set could know it.
        let number = ObjectNumber(u64::MAX.wrapping_sub(u64_from_usize(at)));
        let object = OpenObject::new(number, Dnode::decode(bytes, Endian::Little)?);
        self.objects.insert(number.0, object);
        for (name, change) in changes {
            let before = zap::get_u64(self, io, number, name)?.unwrap_or(0);
            match before.wrapping_add(*change) {
                0 => {
                    zap::remove(self, io, number, name)?;
                }
                after => zap::put(self, io, number, name, &ZapValue::number(after))?,
            }
        }
        let object = self.objects.remove(&number.0);
        let mut object = object.ok_or_else(|| Corrupt::new("a table of users is gone".to_owned()))?;
        let mut context = Context {
            io,
            ledger: &mut self.ledger,
            crypt: &mut self.crypt,
        };
        object.write_out(&mut context, &self.policies)?;
        let encoded = object.dnode.encode();
        if let Some(bytes) = self.header.get_mut(at..at.saturating_add(encoded.len())) {
            bytes.copy_from_slice(&encoded);
        }
        Ok(())
    }
}

/// Adds what is counted of a dnode, or takes it off.
fn add(dnode: &Dnode, changes: &mut Changes, how: fn(u64, u64) -> u64) {
    let Some(owners) = owners(dnode) else { return };
    for (prefix, count) in counted(dnode) {
        for (table, id) in owners.into_iter().enumerate() {
            let sum = changes.entry((table, format!("{prefix}{id:x}"))).or_default();
            *sum = how(*sum, count);
        }
    }
}

/// The dnodes of a block, by the slots in which they begin.
fn heads(block: &[u8]) -> Result<BTreeMap<u64, &[u8]>, Error> {
    let mut heads = BTreeMap::new();
    let mut slot = 0;
    while slot < SLOTS && !block.is_empty() {
        let bytes = slot_of(block, slot);
        if Dnode::is_free(bytes) {
            slot = slot.saturating_add(1);
            continue;
        }
        let slots = Dnode::slots(bytes)?;
        let bytes = bytes.get(..slots.saturating_mul(SLOT_BYTES)).unwrap_or(bytes);
        heads.insert(slot, bytes);
        slot = slot.saturating_add(u64_from_usize(slots));
    }
    Ok(heads)
}
