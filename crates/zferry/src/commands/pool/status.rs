//! `zferry pool status`: whether pools are well, and what they are made of.

use super::scan::scan_line;
use super::vdevs::{VdevNames, vdevs};
use super::{Handle, cannot_read, chosen};
use crate::error::CommandError;
use crate::pools::Paths;
use std::io::{self, BufWriter, Write};
use zferry_zpool::dsl::FeatureState;
use zferry_zpool::dsl::property::{PoolProperty, Value};
use zferry_zpool::spa::Feature;

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
    /// Data is known to be damaged.
    CorruptData,
    /// Its version is older than feature flags.
    OldVersion,
    /// Some features are not enabled.
    FeaturesDisabled,
}

impl Remark {
    /// Whether the pool is well all the same.
    const fn is_harmless(self) -> bool {
        !matches!(self, Self::CorruptData)
    }

    const fn text(self) -> &'static str {
        match self {
            Self::CorruptData => {
                "status: One or more devices has experienced an error resulting in data\n\
                 \tcorruption.  Applications may be affected.\n\
                 action: Restore the file in question if possible.  Otherwise restore the\n\
                 \tentire pool from backup.\n   \
                 see: https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-8A\n"
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

fn remark(handle: &Handle<'_>, errors: usize) -> Result<Option<Remark>, zferry_zpool::Error> {
    if errors > 0 {
        return Ok(Some(Remark::CorruptData));
    }
    if handle.open.pool.version() < 5000 {
        return Ok(Some(Remark::OldVersion));
    }
    let compatibility = handle.dsl.pool_property(PoolProperty::Compatibility)?;
    // Other values name sets of features that are known on the pool's own machine only.
    let wants_all = compatibility.is_none_or(|found| found.value == Value::Text("off".to_owned()));
    for feature in Feature::ALL {
        if wants_all && handle.dsl.feature_state(*feature)? == FeatureState::Disabled {
            return Ok(Some(Remark::FeaturesDisabled));
        }
    }
    Ok(None)
}

fn print(
    out: &mut dyn Write,
    handle: &Handle<'_>,
    remark: Option<Remark>,
    errors: &[String],
    args: &Args,
) -> Result<(), CommandError> {
    writeln!(out, "  pool: {}", handle.name())?;
    writeln!(out, " state: ONLINE")?;
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
    let vdevs = vdevs(handle, args.names);
    let widths = vdevs.iter().map(|vdev| {
        vdev.name
            .chars()
            .count()
            .saturating_add(vdev.depth.saturating_mul(2))
    });
    let width = widths.max().unwrap_or(0).max(handle.name().len()).max(10);
    let slow = if args.slow { "  SLOW" } else { "" };
    writeln!(
        out,
        "\t{:<width$}  {:<8} {:>5} {:>5} {:>5}{slow}",
        "NAME", "STATE", "READ", "WRITE", "CKSUM"
    )?;
    let mut row = |depth: usize, name: &str, state: &str, slow: &str| {
        let indent = depth.saturating_mul(2);
        let width = width.saturating_sub(indent);
        write!(
            out,
            "\t{:indent$}{name:<width$}  {state:<8} {:>5} {:>5} {:>5}",
            "", 0, 0, 0
        )?;
        if args.slow {
            write!(out, " {slow:>5}")?;
        }
        writeln!(out)
    };
    row(0, handle.name(), "ONLINE", "-")?;
    for vdev in vdevs.iter().filter(|vdev| vdev.class.is_none()) {
        let is_offline = vdev.config.u64("offline").is_some_and(|flag| flag != 0);
        let slow = if vdev.path.is_some() { "0" } else { "-" };
        row(
            vdev.depth,
            &vdev.name,
            if is_offline { "OFFLINE" } else { "ONLINE" },
            slow,
        )?;
    }
    let mut class = None;
    for vdev in vdevs.iter().filter(|vdev| vdev.class.is_some()) {
        if vdev.class != class {
            class = vdev.class;
            writeln!(out, "\t{}\t", vdev.class.unwrap_or_default())?;
        }
        let indent = vdev.depth.saturating_mul(2);
        let width = width.saturating_sub(indent);
        writeln!(
            out,
            "\t{:indent$}{:<width$}  {:<8} {:>5} {:>5} {:>5}",
            "", vdev.name, "ONLINE", 0, 0, 0
        )?;
    }
    Ok(())
}
