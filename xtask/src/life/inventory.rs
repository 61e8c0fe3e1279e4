//! What is in a pool: its datasets, their snapshots and bookmarks, as `zferry list` has them.

use anyhow::{Context, Result, ensure};

use super::world::World;
use crate::tools::shown;

/// A file system or volume.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    pub(super) name: String,
    pub(super) is_volume: bool,
    /// The snapshot that it is a clone of.
    pub(super) origin: Option<String>,
    /// Its snapshots, oldest first.
    pub(super) snapshots: Vec<Snapshot>,
    pub(super) bookmarks: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// Its full name.
    pub(super) name: String,
    pub(super) guid: u64,
    /// The transaction group in which it was taken.
    pub(super) txg: u64,
    pub(super) holds: u64,
}

impl Snapshot {
    /// Its name without the dataset's.
    pub(super) fn short(&self) -> &str {
        self.name.split_once('@').map_or("", |(_, short)| short)
    }

    /// The name of its dataset.
    pub(super) fn dataset(&self) -> &str {
        self.name.split_once('@').map_or("", |(dataset, _)| dataset)
    }
}

/// All datasets of a pool, by name; the pool's root first.
pub(super) struct Inventory {
    pub(super) datasets: Vec<Dataset>,
}

impl Inventory {
    /// The clone through which a dataset depends on itself, where `why` says that one does: it, or the nearest above it.
    pub(super) fn clone_at(&self, why: &str) -> Option<String> {
        let (_, name) = why.split_once("recursive dependency at '")?;
        let mut name = name.split_once('\'')?.0;
        loop {
            let dataset = self.datasets.iter().find(|dataset| dataset.name == name)?;
            if dataset.origin.is_some() {
                return Some(name.to_owned());
            }
            name = name.rsplit_once('/')?.0;
        }
    }

    pub(super) fn read(world: &World, pool: &str) -> Result<Self> {
        let mut command = world.zferry(pool);
        command.args(["list", "-Hp", "-r", "-t", "all", "-o"]);
        command.args(["name,type,guid,origin,userrefs,createtxg", pool]);
        let output = command.output().with_context(|| shown(&command))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            shown(&command),
            complaint.trim()
        );
        let mut datasets: Vec<Dataset> = Vec::new();
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let fields: Vec<_> = line.split('\t').collect();
            let &[name, kind, guid, origin, holds, txg] = fields.as_slice() else {
                anyhow::bail!("zferry list printed '{line}'");
            };
            let of = name.split(['@', '#']).next().unwrap_or_default();
            let home = datasets.iter_mut().find(|dataset| dataset.name == of);
            match (kind, home) {
                ("snapshot", Some(home)) => home.snapshots.push(Snapshot {
                    name: name.to_owned(),
                    guid: guid.parse()?,
                    txg: txg.parse()?,
                    holds: holds.parse()?,
                }),
                ("bookmark", Some(home)) => home.bookmarks.push(name.to_owned()),
                _ => datasets.push(Dataset {
                    name: name.to_owned(),
                    is_volume: kind == "volume",
                    origin: (origin != "-").then(|| origin.to_owned()),
                    snapshots: Vec::new(),
                    bookmarks: Vec::new(),
                }),
            }
        }
        for dataset in &mut datasets {
            dataset.snapshots.sort_by_key(|snapshot| snapshot.txg);
        }
        Ok(Self { datasets })
    }

    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.datasets.iter().flat_map(|dataset| &dataset.snapshots)
    }

    pub(super) fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets.iter().find(|dataset| dataset.name == name)
    }

    /// All but the pool's root.
    pub(super) fn below_root(&self) -> &[Dataset] {
        self.datasets.get(1..).unwrap_or_default()
    }

    /// What a snapshot descends from: those before it, and those before its origin, newest first.
    pub(super) fn ancestors(&self, snapshot: &Snapshot) -> Vec<&Snapshot> {
        let mut found = Vec::new();
        let (mut dataset, mut before) = (self.dataset(snapshot.dataset()), snapshot.txg);
        while let Some(home) = dataset {
            let older = home.snapshots.iter().rev().filter(|other| other.txg < before);
            found.extend(older);
            let origin = home.origin.as_deref();
            let Some(origin) = self.snapshots().find(|other| Some(&*other.name) == origin) else {
                break;
            };
            found.push(origin);
            (dataset, before) = (self.dataset(origin.dataset()), origin.txg);
        }
        found
    }
}
