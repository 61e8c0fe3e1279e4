//! `zferry clone` and `zferry promote`: a file system or volume that begins as a snapshot, and one that takes its origin
//! over.

use zferry_zpool::Error;
use zferry_zpool::dmu::ObjectSetType;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{DslPool, EntityName};
use zferry_zpool::zap::ZapValue;

use super::assignment::{Assignment, stored_value};
use super::create::{cannot_create, make_parents};
use super::destroy::standard_sentence;
use crate::datasets::open;
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Make a clone of a snapshot
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Make what is missing above it, too
    #[arg(short = 'p')]
    parents: bool,
    /// A property
    #[arg(short = 'o', value_name = "PROPERTY=VALUE")]
    properties: Vec<Assignment>,
    /// Do not mount it: nothing here ever does
    #[arg(short = 'u')]
    unmounted: bool,
    /// The snapshot
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Makes a clone.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let name = &args.name;
    let cannot =
        |why: &dyn std::fmt::Display| CommandError::failed(format_args!("cannot create '{name}': {why}"));
    let mut writer = open_pool_of(paths, &args.snapshot)?;
    let (origin, kind) = {
        let dsls = [DslPool::new(writer.pool())];
        let [dsl] = &dsls;
        open(&dsls, &args.snapshot, DatasetTypes::SNAPSHOT).map_err(CommandError::failed)?;
        let found = dsl.dataset(&args.snapshot).map_err(|error| cannot(&error))?;
        let snapshot = found.ok_or_else(|| crate::pools::missing(&args.snapshot))?;
        let set = dsl.object_set(&snapshot).map_err(|error| cannot(&error))?;
        let kind = match set.map(|set| set.set_type) {
            Some(ObjectSetType::ZVOL) => DatasetTypes::VOLUME,
            _ => DatasetTypes::FILESYSTEM,
        };
        (snapshot.number, kind)
    };
    if EntityName::new(name).pool() != EntityName::new(&args.snapshot).pool() {
        return Err(cannot(&"source and target pools differ"));
    }
    let mut properties = Vec::new();
    for assignment in &args.properties {
        properties.push(stored_value(assignment, kind).map_err(|error| cannot(&error.message))?);
    }
    let properties: Vec<(&str, ZapValue)> = properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    if args.parents {
        if writer.find(name).is_ok() {
            return Ok(());
        }
        make_parents(&mut writer, name)?;
    }
    writer
        .clone_dataset(origin, name, &properties)
        .map_err(|error| cannot_create(name, &error))?;
    finish(writer)
}

/// Make a clone the owner of the snapshots that it began with
#[derive(Debug, clap::Args)]
pub(crate) struct PromoteArgs {
    /// The clone
    #[arg(value_name = "CLONE")]
    clone: String,
}

/// Promotes a clone.
pub(super) fn promote(paths: &Paths, args: &PromoteArgs) -> Result<(), CommandError> {
    let name = &args.clone;
    let cannot =
        |why: &dyn std::fmt::Display| CommandError::failed(format_args!("cannot promote '{name}': {why}"));
    let mut writer = open_pool_of(paths, name)?;
    let origin = {
        let dsls = [DslPool::new(writer.pool())];
        let types = DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME;
        open(&dsls, name, types).map_err(CommandError::failed)?;
        let [dsl] = &dsls;
        let dir = dsl.dir(name).map_err(|error| cannot(&error))?;
        let dir = dir.ok_or_else(|| crate::pools::missing(name))?;
        let origin = dsl.origin(&dir).map_err(|error| cannot(&error))?;
        origin.ok_or_else(|| cannot(&"not a cloned filesystem"))?.name
    };
    let id = writer.find(name).map_err(|error| cannot(&error))?;
    writer.promote(id).map_err(|error| match error {
        Error::Exists(names) => {
            let snapshot = names.lines().next_back().unwrap_or_default();
            cannot(&format_args!(
                "conflicting snapshot '{snapshot}' from parent '{origin}'"
            ))
        }
        other => cannot(&standard_sentence(&other)),
    })?;
    finish(writer)
}
