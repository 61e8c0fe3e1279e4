//! Which streams a package holds, and in which order: a dataset behind the one that it lies in and behind the one that
//! it was cloned from, and of each the snapshots from the oldest to the newest.

use super::gather::{Gathered, Snapshot};
use super::{Notice, PackageError, PackageOptions, Span, Start};
use crate::send::{ResolveError, Resolved};
use std::collections::{HashMap, HashSet};
use zferry_nvlist::Value;
use zferry_zpool::dsl::DslPool;

/// A stream of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubStream {
    /// The full name of the snapshot.
    pub name: String,
    /// Its guid.
    pub guid: u64,
    /// What it is sent from.
    pub from: StreamStart,
}

/// What a stream of a package is sent from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamStart {
    /// Nothing: the stream is full.
    Nothing,
    /// The full name of what the dataset was cloned from.
    Origin(String),
    /// An earlier snapshot of the dataset, by its name behind the `@`.
    Snapshot(String),
}

impl SubStream {
    /// Finds what a send needs of the snapshot and of what it is sent from.
    ///
    /// # Errors
    /// As [`Resolved::find`].
    pub fn resolve(&self, dsl: &DslPool<'_>) -> Result<Resolved, ResolveError> {
        let from = match &self.from {
            StreamStart::Nothing => None,
            StreamStart::Origin(name) => Some(name.clone()),
            StreamStart::Snapshot(snapshot) => Some(self.sibling(snapshot)),
        };
        Resolved::find(dsl, &self.name, from.as_deref())
    }

    /// The same as far as OpenZFS looks at it when it guesses the stream's size: as if there were no origins.
    ///
    /// # Errors
    /// As [`Resolved::find`].
    pub fn resolve_for_estimate(&self, dsl: &DslPool<'_>) -> Result<Resolved, ResolveError> {
        let from = self.previous().map(|snapshot| self.sibling(snapshot));
        Resolved::find(dsl, &self.name, from.as_deref())
    }

    /// The earlier snapshot of the same dataset that it is sent from, by its name behind the `@`.
    #[must_use]
    pub fn previous(&self) -> Option<&str> {
        match &self.from {
            StreamStart::Snapshot(snapshot) => Some(snapshot),
            StreamStart::Nothing | StreamStart::Origin(_) => None,
        }
    }

    fn sibling(&self, snapshot: &str) -> String {
        let dataset = self.name.split('@').next().unwrap_or_default();
        format!("{dataset}@{snapshot}")
    }
}

/// The streams of a package.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) streams: Vec<SubStream>,
    /// Whether every dataset is among them.
    pub(super) is_complete: bool,
    /// Whether the dataset that comes last is.
    pub(super) reaches_end: bool,
}

/// Finds the streams.
pub(super) fn plan(
    gathered: &[Gathered],
    span: &Span,
    options: &PackageOptions,
    notify: &mut dyn FnMut(Notice),
) -> Result<Plan, PackageError> {
    let mut planner = Planner {
        span,
        options,
        holders: holders(gathered),
        origins: gathered
            .iter()
            .filter_map(|dataset| dataset.origin.as_ref())
            .map(|origin| origin.guid)
            .collect(),
        streams: Vec::new(),
        is_complete: true,
        reaches_end: false,
        notify,
    };
    if options.replicate {
        planner.all(gathered)?;
    } else {
        gathered.iter().for_each(|dataset| planner.dataset(dataset));
    }
    Ok(Plan {
        streams: planner.streams,
        is_complete: planner.is_complete,
        reaches_end: planner.reaches_end,
    })
}

/// Which dataset of the list holds a snapshot, by its guid. Where several do, as copies of each other, it is the first.
fn holders(gathered: &[Gathered]) -> HashMap<u64, usize> {
    let mut holders = HashMap::new();
    for (index, dataset) in gathered.iter().enumerate() {
        for (_, value) in dataset.list.list("snaps").into_iter().flatten() {
            if let Value::Uint64(guid) = value {
                holders.entry(*guid).or_insert(index);
            }
        }
    }
    holders
}

struct Planner<'a> {
    span: &'a Span,
    options: &'a PackageOptions,
    holders: HashMap<u64, usize>,
    /// The guids of snapshots from which datasets of the package were cloned.
    origins: HashSet<u64>,
    streams: Vec<SubStream>,
    is_complete: bool,
    /// Whether the dataset that was looked at last has the package's snapshot.
    reaches_end: bool,
    notify: &'a mut dyn FnMut(Notice),
}

impl Planner<'_> {
    /// Goes through the datasets again and again, and takes those of which nothing must go before them any more.
    fn all(&mut self, gathered: &[Gathered]) -> Result<(), PackageError> {
        let mut waiting: Vec<_> = gathered.iter().enumerate().collect();
        let mut sent: HashSet<usize> = HashSet::new();
        while !waiting.is_empty() {
            let before = waiting.len();
            waiting.retain(|(index, dataset)| {
                let waits = self.waits(dataset, &sent);
                if !waits {
                    self.dataset(dataset);
                    sent.insert(*index);
                }
                waits
            });
            if waiting.len() == before {
                return Err(PackageError::Circle);
            }
        }
        Ok(())
    }

    /// Whether what a dataset lies in, or was cloned from, is in the package and not yet sent.
    fn waits(&self, dataset: &Gathered, sent: &HashSet<usize>) -> bool {
        let holder = |guid: u64| self.holders.get(&guid);
        let parent_missing =
            dataset.parent_guid != 0 && holder(dataset.parent_guid).is_none_or(|index| !sent.contains(index));
        let origin = dataset.origin.as_ref().and_then(|origin| holder(origin.guid));
        parent_missing || origin.is_some_and(|index| !sent.contains(index))
    }

    /// Adds the streams of a dataset.
    fn dataset(&mut self, dataset: &Gathered) {
        let (to, from) = (self.span.to.as_str(), self.span.start_name());
        let has_from = dataset
            .snapshots
            .iter()
            .any(|snapshot| Some(&*snapshot.name) == from);
        // What lacks the source is new to the receiver, if it is not what was asked for by name.
        let mut seen_from = from.is_none() || (self.options.replicate && !has_from);
        let mut seen_to = false;
        let mut last: Option<&str> = None;
        for snapshot in &dataset.snapshots {
            let (is_from, is_to) = (from == Some(&*snapshot.name), snapshot.name == to);
            if is_from && !seen_from {
                seen_from = true;
                last = Some(&snapshot.name);
                continue;
            }
            if seen_to || !seen_from {
                continue;
            }
            seen_to = is_to;
            let is_between = !self.span.intermediates && !is_from && !is_to;
            let name = format!("{}@{}", dataset.name, snapshot.name);
            if (is_between && !self.is_needed(snapshot)) || self.is_excluded(&name) {
                continue;
            }
            let from = self.start(dataset, last);
            self.streams.push(SubStream {
                name,
                guid: snapshot.guid,
                from,
            });
            last = Some(&snapshot.name);
        }
        self.reaches_end = seen_to;
        if !seen_from || !seen_to {
            self.is_complete = false;
            (self.notify)(notice(dataset, to, from, seen_from));
        }
    }

    /// What the next stream of a dataset is sent from, where `last` is the snapshot before.
    fn start(&self, dataset: &Gathered, last: Option<&str>) -> StreamStart {
        let may_build_on_origin = self.options.replicate || self.span.from == Start::Origin;
        match (last, &dataset.origin) {
            (Some(last), _) => StreamStart::Snapshot(last.to_owned()),
            (None, Some(origin)) if may_build_on_origin => StreamStart::Origin(origin.name.clone()),
            (None, _) => StreamStart::Nothing,
        }
    }

    /// Whether a snapshot between the first and the last is needed because of a clone.
    fn is_needed(&self, snapshot: &Snapshot) -> bool {
        self.options.replicate
            && (self.origins.contains(&snapshot.guid) || !self.holders.contains_key(&snapshot.guid))
    }

    fn is_excluded(&self, name: &str) -> bool {
        let below = |rest: &str| rest.is_empty() || rest.starts_with(['/', '@']);
        let mut excluded = self.options.exclude.iter();
        excluded.any(|excluded| name.strip_prefix(&**excluded).is_some_and(below))
    }
}

/// Why a dataset is not sent, or not all of it.
fn notice(dataset: &Gathered, to: &str, from: Option<&str>, seen_from: bool) -> Notice {
    let (dataset, to) = (dataset.name.clone(), to.to_owned());
    match from.map(str::to_owned) {
        Some(from) if seen_from => Notice::NotEarlier { dataset, to, from },
        Some(from) => Notice::NoSource { dataset, to, from },
        None => Notice::NoSnapshot { dataset, to },
    }
}
