//! Deadlists: what died in a dataset, and is left to the snapshots before it.
//!
//! ```text
//! deadlist  a ZAP: transaction group (hexadecimal) → bpobj of what was born after it; bonus: used, comp, uncomp
//! ```
//!
//! The groups are 0 and those of the snapshots before the newest: so what becomes free with a snapshot is in lists of
//! its own, and goes as a whole.

use super::PoolWriter;
use super::lists::Totals;
use crate::dmu::{ObjectSpec, ObjectType};
use crate::spa::BlockPointer;
use crate::zap::write as zap;
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::{BTreeMap, BTreeSet};
use zferry_wire::{Endian, Reader};

const DEADLIST: ObjectType = ObjectType(50);
const DEADLIST_HEADER: ObjectType = ObjectType(51);
const DEADLIST_HEADER_BYTES: usize = 320;

fn key_of(txg: Txg) -> String {
    format!("{:x}", txg.0)
}

impl PoolWriter {
    /// A deadlist with an empty list for each of these groups.
    pub(super) fn new_deadlist(&mut self, keys: &[Txg]) -> Result<ObjectNumber, Error> {
        let spec = ObjectSpec::new(DEADLIST, 512).with_bonus(DEADLIST_HEADER, vec![0; DEADLIST_HEADER_BYTES]);
        let deadlist = self.new_table_of(&spec)?;
        let keys: BTreeSet<Txg> = keys.iter().copied().collect();
        let lists = self.empty_lists(keys.len())?;
        let entries = keys.iter().zip(lists).map(|(key, list)| (key_of(*key), list.0));
        self.table_fill(deadlist, &entries.collect::<Vec<_>>())?;
        Ok(deadlist)
    }

    /// The lists of a deadlist, by the group after which what they hold was born.
    pub(super) fn deadlist_lists(
        &mut self,
        deadlist: ObjectNumber,
    ) -> Result<BTreeMap<Txg, ObjectNumber>, Error> {
        // A dataset has a list for each of its snapshots, and this is asked several times in a receive.
        let mut lists: Vec<(Txg, ObjectNumber)> = Vec::new();
        zap::numbers(&mut self.mos, &mut self.io, deadlist, |name, value| {
            let txg = str::from_utf8(name).ok();
            let txg = txg.and_then(|txg| u64::from_str_radix(txg, 16).ok());
            let (Some(txg), Some(list)) = (txg, value) else {
                let name = String::from_utf8_lossy(name);
                return Err(Corrupt::new(format!("deadlist {deadlist} has an entry '{name}'")).into());
            };
            lists.push((Txg(txg), ObjectNumber(list)));
            Ok(())
        })?;
        Ok(lists.into_iter().collect())
    }

    pub(super) fn deadlist_totals(&mut self, deadlist: ObjectNumber) -> Result<Totals, Error> {
        let bonus = self.bonus(deadlist)?;
        let [used, compressed, uncompressed] = Reader::new(&bonus, Endian::Little).u64s()?;
        Ok(Totals {
            used: used.cast_signed(),
            compressed: compressed.cast_signed(),
            uncompressed: uncompressed.cast_signed(),
        })
    }

    pub(super) fn add_to_deadlist_totals(
        &mut self,
        deadlist: ObjectNumber,
        add: Totals,
    ) -> Result<(), Error> {
        let Totals {
            used,
            compressed,
            uncompressed,
        } = self.deadlist_totals(deadlist)?.plus(add);
        let fields = [used, compressed, uncompressed];
        let bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        self.put_bonus(deadlist, &bytes)
    }

    /// Adds dead blocks to a deadlist, each to the list of its age.
    pub(super) fn insert_dead(&mut self, deadlist: ObjectNumber, dead: &[BlockPointer]) -> Result<(), Error> {
        let lists = self.deadlist_lists(deadlist)?;
        let mut by_key: BTreeMap<Txg, Vec<BlockPointer>> = BTreeMap::new();
        let mut totals = Totals::default();
        for pointer in dead {
            let birth = pointer.logical_birth();
            let key = lists.range(..birth).next_back().map(|(key, _)| *key);
            let key =
                key.ok_or_else(|| Corrupt::new(format!("deadlist {deadlist} has no list for {pointer}")))?;
            by_key.entry(key).or_default().push(*pointer);
            totals = totals.plus(Totals::of(pointer));
        }
        let shared = self.shared_empty_list()?;
        for (key, pointers) in by_key {
            let Some(mut list) = lists.get(&key).copied() else {
                continue;
            };
            if Some(list) == shared {
                let own = self.new_list()?;
                self.table_put(deadlist, &key_of(key), own.0)?;
                self.drop_list(list)?;
                list = own;
            }
            self.append(list, &pointers)?;
        }
        self.add_to_deadlist_totals(deadlist, totals)
    }

    /// Frees a deadlist; what its lists lead to stays.
    pub(super) fn free_deadlist(&mut self, deadlist: ObjectNumber) -> Result<(), Error> {
        let lists: Vec<ObjectNumber> = self.deadlist_lists(deadlist)?.into_values().collect();
        self.drop_lists(&lists)?;
        self.free_meta_object(deadlist)
    }

    /// The space of what is in a deadlist and was born after `from` and not after `to`; both are keys, or no list lies
    /// on both sides of them.
    pub(super) fn deadlist_space(
        &mut self,
        deadlist: ObjectNumber,
        from: Txg,
        to: Option<Txg>,
    ) -> Result<Totals, Error> {
        let lists = self.deadlist_lists(deadlist)?;
        let shared = self.shared_empty_list()?;
        let mut totals = Totals::default();
        for (key, list) in lists {
            if key >= from && to.is_none_or(|to| key < to) && shared != Some(list) {
                totals = totals.plus(self.list_totals(list)?);
            }
        }
        Ok(totals)
    }

    /// Puts a list into the one of a deadlist that begins at `key`, or the nearest before.
    fn enqueue_at(&mut self, deadlist: ObjectNumber, key: Txg, list: ObjectNumber) -> Result<(), Error> {
        let lists = self.deadlist_lists(deadlist)?;
        let place = lists.range(..=key).next_back().map(|(key, place)| (*key, *place));
        let (key, place) =
            place.ok_or_else(|| Corrupt::new(format!("deadlist {deadlist} has no list for group {key}")))?;
        if self.shared_empty_list()? == Some(place) {
            self.drop_list(place)?;
            return self.table_put(deadlist, &key_of(key), list.0);
        }
        self.enqueue_list(place, list)
    }

    /// Moves what was born after `from` out of a deadlist into a list. Returns what that is.
    pub(super) fn move_dead(
        &mut self,
        deadlist: ObjectNumber,
        from: Txg,
        target: ObjectNumber,
    ) -> Result<Totals, Error> {
        let mut moved = Totals::default();
        for (key, list) in self.deadlist_lists(deadlist)?.split_off(&from) {
            moved = moved.plus(self.list_totals(list)?);
            self.enqueue_list(target, list)?;
            self.table_remove(deadlist, &key_of(key))?;
        }
        self.add_to_deadlist_totals(deadlist, moved.negated())?;
        Ok(moved)
    }

    /// Moves everything in `other` into a deadlist, and frees `other`.
    pub(super) fn merge_deadlists(
        &mut self,
        deadlist: ObjectNumber,
        other: ObjectNumber,
    ) -> Result<(), Error> {
        let totals = self.deadlist_totals(other)?;
        let lists = self.deadlist_lists(other)?;
        let shared = self.shared_empty_list()?;
        let (empty, full): (Vec<_>, Vec<_>) = lists.into_iter().partition(|(_, list)| shared == Some(*list));
        for (key, list) in full {
            self.enqueue_at(deadlist, key, list)?;
        }
        let empty: Vec<ObjectNumber> = empty.into_iter().map(|(_, list)| list).collect();
        self.drop_lists(&empty)?;
        self.add_to_deadlist_totals(deadlist, totals)?;
        self.free_meta_object(other)
    }

    /// Joins the list of a deadlist that begins at `key` with the one before it.
    pub(super) fn remove_deadlist_key(&mut self, deadlist: ObjectNumber, key: Txg) -> Result<(), Error> {
        let Some(list) = self.deadlist_lists(deadlist)?.get(&key).copied() else {
            return Ok(());
        };
        self.table_remove(deadlist, &key_of(key))?;
        self.enqueue_at(deadlist, key, list)
    }

    /// A deadlist with the keys below `before` of another one, all empty.
    pub(super) fn clone_deadlist(&mut self, of: ObjectNumber, before: Txg) -> Result<ObjectNumber, Error> {
        let lists = self.deadlist_lists(of)?;
        let keys: Vec<Txg> = lists.range(..before).map(|(key, _)| *key).collect();
        self.new_deadlist(&keys)
    }
}
