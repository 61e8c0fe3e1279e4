//! What a receive leaves and how it goes on: the size of the pool beside the one that OpenZFS makes, and the speed over a
//! stream that is ten times as long.
//!
//! No file is that long: the stream is made while it is received, from the one of the other rows, whose files come again
//! and again under other numbers. So both lengths are measured with the same maker beside them.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{ObjectType, Record};
use zferry_zstream::writer::StreamWriter;

use super::prepare::Prepared;
use super::{mebibytes, shown_seconds};
use crate::tools::{shown, succeed};

/// The rows, by what a person calls them.
pub(super) const ROWS: [&str; 2] = ["pool size", "ten times as long"];

/// How much larger than OpenZFS's a pool may be.
const LARGER: f64 = 1.03;
/// How many times as long the long stream is.
const TIMES: u64 = 10;
/// How much longer a byte of the long one may take: what two measurements of the same differ by.
const SLOWER: f64 = 1.05;
/// Further apart than any two files of the stream.
const APART: u64 = 1 << 24;
/// `DMU_OT_PLAIN_FILE_CONTENTS`
const PLAIN_FILE: ObjectType = ObjectType(19);

/// Measures the rows that are wanted.
pub(super) fn run(prepared: &Prepared, runs: usize, wants: impl Fn(&str) -> bool) -> Result<()> {
    let [size, long] = ROWS;
    if wants(size) {
        print_size(prepared)?;
    }
    if wants(long) {
        print_long(prepared, runs)?;
    }
    Ok(())
}

fn print_size(prepared: &Prepared) -> Result<()> {
    prepared.empty_pools()?;
    succeed(&mut prepared.zferry_receive("full"))?;
    succeed(&mut prepared.ozfs_receive("full"))?;
    let [ours, theirs] = prepared.received().map(|path| taken(&path));
    let (ours, theirs) = (ours?, theirs?);
    let ratio = numbers(ours) / numbers(theirs);
    let met = if ratio <= LARGER { "ok" } else { "MISSED" };
    println!(
        "{:<22} {:>6} MiB {:>6} MiB {ratio:>6.3}x  <= {LARGER} x OpenZFS's {met}",
        ROWS[0],
        mebibytes(ours),
        mebibytes(theirs)
    );
    Ok(())
}

/// How much of its disk a file takes, in bytes.
fn taken(path: &Path) -> Result<u64> {
    let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
    Ok(metadata.blocks().saturating_mul(512))
}

#[expect(clippy::as_conversions, reason = "sizes of files are far below 2^53")]
fn numbers(bytes: u64) -> f64 {
    bytes as f64
}

fn print_long(prepared: &Prepared, runs: usize) -> Result<()> {
    let median = |times: u64, runs: usize| -> Result<f64> {
        let all: Result<Vec<f64>> = (0..runs).map(|_| receive(prepared, times)).collect();
        let mut all = all?;
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().context("no run")
    };
    let short = median(1, runs.max(1))?;
    // Each of these is as much work as all of those.
    let long = median(TIMES, 1)? / numbers(TIMES);
    let ratio = long / short;
    let met = if ratio <= SLOWER { "ok" } else { "MISSED" };
    println!(
        "{:<22} {:>10} {:>10} {ratio:>6.2}x  <= {SLOWER} x per byte {met}",
        ROWS[1],
        shown_seconds(long),
        shown_seconds(short)
    );
    Ok(())
}

/// Receives a stream of so many times the files into a fresh pool, and says how many seconds that took.
fn receive(prepared: &Prepared, times: u64) -> Result<f64> {
    prepared.empty_pools()?;
    let [image, _] = prepared.received();
    let mut receive = Command::new(&prepared.zferry);
    receive.args(["receive", "--no-progress", "--create"]).arg(&image);
    receive
        .args(["--size", "100G", "fresh/files@full"])
        .stdin(Stdio::piped());
    let start = Instant::now();
    let mut child = receive.spawn().with_context(|| shown(&receive))?;
    let input = child.stdin.take().context("no pipe")?;
    let stream = prepared.stream("full");
    let maker = thread::spawn(move || make(&stream, times, input));
    let status = child.wait()?;
    let seconds = start.elapsed().as_secs_f64();
    let made = maker.join().ok().context("the maker of the stream panicked")?;
    ensure!(status.success(), "{}: {status}", shown(&receive));
    made?;
    fs::remove_file(image)?;
    Ok(seconds)
}

/// Writes the stream in `path` with all its files so many times over.
fn make(path: &PathBuf, times: u64, output: ChildStdin) -> Result<()> {
    let mut writer = StreamWriter::new(BufWriter::with_capacity(1 << 20, output));
    for pass in 0..times {
        let mut reader = StreamReader::new(BufReader::with_capacity(1 << 20, File::open(path)?));
        let is_last = pass.saturating_add(1) == times;
        let shift = pass.saturating_mul(APART);
        let mut is_file = false;
        while let Some(read) = reader.next()? {
            match read.record {
                Record::Begin(begin) if pass == 0 => writer.begin(*begin, read.payload)?,
                Record::End(end) if is_last => writer.end(end.to_guid)?,
                Record::Begin(_) | Record::End(_) => {}
                record => {
                    if let Record::Object(object) = &record {
                        is_file = object.object_type == PLAIN_FILE;
                    }
                    if pass == 0 {
                        writer.record(&record, read.payload)?;
                    } else if let Some(shifted) = shifted(record, shift).filter(|_| is_file) {
                        writer.record(&shifted, read.payload)?;
                    }
                }
            }
        }
    }
    writer.into_inner().flush().or_else(|error| match error.kind() {
        // Whoever reads may be content with what came before.
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error.into()),
    })
}

/// The same record of an object with another number.
fn shifted(mut record: Record, shift: u64) -> Option<Record> {
    let object = match &mut record {
        Record::Object(object) => &mut object.object,
        Record::Write(write) => &mut write.object,
        Record::WriteEmbedded(write) => &mut write.object,
        Record::Spill(spill) => &mut spill.object,
        Record::Free(free) => &mut free.object,
        _ => return None,
    };
    *object = object.checked_add(shift)?;
    Some(record)
}
