//! `zferry rollback`: a file system or volume becomes one of its snapshots again.

use std::io::{self, Write};

use zferry_zpool::Txg;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{Dataset, DslPool};
use zferry_zpool::{Error, PoolWriter};

use super::destroy::{destroy_all, standard_sentence};
use crate::datasets::{dependents, open};
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// So many names are listed of what stands in the way.
const LISTED_MAX: usize = 32;

/// Go back to a snapshot
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Destroy more recent snapshots and bookmarks
    #[arg(short = 'r')]
    recursive: bool,
    /// Destroy their clones, too
    #[arg(short = 'R')]
    clones: bool,
    /// Unmount clones first: nothing here is ever mounted
    #[arg(short = 'f')]
    force: bool,
    /// The snapshot
    #[arg(value_name = "DATASET@SNAPSHOT")]
    snapshot: String,
}

/// What is more recent than a snapshot of a head.
struct Later {
    snapshots: Vec<String>,
    bookmarks: Vec<String>,
}

/// Goes back to a snapshot.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let mut writer = open_pool_of(paths, &args.snapshot)?;
    let (later, planned) = plan(&writer, args)?;
    let (dataset, _) = args.snapshot.split_once('@').unwrap_or_default();
    let cannot = |error: Error| {
        CommandError::failed(format_args!(
            "cannot rollback '{dataset}': {}",
            standard_sentence(&error)
        ))
    };
    destroy_all(&mut writer, &planned, false)?;
    let head = writer.find(dataset).map_err(cannot)?;
    for bookmark in &later.bookmarks {
        let short = bookmark.split_once('#').map_or("", |(_, short)| short);
        writer.destroy_bookmark(head, short).map_err(cannot)?;
    }
    writer.rollback(head).map_err(cannot)?;
    finish(writer)
}

/// What has to be destroyed first, in this order.
fn plan(writer: &PoolWriter, args: &Args) -> Result<(Later, Vec<String>), CommandError> {
    let name = &args.snapshot;
    let dsls = [DslPool::new(writer.pool())];
    let [dsl] = &dsls;
    let target = open(&dsls, name, DatasetTypes::SNAPSHOT).map_err(CommandError::failed)?;
    let cannot = |error: Error| CommandError::failed(format_args!("cannot rollback to '{name}': {error}"));
    let dataset = name.split_once('@').map_or("", |(dataset, _)| dataset);
    let head = dsl.dataset(dataset).map_err(cannot)?;
    let head = head.ok_or_else(|| crate::pools::missing(dataset))?;
    let later = later(dsl, &head, target.entity.creation_txg()).map_err(cannot)?;
    if !args.recursive && !args.clones {
        check(name, &later)?;
    }
    let mut planned = Vec::new();
    let mut clones = Vec::new();
    for snapshot in &later.snapshots {
        let found = dependents::dependents(dsl, snapshot).map_err(cannot)?;
        let found = if args.clones {
            found.in_order()?
        } else {
            found.names
        };
        clones.extend(found.iter().cloned());
        planned.extend(found);
        planned.push(snapshot.clone());
    }
    if !args.clones && !clones.is_empty() {
        let error = CommandError::failed(format_args!(
            "cannot rollback to '{name}': clones of previous snapshots exist"
        ))
        .hint("use '-R' to force deletion of the following clones and dependents:");
        return Err(clones.into_iter().fold(error, CommandError::hint));
    }
    Ok((later, planned))
}

fn later(dsl: &DslPool<'_>, head: &Dataset, txg: Txg) -> Result<Later, Error> {
    let mut snapshots = Vec::new();
    for (short, number) in dsl.snapshots(head)? {
        if dsl.snapshot_of(head, &short, number)?.phys.creation_txg > txg {
            snapshots.push(format!("{}@{short}", head.name));
        }
    }
    let bookmarks = dsl.bookmarks(head)?.into_iter();
    let bookmarks = bookmarks.filter(|bookmark| bookmark.creation_txg > txg);
    Ok(Later {
        snapshots,
        bookmarks: bookmarks.map(|bookmark| bookmark.name).collect(),
    })
}

/// Says what is more recent than the snapshot.
fn check(name: &str, later: &Later) -> Result<(), CommandError> {
    let all: Vec<&String> = later.snapshots.iter().chain(&later.bookmarks).collect();
    if all.is_empty() {
        return Ok(());
    }
    let mut err = io::stderr().lock();
    writeln!(
        err,
        "cannot rollback to '{name}': more recent snapshots or bookmarks exist"
    )?;
    writeln!(
        err,
        "use '-r' to force deletion of the following snapshots and bookmarks:"
    )?;
    for later in all.iter().take(LISTED_MAX) {
        writeln!(err, "{later}")?;
    }
    if all.len() >= LISTED_MAX {
        writeln!(err, "Output limited to {LISTED_MAX} snapshots/bookmarks")?;
    }
    Err(CommandError::reported())
}
