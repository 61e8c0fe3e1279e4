//! Renaming datasets and snapshots.

use super::accounts::UsedBy;
use super::counts::{COUNT_OF_FILE_SYSTEMS, COUNT_OF_SNAPSHOTS};
use super::encryption::KEY_ROOT;
use super::lists::Totals;
use super::{DatasetId, PoolWriter};
use crate::dmu::{ObjectSet, ObjectSetType};
use crate::dsl::DirPhys;
use crate::{Corrupt, Error, ObjectNumber};

/// How long the name of a dataset may be, in bytes.
const NAME_MAX: usize = 255;

impl PoolWriter {
    /// Gives a file system or volume another name, in the same pool; what lies below it goes along.
    ///
    /// # Errors
    /// [`Error::Missing`] where it or the new parent is not there; [`Error::Exists`]; [`Error::Invalid`] where it would lie
    /// in itself or in a volume, would leave its encryption root, or a name would be too long.
    pub fn rename_dataset(&mut self, old: &str, new: &str) -> Result<(), Error> {
        if let Err(why) = crate::dsl::check_entity_name(new) {
            return Err(Error::Invalid(format!("'{new}': {why}")));
        }
        let dir = self.existing_dir(old)?;
        let (old_parent, old_component) = old
            .rsplit_once('/')
            .ok_or_else(|| Error::Invalid("the dataset of the pool itself is not renamed".to_owned()))?;
        let (new_parent, component) = new
            .rsplit_once('/')
            .ok_or_else(|| Error::Missing(format!("dataset '{new}'")))?;
        if self.find_dir(new)?.is_some() {
            return Err(Error::Exists(format!("dataset '{new}'")));
        }
        let from = self.existing_dir(old_parent)?;
        let to = self.existing_dir(new_parent)?;
        self.check_parent(to)?;
        self.check_lengths(dir, new)?;
        let mut phys = self.dir(dir)?;
        if from != to {
            self.check_not_within(dir, to)?;
            self.check_key(dir, to)?;
            self.move_counts(dir, from, to)?;
            self.move_space(&phys, from, to)?;
        }
        let children = |phys: DirPhys, number: ObjectNumber| {
            phys.children
                .ok_or_else(|| Corrupt::new(format!("directory {number} can have no children")))
        };
        let old_table = children(self.dir(from)?, from)?;
        let new_table = children(self.dir(to)?, to)?;
        self.table_remove(old_table, old_component)?;
        phys.parent = Some(to);
        self.put_dir(dir, &phys)?;
        self.table_put(new_table, component, dir.0)
    }

    fn check_parent(&mut self, dir: ObjectNumber) -> Result<(), Error> {
        let Some(head) = self.dir(dir)?.head else {
            return Ok(());
        };
        let root = self.dataset(head)?.root;
        if !root.is_hole() && ObjectSet::read(&self.io.reader, &root)?.set_type != ObjectSetType::ZFS {
            return Err(Error::Invalid("parent is not a filesystem".to_owned()));
        }
        Ok(())
    }

    /// What lies below a dataset must keep names that are short enough.
    fn check_lengths(&mut self, dir: ObjectNumber, new: &str) -> Result<(), Error> {
        let mut waiting = vec![(dir, new.len())];
        while let Some((dir, len)) = waiting.pop() {
            let phys = self.dir(dir)?;
            let mut longest = len;
            if let Some(head) = phys.head
                && let Some(names) = self.dataset(head)?.snapshots
            {
                for entry in self.table_all(names)? {
                    longest = longest.max(len.saturating_add(entry.name_lossy().len()).saturating_add(1));
                }
            }
            if longest > NAME_MAX {
                return Err(Error::Invalid("name too long".to_owned()));
            }
            let Some(children) = phys.children else { continue };
            for entry in self.table_all(children)? {
                if let Some(child) = entry.value.as_u64() {
                    let len = len.saturating_add(entry.name_lossy().len()).saturating_add(1);
                    waiting.push((ObjectNumber(child), len));
                }
            }
        }
        Ok(())
    }

    fn check_not_within(&mut self, dir: ObjectNumber, parent: ObjectNumber) -> Result<(), Error> {
        let mut next = Some(parent);
        while let Some(above) = next {
            if above == dir {
                return Err(Error::Invalid("the new parent lies in the dataset".to_owned()));
            }
            next = self.dir(above)?.parent;
        }
        Ok(())
    }

    /// The directory whose key wraps that of another one; `None` where it is not encrypted.
    pub(super) fn encryption_root(&mut self, dir: ObjectNumber) -> Result<Option<ObjectNumber>, Error> {
        match self.key_of(dir)? {
            Some(key) => Ok(self.table_get(key, KEY_ROOT)?.map(ObjectNumber)),
            None => Ok(None),
        }
    }

    /// Only an encryption root, or what is not encrypted, may leave the encryption root above it.
    fn check_key(&mut self, dir: ObjectNumber, to: ObjectNumber) -> Result<(), Error> {
        match self.encryption_root(dir)? {
            Some(root) if root != dir && self.encryption_root(to)? != Some(root) => Err(Error::Invalid(
                "cannot move encrypted child outside of its encryption root".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    fn move_counts(&mut self, dir: ObjectNumber, from: ObjectNumber, to: ObjectNumber) -> Result<(), Error> {
        self.count_before_move(dir)?;
        for (key, own) in [(COUNT_OF_FILE_SYSTEMS, 1), (COUNT_OF_SNAPSHOTS, 0)] {
            let Some(count) = self.count_of(dir, key)? else {
                continue;
            };
            let count = count.saturating_add(own).cast_signed();
            self.count_above(from, key, count.saturating_neg())?;
            self.count_above(to, key, count)?;
        }
        Ok(())
    }

    fn move_space(&mut self, phys: &DirPhys, from: ObjectNumber, to: ObjectNumber) -> Result<(), Error> {
        let used = Totals {
            used: phys.used.cast_signed(),
            compressed: phys.compressed.cast_signed(),
            uncompressed: phys.uncompressed.cast_signed(),
        };
        let reserved = Totals {
            used: phys.reserved.saturating_sub(phys.used).cast_signed(),
            ..Totals::default()
        };
        self.use_space(from, UsedBy::Children, used.negated())?;
        self.use_space(to, UsedBy::Children, used)?;
        self.use_space(from, UsedBy::ChildReservations, reserved.negated())?;
        self.use_space(to, UsedBy::ChildReservations, reserved)
    }

    /// Gives a snapshot of a head another name.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Exists`].
    pub fn rename_snapshot(&mut self, head: DatasetId, old: &str, new: &str) -> Result<(), Error> {
        let names = self.dataset(head.0)?.snapshots;
        let names = names.ok_or_else(|| Corrupt::new(format!("dataset {} can have no snapshots", head.0)))?;
        let number = self.table_get(names, old)?;
        let number = number.ok_or_else(|| Error::Missing(format!("snapshot '{old}'")))?;
        if self.table_get(names, new)?.is_some() {
            return Err(Error::Exists(format!("snapshot '{new}'")));
        }
        self.table_remove(names, old)?;
        self.table_put(names, new, number)
    }
}
