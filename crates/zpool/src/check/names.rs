//! The names of directories and datasets, from the tables that tell them.

use super::meta::MetaObjects;
use crate::zap;
use crate::{Error, ObjectNumber, Pool};
use std::collections::{BTreeMap, HashMap};

/// A name is not longer on any pool; what goes on is a circle.
const DEPTH_MAX: usize = 256;

/// Names by object.
#[derive(Debug, Default)]
pub(crate) struct Names {
    names: HashMap<ObjectNumber, String>,
}

impl Names {
    /// Reads the names of all directories and datasets. What has none is called by its number.
    pub(crate) fn read(pool: &Pool, meta: &MetaObjects) -> Result<Self, Error> {
        let mut components: HashMap<ObjectNumber, (Option<ObjectNumber>, String)> = HashMap::new();
        for (number, dir) in &meta.dirs {
            for (name, child) in entries_of(pool, dir.children) {
                components.insert(ObjectNumber(child), (Some(*number), name));
            }
        }
        let root = pool
            .directory_entry("root_dataset")?
            .and_then(|value| value.as_u64());
        if let Some(root) = root {
            components.insert(ObjectNumber(root), (None, pool.name()?.to_owned()));
        }
        let mut names = HashMap::new();
        for number in meta.dirs.keys() {
            let mut name = None;
            let mut at = Some(*number);
            for _ in 0..DEPTH_MAX {
                let Some((above, component)) = at.and_then(|at| components.get(&at)) else {
                    break;
                };
                name = Some(match name {
                    None => component.clone(),
                    Some(below) => format!("{component}/{below}"),
                });
                at = *above;
            }
            names.insert(*number, name.unwrap_or_else(|| format!("directory {number}")));
        }
        let mut datasets = BTreeMap::new();
        for (number, dataset) in &meta.datasets {
            let Some(dir) = names.get(&dataset.dir) else {
                continue;
            };
            for (snapshot, object) in entries_of(pool, dataset.snapshots) {
                datasets.insert(ObjectNumber(object), format!("{dir}@{snapshot}"));
            }
            if !dataset.is_snapshot() {
                datasets.insert(*number, dir.clone());
            }
        }
        names.extend(datasets);
        Ok(Self { names })
    }

    /// The name of a directory or dataset.
    pub(crate) fn get(&self, number: ObjectNumber) -> String {
        let name = self.names.get(&number).cloned();
        name.unwrap_or_else(|| format!("dataset {number}"))
    }
}

/// The entries of a table whose values are numbers. What cannot be read is told elsewhere.
fn entries_of(pool: &Pool, table: Option<ObjectNumber>) -> Vec<(String, u64)> {
    let entries = table
        .and_then(|table| pool.meta_object(table).ok())
        .and_then(|object| zap::entries(pool.reader(), &object).ok());
    let numbers = entries.unwrap_or_default().into_iter();
    numbers
        .filter_map(|entry| Some((entry.name_lossy(), entry.value.as_u64()?)))
        .collect()
}
