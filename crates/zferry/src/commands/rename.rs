//! `zferry rename`: file systems, volumes and snapshots get another name.

use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::check_entity_name;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::{Error, PoolWriter};

use super::create::make_parents;
use super::destroy::standard_sentence;
use crate::datasets::{dependents, open};
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Give a dataset or snapshot another name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Make what is missing above the new name
    #[arg(short = 'p', conflicts_with_all = ["recursive", "unmounted"])]
    parents: bool,
    /// The snapshots of that name of everything below, too
    #[arg(short = 'r')]
    recursive: bool,
    /// Do not mount it again: nothing here ever does
    #[arg(short = 'u')]
    unmounted: bool,
    /// Unmount first: nothing here is ever mounted
    #[arg(short = 'f')]
    force: bool,
    /// The name that it has
    #[arg(value_name = "OLD")]
    old: String,
    /// The name that it gets; of a snapshot, what stands behind the @ will do
    #[arg(value_name = "NEW")]
    new: String,
}

/// Renames.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    if args.recursive && !args.old.contains('@') {
        return Err(CommandError::usage(
            "source dataset for recursive rename must be a snapshot",
        ));
    }
    let mut writer = open_pool_of(paths, &args.old)?;
    {
        let dsls = [DslPool::new(writer.pool())];
        let types = if args.unmounted {
            DatasetTypes::FILESYSTEM
        } else if args.parents {
            DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME
        } else {
            DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME | DatasetTypes::SNAPSHOT
        };
        open(&dsls, &args.old, types).map_err(CommandError::failed)?;
    }
    match args.old.split_once('@') {
        Some((dataset, short)) => rename_snapshot(&mut writer, args, dataset, short)?,
        None => rename_dataset(&mut writer, args)?,
    }
    finish(writer)
}

fn cannot_rename_to(new: &str, why: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed(format_args!("cannot rename to '{new}': {why}"))
}

fn cannot_rename(old: &str, error: &Error) -> CommandError {
    CommandError::failed(format_args!(
        "cannot rename '{old}': {}",
        standard_sentence(error)
    ))
}

fn rename_dataset(writer: &mut PoolWriter, args: &Args) -> Result<(), CommandError> {
    let Args { old, new, .. } = args;
    if old == new {
        return Ok(());
    }
    if let Err(why) = check_entity_name(new) {
        return Err(cannot_rename_to(new, &why));
    }
    let pool_of = |name: &str| name.split('/').next().map(str::to_owned);
    if pool_of(old) != pool_of(new) || !new.contains('/') {
        return Err(cannot_rename_to(new, &"datasets must be within same pool"));
    }
    if new
        .strip_prefix(old.as_str())
        .is_some_and(|rest| rest.starts_with('/'))
    {
        let why = "New dataset name cannot be a descendant of current dataset name";
        return Err(cannot_rename_to(new, &why));
    }
    if args.parents {
        make_parents(writer, new)?;
    }
    let parent = new.rsplit_once('/').map_or("", |(parent, _)| parent);
    if writer.find(parent).is_err() {
        return Err(cannot_rename_to(new, &"parent does not exist"));
    }
    writer
        .rename_dataset(old, new)
        .map_err(|error| cannot_rename(old, &error))
}

fn rename_snapshot(
    writer: &mut PoolWriter,
    args: &Args,
    dataset: &str,
    old: &str,
) -> Result<(), CommandError> {
    let new = match args.new.split_once('@') {
        None => args.new.as_str(),
        Some((target, new)) if target.is_empty() || target == dataset => new,
        Some(_) => {
            return Err(cannot_rename_to(
                &args.new,
                &"snapshots must be part of same dataset",
            ));
        }
    };
    let full = format!("{dataset}@{new}");
    if let Err(why) = check_entity_name(&full) {
        return Err(cannot_rename_to(&full, &why));
    }
    if old == new {
        return Ok(());
    }
    let heads = if args.recursive {
        let found = dependents::with_descendants(&DslPool::new(writer.pool()), dataset);
        found.map_err(|error| cannot_rename(&args.old, &error))?
    } else {
        vec![dataset.to_owned()]
    };
    for head in heads {
        let name = format!("{head}@{old}");
        let id = writer.find(&head).map_err(|error| cannot_rename(&name, &error))?;
        match writer.rename_snapshot(id, old, new) {
            Err(Error::Missing(_)) if args.recursive => {}
            Err(Error::Exists(_)) if args.recursive => {
                return Err(CommandError::failed(format_args!(
                    "cannot rename '{name}': a child dataset already has a snapshot with the new name"
                )));
            }
            renamed => renamed.map_err(|error| cannot_rename(&name, &error))?,
        }
    }
    Ok(())
}
