//! Walking the datasets of a package, and writing down what its header tells of each.
//!
//! ```text
//! name             string     the dataset's full name
//! parentfromsnap   uint64     the guid of the incremental source in the dataset above, or, where that has none, of the
//!                             snapshot that is sent; 0 at the top
//! origin           uint64     the guid of what it was cloned from
//! props            list       its properties
//! is_encroot       –          its key is wrapped by a key of its own
//! snaps            list       name → guid
//! snapprops        list       name → list of properties
//! snapholds        list       name → list of tag → time
//! ```
//!
//! Datasets come in the order in which ZFS walks through the tables of children, each before what is below it;
//! snapshots from the oldest to the newest.

use super::{Notice, PackageError, PackageOptions, properties};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use zferry_nvlist::{Encoding, NvList, Value};
use zferry_zpool::dsl::{Dataset, DslDir, DslPool};
use zferry_zpool::{Corrupt, Error, ObjectNumber, Txg};

/// `encryption=off`, as a key's table would have it.
const ENCRYPTION_OFF: u64 = 2;

/// What a package is made of.
pub(super) struct Gathering<'a, 'p> {
    pub(super) dsl: &'a DslPool<'p>,
    /// The last snapshot, behind the `@`.
    pub(super) to: &'a str,
    /// The incremental source, behind the `@`.
    pub(super) from: Option<&'a str>,
    /// Whether snapshots before the last are of interest.
    pub(super) all: bool,
    pub(super) options: &'a PackageOptions,
}

/// A dataset of the package.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) name: String,
    pub(super) guid: u64,
    /// The guid in its parent that the list names `parentfromsnap`; 0 at the top.
    pub(super) parent_guid: u64,
    pub(super) origin: Option<Origin>,
    /// Its snapshots, from the oldest to the newest.
    pub(super) snapshots: Vec<Snapshot>,
    /// What the header tells of it.
    pub(super) list: NvList,
}

/// What a dataset was cloned from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    pub(super) name: String,
    pub(super) guid: u64,
}

/// A snapshot of a dataset of the package.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) name: String,
    pub(super) guid: u64,
    txg: Txg,
    number: ObjectNumber,
    /// Whether it has properties or holds of its own.
    has_more: bool,
}

/// A dataset that is still to be looked at.
struct Pending {
    dir: Arc<DslDir>,
    parent_guid: u64,
    /// When the snapshot was taken of the dataset above.
    parent_txg: Option<Txg>,
}

impl Gathering<'_, '_> {
    /// The dataset and, for a replication, everything below it.
    pub(super) fn run(
        &self,
        top: &Dataset,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Vec<Gathered>, PackageError> {
        let mut all = Vec::new();
        let mut bytes = 0_usize;
        let mut seen = HashSet::new();
        let mut pending = vec![Pending {
            dir: Arc::clone(&top.dir),
            parent_guid: 0,
            parent_txg: None,
        }];
        while let Some(next) = pending.pop() {
            if !seen.insert(next.dir.number) {
                let twice = format!("directory {} lies in two places", next.dir.number);
                return Err(Error::from(Corrupt::new(twice)).into());
            }
            let Some(head) = self.dsl.head(&next.dir)? else {
                continue;
            };
            let Some((gathered, below)) = self.dataset(top, &head, &next, notify)? else {
                continue;
            };
            bytes = bytes.saturating_add(gathered.list.encoded_size(Encoding::Native));
            if bytes > self.options.list_bytes_max {
                return Err(PackageError::ListTooLarge(format!("{}@{}", head.name, self.to)));
            }
            if self.options.replicate {
                let children = self.children(&next.dir, &below)?;
                pending.extend(children.into_iter().rev());
            }
            all.push(gathered);
        }
        Ok(all)
    }

    /// The dataset with its snapshots alone, for a package whose header tells nothing.
    pub(super) fn only(&self, head: &Dataset) -> Result<Vec<Gathered>, PackageError> {
        Ok(vec![Gathered {
            name: head.name.clone(),
            guid: head.phys.guid,
            parent_guid: 0,
            origin: self.origin(head)?,
            snapshots: self.snapshots(head)?,
            list: NvList::new(),
        }])
    }

    /// What the header tells of a dataset, and what its children need to know; `None` where it is passed over.
    fn dataset(
        &self,
        top: &Dataset,
        head: &Dataset,
        place: &Pending,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<Option<(Gathered, Pending)>, PackageError> {
        let to = match self.to {
            "" => None,
            name => self.dsl.snapshot(head, name)?,
        };
        let Some(to) = to else {
            self.without_snapshot(top, head, place.parent_txg, notify)?;
            return Ok(None);
        };
        let mut list = NvList::new();
        list.insert("name", head.name.as_str())
            .insert("parentfromsnap", place.parent_guid);
        let origin = self.origin(head)?;
        if let Some(origin) = &origin {
            list.insert("origin", origin.guid);
        }
        let options = self.options;
        if options.properties || options.backup || options.replicate {
            list.insert("props", properties::of_dataset(self.dsl, head, options.backup)?);
        }
        self.encryption(top, head, &mut list)?;
        let snapshots = if self.all {
            self.snapshots(head)?
        } else {
            vec![Snapshot::new(&to)]
        };
        let own_guid = self.list_snapshots(head, &snapshots, to.phys.creation_txg, &mut list, notify)?;
        let gathered = Gathered {
            name: head.name.clone(),
            guid: head.phys.guid,
            parent_guid: place.parent_guid,
            origin,
            snapshots,
            list,
        };
        let below = Pending {
            dir: Arc::clone(&head.dir),
            parent_guid: own_guid,
            parent_txg: Some(to.phys.creation_txg),
        };
        Ok(Some((gathered, below)))
    }

    /// A dataset that lacks the snapshot: no part of what was snapshotted, or an error.
    fn without_snapshot(
        &self,
        top: &Dataset,
        head: &Dataset,
        parent_txg: Option<Txg>,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<(), PackageError> {
        let (dataset, to) = (head.name.clone(), self.to.to_owned());
        if parent_txg.is_some_and(|txg| head.phys.creation_txg > txg) {
            notify(Notice::LaterDataset { dataset, to });
        } else if self.options.skip_missing {
            notify(Notice::Skipped { dataset, to });
        } else {
            return Err(PackageError::MissingSnapshot {
                top: format!("{}@{to}", top.name),
                recursive: self.options.replicate,
                dataset,
                snapshot: to,
            });
        }
        Ok(())
    }

    fn origin(&self, head: &Dataset) -> Result<Option<Origin>, Error> {
        let origin = self.dsl.origin(&head.dir)?;
        Ok(origin.map(|origin| Origin {
            name: origin.name,
            guid: origin.phys.guid,
        }))
    }

    fn encryption(&self, top: &Dataset, head: &Dataset, list: &mut NvList) -> Result<(), PackageError> {
        let encryption = self.dsl.encryption(&head.dir)?;
        let Some(encryption) =
            encryption.filter(|known| known.suite.is_some_and(|suite| suite != ENCRYPTION_OFF))
        else {
            return Ok(());
        };
        if encryption.root == Some(head.dir.number) {
            list.insert("is_encroot", Value::Boolean);
        }
        // A receiver could not encrypt anew what it is told is encrypted.
        if self.options.raw {
            return Ok(());
        }
        Err(PackageError::Encrypted {
            top: format!("{}@{}", top.name, self.to),
            dataset: head.name.clone(),
        })
    }

    /// A head's snapshots, from the oldest to the newest.
    fn snapshots(&self, head: &Dataset) -> Result<Vec<Snapshot>, Error> {
        let mut by_txg = BTreeMap::new();
        for (name, number) in self.dsl.snapshots(head)? {
            let snapshot = Snapshot::new(&self.dsl.snapshot_of(head, &name, number)?);
            by_txg.insert(snapshot.txg, snapshot);
        }
        let mut snapshots: Vec<_> = by_txg.into_values().collect();
        if !self.options.replicate {
            self.cut(&mut snapshots);
        }
        Ok(snapshots)
    }

    /// Leaves only what lies between the source and the last snapshot, where those exist.
    fn cut(&self, snapshots: &mut Vec<Snapshot>) {
        let txg_of = |name: Option<&str>| {
            let found = snapshots.iter().find(|snapshot| Some(&*snapshot.name) == name);
            found.map(|snapshot| snapshot.txg)
        };
        let (first, last) = (txg_of(self.from), txg_of(Some(self.to)));
        snapshots.retain(|snapshot| {
            first.is_none_or(|first| snapshot.txg >= first) && last.is_none_or(|last| snapshot.txg <= last)
        });
    }

    /// Writes down the snapshots of a dataset. What it returns is `parentfromsnap` to those below.
    fn list_snapshots(
        &self,
        head: &Dataset,
        snapshots: &[Snapshot],
        last: Txg,
        list: &mut NvList,
        notify: &mut dyn FnMut(Notice),
    ) -> Result<u64, Error> {
        let (mut guids, mut props, mut holds) = (NvList::new(), NvList::new(), NvList::new());
        let mut own_guid = 0;
        let mut window = Window::new(self);
        for snapshot in snapshots {
            if snapshot.txg > last {
                notify(Notice::LaterSnapshot {
                    name: format!("{}@{}", head.name, snapshot.name),
                    to: self.to.to_owned(),
                });
                continue;
            }
            guids.insert(&snapshot.name, snapshot.guid);
            // What is new since the source is told by the snapshot that is sent.
            let is_from = self.from == Some(&*snapshot.name);
            if is_from || (own_guid == 0 && snapshot.name == self.to) {
                own_guid = snapshot.guid;
            }
            if !window.admits(&snapshot.name) {
                continue;
            }
            let (snapshot_props, snapshot_holds) = self.of_snapshot(head, snapshot)?;
            props.insert(&snapshot.name, snapshot_props);
            holds.insert(&snapshot.name, snapshot_holds);
        }
        list.insert("snaps", guids).insert("snapprops", props);
        if self.options.holds {
            list.insert("snapholds", holds);
        }
        Ok(own_guid)
    }

    fn of_snapshot(&self, head: &Dataset, snapshot: &Snapshot) -> Result<(NvList, NvList), Error> {
        if !snapshot.has_more {
            return Ok((NvList::new(), NvList::new()));
        }
        let dataset = self.dsl.snapshot_of(head, &snapshot.name, snapshot.number)?;
        let props = properties::of_dataset(self.dsl, &dataset, self.options.backup)?;
        let holds = if self.options.holds {
            self.dsl.holds(&dataset)?
        } else {
            Vec::new()
        };
        Ok((
            props,
            holds.into_iter().map(|hold| (hold.tag, hold.time)).collect(),
        ))
    }

    /// The directories below one, those that nobody is to see left out.
    fn children(&self, dir: &Arc<DslDir>, below: &Pending) -> Result<Vec<Pending>, Error> {
        let children = self.dsl.children(dir)?.into_iter();
        children
            .filter(|(component, _)| !component.contains(['$', '%']))
            .map(|(component, number)| {
                Ok(Pending {
                    dir: self.dsl.dir_of(dir, &component, number)?,
                    parent_guid: below.parent_guid,
                    parent_txg: below.parent_txg,
                })
            })
            .collect()
    }
}

impl Snapshot {
    fn new(dataset: &Dataset) -> Self {
        Self {
            name: dataset.snapshot_name().unwrap_or_default().to_owned(),
            guid: dataset.phys.guid,
            txg: dataset.phys.creation_txg,
            number: dataset.number,
            has_more: dataset.phys.properties.is_some() || dataset.phys.holds.is_some(),
        }
    }
}

/// Which snapshots of a dataset have their properties and holds told: those that are sent, of a replication all.
struct Window<'a> {
    to: &'a str,
    from: Option<&'a str>,
    replicate: bool,
    seen_from: bool,
    seen_to: bool,
}

impl<'a> Window<'a> {
    fn new(gathering: &Gathering<'a, '_>) -> Self {
        Self {
            to: gathering.to,
            from: gathering.from,
            replicate: gathering.options.replicate,
            seen_from: gathering.all && gathering.from.is_none(),
            seen_to: false,
        }
    }

    fn admits(&mut self, name: &str) -> bool {
        if self.replicate {
            return true;
        }
        let is_to = name == self.to;
        if !self.seen_from && self.from == Some(name) {
            self.seen_from = true;
            return false;
        }
        let is_alone = is_to && self.from.is_none();
        if (self.seen_to || !self.seen_from) && !is_alone {
            return false;
        }
        self.seen_to |= is_to;
        true
    }
}
