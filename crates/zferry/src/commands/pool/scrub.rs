//! `zferry pool scrub`: every copy of every block read, and repaired where another is good.

use crate::commands::send::printable;
use crate::error::CommandError;
use crate::output::progress::walk_bar;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};
use std::collections::BTreeSet;
use std::io::{self, Write};
use zferry_zpl::FileSystem;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::{ObjectNumber, Pool, ScrubOptions, ScrubReport};

/// Read every copy of every block, and repair what is damaged
///
/// A copy whose checksum is wrong is written anew from one that is good, on another side of a mirror or elsewhere in the
/// pool. What has no good copy left is listed, and noted in the pool. 'pool status' tells when the last scrub was, and
/// what it found.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Return when it is done, which it always does here
    #[arg(short = 'w')]
    wait: bool,
    /// Pools
    #[arg(value_name = "POOL", required = true)]
    pools: Vec<String>,
}

/// Scrubs pools.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    args.pools.iter().try_for_each(|name| scrub(paths, name))
}

fn scrub(paths: &Paths, name: &str) -> Result<(), CommandError> {
    let mut writer = open_pool_of(paths, name)?;
    let bar = walk_bar();
    let options = ScrubOptions {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        progress: &mut |done, total| {
            if let Some(bar) = &bar {
                bar.set_length(total.max(done));
                bar.set_position(done);
            }
        },
    };
    let report = writer.scrub(options);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let report =
        report.map_err(|error| CommandError::failed(format_args!("cannot scrub {name}: {error}")))?;
    let damaged = damaged(writer.pool(), &report);
    finish(writer)?;
    if damaged.is_empty() {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "errors: Permanent errors have been detected in the following files:\n"
    )?;
    for place in damaged {
        writeln!(out, "        {place}")?;
    }
    Ok(out.flush()?)
}

/// What is damaged, each object once, by its dataset and path; by numbers where it has none.
fn damaged(pool: &Pool, report: &ScrubReport) -> Vec<String> {
    let objects: BTreeSet<(&str, ObjectNumber, ObjectNumber)> = report
        .damage
        .iter()
        .map(|damage| (damage.name.as_str(), damage.dataset, damage.object))
        .collect();
    let dsl = DslPool::new(pool);
    let mut open: Option<(&str, Option<FileSystem<'_>>)> = None;
    let mut places = Vec::new();
    for (name, dataset, object) in objects {
        if dataset == ObjectNumber(0) {
            places.push(format!("<metadata>:<0x{:x}>", object.0));
            continue;
        }
        if open.as_ref().is_none_or(|(known, _)| *known != name) {
            let root = dsl.dataset_at(dataset).ok().map(|found| found.phys.root);
            let files = root.and_then(|root| FileSystem::open(pool.reader(), &root).ok().flatten());
            open = Some((name, files));
        }
        let files = open.as_ref().and_then(|(_, files)| files.as_ref());
        let path = files.and_then(|files| files.path_of(object).ok().flatten());
        places.push(match path {
            Some(path) => format!("{name}:{}", printable(&path)),
            None => format!("{name}:<0x{:x}>", object.0),
        });
    }
    places
}
