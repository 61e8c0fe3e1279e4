//! Snapshots to be destroyed: lists of names and ranges, and what they take.

use std::collections::HashSet;
use std::io::{self, Write};

use zferry_zpool::Error;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::DatasetTypes;

use super::{Args, cannot_destroy, destroy_all};
use crate::datasets::{dependents, open};
use crate::error::CommandError;
use crate::output::nice::nice_bytes;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Destroys the snapshots of a dataset that a specification names.
pub(super) fn run(
    paths: &Paths,
    args: &Args,
    dataset: &str,
    specification: &str,
) -> Result<(), CommandError> {
    if args.dry_run {
        let pool = paths.open_pool_of(dataset)?;
        plan(&DslPool::new(&pool), args, dataset, specification)?;
        return Ok(());
    }
    let mut writer = open_pool_of(paths, dataset)?;
    let (clones, snapshots) = plan(&DslPool::new(writer.pool()), args, dataset, specification)?;
    destroy_all(&mut writer, &clones, false)?;
    let rest: Vec<String> = snapshots
        .into_iter()
        .filter(|snapshot| !clones.contains(snapshot))
        .collect();
    destroy_all(&mut writer, &rest, args.defer)?;
    finish(writer)
}

/// What is destroyed: first what depends on the snapshots, then they themselves.
fn plan(
    dsl: &DslPool<'_>,
    args: &Args,
    dataset: &str,
    specification: &str,
) -> Result<(Vec<String>, Vec<String>), CommandError> {
    let dsls = [DslPool::new(dsl.pool())];
    let types = DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME;
    open(&dsls, dataset, types).map_err(CommandError::failed)?;
    let cannot = |error: Error| cannot_destroy(dataset, &error);
    let heads = if args.is_recursive() {
        dependents::with_descendants(dsl, dataset).map_err(cannot)?
    } else {
        vec![dataset.to_owned()]
    };
    let mut chosen = Vec::new();
    let (mut reclaimed, mut is_stopped) = (0_u64, false);
    for head in &heads {
        let snapshots = dependents::snapshots_by_age(dsl, head).map_err(cannot)?;
        let snapshots: Vec<String> = snapshots.into_iter().map(|(name, _)| name).collect();
        let own = choose(head, &snapshots, specification);
        if !args.clones && !args.defer {
            for snapshot in &own {
                is_stopped |= say_clones(dsl, snapshot)?;
            }
        }
        reclaimed = reclaimed.saturating_add(announce(dsl, args, &snapshots, &own)?);
        chosen.extend(own);
    }
    if is_stopped {
        return Err(CommandError::reported());
    }
    if chosen.is_empty() {
        return Err(CommandError::failed(
            "could not find any snapshots to destroy; check snapshot names.",
        ));
    }
    let mut out = io::stdout().lock();
    match (args.parsable, args.verbose, args.dry_run) {
        (true, _, _) => writeln!(out, "reclaim\t{reclaimed}")?,
        (false, true, true) => writeln!(out, "would reclaim {}", nice_bytes(reclaimed))?,
        (false, true, false) => writeln!(out, "will reclaim {}", nice_bytes(reclaimed))?,
        (false, false, _) => {}
    }
    drop(out);
    let mut clones = Vec::new();
    if args.clones && !args.dry_run {
        for snapshot in &chosen {
            let found = dependents::dependents(dsl, snapshot).map_err(cannot)?;
            for dependent in found.in_order()? {
                args.announce(&dependent)?;
                clones.push(dependent);
            }
        }
    }
    Ok((clones, chosen))
}

/// The snapshots of a head, given from the oldest on, that a list of names and ranges names, in the order of the list.
fn choose(head: &str, snapshots: &[String], specification: &str) -> Vec<String> {
    let mut chosen = Vec::new();
    let mut seen = HashSet::new();
    let place = |name: &str| {
        let full = format!("{head}@{name}");
        snapshots.iter().position(|snapshot| *snapshot == full)
    };
    for part in specification.split(',') {
        let range = match part.split_once('%') {
            None => place(part).map(|at| at..at.saturating_add(1)),
            Some((first, last)) => {
                let start = if first.is_empty() { Some(0) } else { place(first) };
                let end = if last.is_empty() {
                    Some(snapshots.len())
                } else {
                    place(last).map(|at| at.saturating_add(1))
                };
                start.zip(end).map(|(start, end)| start..end)
            }
        };
        let named = range.and_then(|range| snapshots.get(range)).unwrap_or_default();
        for snapshot in named {
            if seen.insert(snapshot) {
                chosen.push(snapshot.clone());
            }
        }
    }
    chosen
}

/// Says which clones keep a snapshot from being destroyed; whether there are any.
fn say_clones(dsl: &DslPool<'_>, snapshot: &str) -> Result<bool, CommandError> {
    let found = dependents::dependents(dsl, snapshot).map_err(|error| cannot_destroy(snapshot, &error))?;
    let found = found.names;
    if found.is_empty() {
        return Ok(false);
    }
    let mut err = io::stderr().lock();
    writeln!(err, "cannot destroy '{snapshot}': snapshot has dependent clones")?;
    writeln!(err, "use '-R' to destroy the following datasets:")?;
    for clone in found {
        writeln!(err, "{clone}")?;
    }
    Ok(true)
}

/// Names the chosen ones of a head's snapshots, and says how much space they take: that of each row of neighbours.
fn announce(
    dsl: &DslPool<'_>,
    args: &Args,
    snapshots: &[String],
    chosen: &[String],
) -> Result<u64, CommandError> {
    if !args.verbose && !args.parsable {
        return Ok(0);
    }
    let space = |row: &[String]| -> Result<u64, CommandError> {
        let (Some(first), Some(last)) = (row.first(), row.last()) else {
            return Ok(0);
        };
        let cannot = |error: Error| cannot_destroy(first, &error);
        let ends = dsl
            .dataset(first)
            .map_err(cannot)?
            .zip(dsl.dataset(last).map_err(cannot)?);
        match ends {
            Some((first, last)) => dsl.space_of_range(&first, &last).map_err(cannot),
            None => Ok(0),
        }
    };
    let chosen: HashSet<&String> = chosen.iter().collect();
    let mut reclaimed = 0_u64;
    for row in snapshots.chunk_by(|one, other| chosen.contains(one) && chosen.contains(other)) {
        if row.first().is_none_or(|snapshot| !chosen.contains(snapshot)) {
            continue;
        }
        for snapshot in row {
            args.announce(snapshot)?;
        }
        reclaimed = reclaimed.saturating_add(space(row)?);
    }
    Ok(reclaimed)
}

#[cfg(test)]
mod tests {
    use super::choose;

    #[test]
    fn names_and_ranges_are_chosen() {
        let snapshots: Vec<String> = ["a", "b", "c", "d"]
            .iter()
            .map(|name| format!("p/f@{name}"))
            .collect();
        let chosen = |specification: &str| {
            let chosen = choose("p/f", &snapshots, specification);
            chosen
                .iter()
                .filter_map(|name| name.split_once('@'))
                .map(|(_, name)| name)
                .collect::<String>()
        };
        assert_eq!(chosen("b"), "b");
        assert_eq!(chosen("b%c"), "bc");
        assert_eq!(chosen("%b"), "ab");
        assert_eq!(chosen("c%"), "cd");
        assert_eq!(chosen("%"), "abcd");
        assert_eq!(chosen("d,a%b,b"), "dab");
        assert_eq!(chosen("x,c"), "c");
        assert_eq!(chosen("c%b"), "");
        assert_eq!(chosen("x%c"), "");
    }
}
