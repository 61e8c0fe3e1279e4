//! Measures zferry beside OpenZFS's own code: whole processes on the same files, both warm.

mod growth;
mod long;
mod measure;
mod prepare;
mod rows;

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::tools;
use measure::{Measured, measure};
use prepare::Prepared;
use rows::{Goal, ROWS, Row};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How often each side runs; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Only rows whose name contains one of these
    rows: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(judges) = tools::judges() else {
        return Ok(());
    };
    let zferry = tools::zferry()?;
    let is_wanted = |row: &str| {
        let named = |name: &String| row.contains(name.as_str());
        arguments.rows.is_empty() || arguments.rows.iter().any(named)
    };
    let is_any_wanted = |rows: &[&str]| rows.iter().any(|row| is_wanted(row));
    let rows: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    if is_any_wanted(&rows) || is_any_wanted(&long::ROWS) {
        let prepared = Prepared::new(judges.clone(), zferry.clone())?;
        beside_openzfs(&prepared, arguments.runs, is_wanted)?;
        long::run(&prepared, arguments.runs, is_wanted)?;
    }
    growth::run(&judges, &zferry, arguments.runs, is_wanted)
}

/// Measures the rows that compare a whole process with OpenZFS's.
fn beside_openzfs(prepared: &Prepared, runs: usize, is_wanted: impl Fn(&str) -> bool) -> Result<()> {
    println!(
        "{:<20} {:>10} {:>10} {:>7}  {:<12} {:>10}  {:<10}",
        "", "zferry", "OpenZFS", "ratio", "wanted", "memory", "at most"
    );
    for row in ROWS {
        if is_wanted(row.name) {
            print(row, prepared, runs)?;
        }
    }
    Ok(())
}

/// Measures one row and prints it.
fn print(row: &Row, prepared: &Prepared, runs: usize) -> Result<()> {
    let mut ours = (row.ours)(prepared);
    let mut theirs = (row.theirs)(prepared);
    if let Some(expected) = row.expected {
        (row.before)(prepared)?;
        let same = makes(&mut ours, &expected(prepared))?;
        anyhow::ensure!(same, "{}: not what OpenZFS sends", row.name);
    }
    let before = || (row.before)(prepared);
    let (ours, theirs) = compare(before, &mut ours, &mut theirs, runs)?;
    let ratio = theirs.seconds / ours.seconds;
    let (wanted, met) = match row.goal {
        Goal::TimesAsFast(times) => (format!(">= {times:.1} x"), ratio >= times),
        Goal::Within(limit) => (
            format!("< {}", shown_seconds(limit.as_secs_f64())),
            ours.seconds < limit.as_secs_f64(),
        ),
    };
    let verdict = |met: bool| if met { "ok" } else { "MISSED" };
    println!(
        "{:<20} {:>10} {:>10} {:>6.2}x  {:<12} {:>6} MiB  {:<10}",
        row.name,
        shown_seconds(ours.seconds),
        shown_seconds(theirs.seconds),
        ratio,
        format!("{wanted} {}", verdict(met)),
        mebibytes(ours.peak_bytes),
        format!(
            "{} MiB {}",
            mebibytes(row.memory_bytes),
            verdict(ours.peak_bytes <= row.memory_bytes)
        ),
    );
    Ok(())
}

/// Runs both sides in turn, so that whatever else the machine does meets both, after one run of each that warms the
/// cache. Gives the medians of the times and the highest peaks.
fn compare(
    before: impl Fn() -> Result<()>,
    ours: &mut Command,
    theirs: &mut Command,
    runs: usize,
) -> Result<(Measured, Measured)> {
    let measure = |command: &mut Command| {
        before()?;
        measure(command)
    };
    measure(ours)?;
    measure(theirs)?;
    let mut all = (Vec::new(), Vec::new());
    for _ in 0..runs.max(1) {
        all.0.push(measure(ours)?);
        all.1.push(measure(theirs)?);
    }
    Ok((Measured::median(all.0), Measured::median(all.1)))
}

/// Whether `command` prints exactly what is in the file `expected`.
fn makes(command: &mut Command, expected: &std::path::Path) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().context("no pipe")?;
    let same = Command::new("cmp")
        .arg("-")
        .arg(expected)
        .stdin(output)
        .status()
        .context("cmp")?
        .success();
    let status = child.wait()?;
    Ok(same && status.success())
}

fn shown_seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}
