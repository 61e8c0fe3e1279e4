//! `zferry hold`, `zferry release` and `zferry holds`: what keeps snapshots from being destroyed.

use std::io::{self, Write};

use zferry_zpool::dsl::{DslPool, Hold};
use zferry_zpool::{Error, PoolWriter};

use super::destroy::standard_sentence;
use crate::datasets::dependents;
use crate::error::CommandError;
use crate::output::date;
use crate::pools::{Paths, cannot_open, missing};
use crate::writing::{finish, open_pool_of};

/// Keep snapshots from being destroyed
#[derive(Debug, clap::Args)]
pub(crate) struct HoldArgs {
    /// The snapshots of that name of everything below, too
    #[arg(short = 'r')]
    recursive: bool,
    /// What the hold is called
    #[arg(value_name = "TAG")]
    tag: String,
    /// The snapshots
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

/// End holds
#[derive(Debug, clap::Args)]
pub(crate) struct ReleaseArgs {
    /// The snapshots of that name of everything below, too
    #[arg(short = 'r')]
    recursive: bool,
    /// What the hold is called
    #[arg(value_name = "TAG")]
    tag: String,
    /// The snapshots
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

/// Prints what went wrong with one of several, so that the others have their turn.
fn report(error: &CommandError) {
    error.report();
}

fn parts(snapshot: &str) -> Result<(&str, &str), CommandError> {
    let parts = snapshot.split_once('@');
    parts.ok_or_else(|| CommandError::failed(format_args!("'{snapshot}' is not a snapshot")))
}

/// The snapshots that are meant: of the dataset, and of those below.
fn meant(
    writer: &PoolWriter,
    dataset: &str,
    short: &str,
    is_recursive: bool,
) -> Result<Vec<String>, CommandError> {
    let dsl = DslPool::new(writer.pool());
    let cannot = |error: Error| cannot_open(dataset, error);
    if dsl.dataset(dataset).map_err(cannot)?.is_none() {
        return Err(missing(dataset));
    }
    let heads = if is_recursive {
        dependents::with_descendants(&dsl, dataset).map_err(cannot)?
    } else {
        vec![dataset.to_owned()]
    };
    let mut found = Vec::new();
    for head in heads {
        let name = format!("{head}@{short}");
        if dsl.dataset(&name).map_err(cannot)?.is_some() {
            found.push(name);
        }
    }
    Ok(found)
}

/// Holds snapshots.
pub(super) fn hold(paths: &Paths, args: &HoldArgs) -> Result<(), CommandError> {
    if args.tag.starts_with('.') {
        return Err(CommandError::usage("tag may not start with '.'"));
    }
    for_each(paths, &args.snapshots, |writer, snapshot| {
        let (dataset, short) = parts(snapshot)?;
        let names = meant(writer, dataset, short, args.recursive)?;
        let cannot = |name: &str, why: &dyn std::fmt::Display| {
            CommandError::failed(format_args!("cannot hold snapshot '{name}': {why}"))
        };
        if names.is_empty() {
            return Err(cannot(snapshot, &"dataset does not exist"));
        }
        for name in &names {
            let held = writer
                .find_snapshot(name)
                .and_then(|number| writer.hold(number, &args.tag));
            held.map_err(|error| match error {
                Error::Exists(_) => cannot(name, &"tag already exists on this dataset"),
                other => cannot(name, &standard_sentence(&other)),
            })?;
        }
        Ok(())
    })
}

/// Ends holds.
pub(super) fn release(paths: &Paths, args: &ReleaseArgs) -> Result<(), CommandError> {
    for_each(paths, &args.snapshots, |writer, snapshot| {
        let (dataset, short) = parts(snapshot)?;
        let names = meant(writer, dataset, short, args.recursive)?;
        let cannot = |why: &dyn std::fmt::Display| {
            CommandError::failed(format_args!(
                "cannot release hold from snapshot '{snapshot}': {why}"
            ))
        };
        if names.is_empty() {
            return Err(cannot(&"dataset does not exist"));
        }
        let mut released = false;
        for name in &names {
            let ended = writer
                .find_snapshot(name)
                .and_then(|number| writer.release(number, &args.tag));
            match ended {
                Ok(()) => released = true,
                Err(Error::Missing(_)) => {}
                Err(other) => return Err(cannot(&standard_sentence(&other))),
            }
        }
        if released {
            Ok(())
        } else {
            Err(cannot(&"no such tag on this dataset"))
        }
    })
}

/// Does something with each snapshot, and commits what could be done.
fn for_each(
    paths: &Paths,
    snapshots: &[String],
    mut act: impl FnMut(&mut PoolWriter, &str) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let mut has_failed = false;
    for snapshot in snapshots {
        let done = parts(snapshot)
            .and_then(|_| open_pool_of(paths, snapshot))
            .and_then(|mut writer| {
                act(&mut writer, snapshot)?;
                finish(writer)
            });
        if let Err(error) = done {
            report(&error);
            has_failed = true;
        }
    }
    if has_failed {
        return Err(CommandError::reported());
    }
    Ok(())
}

/// List what keeps snapshots from being destroyed
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Of the snapshots of that name of everything below, too
    #[arg(short = 'r')]
    recursive: bool,
    /// Without a header, fields separated by tabs
    #[arg(short = 'H')]
    scripted: bool,
    /// Times in seconds since 1970
    #[arg(short = 'p')]
    parsable: bool,
    /// The snapshots
    #[arg(value_name = "SNAPSHOT", required = true)]
    snapshots: Vec<String>,
}

/// Lists holds.
pub(super) fn list(paths: &Paths, args: &ListArgs) -> Result<(), CommandError> {
    let mut found: Vec<(String, Vec<Hold>)> = Vec::new();
    let mut has_failed = false;
    for snapshot in &args.snapshots {
        match holds_of(paths, snapshot, args.recursive) {
            Ok(mut holds) => found.append(&mut holds),
            Err(error) => {
                report(&error);
                has_failed = true;
            }
        }
    }
    print(args, &found)?;
    if found.is_empty() {
        writeln!(io::stderr(), "no datasets available")?;
    }
    if has_failed {
        return Err(CommandError::reported());
    }
    Ok(())
}

fn holds_of(
    paths: &Paths,
    snapshot: &str,
    is_recursive: bool,
) -> Result<Vec<(String, Vec<Hold>)>, CommandError> {
    let (dataset, short) = parts(snapshot)?;
    let pool = paths.open_pool_of(snapshot)?;
    let dsl = DslPool::new(&pool);
    let cannot = |error: Error| cannot_open(snapshot, error);
    let mut heads = vec![dataset.to_owned()];
    if is_recursive {
        if dsl.dataset(dataset).map_err(cannot)?.is_none() {
            return Err(missing(dataset));
        }
        heads = dependents::with_descendants(&dsl, dataset).map_err(cannot)?;
        heads.sort();
    }
    let mut found = Vec::new();
    for head in heads {
        let name = format!("{head}@{short}");
        match dsl.dataset(&name).map_err(cannot)? {
            Some(dataset) => found.push((name, dsl.holds(&dataset).map_err(cannot)?)),
            None if is_recursive => {}
            None => return Err(missing(snapshot)),
        }
    }
    Ok(found)
}

fn print(args: &ListArgs, found: &[(String, Vec<Hold>)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let names = found.iter().map(|(name, _)| name.len());
    let name_width = names.max().unwrap_or(0);
    let tags = found
        .iter()
        .flat_map(|(_, holds)| holds)
        .map(|hold| hold.tag.len());
    let tag_width = tags.max().unwrap_or(0);
    if !args.scripted {
        writeln!(out, "{:name_width$}  {:tag_width$}  TIMESTAMP", "NAME", "TAG")?;
    }
    for (name, holds) in found {
        for Hold { tag, time } in holds {
            let time = if args.parsable {
                time.to_string()
            } else {
                date(*time)
            };
            if args.scripted {
                writeln!(out, "{name}\t{tag}\t{time}")?;
            } else {
                writeln!(out, "{name:name_width$}  {tag:tag_width$}  {time}")?;
            }
        }
    }
    Ok(())
}
