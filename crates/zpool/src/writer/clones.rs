//! Clones: heads that begin as a snapshot of another directory. And what is made of them: exchanging a head's contents
//! for a clone's, and going back to a snapshot.

use super::accounts::{UsedBy, transfer};
use super::{BeginOptions, DatasetId, PoolWriter};
use crate::dsl::{DatasetFlags, DatasetPhys};
use crate::spa::Feature;
use crate::zap::ZapValue;
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeSet;

/// The entry of a directory's table that leads to its key.
pub(super) const KEY: &str = "com.datto:crypto_key_obj";
/// The entry of a key's table that says how many directories share it.
pub(super) const KEY_USERS: &str = "DSL_CRYPTO_REFCOUNT";
/// What a rollback is called while it is made.
const ROLLBACK: &str = "%rollback";

impl PoolWriter {
    /// A dataset as the open group has it.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn dataset_now(&mut self, number: ObjectNumber) -> Result<DatasetPhys, Error> {
        self.dataset(number)
    }

    /// A snapshot, by its full name, as the open group has it.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none.
    pub fn find_snapshot(&mut self, name: &str) -> Result<ObjectNumber, Error> {
        let missing = || Error::Missing(format!("snapshot '{name}'"));
        let (dataset, short) = name.split_once('@').ok_or_else(missing)?;
        let head = self.find(dataset)?;
        let names = self.dataset(head.0)?.snapshots.ok_or_else(missing)?;
        let number = self.table_get(names, short)?;
        number.map(ObjectNumber).ok_or_else(missing)
    }

    /// The newest snapshot of a head's own; `None` where it has none, though a clone has an origin.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn newest_snapshot(&mut self, head: DatasetId) -> Result<Option<ObjectNumber>, Error> {
        let phys = self.dataset(head.0)?;
        let Some(prev) = phys.prev_snapshot else {
            return Ok(None);
        };
        let is_own = self.dataset(prev)?.dir == phys.dir;
        Ok(is_own.then_some(prev))
    }

    /// Makes a clone of a snapshot at `name`.
    ///
    /// # Errors
    /// [`Error::Exists`], or [`Error::Missing`] where the parent is not there; [`Error::Invalid`] where `origin` is no
    /// snapshot.
    pub fn clone_dataset(
        &mut self,
        origin: ObjectNumber,
        name: &str,
        properties: &[(&str, ZapValue)],
    ) -> Result<DatasetId, Error> {
        self.check_origin(origin)?;
        let dir = self.new_dir_at(name)?;
        let id = self.clone_into(dir, origin)?;
        self.set_at_creation(id, properties)?;
        Ok(id)
    }

    /// Makes a head at `name` that begins as a clone of a snapshot and is marked as inconsistent: to be changed and
    /// then finished.
    ///
    /// # Errors
    /// As [`Self::clone_dataset`].
    pub fn begin_clone(
        &mut self,
        name: &str,
        origin: ObjectNumber,
        features: &BTreeSet<Feature>,
    ) -> Result<DatasetId, Error> {
        self.check_origin(origin)?;
        let dir = self.new_dir_at(name)?;
        self.begin_clone_in(dir, origin, features)
    }

    /// Makes a hidden child of a dataset, marked as inconsistent: a clone of `origin`, or one with nothing in it. Its
    /// name begins with `%`.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Invalid`] where `origin` is no snapshot.
    pub fn begin_hidden(
        &mut self,
        parent: DatasetId,
        component: &str,
        origin: Option<ObjectNumber>,
        options: &BeginOptions,
    ) -> Result<DatasetId, Error> {
        if self.find_hidden(parent, component)?.is_some() {
            return Err(Error::Exists(format!("dataset '{component}'")));
        }
        if let Some(origin) = origin {
            self.check_origin(origin)?;
        }
        let parent_dir = self.dataset(parent.0)?.dir;
        let dir = self.new_dir(Some((parent_dir, component)))?;
        match origin {
            Some(origin) => self.begin_clone_in(dir, origin, &options.features),
            None => self.begin_in(dir, options),
        }
    }

    /// The hidden child of a dataset, where there is one.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn find_hidden(&mut self, parent: DatasetId, component: &str) -> Result<Option<DatasetId>, Error> {
        let dir = self.dataset(parent.0)?.dir;
        let Some(children) = self.dir(dir)?.children else {
            return Ok(None);
        };
        let Some(child) = self.table_get(children, component)? else {
            return Ok(None);
        };
        Ok(self.dir(ObjectNumber(child))?.head.map(DatasetId))
    }

    fn check_origin(&mut self, origin: ObjectNumber) -> Result<(), Error> {
        if self.dataset(origin)?.is_snapshot() {
            Ok(())
        } else {
            Err(Error::Invalid(format!("dataset {origin} is no snapshot")))
        }
    }

    fn begin_clone_in(
        &mut self,
        dir: ObjectNumber,
        origin: ObjectNumber,
        features: &BTreeSet<Feature>,
    ) -> Result<DatasetId, Error> {
        let id = self.clone_into(dir, origin)?;
        let mut phys = self.dataset(id.0)?;
        phys.flags |= DatasetFlags::INCONSISTENT;
        self.put_dataset(id.0, &phys)?;
        self.use_features(id.0, features)?;
        Ok(id)
    }

    /// Gives a new directory a head that is the same as a snapshot.
    fn clone_into(&mut self, dir: ObjectNumber, origin: ObjectNumber) -> Result<DatasetId, Error> {
        let from = self.dataset(origin)?;
        let mut phys = self.new_head(dir, self.io.txg)?;
        phys.referenced = from.referenced;
        phys.compressed = from.compressed;
        phys.uncompressed = from.uncompressed;
        phys.root = from.root;
        let kept = DatasetFlags::INCONSISTENT | DatasetFlags::CASE_INSENSITIVE;
        phys.flags |= from.flags & kept;
        // The lists of the origin's head have the groups of all snapshots before it.
        let head = self.dir(from.dir)?.head;
        let head =
            head.ok_or_else(|| Corrupt::new(format!("directory {} has snapshots but no head", from.dir)))?;
        let deadlist = self.deadlist_of(head)?;
        phys.deadlist = Some(self.clone_deadlist(deadlist, from.creation_txg)?);
        let id = self.hang_on(phys, origin)?;
        self.copy_features(origin, id.0)?;
        self.share_key(from.dir, dir)?;
        self.clear_intent_log(id)?;
        Ok(id)
    }

    pub(super) fn deadlist_of(&mut self, number: ObjectNumber) -> Result<ObjectNumber, Error> {
        let deadlist = self.dataset(number)?.deadlist;
        Ok(deadlist.ok_or_else(|| Corrupt::new(format!("dataset {number} has no deadlist")))?)
    }

    /// An encrypted clone has the key of its origin.
    fn share_key(&mut self, from: ObjectNumber, to: ObjectNumber) -> Result<(), Error> {
        if !self.is_table(from)? {
            return Ok(());
        }
        let Some(key) = self.table_get(from, KEY)? else {
            return Ok(());
        };
        let users = self.table_get(ObjectNumber(key), KEY_USERS)?.unwrap_or(1);
        self.table_put(ObjectNumber(key), KEY_USERS, users.saturating_add(1))?;
        self.make_table(to)?;
        self.table_put(to, KEY, key)
    }

    /// Exchanges the contents of a head and a clone that has the same snapshot before it. What both were changed to in
    /// the open group is exchanged, too.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the snapshots before them differ.
    pub fn clone_swap(&mut self, clone: DatasetId, head: DatasetId) -> Result<(), Error> {
        self.write_datasets()?;
        self.sets.remove(&clone.0);
        self.sets.remove(&head.0);
        let (mut of_clone, mut of_head) = (self.dataset(clone.0)?, self.dataset(head.0)?);
        let origin = match of_clone.prev_snapshot {
            Some(origin) if of_head.prev_snapshot == Some(origin) && clone != head => origin,
            _ => {
                return Err(Error::Invalid(
                    "a head and a clone that differ in the snapshot before them".to_owned(),
                ));
            }
        };
        self.forget_livelist(of_clone.dir)?;
        self.forget_livelist(of_head.dir)?;
        self.swap_features(clone.0, head.0)?;
        let (clone_dead, head_dead) = (self.deadlist_of(clone.0)?, self.deadlist_of(head.0)?);
        let mut origin_phys = self.dataset(origin)?;
        if origin_phys.next_snapshot == Some(head.0) {
            let unique = self.deadlist_space(clone_dead, origin_phys.prev_snapshot_txg, None)?;
            origin_phys.unique = unique.used.cast_unsigned();
            self.put_dataset(origin, &origin_phys)?;
        }

        let change = self
            .ever_held(&of_clone, clone_dead)?
            .minus(self.ever_held(&of_head, head_dead)?);
        self.use_space(of_head.dir, UsedBy::Head, change)?;
        self.use_space(of_clone.dir, UsedBy::Head, change.negated())?;
        let mut dir = self.dir(of_head.dir)?;
        let from = self.origin_txg(of_head.dir)?;
        let left = self.deadlist_space(clone_dead, from, None)?;
        let left = left.minus(self.deadlist_space(head_dead, from, None)?);
        transfer(&mut dir, left.used, UsedBy::Head, UsedBy::Snapshots)?;
        self.put_dir(of_head.dir, &dir)?;

        std::mem::swap(&mut of_clone.root, &mut of_head.root);
        std::mem::swap(&mut of_clone.referenced, &mut of_head.referenced);
        std::mem::swap(&mut of_clone.compressed, &mut of_head.compressed);
        std::mem::swap(&mut of_clone.uncompressed, &mut of_head.uncompressed);
        std::mem::swap(&mut of_clone.unique, &mut of_head.unique);
        std::mem::swap(&mut of_clone.deadlist, &mut of_head.deadlist);
        self.put_dataset(clone.0, &of_clone)?;
        self.put_dataset(head.0, &of_head)?;
        self.renew_bookmarks(head, origin)?;
        self.keep_ref_reservation(of_head.dir)
    }

    /// What a head references, and what of the snapshot before it is dead.
    fn ever_held(
        &mut self,
        phys: &DatasetPhys,
        deadlist: ObjectNumber,
    ) -> Result<super::lists::Totals, Error> {
        let referenced = super::lists::Totals {
            used: phys.referenced.cast_signed(),
            compressed: phys.compressed.cast_signed(),
            uncompressed: phys.uncompressed.cast_signed(),
        };
        Ok(referenced.plus(self.deadlist_totals(deadlist)?))
    }

    /// The group of the snapshot that a directory was cloned from: what was born later is its own.
    pub(super) fn origin_txg(&mut self, dir: ObjectNumber) -> Result<Txg, Error> {
        match self.dir(dir)?.origin {
            Some(origin) => Ok(self.dataset(origin)?.creation_txg),
            None => Ok(Txg(0)),
        }
    }

    /// Makes a head the same as its newest snapshot again.
    ///
    /// # Errors
    /// [`Error::Missing`] where it has no snapshot of its own.
    pub fn rollback(&mut self, head: DatasetId) -> Result<(), Error> {
        self.write_datasets()?;
        let phys = self.dataset(head.0)?;
        let origin = self.newest_snapshot(head)?;
        let origin = origin.ok_or_else(|| Error::Missing(format!("a snapshot of dataset {}", head.0)))?;
        let dir = self.new_dir(Some((phys.dir, ROLLBACK)))?;
        let clone = self.clone_into(dir, origin)?;
        self.clone_swap(clone, head)?;
        self.destroy_head(clone)
    }
}
