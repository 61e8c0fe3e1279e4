//! The DSL of a pool: what names lead to.

use super::dataset::{Dataset, DatasetFlags, DatasetPhys};
use super::dir::{DirPhys, DslDir};
use super::keystore::Keystore;
use super::names::{EntityName, NAME_MAX, Part};
use crate::dmu::{Object, ObjectSet};
use crate::spa::PoolUsage;
use crate::zap::{self, ZapValue};
use crate::{Corrupt, Error, ObjectNumber, Pool, Txg};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// How many directories are remembered at most.
const DIRS_MAX: usize = 1 << 13;
/// The directory in which `$ORIGIN@$ORIGIN` lies, from which every first dataset was cloned.
const ORIGIN: &str = "$ORIGIN";

/// A pool's datasets. It remembers the directories that it has met, and the keys that were loaded.
#[derive(Debug)]
pub struct DslPool<'p> {
    pool: &'p Pool,
    root: OnceLock<Arc<DslDir>>,
    dirs: Mutex<HashMap<ObjectNumber, Arc<DslDir>>>,
    origin_dir: OnceLock<Option<ObjectNumber>>,
    pub(super) usable_space: OnceLock<u64>,
    pub(super) features: OnceLock<Vec<(String, u64)>>,
    pub(super) usage: OnceLock<PoolUsage>,
    pub(super) keystore: Keystore,
}

impl<'p> DslPool<'p> {
    /// The datasets of a pool.
    #[must_use]
    pub fn new(pool: &'p Pool) -> Self {
        Self {
            pool,
            root: OnceLock::new(),
            dirs: Mutex::default(),
            origin_dir: OnceLock::new(),
            usable_space: OnceLock::new(),
            features: OnceLock::new(),
            usage: OnceLock::new(),
            keystore: Keystore::default(),
        }
    }

    /// The pool.
    #[must_use]
    pub const fn pool(&self) -> &'p Pool {
        self.pool
    }

    /// The directory of the pool itself.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn root(&self) -> Result<Arc<DslDir>, Error> {
        if let Some(root) = self.root.get() {
            return Ok(Arc::clone(root));
        }
        let object = self.pool.directory_object("root_dataset")?;
        let root = Arc::new(DslDir::new(self.pool.name()?.to_owned(), &object, None)?);
        Ok(Arc::clone(self.root.get_or_init(|| root)))
    }

    /// The directory of a file system or volume, by its full name; `None` where there is none.
    ///
    /// # Errors
    /// Where something on the way cannot be read.
    pub fn dir(&self, name: &str) -> Result<Option<Arc<DslDir>>, Error> {
        let mut components = name.split('/');
        let mut dir = self.root()?;
        if components.next() != Some(&*dir.name) {
            return Ok(None);
        }
        for component in components {
            let Some(child) = self.child(&dir, component)? else {
                return Ok(None);
            };
            dir = child;
        }
        Ok(Some(dir))
    }

    /// The directory of this name in another; `None` where there is none.
    ///
    /// # Errors
    /// Where the table of children or the child cannot be read.
    pub fn child(&self, dir: &Arc<DslDir>, component: &str) -> Result<Option<Arc<DslDir>>, Error> {
        let Some(number) = self.number_in(dir.phys.children, component)? else {
            return Ok(None);
        };
        self.dir_of(dir, component, number).map(Some)
    }

    /// The directories in another: their names and objects, in the order in which ZFS walks through the table. Those
    /// whose names begin with `$` or `%` are hidden.
    ///
    /// # Errors
    /// Where the table of children cannot be read.
    pub fn children(&self, dir: &DslDir) -> Result<Vec<(String, ObjectNumber)>, Error> {
        self.numbers_in(dir.phys.children)
    }

    /// The directory with this object that is known to lie in `parent` under the name `component`.
    ///
    /// # Errors
    /// Where it cannot be read, or says that it lies elsewhere.
    pub fn dir_of(
        &self,
        parent: &Arc<DslDir>,
        component: &str,
        number: ObjectNumber,
    ) -> Result<Arc<DslDir>, Error> {
        if let Some(dir) = self.remembered(number)
            && dir.component() == component
            && dir.phys.parent == Some(parent.number)
        {
            return Ok(dir);
        }
        let object = self.pool.meta_object(number)?;
        self.enter(parent, component, &object)
    }

    /// The directory with this object.
    ///
    /// # Errors
    /// Where it or what it lies in cannot be read.
    pub fn dir_at(&self, number: ObjectNumber) -> Result<Arc<DslDir>, Error> {
        let root = self.root()?;
        let mut below = Vec::new();
        let mut at = number;
        let mut dir = loop {
            if at == root.number {
                break root;
            }
            if let Some(dir) = self.remembered(at) {
                break dir;
            }
            if below.len() > NAME_MAX {
                return Err(
                    Corrupt::new(format!("directory {number} lies deeper than a name is long")).into(),
                );
            }
            let object = self.pool.meta_object(at)?;
            let parent = DirPhys::decode(&object)?.parent;
            at = parent
                .ok_or_else(|| Corrupt::new(format!("directory {at} lies nowhere, and is not the root")))?;
            below.push(object);
        };
        for object in below.iter().rev() {
            let component = self.name_in(dir.phys.children, object.number)?;
            dir = self.enter(&dir, &component, object)?;
        }
        Ok(dir)
    }

    fn enter(&self, parent: &Arc<DslDir>, component: &str, object: &Object) -> Result<Arc<DslDir>, Error> {
        let name = format!("{}/{component}", parent.name);
        // No name is longer on any pool; what goes on is a circle.
        if name.len() > NAME_MAX.saturating_add(ORIGIN.len()) {
            return Err(Corrupt::new(format!("a name of {} bytes: {name}", name.len())).into());
        }
        let dir = Arc::new(DslDir::new(name, object, Some(Arc::clone(parent)))?);
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if dirs.len() >= DIRS_MAX {
            dirs.clear();
        }
        dirs.insert(dir.number, Arc::clone(&dir));
        Ok(dir)
    }

    fn remembered(&self, number: ObjectNumber) -> Option<Arc<DslDir>> {
        self.dirs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&number)
            .cloned()
    }

    /// The head of a directory; `None` in `$MOS` and `$FREE`, which have none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn head(&self, dir: &Arc<DslDir>) -> Result<Option<Dataset>, Error> {
        let Some(number) = dir.phys.head else {
            return Ok(None);
        };
        let object = self.pool.meta_object(number)?;
        let head = Dataset::new(dir.name.clone(), &object, Arc::clone(dir))?;
        if head.is_snapshot() {
            return Err(Corrupt::new(format!("the head of '{}' is a snapshot", dir.name)).into());
        }
        Ok(Some(head))
    }

    /// A file system, volume or snapshot, by its full name; `None` where there is none, and for the name of a bookmark.
    ///
    /// # Errors
    /// Where something on the way cannot be read.
    pub fn dataset(&self, name: &str) -> Result<Option<Dataset>, Error> {
        let name = EntityName::new(name);
        let Some(dir) = self.dir(name.dataset)? else {
            return Ok(None);
        };
        let Some(head) = self.head(&dir)? else {
            return Ok(None);
        };
        match name.part {
            Part::Head => Ok(Some(head)),
            Part::Snapshot(snapshot) => self.snapshot(&head, snapshot),
            Part::Bookmark(_) => Ok(None),
        }
    }

    /// The dataset with this object.
    ///
    /// # Errors
    /// Where it, or what leads to its name, cannot be read.
    pub fn dataset_at(&self, number: ObjectNumber) -> Result<Dataset, Error> {
        let object = self.pool.meta_object(number)?;
        let phys = DatasetPhys::decode(&object)?;
        let dir = self.dir_at(phys.dir)?;
        let mut name = dir.name.clone();
        if phys.is_snapshot() {
            let head = self.head(&dir)?;
            let table = head.and_then(|head| head.phys.snapshots);
            let snapshot = self.name_in(table, number)?;
            name = format!("{name}@{snapshot}");
        }
        Ok(Dataset::new(name, &object, dir)?)
    }

    /// The snapshots of a head: their names and objects, in the order in which ZFS walks through the table.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn snapshots(&self, head: &Dataset) -> Result<Vec<(String, ObjectNumber)>, Error> {
        self.numbers_in(head.phys.snapshots)
    }

    /// A snapshot of a head, by the name behind the `@`; `None` where there is none.
    ///
    /// # Errors
    /// Where the table of snapshots or the snapshot cannot be read.
    pub fn snapshot(&self, head: &Dataset, name: &str) -> Result<Option<Dataset>, Error> {
        let number = match self.number_in(head.phys.snapshots, name)? {
            Some(number) => number,
            None if head.phys.flags.contains(DatasetFlags::CASE_INSENSITIVE) => {
                let snapshots = self.snapshots(head)?;
                let found = snapshots
                    .iter()
                    .find(|(other, _)| other.eq_ignore_ascii_case(name));
                match found {
                    Some((_, number)) => *number,
                    None => return Ok(None),
                }
            }
            None => return Ok(None),
        };
        self.snapshot_of(head, name, number).map(Some)
    }

    /// The snapshot with this object that is known to be one of `head` under the name `name`.
    ///
    /// # Errors
    /// Where it cannot be read, or is no snapshot of `head`.
    pub fn snapshot_of(&self, head: &Dataset, name: &str, number: ObjectNumber) -> Result<Dataset, Error> {
        let object = self.pool.meta_object(number)?;
        let name = format!("{}@{name}", head.dir.name);
        let snapshot = Dataset::new(name, &object, Arc::clone(&head.dir))?;
        if !snapshot.is_snapshot() {
            return Err(
                Corrupt::new(format!("dataset {number} ('{}') is no snapshot", snapshot.name)).into(),
            );
        }
        Ok(snapshot)
    }

    /// The object set of a dataset; `None` where nothing was ever written.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn object_set(&self, dataset: &Dataset) -> Result<Option<ObjectSet>, Error> {
        if dataset.phys.root.is_hole() {
            return Ok(None);
        }
        ObjectSet::read(self.pool.reader(), &dataset.phys.root).map(Some)
    }

    /// The snapshot that a directory was cloned from; `None` where it is no clone.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn origin(&self, dir: &DslDir) -> Result<Option<Dataset>, Error> {
        let Some(number) = dir.phys.origin else {
            return Ok(None);
        };
        let object = self.pool.meta_object(number)?;
        if Some(DatasetPhys::decode(&object)?.dir) == self.origin_dir()? {
            return Ok(None);
        }
        self.dataset_at(number).map(Some)
    }

    /// The directory of `$ORIGIN`; older pools have none.
    pub(super) fn origin_dir(&self) -> Result<Option<ObjectNumber>, Error> {
        if let Some(number) = self.origin_dir.get() {
            return Ok(*number);
        }
        let number = self.number_in(self.root()?.phys.children, ORIGIN)?;
        Ok(*self.origin_dir.get_or_init(|| number))
    }

    /// Whether `earlier` is a state that `later` went through: an older snapshot of it, or of what it was cloned from.
    ///
    /// # Errors
    /// Where an origin cannot be read.
    pub fn is_before(&self, later: &Dataset, earlier: &Dataset) -> Result<bool, Error> {
        // $ORIGIN@$ORIGIN, which is no origin to anybody else, is before everything.
        if later.dir.phys.origin == Some(earlier.number) {
            return Ok(true);
        }
        self.descends_from(later, &earlier.dir, earlier.phys.creation_txg)
    }

    /// As [`Self::is_before`], for a snapshot of `dir` that was taken in the transaction group `txg` and may be gone.
    ///
    /// # Errors
    /// Where an origin cannot be read.
    pub fn descends_from(&self, later: &Dataset, dir: &DslDir, txg: Txg) -> Result<bool, Error> {
        if later.is_snapshot() && txg >= later.phys.creation_txg {
            return Ok(false);
        }
        let mut at = Arc::clone(&later.dir);
        let mut bound = None;
        loop {
            if at.number == dir.number {
                return Ok(true);
            }
            let Some(origin) = self.origin(&at)? else {
                return Ok(false);
            };
            let origin_txg = origin.phys.creation_txg;
            if bound.is_some_and(|bound| origin_txg >= bound) {
                return Err(Corrupt::new(format!(
                    "'{}' is younger than what was cloned from it",
                    origin.name
                ))
                .into());
            }
            if origin.dir.number == dir.number && origin_txg == txg {
                return Ok(true);
            }
            if txg >= origin_txg {
                return Ok(false);
            }
            bound = Some(origin_txg);
            at = origin.dir;
        }
    }

    /// What a dataset's or directory's own table says of a key.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub(super) fn table_entry(
        &self,
        number: ObjectNumber,
        has_table: bool,
        key: &str,
    ) -> Result<Option<ZapValue>, Error> {
        if !has_table {
            return Ok(None);
        }
        zap::lookup(self.pool.reader(), &self.pool.meta_object(number)?, key)
    }

    /// What a dataset's own table says of a key: the guid of a feature, say.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn dataset_entry(&self, dataset: &Dataset, key: &str) -> Result<Option<ZapValue>, Error> {
        self.table_entry(dataset.number, dataset.has_table, key)
    }

    /// What a directory's own table says of a key.
    ///
    /// # Errors
    /// Where the table cannot be read.
    pub fn dir_entry(&self, dir: &DslDir, key: &str) -> Result<Option<ZapValue>, Error> {
        self.table_entry(dir.number, dir.has_table, key)
    }

    /// The object of which a table tells under a name.
    fn number_in(&self, table: Option<ObjectNumber>, name: &str) -> Result<Option<ObjectNumber>, Error> {
        let Some(table) = table else { return Ok(None) };
        let number = zap::lookup_u64(self.pool.reader(), &self.pool.meta_object(table)?, name)?;
        Ok(number.map(ObjectNumber))
    }

    pub(super) fn numbers_in(
        &self,
        table: Option<ObjectNumber>,
    ) -> Result<Vec<(String, ObjectNumber)>, Error> {
        let Some(table) = table else { return Ok(Vec::new()) };
        let object = self.pool.meta_object(table)?;
        let entries = zap::entries_in_cursor_order(self.pool.reader(), &object)?;
        let number = |entry: &zap::ZapEntry| {
            entry
                .value
                .as_u64()
                .map(|number| (entry.name_lossy(), ObjectNumber(number)))
        };
        let numbers: Option<Vec<_>> = entries.iter().map(number).collect();
        let numbers =
            numbers.ok_or_else(|| Corrupt::new(format!("table {table} has values that are no numbers")))?;
        // What has two names is met twice, and what lies in it four times at the next level, and so on.
        let mut met = HashSet::new();
        if let Some((_, twice)) = numbers.iter().find(|(_, number)| !met.insert(*number)) {
            return Err(Corrupt::new(format!("table {table} names object {twice} twice")).into());
        }
        Ok(numbers)
    }

    /// The name under which a table tells of an object.
    fn name_in(&self, table: Option<ObjectNumber>, number: ObjectNumber) -> Result<String, Error> {
        let mut name = None;
        if let Some(table) = table {
            // Only one is looked for, so nothing is made of the others: there may be thousands.
            let object = self.pool.meta_object(table)?;
            zap::for_each(self.pool.reader(), &object, &mut |entry| {
                if entry.value.as_u64() == Some(number.0) && name.replace(entry.name_lossy()).is_some() {
                    return Err(Corrupt::new(format!("table {table} names object {number} twice")).into());
                }
                Ok(())
            })?;
        }
        name.ok_or_else(|| {
            Corrupt::new(format!(
                "object {number} has no name in table {}",
                table.unwrap_or_default()
            ))
            .into()
        })
    }
}
