//! Taking heads and snapshots away, and giving their space back.

use super::accounts::UsedBy;
use super::clones::{KEY, KEY_USERS};
use super::counts::{COUNT_OF_FILE_SYSTEMS, COUNT_OF_SNAPSHOTS};
use super::lists::Totals;
use super::{DatasetId, PoolWriter};
use crate::dsl::{DatasetFlags, DatasetPhys, DirPhys};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use zferry_wire::{u64_from_usize, usize_from_u64};

impl PoolWriter {
    /// Takes a head away that has no snapshots and no children, with all blocks that are its own. Where it was the last
    /// clone of a snapshot that waits for its destruction, that goes too.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it has snapshots or children.
    pub fn destroy_head(&mut self, id: DatasetId) -> Result<(), Error> {
        self.write_datasets()?;
        let phys = self.dataset(id.0)?;
        if self.newest_snapshot(id)?.is_some() {
            return Err(Error::Invalid(
                "a head with snapshots is not destroyed".to_owned(),
            ));
        }
        if let Some(children) = self.dir(phys.dir)?.children
            && !self.table_all(children)?.is_empty()
        {
            return Err(Error::Invalid(
                "a dataset with children is not destroyed".to_owned(),
            ));
        }
        self.forget_ref_reservation(phys.dir)?;
        self.free_own_blocks(id, &phys)?;
        if let Some(origin) = phys.prev_snapshot {
            self.take_off(id, origin)?;
        }
        if let Some(deadlist) = phys.deadlist {
            // What is in it belongs to the origin, which still has it.
            self.free_deadlist(deadlist)?;
        }
        self.free_bookmarks(id)?;
        self.forget_livelist(phys.dir)?;
        for table in [phys.snapshots, phys.properties].into_iter().flatten() {
            self.free_meta_object(table)?;
        }
        self.free_dataset_object(id.0)?;
        let dir_phys = self.dir(phys.dir)?;
        self.remove_dir(phys.dir, &dir_phys)?;
        match phys.prev_snapshot {
            Some(origin) => self.destroy_if_deferred(origin),
            None => Ok(()),
        }
    }

    fn forget_ref_reservation(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        let phys = self.dir(dir)?;
        let change = Totals {
            used: phys.used_by.ref_reservation.cast_signed().saturating_neg(),
            ..Totals::default()
        };
        self.use_space(dir, UsedBy::RefReservation, change)?;
        if let Some(table) = phys.properties {
            for name in ["refreservation", "refreservation$recvd"] {
                self.table_remove(table, name)?;
            }
        }
        Ok(())
    }

    fn free_own_blocks(&mut self, id: DatasetId, phys: &DatasetPhys) -> Result<(), Error> {
        if phys.root.is_hole() && !self.sets.contains_key(&id.0) {
            return Ok(());
        }
        self.open_set(id)?;
        let Some(mut set) = self.sets.remove(&id.0) else {
            return Ok(());
        };
        self.free_intent_log(&set)?;
        let dir = self.dir(phys.dir)?;
        if self.is_freed_later(dir.used)? {
            let used = Totals {
                used: dir.used.cast_signed(),
                compressed: dir.compressed.cast_signed(),
                uncompressed: dir.uncompressed.cast_signed(),
            };
            self.use_space(phys.dir, UsedBy::Head, used.negated())?;
            return self.free_later(set.root, phys.prev_snapshot_txg, used);
        }
        set.free_everything(&mut self.io)?;
        // The directory has nothing else any more.
        let dir = self.dir(phys.dir)?;
        let freed = Totals {
            used: dir.used.cast_signed(),
            compressed: dir.compressed.cast_signed(),
            uncompressed: dir.uncompressed.cast_signed(),
        };
        self.use_space(phys.dir, UsedBy::Head, freed.negated())
    }

    /// The links between a head and the snapshot of another directory that it began as.
    fn take_off(&mut self, id: DatasetId, origin: ObjectNumber) -> Result<(), Error> {
        let mut phys = self.dataset(origin)?;
        phys.num_children = phys.num_children.saturating_sub(1);
        self.put_dataset(origin, &phys)?;
        if let Some(clones) = phys.next_clones {
            self.set_remove(clones, id.0)?;
        }
        if let Some(clones) = self.dir(phys.dir)?.clones {
            self.set_remove(clones, id.0)?;
        }
        Ok(())
    }

    fn remove_dir(&mut self, dir: ObjectNumber, phys: &DirPhys) -> Result<(), Error> {
        if phys.reserved != 0 {
            self.reserve_for(dir, 0)?;
        }
        if phys.used != 0 {
            let used = phys.used;
            return Err(Corrupt::new(format!("an empty directory uses {used} bytes")).into());
        }
        if let Some(parent) = phys.parent {
            if let Some(children) = self.dir(parent)?.children {
                let entries = self.table_all(children)?;
                let entry = entries.iter().find(|entry| entry.value.as_u64() == Some(dir.0));
                if let Some(entry) = entry {
                    self.table_remove(children, &entry.name_lossy())?;
                }
            }
            self.count_above(parent, COUNT_OF_FILE_SYSTEMS, -1)?;
        }
        self.give_up_key(dir)?;
        let tables = [phys.properties, phys.children, phys.clones];
        for table in tables.into_iter().flatten() {
            self.free_meta_object(table)?;
        }
        if let Some(delegations) = phys.delegations {
            for entry in self.table_all(delegations)? {
                if let Some(table) = entry.value.as_u64() {
                    self.free_meta_object(ObjectNumber(table))?;
                }
            }
            self.free_meta_object(delegations)?;
        }
        self.free_extensible(dir)
    }

    /// A key goes with the last directory that has it.
    fn give_up_key(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        if !self.is_table(dir)? {
            return Ok(());
        }
        let Some(key) = self.table_get(dir, KEY)?.map(ObjectNumber) else {
            return Ok(());
        };
        let users = self.table_get(key, KEY_USERS)?.unwrap_or(1);
        if users > 1 {
            return self.table_put(key, KEY_USERS, users.saturating_sub(1));
        }
        self.free_meta_object(key)
    }

    pub(super) fn destroy_if_deferred(&mut self, snapshot: ObjectNumber) -> Result<(), Error> {
        let phys = self.dataset(snapshot)?;
        if phys.flags.contains(DatasetFlags::DEFER_DESTROY)
            && phys.num_children == 1
            && self.hold_count(&phys)? == 0
        {
            self.destroy_snapshot(snapshot, false)?;
        }
        Ok(())
    }

    fn hold_count(&mut self, phys: &DatasetPhys) -> Result<usize, Error> {
        match phys.holds {
            Some(table) => Ok(self.table_all(table)?.len()),
            None => Ok(0),
        }
    }

    /// Takes a snapshot away. What only it has is freed by this commit and the following.
    ///
    /// Where `defer` is set, a snapshot that has clones or is held is only marked, and goes with the last of them.
    ///
    /// # Errors
    /// [`Error::Exists`] where it has clones, [`Error::Held`] where it is held: their errnos are OpenZFS's; [`Error::Invalid`]
    /// where it is no snapshot.
    pub fn destroy_snapshot(&mut self, snapshot: ObjectNumber, defer: bool) -> Result<(), Error> {
        self.write_datasets()?;
        let mut phys = self.dataset(snapshot)?;
        let next = match phys.next_snapshot {
            Some(next) if phys.is_snapshot() && snapshot != self.known.origin_snapshot => next,
            _ => return Err(Error::Invalid(format!("dataset {snapshot} is no snapshot"))),
        };
        let has_clones = phys.num_children > 1;
        if has_clones || self.hold_count(&phys)? > 0 {
            if defer {
                phys.flags |= DatasetFlags::DEFER_DESTROY;
                return self.put_dataset(snapshot, &phys);
            }
            return Err(if has_clones {
                Error::Exists(format!("a clone of snapshot {snapshot}"))
            } else {
                Error::Held(snapshot)
            });
        }
        let is_bookmarked = self.snapshot_leaves_bookmarks(&phys, next)?;
        self.close_gap(snapshot, &phys, next)?;
        self.move_dead_of(&phys, next)?;
        if !is_bookmarked {
            self.remove_clone_keys(phys.dir, phys.creation_txg)?;
        }
        self.settle_next(&phys, next, is_bookmarked)?;
        self.forget_snapshot(snapshot, &phys)
    }

    /// Links the datasets before and behind a snapshot with each other.
    fn close_gap(
        &mut self,
        snapshot: ObjectNumber,
        phys: &DatasetPhys,
        next: ObjectNumber,
    ) -> Result<(), Error> {
        let mut next_phys = self.dataset(next)?;
        let dead = self.deadlist_of(next)?;
        if let Some(prev) = phys.prev_snapshot {
            let mut prev_phys = self.dataset(prev)?;
            if prev_phys.next_snapshot == Some(snapshot) {
                prev_phys.next_snapshot = Some(next);
                // What died in this one's time and the next, and is older, only the one before still has.
                let from = prev_phys.prev_snapshot_txg;
                let inherited = self.deadlist_space(dead, from, Some(phys.prev_snapshot_txg))?;
                prev_phys.unique = prev_phys.unique.saturating_add_signed(inherited.used);
                self.put_dataset(prev, &prev_phys)?;
            } else if let Some(clones) = prev_phys.next_clones {
                self.set_remove(clones, snapshot)?;
                self.set_add(clones, next)?;
            }
        }
        next_phys.prev_snapshot = phys.prev_snapshot;
        next_phys.prev_snapshot_txg = phys.prev_snapshot_txg;
        self.put_dataset(next, &next_phys)
    }

    /// What died behind a snapshot, and only it has, is to be freed; what died before it, is left to the one before.
    fn move_dead_of(&mut self, phys: &DatasetPhys, next: ObjectNumber) -> Result<(), Error> {
        let dead = self.deadlist_of(next)?;
        let freed = self.move_dead(dead, phys.prev_snapshot_txg, self.known.free_list)?;
        self.use_space(phys.dir, UsedBy::Snapshots, freed.negated())?;
        self.use_space(self.known.free_dir, UsedBy::Head, freed)?;
        match phys.deadlist {
            Some(own) => self.merge_deadlists(dead, own),
            None => Ok(()),
        }
    }

    /// Deadlists of clones that were made after a snapshot need not tell apart any more what was born before it.
    pub(super) fn remove_clone_keys(&mut self, dir: ObjectNumber, key: Txg) -> Result<(), Error> {
        let mut dirs = vec![dir];
        while let Some(dir) = dirs.pop() {
            let Some(clones) = self.dir(dir)?.clones else {
                continue;
            };
            for entry in self.table_all(clones)? {
                let Some(head) = entry.value.as_u64().map(ObjectNumber) else {
                    continue;
                };
                let clone_dir = self.dataset(head)?.dir;
                if self.origin_txg(clone_dir)? > key {
                    let dead = self.deadlist_of(head)?;
                    self.remove_deadlist_key(dead, key)?;
                    dirs.push(clone_dir);
                }
            }
        }
        Ok(())
    }

    /// What is unique to the dataset behind a snapshot that goes. Where it has bookmarks that tell what was freed since,
    /// the deadlist behind it goes on telling what is older than it from what is younger.
    fn settle_next(
        &mut self,
        phys: &DatasetPhys,
        next: ObjectNumber,
        is_bookmarked: bool,
    ) -> Result<(), Error> {
        let mut next_phys = self.dataset(next)?;
        if let Some(after) = next_phys.next_snapshot {
            let dead = self.deadlist_of(after)?;
            let space = self.deadlist_space(dead, phys.prev_snapshot_txg, Some(phys.creation_txg))?;
            next_phys.unique = next_phys.unique.saturating_add_signed(space.used);
            self.put_dataset(next, &next_phys)?;
            if let Some(head) = self.dir(phys.dir)?.head
                && !is_bookmarked
            {
                let dead = self.deadlist_of(head)?;
                self.remove_deadlist_key(dead, phys.creation_txg)?;
            }
            return Ok(());
        }
        let shared = match phys.prev_snapshot {
            Some(prev) => self.dataset(prev)?.referenced,
            None => 0,
        };
        let dead = self.deadlist_of(next)?;
        let dead = self.deadlist_totals(dead)?.used.cast_unsigned();
        let shared = shared.saturating_sub(dead);
        next_phys.unique = next_phys.referenced.saturating_sub(shared);
        self.put_dataset(next, &next_phys)?;
        if let Some(set) = self.sets.get_mut(&next) {
            set.ledger.prev_snapshot_txg = phys.prev_snapshot_txg;
        }
        self.watch_bookmarks(DatasetId(next))?;
        self.keep_ref_reservation(phys.dir)
    }

    fn forget_snapshot(&mut self, snapshot: ObjectNumber, phys: &DatasetPhys) -> Result<(), Error> {
        if let Some(head) = self.dir(phys.dir)?.head
            && let Some(names) = self.dataset(head)?.snapshots
        {
            let entries = self.table_all(names)?;
            let entry = entries
                .iter()
                .find(|entry| entry.value.as_u64() == Some(snapshot.0));
            if let Some(entry) = entry {
                self.table_remove(names, &entry.name_lossy())?;
            }
        }
        self.count_above(phys.dir, COUNT_OF_SNAPSHOTS, -1)?;
        for table in [phys.next_clones, phys.properties, phys.holds]
            .into_iter()
            .flatten()
        {
            self.free_meta_object(table)?;
        }
        self.free_dataset_object(snapshot)
    }

    /// What was destroyed and is still to be freed, in bytes. Each commit frees a part of it.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn freeing(&mut self) -> Result<u64, Error> {
        Ok(self.dir(self.known.free_dir)?.used)
    }

    /// Frees a part of what was destroyed.
    pub(super) fn free_some(&mut self) -> Result<(), Error> {
        let list = self.known.free_list;
        let most = self.destroys.blocks_at_once;
        let pointers = self.take_pointers(list, usize_from_u64(most))?;
        let mut freed = Totals::default();
        for pointer in &pointers {
            self.io.free(pointer)?;
            freed = freed.plus(Totals::of(pointer));
        }
        if freed != Totals::default() {
            self.use_space(self.known.free_dir, UsedBy::Head, freed.negated())?;
        }
        self.free_trees(most.saturating_sub(u64_from_usize(pointers.len())))
    }

    /// What is in the lists of blocks that the last group of OpenZFS did not get to free.
    pub(super) fn free_what_was_deferred(&mut self) -> Result<(), Error> {
        let Some(list) = self.table_get(ObjectNumber(1), "sync_bplist")?.map(ObjectNumber) else {
            return Ok(());
        };
        for pointer in self.pointers_of(list)? {
            self.io.free(&pointer)?;
        }
        self.clear_list(list)
    }

    /// Removes what an interrupted receive left: heads that are marked as inconsistent and cannot be resumed.
    pub(super) fn remove_leftovers(&mut self) -> Result<(), Error> {
        let mut found = Vec::new();
        for (_, id) in self.heads()? {
            let head = id.0;
            let dataset = self.dataset(head)?;
            let is_resumable = self.is_table(head)?
                && self.table_get_value(head, "com.delphix:resume_toguid")?.is_some()
                && !dataset.root.is_hole();
            if dataset.flags.contains(DatasetFlags::INCONSISTENT)
                && !is_resumable
                && self.newest_snapshot(id)?.is_none()
            {
                found.push(id);
            }
        }
        // Those deeper in the tree first.
        for id in found.iter().rev() {
            self.destroy_head(*id)?;
        }
        if !found.is_empty() {
            self.commit()?;
        }
        Ok(())
    }
}
