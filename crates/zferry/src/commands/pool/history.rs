//! `zferry pool history`: which commands have changed a pool, and its states that can still be looked at.

use std::io::{self, Write};

use zferry_nvlist::{NvList, Value};
use zferry_zpool::OpenOptions;

use super::{cannot_read, chosen};
use crate::datasets::user_name;
use crate::error::CommandError;
use crate::output::in_form;
use crate::pools::{Paths, missing_pool};

/// The names of internal events, as pools up to version 28 number them.
const EVENTS: [&str; 41] = [
    "invalid event",
    "pool create",
    "vdev add",
    "pool remove",
    "pool destroy",
    "pool export",
    "pool import",
    "vdev attach",
    "vdev replace",
    "vdev detach",
    "vdev online",
    "vdev offline",
    "vdev upgrade",
    "pool clear",
    "pool scrub",
    "pool property set",
    "create",
    "clone",
    "destroy",
    "destroy_begin_sync",
    "inherit",
    "property set",
    "quota set",
    "permission update",
    "permission remove",
    "permission who remove",
    "promote",
    "receive",
    "rename",
    "reservation set",
    "replay_inc_sync",
    "replay_full_sync",
    "rollback",
    "snapshot",
    "filesystem version upgrade",
    "refquota set",
    "refreservation set",
    "pool scrub done",
    "user hold",
    "user release",
    "pool split",
];

/// Show which commands have changed pools, or earlier states of a pool that still open
///
/// A device keeps the roots of the last transaction groups. Until the space of what was freed since is used again, they
/// lead to the pool as it was then: --uberblocks lists them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  zferry -d tank.img pool history tank
  zferry -d tank.img pool history --uberblocks tank
  zferry -d tank.img -T 4711 send tank/home@deleted > home.zsend")]
pub(crate) struct Args {
    /// Show internal events too
    #[arg(short)]
    internal: bool,
    /// Show who ran each command, and where
    #[arg(short)]
    long: bool,
    /// List the uberblocks that still open, the newest first, for -T
    #[arg(long, conflicts_with_all = ["internal", "long"])]
    uberblocks: bool,
    /// With --uberblocks: print no header, tabs between columns and times in seconds since 1970
    #[arg(short = 'H', requires = "uberblocks")]
    scripted: bool,
    /// The pools; all where none is named
    names: Vec<String>,
}

/// Prints what is asked for.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    if !args.uberblocks {
        return list_records(paths, args);
    }
    let [name] = args.names.as_slice() else {
        return Err(CommandError::usage("--uberblocks takes the name of one pool"));
    };
    list_uberblocks(paths, name, args.scripted)
}

fn list_records(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let pools = paths.open(&args.names)?;
    let (handles, has_failed) = chosen(paths, &pools, &args.names)?;
    let mut out = io::stdout().lock();
    for handle in &handles {
        let failed = |error| cannot_read(handle.name(), &error);
        writeln!(out, "History for '{}':", handle.name())?;
        if let Some(records) = handle.open.pool.history().map_err(failed)? {
            for record in records {
                write_record(&mut out, &record.map_err(failed)?, args)?;
            }
        }
        writeln!(out)?;
    }
    if has_failed {
        return Err(CommandError::reported());
    }
    Ok(())
}

/// A record, in the form that zpool(8) has for its kind.
fn write_record(out: &mut impl Write, record: &NvList, args: &Args) -> Result<(), CommandError> {
    let mut time = record.u64("history time").map(local_date).unwrap_or_default();
    if let Some(Value::Int64(nanoseconds)) = record.get("elapsed_ns") {
        time.push_str(&format!(" ({}ms)", nanoseconds / 1_000_000));
    }
    let text = |name| record.text(name).map(ToString::to_string).unwrap_or_default();
    let number = |name| record.u64(name).unwrap_or_default();
    if record.contains("history command") {
        write!(out, "{time} {}", text("history command"))?;
    } else if !args.internal {
        return Ok(());
    } else if let Some(event) = record.u64("history internal event") {
        let name = usize::try_from(event).ok().and_then(|event| EVENTS.get(event));
        let Some(name) = name else {
            write!(out, "{time} unrecognized record:\n{}", record.dump(4))?;
            return Ok(());
        };
        let (txg, what) = (number("history txg"), text("history internal str"));
        write!(out, "{time} [internal {name} txg:{txg}] {what}")?;
    } else if record.contains("internal_name") {
        write!(
            out,
            "{time} [txg:{}] {}",
            number("history txg"),
            text("internal_name")
        )?;
        if record.contains("dsname") {
            write!(out, " {} ({})", text("dsname"), number("dsid"))?;
        }
        write!(out, " {}", text("history internal str"))?;
    } else if record.contains("ioctl") {
        write_call(out, record, &time)?;
    } else {
        write!(out, "{time} unrecognized record:\n{}", record.dump(4))?;
    }
    if args.long {
        write!(out, " [")?;
        if let Some(who) = record.u64("history who") {
            write!(out, "user {who} ")?;
            if let Some(name) = user_name(who) {
                write!(out, "({name}) ")?;
            }
        }
        if record.contains("history hostname") {
            write!(out, "on {}", text("history hostname"))?;
        }
        if record.contains("history zone") {
            write!(out, ":{}", text("history zone"))?;
        }
        write!(out, "]")?;
    }
    writeln!(out)?;
    Ok(())
}

/// The record of a call of the kernel.
fn write_call(out: &mut impl Write, record: &NvList, time: &str) -> Result<(), CommandError> {
    let name = record.text("ioctl").map(ToString::to_string).unwrap_or_default();
    writeln!(out, "{time} ioctl {name}")?;
    for (key, title) in [("in_nvl", "input"), ("out_nvl", "output")] {
        if let Some(list) = record.list(key) {
            write!(out, "    {title}:\n{}", list.dump(8))?;
        }
    }
    if let Some(Value::Int64(size)) = record.get("out_size") {
        writeln!(out, "    output nvlist omitted; original size: {}KB", size / 1024)?;
    }
    if let Some(Value::Int64(errno)) = record.get("errno") {
        writeln!(out, "    errno: {errno}")?;
    }
    Ok(())
}

/// Lists the uberblocks that still open.
fn list_uberblocks(paths: &Paths, name: &str, scripted: bool) -> Result<(), CommandError> {
    let found = paths.find()?;
    let candidate = found.pools.iter().find(|pool| pool.is_called(name));
    let candidate = candidate.ok_or_else(|| missing_pool(name))?;
    let mut out = io::stdout().lock();
    if !scripted {
        writeln!(out, "{:>12}  TIME", "TXG")?;
    }
    for uberblock in candidate.uberblocks() {
        if candidate.open_sound(uberblock, &OpenOptions::default()).is_err() {
            continue;
        }
        if scripted {
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
    in_form(seconds, "%Y-%m-%d %H:%M:%S").unwrap_or_else(|| "-".to_owned())
}

/// A time as zpool(8) writes it in front of a command.
fn local_date(seconds: u64) -> String {
    in_form(seconds, "%Y-%m-%d.%H:%M:%S").unwrap_or_else(|| "-".to_owned())
}
