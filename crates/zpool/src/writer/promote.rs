//! Promoting a clone: it takes its origin over, with all snapshots before that, and the head that it was cloned from
//! becomes the clone.

use super::accounts::UsedBy;
use super::counts::COUNT_OF_SNAPSHOTS;
use super::lists::Totals;
use super::{DatasetId, PoolWriter};
use crate::dsl::{DatasetFlags, DatasetPhys};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeSet;

/// What a promotion is about.
struct Promotion {
    clone: DatasetId,
    clone_dir: ObjectNumber,
    origin: ObjectNumber,
    origin_phys: DatasetPhys,
    origin_dir: ObjectNumber,
    origin_head: ObjectNumber,
    /// The origin of the directory that the origin is in.
    origin_origin: ObjectNumber,
    /// The origin and the snapshots before it, in the same directory, newest first.
    shared: Vec<ObjectNumber>,
    /// The clone and its snapshots, newest first.
    of_clone: Vec<ObjectNumber>,
    /// The head of the origin's directory and the snapshots behind the origin, newest first.
    of_origin: Vec<ObjectNumber>,
}

impl PoolWriter {
    /// Promotes a clone.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is no clone, or would leave its encryption root; [`Error::Exists`] with the names of the snapshots and bookmarks that both
    /// have, separated by line feeds.
    pub fn promote(&mut self, clone: DatasetId) -> Result<(), Error> {
        self.write_datasets()?;
        let promotion = self.promotion_of(clone)?;
        let is_root_promoted = self.is_root_promoted(promotion.clone_dir, promotion.origin_dir)?;
        self.check_names(&promotion)?;
        // Everything is counted before anything is moved.
        let oldest = promotion.of_clone.last().copied().unwrap_or(clone.0);
        let dead = self.deadlist_of(oldest)?;
        let unique = self.deadlist_space(dead, promotion.origin_phys.prev_snapshot_txg, None)?;
        let moved = self.shared_space(&promotion)?;
        let above = self.origin_txg(promotion.origin_dir)?;
        let clone_snapshots = self
            .dead_space(&promotion.shared, above)?
            .saturating_add(self.dead_space(&promotion.of_clone, above)?);
        let origin_snapshots = self.dead_space(&promotion.of_origin, promotion.origin_phys.creation_txg)?;

        if is_root_promoted {
            self.promote_root(promotion.clone_dir, promotion.origin_dir)?;
        }
        self.forget_livelist(promotion.clone_dir)?;
        self.forget_livelist(promotion.origin_dir)?;
        self.exchange_links(&promotion, oldest, unique.used.cast_unsigned())?;
        self.move_bookmarks(&promotion)?;
        for snapshot in &promotion.shared {
            self.move_snapshot(*snapshot, &promotion)?;
        }
        self.account_for(promotion.clone_dir, clone_snapshots, moved)?;
        self.account_for(promotion.origin_dir, origin_snapshots, moved.negated())
    }

    fn promotion_of(&mut self, clone: DatasetId) -> Result<Promotion, Error> {
        let phys = self.dataset(clone.0)?;
        let dir = self.dir(phys.dir)?;
        let origin = dir
            .origin
            .filter(|origin| *origin != self.known.origin_snapshot && !phys.is_snapshot());
        let origin = origin.ok_or_else(|| Error::Invalid("not a cloned filesystem".to_owned()))?;
        if phys.flags.contains(DatasetFlags::NO_PROMOTE) {
            return Err(Error::Invalid("it must not be promoted".to_owned()));
        }
        let origin_phys = self.dataset(origin)?;
        let origin_dir = self.dir(origin_phys.dir)?;
        let missing = |what| Corrupt::new(format!("directory {} has no {what}", origin_phys.dir));
        let origin_head = origin_dir.head.ok_or_else(|| missing("head"))?;
        let origin_origin = origin_dir.origin.ok_or_else(|| missing("origin"))?;
        Ok(Promotion {
            clone,
            clone_dir: phys.dir,
            origin,
            origin_dir: origin_phys.dir,
            origin_phys,
            origin_head,
            origin_origin,
            shared: self.chain(origin, origin_origin)?,
            of_clone: self.chain(clone.0, origin)?,
            of_origin: self.chain(origin_head, origin)?,
        })
    }

    /// A dataset and those before it, up to one that is not among them.
    fn chain(&mut self, newest: ObjectNumber, end: ObjectNumber) -> Result<Vec<ObjectNumber>, Error> {
        let mut chain = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(newest);
        while let Some(number) = next
            && number != end
        {
            if !seen.insert(number) {
                return Err(Corrupt::new(format!("dataset {number} is before itself")).into());
            }
            chain.push(number);
            next = self.dataset(number)?.prev_snapshot;
        }
        Ok(chain)
    }

    fn check_names(&mut self, promotion: &Promotion) -> Result<(), Error> {
        let mut both = Vec::new();
        let own = self.dataset(promotion.clone.0)?.snapshots;
        let theirs = self.dataset(promotion.origin_head)?.snapshots;
        if let (Some(own), Some(theirs)) = (own, theirs) {
            for entry in self.table_all(theirs)? {
                let number = entry.value.as_u64().map(ObjectNumber);
                let is_moved = number.is_some_and(|number| promotion.shared.contains(&number));
                let name = entry.name_lossy();
                if is_moved && self.table_get(own, &name)?.is_some() {
                    both.push(name);
                }
            }
        }
        let own: BTreeSet<String> = self
            .bookmarks_of(promotion.clone.0)?
            .into_iter()
            .map(|bookmark| bookmark.name)
            .collect();
        for bookmark in self.bookmarks_of(promotion.origin_head)? {
            if bookmark.creation_txg() <= promotion.origin_phys.creation_txg && own.contains(&bookmark.name) {
                both.push(bookmark.name);
            }
        }
        if both.is_empty() {
            Ok(())
        } else {
            Err(Error::Exists(both.join("\n")))
        }
    }

    /// What goes from one directory to the other: all that the origin has, and all that died before it.
    fn shared_space(&mut self, promotion: &Promotion) -> Result<Totals, Error> {
        let referenced = |phys: &DatasetPhys| Totals {
            used: phys.referenced.cast_signed(),
            compressed: phys.compressed.cast_signed(),
            uncompressed: phys.uncompressed.cast_signed(),
        };
        let before = self.dataset(promotion.origin_origin)?;
        let mut totals = referenced(&promotion.origin_phys).minus(referenced(&before));
        for snapshot in &promotion.shared {
            let dead = self.deadlist_of(*snapshot)?;
            totals = totals.plus(self.deadlist_totals(dead)?);
        }
        Ok(totals)
    }

    /// What is in the deadlists of these datasets, and younger than a group, in bytes.
    fn dead_space(&mut self, datasets: &[ObjectNumber], from: Txg) -> Result<i64, Error> {
        let mut space = 0_i64;
        for number in datasets {
            let dead = self.deadlist_of(*number)?;
            space = space.saturating_add(self.deadlist_space(dead, from, None)?.used);
        }
        Ok(space)
    }

    fn exchange_links(
        &mut self,
        promotion: &Promotion,
        oldest: ObjectNumber,
        unique: u64,
    ) -> Result<(), Error> {
        let mut origin = promotion.origin_phys.clone();
        let old_next = origin.next_snapshot.replace(oldest);
        origin.unique = unique;
        self.put_dataset(promotion.origin, &origin)?;
        if let (Some(clones), Some(old_next)) = (origin.next_clones, old_next) {
            self.set_remove(clones, oldest)?;
            self.set_add(clones, old_next)?;
        }
        let mut clone_dir = self.dir(promotion.clone_dir)?;
        clone_dir.origin = Some(promotion.origin_origin);
        self.put_dir(promotion.clone_dir, &clone_dir)?;
        let mut origin_dir = self.dir(promotion.origin_dir)?;
        origin_dir.origin = Some(promotion.origin);
        self.put_dir(promotion.origin_dir, &origin_dir)?;

        let above = self.dataset(promotion.origin_origin)?.dir;
        let [in_origin, in_above, in_clone] =
            [promotion.origin_dir, above, promotion.clone_dir].map(|dir| self.clones_of_dir(dir));
        let (in_origin, in_above, in_clone) = (in_origin?, in_above?, in_clone?);
        self.set_remove(in_origin, promotion.clone.0)?;
        self.set_add(in_above, promotion.clone.0)?;
        self.set_remove(in_above, promotion.origin_head)?;
        self.set_add(in_clone, promotion.origin_head)
    }

    /// The bookmarks of what is moved go along.
    fn move_bookmarks(&mut self, promotion: &Promotion) -> Result<(), Error> {
        for bookmark in self.bookmarks_of(promotion.origin_head)? {
            if bookmark.creation_txg() <= promotion.origin_phys.creation_txg {
                self.move_bookmark(promotion.origin_head, promotion.clone, &bookmark)?;
            }
        }
        self.renew_bookmarks(promotion.clone, promotion.origin)
    }

    fn move_snapshot(&mut self, snapshot: ObjectNumber, promotion: &Promotion) -> Result<(), Error> {
        let mut phys = self.dataset(snapshot)?;
        let theirs = self.dataset(promotion.origin_head)?.snapshots;
        let own = self.dataset(promotion.clone.0)?.snapshots;
        if let (Some(theirs), Some(own)) = (theirs, own) {
            let entries = self.table_all(theirs)?;
            let entry = entries
                .iter()
                .find(|entry| entry.value.as_u64() == Some(snapshot.0));
            if let Some(entry) = entry {
                let name = entry.name_lossy();
                self.table_remove(theirs, &name)?;
                self.table_put(own, &name, snapshot.0)?;
            }
        }
        self.count_above(promotion.origin_dir, COUNT_OF_SNAPSHOTS, -1)?;
        self.count_above(promotion.clone_dir, COUNT_OF_SNAPSHOTS, 1)?;
        phys.dir = promotion.clone_dir;
        self.put_dataset(snapshot, &phys)?;
        let Some(next_clones) = phys.next_clones else {
            return Ok(());
        };
        // The heads of other clones hang on the directory of their origin.
        let (from, to) = (
            self.clones_of_dir(promotion.origin_dir)?,
            self.clones_of_dir(promotion.clone_dir)?,
        );
        for entry in self.table_all(next_clones)? {
            let Some(number) = entry.value.as_u64().map(ObjectNumber) else {
                continue;
            };
            let dir = self.dataset(number)?.dir;
            let Some(head) = self.dir(dir)?.head else { continue };
            if head != promotion.origin_head && self.set_remove(from, head)? {
                self.set_add(to, head)?;
            }
        }
        Ok(())
    }

    /// Adds to a directory what was moved to it; `snapshots` is what of it all only its snapshots have now.
    fn account_for(&mut self, dir: ObjectNumber, snapshots: i64, moved: Totals) -> Result<(), Error> {
        let before = self.dir(dir)?.used_by.snapshots.cast_signed();
        let of_snapshots = Totals {
            used: snapshots.saturating_sub(before),
            ..Totals::default()
        };
        self.use_space(dir, UsedBy::Snapshots, of_snapshots)?;
        self.use_space(dir, UsedBy::Head, moved.minus(of_snapshots))
    }
}
