//! `zferry stream verify`

use std::io::{self, IsTerminal, Write};

use indicatif::ProgressBar;
use zferry_zstream::record::{Begin, RecordType};
use zferry_zstream::verify::{Problem, StreamSummary, Summary, verify};

use super::input::Input;
use super::json::Json;
use crate::error::CommandError;
use crate::output::progress::styled;

/// How often progress is shown, in bytes of the stream.
const PROGRESS_STEP: u64 = 4 << 20;

/// Check a stream from its first byte to its last
///
/// Every checksum, the end, the order of the records and what they say are checked, in a package also that no stream is
/// missing. Nothing needs to be unpacked or received. The exit code is 1 if anything is wrong, and the first thing wrong
/// is shown with its offset in bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  zferry stream verify backup.zsend
  ssh nas cat backup.zsend | zferry stream verify --json")]
pub(crate) struct Args {
    /// Print one line of JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    input: Input,
}

pub(crate) fn run(args: &Args) -> Result<(), CommandError> {
    let opened = args.input.open()?;
    let bar = bar(opened.length);
    let mut shown: u64 = 0;
    let result = verify(opened.source, |position| {
        if position.saturating_sub(shown) >= PROGRESS_STEP {
            shown = position;
            bar.set_position(position);
        }
    });
    bar.finish_and_clear();
    let mut output = io::stdout().lock();
    match (&result, args.json) {
        (Ok(summary), false) => write!(output, "{}", text(summary))?,
        (Ok(summary), true) => writeln!(output, "{}", json(summary))?,
        (Err(problem), true) => writeln!(output, "{}", json_problem(problem))?,
        (Err(_), false) => {}
    }
    result.map(|_| ()).map_err(|problem| {
        let error = CommandError::failed(format_args!("{}: {problem}", args.input.name()));
        match problem.sound {
            0 => error,
            sound => error.hint(format_args!("Everything before offset {sound} is sound.")),
        }
    })
}

/// A bar on standard error, unless that is no terminal.
fn bar(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match length {
        Some(length) => (
            ProgressBar::new(length),
            "{bar:40} {bytes:>11} of {total_bytes:11} {bytes_per_sec:>13}  {eta} left",
        ),
        None => (
            ProgressBar::no_length(),
            "{spinner} {bytes:>11} {bytes_per_sec:>13}",
        ),
    };
    styled(bar, template)
}

/// What the stream is, a line for each stream of a package.
fn text(summary: &Summary) -> String {
    let mut text = String::new();
    if let Some(package) = &summary.package {
        let kind = if package.recursive {
            "replication package"
        } else {
            "package"
        };
        let from = package
            .from_snapshot
            .as_ref()
            .map_or_else(String::new, |name| format!(" from @{name}"));
        let count = counted(zferry_wire::u64_from_usize(summary.streams.len()), "stream");
        text.push_str(&format!("{kind} of {}{from}: {count}\n", package.begin.to_name));
    }
    for stream in &summary.streams {
        let indent = if summary.package.is_some() { "  " } else { "" };
        text.push_str(&format!("{indent}{}\n", line(stream)));
    }
    let records = counted(summary.counts.total().records, "record");
    text.push_str(&format!("OK: {records}, {} bytes\n", summary.bytes));
    text
}

fn line(stream: &StreamSummary) -> String {
    let begin = &stream.begin;
    let (kind, from) = if stream.is_full() {
        ("full", String::new())
    } else {
        ("incremental", format!(" from guid {}", begin.from_guid))
    };
    format!(
        "{kind} stream of {}, guid {}{from}: {}, {} bytes",
        begin.to_name,
        begin.to_guid,
        counted(stream.records, "record"),
        stream.bytes
    )
}

fn counted(count: u64, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn json(summary: &Summary) -> Json {
    let endian = match summary.endian {
        zferry_wire::Endian::Little => "little",
        zferry_wire::Endian::Big => "big",
    };
    let package = summary.package.as_ref().map(|package| {
        Json::Object(vec![
            ("name", package.begin.to_name.to_string().into()),
            ("from_snapshot", package.from_snapshot.clone().into()),
            ("recursive", package.recursive.into()),
        ])
    });
    Json::Object(vec![
        ("ok", true.into()),
        ("bytes", summary.bytes.into()),
        ("records", summary.counts.total().records.into()),
        ("byte_order", endian.into()),
        ("package", package.into()),
        ("streams", summary.streams.iter().map(json_stream).collect()),
        ("counts", json_counts(summary)),
    ])
}

/// Guids are strings, for most readers of JSON round large numbers.
fn json_stream(stream: &StreamSummary) -> Json {
    let begin = &stream.begin;
    let from_guid = (!stream.is_full()).then(|| begin.from_guid.to_string());
    Json::Object(vec![
        (
            "type",
            if stream.is_full() { "full" } else { "incremental" }.into(),
        ),
        ("name", begin.to_name.to_string().into()),
        ("to_guid", begin.to_guid.to_string().into()),
        ("from_guid", from_guid.into()),
        ("creation", begin.creation_time.into()),
        ("features", features(begin)),
        ("offset", stream.position.into()),
        ("records", stream.records.into()),
        ("bytes", stream.bytes.into()),
    ])
}

/// The names of the features; what has none as a number.
fn features(begin: &Begin) -> Json {
    let mut features = begin.features().iter_names();
    let mut names: Vec<String> = features.by_ref().map(|(name, _)| name.to_owned()).collect();
    let unknown = features.remaining().bits();
    if unknown != 0 {
        names.push(format!("{unknown:#x}"));
    }
    names.into_iter().collect()
}

fn json_counts(summary: &Summary) -> Json {
    let types = [
        RecordType::BEGIN,
        RecordType::OBJECT,
        RecordType::FREEOBJECTS,
        RecordType::WRITE,
        RecordType::FREE,
        RecordType::END,
        RecordType::WRITE_BYREF,
        RecordType::SPILL,
        RecordType::WRITE_EMBEDDED,
        RecordType::OBJECT_RANGE,
        RecordType::REDACT,
    ];
    let members = types.into_iter().map(|record_type| {
        let count = summary.counts.get(record_type);
        let members = vec![
            ("records", count.records.into()),
            ("payload_bytes", count.payload_bytes.into()),
        ];
        (record_type.name(), Json::Object(members))
    });
    Json::Object(members.collect())
}

fn json_problem(problem: &Problem) -> Json {
    Json::Object(vec![
        ("ok", false.into()),
        ("offset", problem.position.into()),
        ("reason", problem.reason.to_string().into()),
        ("sound_bytes", problem.sound.into()),
    ])
}
