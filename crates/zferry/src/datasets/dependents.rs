//! What depends on a dataset: what lies below it, its snapshots, and their clones wherever they are.

use std::collections::HashSet;

use zferry_zpool::dsl::DslPool;
use zferry_zpool::{Error, ObjectNumber};

use crate::error::CommandError;

/// A dataset on the way through what depends on another.
enum Step {
    /// What depends on it comes first.
    Enter(String),
    /// Then it itself.
    Leave(String),
}

/// What depends on a dataset.
pub(crate) struct Dependents {
    /// Each before what it depends on itself, as far as there is such an order.
    pub(crate) names: Vec<String>,
    /// A dataset that depends on itself: on a clone of something that depends on it.
    recursion: Option<String>,
}

impl Dependents {
    /// The names, in an order in which all of them can be destroyed.
    ///
    /// # Errors
    /// Where datasets depend on each other in a circle, so that there is none.
    pub(crate) fn in_order(self) -> Result<Vec<String>, CommandError> {
        match self.recursion {
            None => Ok(self.names),
            Some(name) => Err(CommandError::failed(format_args!(
                "cannot determine dependent datasets: recursive dependency at '{name}'"
            ))),
        }
    }
}

/// The names of everything that depends on a file system, volume or snapshot.
///
/// # Errors
/// Where the pool's metadata cannot be read.
pub(crate) fn dependents(dsl: &DslPool<'_>, name: &str) -> Result<Dependents, Error> {
    let (mut names, mut recursion) = (Vec::new(), None);
    let mut seen = HashSet::new();
    // Those that are entered and not left yet.
    let mut way: Vec<String> = Vec::new();
    let mut steps = vec![Step::Enter(name.to_owned())];
    while let Some(step) = steps.pop() {
        match step {
            Step::Enter(name) if seen.insert(name.clone()) => {
                let next = directly_dependent(dsl, &name)?;
                way.push(name.clone());
                steps.push(Step::Leave(name));
                steps.extend(next.into_iter().rev().map(Step::Enter));
            }
            Step::Enter(name) => {
                let place = way.iter().position(|other| *other == name);
                // Of a circle that a snapshot closes, its clone is named.
                let again = place.and_then(|place| {
                    let mut circle = way.get(place..).unwrap_or_default().iter();
                    circle.find(|name| !name.contains('@'))
                });
                recursion = recursion.or_else(|| again.cloned());
            }
            Step::Leave(dependent) => {
                way.pop();
                if dependent != name {
                    names.push(dependent);
                }
            }
        }
    }
    Ok(Dependents { names, recursion })
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
