//! `zferry pool status`: whether pools are well, and what they are made of.

use super::scan::scan_line;
use super::vdevs::{Class, Tree, Vdev, VdevNames};
use super::{Handle, cannot_read, chosen, lacks_features};
use crate::error::CommandError;
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};
use zferry_zpool::Condition;
use zferry_zpool::vdev::{VdevState, VdevStatus};

/// Show whether pools are well, and what they are made of
#[derive(Debug, clap::Args)]
#[command(args_override_self = true)]
pub(crate) struct Args {
    /// Only pools that are not well
    #[arg(short = 'x')]
    explain: bool,
    /// Where data is known to be damaged
    #[arg(short = 'v')]
    verbose: bool,
    /// Numbers with all their digits
    #[arg(short = 'p')]
    literal: bool,
    /// How many requests of each device were slow
    #[arg(short = 's')]
    slow: bool,
    #[command(flatten)]
    names: VdevNames,
    /// Pools; without any, all
    #[arg(value_name = "POOL")]
    pools: Vec<String>,
}

/// Why a pool is worth a remark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remark {
    /// Devices are being filled with what others have.
    Resilvering,
    /// Too many devices are away or faulty, as zpool(8) counts.
    TooFewDevices,
    /// Data is known to be damaged.
    CorruptData,
    /// Devices are faulty.
    DevicesFaulted,
    /// Devices are missing.
    DevicesMissing,
    /// Devices had errors.
    DevicesFailing,
    /// Devices were taken offline.
    DevicesOffline,
    /// Devices were pulled out.
    DevicesRemoved,
    /// Its version is older than feature flags.
    OldVersion,
    /// Some features are not enabled.
    FeaturesDisabled,
}

impl Remark {
    /// Whether the pool is well all the same.
    const fn is_harmless(self) -> bool {
        matches!(self, Self::OldVersion | Self::FeaturesDisabled)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Resilvering => {
                "status: One or more devices is currently being resilvered.  The pool will\n\
                 \tcontinue to function, possibly in a degraded state.\n\
                 action: Wait for the resilver to complete.\n"
            }
            Self::TooFewDevices => {
                "status: One or more devices could not be opened.  There are insufficient\n\
                 \treplicas for the pool to continue functioning.\n\
                 action: Attach the missing device and online it using 'zpool online'.\n   \
                 see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-3C\n"
            }
            Self::CorruptData => {
                "status: One or more devices has experienced an error resulting in data\n\
                 \tcorruption.  Applications may be affected.\n\
                 action: Restore the file in question if possible.  Otherwise restore the\n\
                 \tentire pool from backup.\n   \
                 see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-8A\n"
            }
            Self::DevicesFaulted => {
                "status: One or more devices are faulted in response to persistent errors.\n\
                 \tSufficient replicas exist for the pool to continue functioning in a\n\
                 \tdegraded state.\n\
                 action: Replace the faulted device, or use 'zpool clear' to mark the device\n\
                 \trepaired.\n"
            }
            Self::DevicesMissing => {
                "status: One or more devices could not be opened.  Sufficient replicas exist for\n\
                 \tthe pool to continue functioning in a degraded state.\n\
                 action: Attach the missing device and online it using 'zpool online'.\n   \
                 see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-2Q\n"
            }
            Self::DevicesFailing => {
                "status: One or more devices has experienced an unrecoverable error.  An\n\
                 \tattempt was made to correct the error.  Applications are unaffected.\n\
                 action: Determine if the device needs to be replaced, and clear the errors\n\
                 \tusing 'zpool clear' or replace the device with 'zpool replace'.\n   \
                 see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-9P\n"
            }
            Self::DevicesOffline => {
                "status: One or more devices has been taken offline by the administrator.\n\
                 \tSufficient replicas exist for the pool to continue functioning in a\n\
                 \tdegraded state.\n\
                 action: Online the device using 'zpool online' or replace the device with\n\
                 \t'zpool replace'.\n"
            }
            Self::DevicesRemoved => {
                "status: One or more devices have been removed.\n\
                 \tSufficient replicas exist for the pool to continue functioning in a\n\
                 \tdegraded state.\n\
                 action: Online the device using zpool online' or replace the device with\n\
                 \t'zpool replace'.\n"
            }
            Self::OldVersion => {
                "status: The pool is formatted using a legacy on-disk format.  The pool can\n\
                 \tstill be used, but some features are unavailable.\n\
                 action: Upgrade the pool using 'zpool upgrade'.  Once this is done, the\n\
                 \tpool will no longer be accessible on software that does not support\n\
                 \tfeature flags.\n"
            }
            Self::FeaturesDisabled => {
                "status: Some supported and requested features are not enabled on the pool.\n\
                 \tThe pool can still be used, but some features are unavailable.\n\
                 action: Enable all features using 'zpool upgrade'. Once this is done,\n\
                 \tthe pool may no longer be accessible by software that does not support\n\
                 \tthe features. See zpool-features(7) for details.\n"
            }
        }
    }
}

/// Shows how pools are.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let pools = paths.open(&args.pools)?;
    let (handles, has_failed) = chosen(paths, &pools, &args.pools)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut is_first, mut found) = (true, false);
    for handle in &handles {
        found = true;
        let read = |error| cannot_read(handle.name(), &error);
        let errors = handle.open.pool.known_errors().map_err(read)?;
        let remark = remark(handle, errors.len()).map_err(read)?;
        if args.explain && remark.is_none_or(Remark::is_harmless) {
            if !args.pools.is_empty() {
                writeln!(out, "pool '{}' is healthy", handle.name())?;
                is_first = false;
            }
            continue;
        }
        if !is_first {
            writeln!(out)?;
        }
        is_first = false;
        print(&mut out, handle, remark, &errors, args)?;
    }
    if args.pools.is_empty() {
        if !found {
            writeln!(out, "no pools available")?;
        } else if args.explain && is_first {
            writeln!(out, "all pools are healthy")?;
        }
    }
    out.flush()?;
    if has_failed {
        Err(CommandError::reported())
    } else {
        Ok(())
    }
}

/// The worst of what there is to say of a pool of which so many errors are known.
fn remark(handle: &Handle<'_>, errors: usize) -> Result<Option<Remark>, zferry_zpool::Error> {
    let condition = handle.open.pool.condition();
    let vdevs = handle.open.pool.vdevs();
    let is_failing = |vdev: &VdevStatus| vdev.node.is_leaf() && vdev.state == VdevState::Degraded;
    Ok(match condition {
        Condition::Resilvering => Some(Remark::Resilvering),
        _ if handle.state() == VdevState::Unavail => Some(Remark::TooFewDevices),
        _ if errors > 0 => Some(Remark::CorruptData),
        Condition::DevicesFaulted => Some(Remark::DevicesFaulted),
        Condition::DevicesMissing(_) => Some(Remark::DevicesMissing),
        _ if vdevs.iter().any(is_failing) => Some(Remark::DevicesFailing),
        Condition::DevicesOffline => Some(Remark::DevicesOffline),
        Condition::DevicesRemoved => Some(Remark::DevicesRemoved),
        _ if handle.open.pool.version() < 5000 => Some(Remark::OldVersion),
        _ if lacks_features(&handle.dsl)? => Some(Remark::FeaturesDisabled),
        _ => None,
    })
}

fn print(
    out: &mut dyn Write,
    handle: &Handle<'_>,
    remark: Option<Remark>,
    errors: &[String],
    args: &Args,
) -> Result<(), CommandError> {
    writeln!(out, "  pool: {}", handle.name())?;
    writeln!(out, " state: {}", handle.state())?;
    if let Some(remark) = remark {
        write!(out, "{}", remark.text())?;
    }
    let scan = handle
        .open
        .pool
        .scan()
        .map_err(|error| cannot_read(handle.name(), &error))?;
    if let Some(line) = scan.as_ref().and_then(scan_line) {
        writeln!(out, "  scan: {line}")?;
    }
    writeln!(out, "config:\n")?;
    print_config(out, handle, args)?;
    writeln!(out)?;
    match errors {
        [] => writeln!(out, "errors: No known data errors")?,
        errors if args.verbose => {
            writeln!(
                out,
                "errors: Permanent errors have been detected in the following files:\n"
            )?;
            for error in errors {
                writeln!(out, "        {error}")?;
            }
        }
        errors => writeln!(out, "errors: {} data errors, use '-v' for a list", errors.len())?,
    }
    Ok(())
}

fn print_config(out: &mut dyn Write, handle: &Handle<'_>, args: &Args) -> Result<(), CommandError> {
    let tree = Tree::of(handle).map_err(|error| cannot_read(handle.name(), &error))?;
    let mut vdevs = tree.list(args.names);
    // What was removed is listed with pools and what might be imported, but has no state to speak of.
    vdevs.retain(|vdev| vdev.kind != "indirect");
    let width = name_width(handle.name(), &vdevs);
    let slow = if args.slow { "  SLOW" } else { "" };
    writeln!(
        out,
        "\t{:<width$}  {:<8} {:>5} {:>5} {:>5}{slow}",
        "NAME", "STATE", "READ", "WRITE", "CKSUM"
    )?;
    let counts = |slow: &str| {
        // zpool writes numbers with all their digits even where there are none.
        let slow = if args.literal { "0" } else { slow };
        let slow = if args.slow {
            format!(" {slow:>5}")
        } else {
            String::new()
        };
        format!(" {:>5} {:>5} {:>5}{slow}", 0, 0, 0)
    };
    let state = handle.state().to_string();
    writeln!(out, "\t{:<width$}  {state:<8}{}", handle.name(), counts("-"))?;
    let mut class = None;
    for vdev in &vdevs {
        if vdev.class != class {
            class = vdev.class;
            print_heading(out, class)?;
        }
        let indent = vdev.depth.saturating_mul(2);
        let name_width = width.saturating_sub(indent);
        let (name, state) = (&vdev.name, &vdev.state);
        write!(out, "\t{:indent$}{name:<name_width$}  {state:<8}", "")?;
        if vdev.class != Some(Class::Spare) {
            write!(out, "{}", counts(if vdev.path.is_some() { "0" } else { "-" }))?;
        }
        match (&vdev.path, vdev.reason) {
            (Some(path), _) if vdev.is_absent => write!(out, "  was {path}")?,
            (_, Some(reason)) => write!(out, "  {reason}")?,
            _ if state == "INUSE" => write!(out, "  currently in use")?,
            _ => {}
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The width of the longest name, with its indent.
pub(super) fn name_width(pool: &str, vdevs: &[Vdev]) -> usize {
    let widths = vdevs.iter().map(|vdev| {
        let indent = vdev.depth.saturating_mul(2);
        vdev.name.chars().count().saturating_add(indent)
    });
    widths.max().unwrap_or(0).max(pool.len()).max(10)
}

/// Says what the vdevs below are for.
pub(super) fn print_heading(out: &mut dyn Write, class: Option<Class>) -> io::Result<()> {
    match class {
        Some(Class::Spare) => writeln!(out, "\tspares"),
        Some(Class::Cache) => writeln!(out, "\tcache"),
        Some(class) => writeln!(out, "\t{}\t", class.heading()),
        None => Ok(()),
    }
}
