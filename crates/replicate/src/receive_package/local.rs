//! The tree that is there, as far as a replication looks at it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use zferry_zpool::dsl::{Dataset, DatasetFlags, DatasetPhys, DslDir, DslPool};
use zferry_zpool::{Corrupt, Error, Txg};

/// A file system or volume that is there.
#[derive(Clone, Debug)]
pub(super) struct LocalDataset {
    pub(super) name: String,
    /// The guid of the incremental source in the dataset above; 0 at the top, and where that has none.
    pub(super) parent_guid: u64,
    /// The guid of what it was cloned from; 0 for what is no clone.
    pub(super) origin: u64,
    /// Its snapshots, from the oldest to the newest: names behind the `@`, and guids.
    pub(super) snapshots: Vec<(String, u64)>,
}

/// What is there.
#[derive(Debug, Default)]
pub(super) struct LocalTree {
    /// Each before what lies below it.
    pub(super) datasets: Vec<LocalDataset>,
    /// The guid of a snapshot → the place of its dataset, and when it was made.
    by_snapshot: HashMap<u64, (usize, Txg)>,
}

impl LocalTree {
    /// Looks at a dataset and all below it; `None` where it is not there. `from` is the incremental source, behind the `@`.
    /// With `spares_unfinished`, datasets are left out of which a receive was interrupted.
    pub(super) fn gather(
        dsl: &DslPool<'_>,
        top: &str,
        from: &str,
        spares_unfinished: bool,
    ) -> Result<Option<Self>, Error> {
        let Some(dir) = dsl.dir(top)? else {
            return Ok(None);
        };
        let mut tree = Self::default();
        let mut seen = HashSet::new();
        let mut waiting = vec![(dir, 0)];
        while let Some((dir, parent_guid)) = waiting.pop() {
            if !seen.insert(dir.number) {
                let twice = format!("directory {} lies in two places", dir.number);
                return Err(Corrupt::new(twice).into());
            }
            let is_unfinished = |head: &Dataset| head.phys.flags.contains(DatasetFlags::INCONSISTENT);
            let head = dsl.head(&dir)?;
            let head = head.filter(|head| !(spares_unfinished && is_unfinished(head)));
            let Some(own) = tree.add(dsl, &dir, head, parent_guid, from)? else {
                continue;
            };
            for (name, _) in dsl.children(&dir)?.into_iter().rev() {
                if !name.starts_with(['$', '%'])
                    && let Some(child) = dsl.child(&dir, &name)?
                {
                    waiting.push((child, own));
                }
            }
        }
        Ok(Some(tree))
    }

    /// Adds a dataset. Says the guid of its incremental source, 0 where it has none.
    fn add(
        &mut self,
        dsl: &DslPool<'_>,
        dir: &Arc<DslDir>,
        head: Option<Dataset>,
        parent_guid: u64,
        from: &str,
    ) -> Result<Option<u64>, Error> {
        let Some(head) = head else {
            return Ok(None);
        };
        let mut by_age = Vec::new();
        for (name, number) in dsl.snapshots(&head)? {
            let phys = DatasetPhys::decode(&dsl.pool().meta_object(number)?)?;
            by_age.push((phys.creation_txg, name, phys.guid));
        }
        by_age.sort();
        let place = self.datasets.len();
        for (txg, _, guid) in &by_age {
            self.by_snapshot.entry(*guid).or_insert((place, *txg));
        }
        let source = by_age.iter().find(|(_, name, _)| name == from);
        let source = source.map_or(0, |(_, _, guid)| *guid);
        self.datasets.push(LocalDataset {
            name: dir.name.clone(),
            parent_guid,
            origin: dsl.origin(dir)?.map_or(0, |origin| origin.phys.guid),
            snapshots: by_age.into_iter().map(|(_, name, guid)| (name, guid)).collect(),
        });
        Ok(Some(source))
    }

    /// The dataset that has a snapshot.
    pub(super) fn holder(&self, snapshot: u64) -> Option<&LocalDataset> {
        let (place, _) = self.by_snapshot.get(&snapshot)?;
        self.datasets.get(*place)
    }

    /// When a snapshot was made.
    pub(super) fn made(&self, snapshot: u64) -> Option<Txg> {
        self.by_snapshot.get(&snapshot).map(|(_, txg)| *txg)
    }
}
