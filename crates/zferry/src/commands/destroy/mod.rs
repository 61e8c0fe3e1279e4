//! `zferry destroy`: file systems, volumes, snapshots and bookmarks go, and their space comes back.
//!
//! Everything that one command destroys is found first. What stands in the way is said then, and nothing has happened.

mod snapshots;

use std::collections::HashSet;
use std::io::{self, Write};

use zferry_replicate::receive::HIDDEN;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::{Error, PoolWriter};

use crate::datasets::{Handle, dependents, open};
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Destroy file systems, volumes, snapshots or a bookmark
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// With everything below it; of snapshots, also those of the same names below
    #[arg(short = 'r')]
    recursive: bool,
    /// With everything that depends on it, clones outside of it too
    #[arg(short = 'R')]
    clones: bool,
    /// Snapshots that are held or cloned go when they no longer are
    #[arg(short = 'd')]
    defer: bool,
    /// Only say what would be done
    #[arg(short = 'n')]
    dry_run: bool,
    /// Say what is destroyed, in a form for programs
    #[arg(short = 'p')]
    parsable: bool,
    /// Say what is destroyed
    #[arg(short = 'v')]
    verbose: bool,
    /// Unmount first: nothing here is ever mounted
    #[arg(short = 'f')]
    force: bool,
    /// DATASET, DATASET@A,B%C,… or DATASET#BOOKMARK
    #[arg(value_name = "DATASET")]
    name: String,
}

impl Args {
    const fn is_recursive(&self) -> bool {
        self.recursive || self.clones
    }

    /// Says that something is destroyed.
    fn announce(&self, name: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match (self.parsable, self.verbose, self.dry_run) {
            (true, _, _) => writeln!(out, "destroy\t{name}"),
            (false, true, true) => writeln!(out, "would destroy {name}"),
            (false, true, false) => writeln!(out, "will destroy {name}"),
            (false, false, _) => Ok(()),
        }
    }
}

/// Destroys.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    if let Some((dataset, specification)) = args.name.split_once('@') {
        return snapshots::run(paths, args, dataset, specification);
    }
    if args.name.contains('#') {
        return destroy_bookmark(paths, args);
    }
    let planned = if args.dry_run {
        let pool = paths.open_pool_of(&args.name)?;
        plan(&DslPool::new(&pool), args)?;
        return Ok(());
    } else {
        let mut writer = open_pool_of(paths, &args.name)?;
        let planned = plan(&DslPool::new(writer.pool()), args)?;
        destroy_all(&mut writer, &planned, args.defer)?;
        writer
    };
    finish(planned)
}

/// What is destroyed, in the order in which it is. What may not be is said.
fn plan(dsl: &DslPool<'_>, args: &Args) -> Result<Vec<String>, CommandError> {
    let types = if args.defer {
        DatasetTypes::SNAPSHOT
    } else {
        DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME
    };
    let name = &args.name;
    let dsls = [DslPool::new(dsl.pool())];
    let target = open(&dsls, name, types).map_err(CommandError::failed)?;
    let is_pool = !name.contains('/');
    if is_pool && !args.is_recursive() {
        return Err(CommandError::failed(format_args!(
            "cannot destroy '{name}': operation does not apply to pools"
        ))
        .hint(format_args!(
            "use 'zferry destroy -r {name}' to destroy all datasets in the pool"
        ))
        .hint(format_args!(
            "use 'zferry pool destroy {name}' to destroy the pool itself"
        )));
    }
    let found = dependents::dependents(dsl, name).map_err(|error| cannot_destroy(name, &error))?;
    if !args.clones {
        check_dependents(&target, &found.names, args)?;
    }
    let mut planned = Vec::new();
    for dependent in found.in_order()?.into_iter().chain([name.clone()]) {
        args.announce(&dependent)?;
        if dependent != *name || !is_pool {
            planned.push(dependent);
        }
    }
    Ok(planned)
}

/// Says what keeps a dataset from being destroyed alone.
fn check_dependents(target: &Handle<'_>, found: &[String], args: &Args) -> Result<(), CommandError> {
    let name = target.name();
    let is_below = |dependent: &&String| {
        dependent
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['/', '@']))
    };
    let is_snapshot = target.types() == DatasetTypes::SNAPSHOT;
    let (below, clones): (Vec<_>, Vec<_>) = found.iter().partition(is_below);
    let (names, what, option) = if !below.is_empty() && !args.recursive {
        (below, "children", "-r")
    } else if !clones.is_empty() && (args.recursive || is_snapshot) {
        (clones, "dependent clones", "-R")
    } else {
        return Ok(());
    };
    let error = CommandError::failed(format_args!(
        "cannot destroy '{name}': {} has {what}",
        kind_of(target.types())
    ));
    let error = error.hint(format_args!("use '{option}' to destroy the following datasets:"));
    Err(names.into_iter().fold(error, CommandError::hint))
}

fn kind_of(types: DatasetTypes) -> &'static str {
    match types {
        DatasetTypes::VOLUME => "volume",
        DatasetTypes::SNAPSHOT => "snapshot",
        _ => "filesystem",
    }
}

/// Destroys datasets by their names, in this order; all or none, unless there are so many that they are committed in
/// parts.
pub(super) fn destroy_all(
    writer: &mut PoolWriter,
    names: &[String],
    defer: bool,
) -> Result<(), CommandError> {
    for name in names.iter().filter(|name| !name.contains('@')) {
        destroy_received(writer, name).map_err(|error| cannot_destroy(name, &error))?;
    }
    let mut gone = HashSet::new();
    for name in names {
        if !gone.insert(name.as_str()) {
            continue;
        }
        if name.contains('@') {
            // One that waited for its clones has gone with the last of them.
            if gone.len() > 1 && matches!(writer.find_snapshot(name), Err(Error::Missing(_))) {
                continue;
            }
            destroy_snapshot(writer, name, defer)?;
        } else {
            let id = writer.find(name).map_err(|error| cannot_destroy(name, &error))?;
            writer
                .destroy_head(id)
                .map_err(|error| cannot_destroy(name, &error))?;
        }
        if writer.is_full_of_changes() {
            writer.commit().map_err(|error| cannot_destroy(name, &error))?;
        }
    }
    Ok(())
}

/// What an interrupted receive into a dataset has saved goes with it.
fn destroy_received(writer: &mut PoolWriter, name: &str) -> Result<(), Error> {
    let head = match writer.find(name) {
        Err(Error::Missing(_)) => return Ok(()),
        head => head?,
    };
    match writer.find_hidden(head, HIDDEN)? {
        Some(hidden) => writer.destroy_head(hidden),
        None => Ok(()),
    }
}

fn destroy_snapshot(writer: &mut PoolWriter, name: &str, defer: bool) -> Result<(), CommandError> {
    let cannot = |why: &dyn std::fmt::Display| {
        CommandError::failed(format_args!("cannot destroy snapshot {name}: {why}"))
    };
    let number = writer
        .find_snapshot(name)
        .map_err(|error| cannot(&standard_sentence(&error)))?;
    let has_clones = writer.dataset_now(number).is_ok_and(|phys| phys.num_children > 1);
    writer
        .destroy_snapshot(number, defer)
        .map_err(|error| match error {
            Error::Exists(_) if has_clones => cannot(&"snapshot is cloned"),
            other => cannot(&standard_sentence(&other)),
        })
}

fn destroy_bookmark(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let options = [
        (args.dry_run, "dryrun"),
        (args.defer, "defer destroy"),
        (args.is_recursive(), "recursive"),
    ];
    if let Some((_, option)) = options.iter().find(|(is_set, _)| *is_set) {
        let sentence = format!("{option} is not supported with bookmark");
        return Err(CommandError::failed(sentence));
    }
    let name = &args.name;
    let missing = || CommandError::failed(format_args!("bookmark '{name}' does not exist."));
    let (dataset, bookmark) = name.split_once('#').ok_or_else(missing)?;
    let mut writer = open_pool_of(paths, name)?;
    let head = writer.find(dataset).map_err(|_| missing())?;
    writer
        .destroy_bookmark(head, bookmark)
        .map_err(|error| match error {
            Error::Missing(_) => missing(),
            other => CommandError::failed(format_args!(
                "cannot destroy bookmark: {}",
                standard_sentence(&other)
            )),
        })?;
    finish(writer)
}

pub(super) fn cannot_destroy(name: &str, error: &Error) -> CommandError {
    CommandError::failed(format_args!(
        "cannot destroy '{name}': {}",
        standard_sentence(error)
    ))
}

/// What zfs says where it has no better sentence.
pub(super) fn standard_sentence(error: &Error) -> String {
    match error {
        Error::Exists(_) => "dataset already exists".to_owned(),
        Error::Missing(_) => "dataset does not exist".to_owned(),
        Error::Busy(_) | Error::Held(_) => "dataset is busy".to_owned(),
        Error::NoSpace { .. } => "out of space".to_owned(),
        other => other.to_string(),
    }
}
