//! What depends on a dataset: what lies below it, its snapshots, and their clones wherever they are.

use std::collections::HashSet;

use zferry_zpool::dsl::DslPool;
use zferry_zpool::{Error, ObjectNumber};

/// A dataset on the way through what depends on another.
enum Step {
    /// What depends on it comes first.
    Enter(String),
    /// Then it itself.
    Leave(String),
}

/// The names of everything that depends on a file system, volume or snapshot, each before what it depends on itself.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub(crate) fn dependents(dsl: &DslPool<'_>, name: &str) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut steps = vec![Step::Enter(name.to_owned())];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(name) => {
                if seen.insert(name.clone()) {
                    let next = directly_dependent(dsl, &name)?;
                    steps.push(Step::Leave(name));
                    steps.extend(next.into_iter().rev().map(Step::Enter));
                }
            }
            Step::Leave(dependent) => {
                if dependent != name {
                    found.push(dependent);
                }
            }
        }
    }
    Ok(found)
}

/// Of a snapshot, its clones; else the children, then the snapshots. What a receive works on is left out.
fn directly_dependent(dsl: &DslPool<'_>, name: &str) -> Result<Vec<String>, Error> {
    let Some(dataset) = dsl.dataset(name)? else {
        return Ok(Vec::new());
    };
    if dataset.is_snapshot() {
        let mut clones = dsl.clones(&dataset)?;
        clones.retain(|clone| !clone.contains("/%"));
        return Ok(clones);
    }
    let mut names = children(dsl, name)?;
    let snapshots = snapshots_by_age(dsl, name)?;
    names.extend(snapshots.into_iter().map(|(name, _)| name));
    Ok(names)
}

/// The full names of what lies directly below a dataset; what a receive works on is left out.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub(crate) fn children(dsl: &DslPool<'_>, name: &str) -> Result<Vec<String>, Error> {
    let Some(dir) = dsl.dir(name)? else {
        return Ok(Vec::new());
    };
    let children = dsl.children(&dir)?.into_iter();
    Ok(children
        .filter(|(child, _)| !child.starts_with(['$', '%']))
        .map(|(child, _)| format!("{name}/{child}"))
        .collect())
}

/// A dataset and everything below it, each before what lies in it.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub(crate) fn with_descendants(dsl: &DslPool<'_>, name: &str) -> Result<Vec<String>, Error> {
    let mut all = Vec::new();
    let mut waiting = vec![name.to_owned()];
    while let Some(name) = waiting.pop() {
        waiting.extend(children(dsl, &name)?.into_iter().rev());
        all.push(name);
    }
    Ok(all)
}

/// The full names of a head's snapshots with their objects, the oldest first.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub(crate) fn snapshots_by_age(dsl: &DslPool<'_>, name: &str) -> Result<Vec<(String, ObjectNumber)>, Error> {
    let Some(head) = dsl.dataset(name)? else {
        return Ok(Vec::new());
    };
    let mut snapshots = Vec::new();
    for (short, number) in dsl.snapshots(&head)? {
        let snapshot = dsl.snapshot_of(&head, &short, number)?;
        snapshots.push((snapshot.phys.creation_txg, format!("{name}@{short}"), number));
    }
    snapshots.sort();
    Ok(snapshots
        .into_iter()
        .map(|(_, name, number)| (name, number))
        .collect())
}
