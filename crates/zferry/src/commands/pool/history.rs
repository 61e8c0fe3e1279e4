//! `zferry pool history`: the states of a pool that can still be looked at.

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use zferry_zpool::OpenOptions;

use crate::error::CommandError;
use crate::pools::{Paths, missing_pool};

/// Show earlier states of a pool that still open
///
/// A device keeps the roots of the last transaction groups. Until the space of what was freed since is used again, they
/// lead to the pool as it was then.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  zferry -d tank.img pool history --uberblocks tank
  zferry -d tank.img -T 4711 send tank/home@deleted > home.zsend")]
pub(crate) struct Args {
    /// List the uberblocks that still open, the newest first, for -T
    #[arg(long, required = true)]
    uberblocks: bool,
    /// Print no header, tabs between columns and times in seconds since 1970
    #[arg(short = 'H')]
    scripted: bool,
    /// The pool
    name: String,
}

/// Lists the uberblocks that still open.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let name = &args.name;
    let found = paths.find()?;
    let candidate = found.pools.iter().find(|pool| pool.is_called(name));
    let candidate = candidate.ok_or_else(|| missing_pool(name))?;
    let mut out = io::stdout().lock();
    if !args.scripted {
        writeln!(out, "{:>12}  TIME", "TXG")?;
    }
    for uberblock in candidate.uberblocks() {
        if candidate.open_sound(uberblock, &OpenOptions::default()).is_err() {
            continue;
        }
        if args.scripted {
            writeln!(out, "{}\t{}", uberblock.txg, uberblock.timestamp)?;
        } else {
            writeln!(
                out,
                "{:>12}  {}",
                uberblock.txg.to_string(),
                local(uberblock.timestamp)
            )?;
        }
    }
    Ok(())
}

/// A time as people write it, in the form that -T takes.
fn local(seconds: u64) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || "-".to_owned(),
        |time| {
            time.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        },
    )
}
