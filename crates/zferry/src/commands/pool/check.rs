//! `zferry pool check`: everything that a pool counts and refers to, computed again.

use crate::courtesy::beside_writers;
use crate::error::CommandError;
use crate::output::nice::nice_bytes;
use crate::output::progress::walk_bar;
use crate::output::{Json, warn};
use crate::pools::Paths;
use indicatif::ProgressBar;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use zferry_zpool::check::{CheckOptions, CheckReport, Finding, Observer, check};

use super::cannot_read;

/// Compute again what a pool counts and refers to, and compare
///
/// Every counter, every space map and every reference is computed from the trees. Import, scrub and zdb look at few of
/// them. Prints a line for each disagreement: where, which field, what was found and what was expected; then what was
/// looked at, and OK where all agrees. Exits with 1 where something does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zferry -d tank.img pool check tank
  zferry -d /srv/disks pool check --data --json tank | jq -r .field")]
pub(crate) struct Args {
    /// Print JSON: an object for each disagreement, then one for the whole, each in a line
    #[arg(short = 'j', long = "json")]
    json: bool,
    /// Read every block of data, too, and compare its checksum
    #[arg(short = 'c', long = "data")]
    data: bool,
    /// The pool
    #[arg(value_name = "POOL")]
    pool: String,
}

/// Checks a pool.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let pool = paths.open_pool_of(&args.pool)?;
    let mut printer = Printer::new(args.json);
    let options = CheckOptions {
        data: args.data,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        ..CheckOptions::default()
    };
    let report = beside_writers(&pool, || check(&pool, &options, &mut printer));
    if let Some(bar) = &printer.bar {
        bar.finish_and_clear();
    }
    if let Some(error) = printer.failed {
        return Err(error.into());
    }
    let report = report.map_err(|error| cannot_read(&args.pool, &error))?;
    let mut out = io::stdout().lock();
    if args.json {
        let members = [
            ("pool", Json::text(args.pool.clone())),
            ("datasets", Json::Number(report.datasets)),
            ("blocks", Json::Number(report.blocks)),
            ("bytes", Json::Number(report.bytes)),
            ("findings", Json::Number(report.findings)),
            ("untold", Json::Number(report.untold)),
        ];
        writeln!(out, "{}", Json::object(members))?;
    } else {
        writeln!(out, "{}", summary(&args.pool, &report))?;
    }
    out.flush()?;
    if report.findings == 0 {
        Ok(())
    } else {
        Err(CommandError::reported())
    }
}

/// What was looked at and what came of it, in a line.
fn summary(pool: &str, report: &CheckReport) -> String {
    let number = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let result = match (report.findings, report.untold) {
        (0, _) => "OK".to_owned(),
        (found, 0) => number(found, "disagreement"),
        (found, untold) => format!("{}, {untold} of them not shown", number(found, "disagreement")),
    };
    let datasets = number(report.datasets, "dataset");
    let blocks = number(report.blocks, "block");
    format!(
        "{pool}: {datasets}, {blocks} of {}: {result}",
        nice_bytes(report.bytes)
    )
}

/// Prints what is found as it is found, and how far the check is.
struct Printer {
    json: bool,
    bar: Option<ProgressBar>,
    shown: Instant,
    failed: Option<io::Error>,
}

impl Printer {
    fn new(json: bool) -> Self {
        Self {
            json,
            bar: walk_bar(),
            shown: Instant::now(),
            failed: None,
        }
    }
}

impl Observer for Printer {
    fn finding(&mut self, finding: &Finding) {
        let line = if self.json {
            as_json(finding).to_string()
        } else {
            finding.to_string()
        };
        let print = || writeln!(io::stdout().lock(), "{line}");
        let printed = match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        };
        if let Err(error) = printed {
            self.failed.get_or_insert(error);
        }
    }

    fn unchecked(&mut self, what: &str) {
        let print = || warn(format_args!("not checked: {what}"));
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn progress(&mut self, done: u64, total: u64) {
        let Some(bar) = &self.bar else { return };
        if self.shown.elapsed() < Duration::from_millis(100) {
            return;
        }
        self.shown = Instant::now();
        bar.set_length(total.max(done));
        bar.set_position(done);
    }
}

fn as_json(finding: &Finding) -> Json {
    let mut members = Vec::new();
    let spot = &finding.spot;
    let mut add = |name: &str, value| members.push((name.to_owned(), value));
    if let Some(dataset) = &spot.dataset {
        add("dataset", Json::text(dataset.clone()));
    }
    if let Some(object) = spot.object {
        add("object", Json::Number(object.0));
    }
    if let Some((level, block)) = spot.block {
        add("level", Json::Number(u64::from(level)));
        add("block", Json::Number(block.0));
    }
    if let Some((vdev, offset, len)) = spot.range {
        add("vdev", Json::Number(u64::from(vdev)));
        add("offset", Json::Number(offset));
        add("length", Json::Number(len));
    }
    add("field", Json::text(finding.field));
    add("found", Json::text(finding.found.clone()));
    add("expected", Json::text(finding.expected.clone()));
    Json::Object(members)
}
