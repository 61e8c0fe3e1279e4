//! `zferry snapshot`: snapshots of file systems and volumes, all in one moment.

use zferry_zpool::dsl::{DslPool, EntityName};
use zferry_zpool::{Error, PoolWriter};

use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Take snapshots
#[derive(Debug, clap::Args)]
#[command(visible_alias = "snap")]
pub(crate) struct Args {
    /// Of what lies below the datasets, too
    #[arg(short = 'r')]
    recursive: bool,
    /// The snapshots, all of one pool
    #[arg(value_name = "DATASET@NAME", required = true)]
    snapshots: Vec<String>,
}

/// Takes snapshots.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let first = args.snapshots.first().map(String::as_str).unwrap_or_default();
    let pool = EntityName::new(first).pool();
    let mut wanted = Vec::new();
    for snapshot in &args.snapshots {
        let Some((dataset, name)) = snapshot.split_once('@') else {
            return Err(CommandError::usage(format_args!(
                "cannot create snapshot '{snapshot}': missing '@' delimiter in snapshot name"
            )));
        };
        if dataset.split('/').next() != Some(pool) {
            return Err(CommandError::failed(
                "cannot create snapshots: not all in the same pool",
            ));
        }
        wanted.push((dataset.to_owned(), name.to_owned()));
    }
    let mut writer = open_pool_of(paths, pool)?;
    if args.recursive {
        wanted = with_descendants(&writer, &wanted)?;
    }
    for (dataset, name) in &wanted {
        writer
            .snapshot(dataset, name)
            .map_err(|error| cannot_create(dataset, name, &error))?;
    }
    finish(writer)
}

/// The same with everything below the datasets.
fn with_descendants(
    writer: &PoolWriter,
    wanted: &[(String, String)],
) -> Result<Vec<(String, String)>, CommandError> {
    let dsl = DslPool::new(writer.pool());
    let mut all = Vec::new();
    let mut waiting: Vec<(String, String)> = wanted.iter().rev().cloned().collect();
    while let Some((dataset, name)) = waiting.pop() {
        let cannot = |error: Error| cannot_create(&dataset, &name, &error);
        let dir = dsl.dir(&dataset).map_err(cannot)?;
        let dir = dir.ok_or_else(|| crate::pools::missing(&dataset))?;
        let mut children = dsl.children(&dir).map_err(cannot)?;
        children.sort();
        for (child, _) in children.into_iter().rev() {
            if !child.starts_with(['$', '%']) {
                waiting.push((format!("{dataset}/{child}"), name.clone()));
            }
        }
        all.push((dataset, name));
    }
    Ok(all)
}

fn cannot_create(dataset: &str, name: &str, error: &Error) -> CommandError {
    let why = match error {
        Error::Exists(_) => "dataset already exists".to_owned(),
        Error::Missing(_) => "dataset does not exist".to_owned(),
        Error::NoSpace { .. } => "out of space".to_owned(),
        other => other.to_string(),
    };
    CommandError::failed(format_args!("cannot create snapshot '{dataset}@{name}': {why}"))
}
