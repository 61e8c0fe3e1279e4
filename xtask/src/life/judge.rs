//! Whether a pool is sound, and whether zferry says of it what OpenZFS says.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};
use zferry_fixtures::workspace;
use zferry_zstream::flags::RecordFlags;
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::{Begin, ChecksumType, DedupKey, End, Record, StreamName, Write};

use super::inventory::Inventory;
use super::world::World;
use crate::tools::shown;

/// What `zferry list` is asked for: what `-o space,refer,written,logicalused` stands for, and a few more.
const PROPERTIES: &[&str] = &[
    "available",
    "used",
    "usedbysnapshots",
    "usedbydataset",
    "usedbyrefreservation",
    "usedbychildren",
    "referenced",
    "written",
    "logicalused",
    "logicalreferenced",
    "guid",
    "createtxg",
    "userrefs",
    "refreservation",
    "reservation",
    "refquota",
];

/// What snapshots hold.
#[derive(Default)]
pub(super) struct Contents {
    /// Their whole streams, by guid and transaction group: of each there is one in a pool.
    exact: BTreeMap<(u64, u64), [u8; 32]>,
    /// Objects and data, by guid: the same wherever a snapshot was received. What is a hole at the end of a file, and which
    /// features its dataset once needed, depends on the way that it went.
    data: BTreeMap<u64, [u8; 32]>,
}

impl Contents {
    /// Remembers, or compares with what is remembered. `place` is the transaction group, for the pool that lives.
    pub(super) fn meet(&mut self, guid: u64, place: Option<u64>, stream: &Path) -> Result<()> {
        let now = Sums::of(stream)?;
        let is_same =
            place.is_none_or(|txg| *self.exact.entry((guid, txg)).or_insert(now.exact) == now.exact);
        ensure!(is_same, "the snapshot {guid} is not what it was");
        let data = *self.data.entry(guid).or_insert(now.data);
        ensure!(
            data == now.data,
            "the snapshot {guid} holds something else here and there"
        );
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.exact.len()
    }
}

/// Has every judge look at the pool.
pub(super) fn judge(world: &mut World, pool: &str, contents: &mut Contents) -> Result<()> {
    numbers(world, pool).context("numbers")?;
    accepted_by_check(world, pool)?;
    accepted_by_zdb(world, pool)?;
    accepted_by_fsck(world, pool)?;
    remembered(world, pool, contents).context("contents")
}

/// Every number that both know is the same.
fn numbers(world: &mut World, pool: &str) -> Result<()> {
    let mut command = world.zferry(pool);
    let columns = format!("name,{}", PROPERTIES.join(","));
    command.args([
        "list",
        "-Hp",
        "-r",
        "-t",
        "filesystem,volume,snapshot",
        "-o",
        &columns,
        pool,
    ]);
    let output = command.output().with_context(|| shown(&command))?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let theirs = world.numbers(pool)?;
    let theirs: BTreeMap<&str, BTreeMap<&str, &str>> = theirs
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next()?;
            Some((name, fields.filter_map(|field| field.split_once('=')).collect()))
        })
        .collect();
    let mut differences = Vec::new();
    let ours = String::from_utf8_lossy(&output.stdout);
    ensure!(ours.lines().count() == theirs.len(), "not the same datasets");
    for line in ours.lines() {
        let mut fields = line.split('\t');
        let name = fields.next().unwrap_or_default();
        let of_theirs = theirs
            .get(name)
            .with_context(|| format!("OpenZFS knows no {name}"))?;
        for (property, ours) in PROPERTIES.iter().zip(fields) {
            let Some(theirs) = of_theirs.get(property) else {
                continue;
            };
            if ours != "-" && ours != *theirs {
                differences.push(format!("{name} {property}: {ours}, OpenZFS says {theirs}"));
            }
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("; "));
    Ok(())
}

/// What the judges write is accounted to nobody, as the code that knows whose a file is lies in the kernel.
fn is_of_accounting(line: &str) -> bool {
    [" userused: ", " groupused: ", " projectused: "]
        .iter()
        .any(|words| line.contains(words))
}

fn accepted_by_check(world: &World, pool: &str) -> Result<()> {
    let mut command = world.zferry(pool);
    command.args(["pool", "check", "-c", pool]);
    let output = command.output().with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let lines = || said.lines().chain(complaint.lines());
    let summary = lines().find(|line| line.contains(" datasets, "));
    let summary = summary.with_context(|| format!("pool check: {said}{complaint}"))?;
    let findings: Vec<_> = lines()
        .filter(|line| !line.is_empty() && *line != summary && !is_of_accounting(line))
        .collect();
    ensure!(findings.is_empty(), "pool check: {}", findings.join("; "));
    Ok(())
}

fn accepted_by_zdb(world: &World, pool: &str) -> Result<()> {
    let mut command = Command::new("zdb");
    command
        .args(["-e", "-p"])
        .arg(world.folder(pool))
        .args(["-bcc", pool]);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let bad = [
        "leaked space",
        "block traversal size",
        "Got error",
        "Error counts",
        "zdb_blkptr_cb",
        "ASSERT",
    ];
    let is_bad = |line: &&str| bad.iter().any(|words| line.contains(words));
    if let Some(line) = said.lines().chain(complaint.lines()).find(is_bad) {
        bail!("zdb: {}", line.trim());
    }
    ensure!(output.status.success(), "zdb: {}: {complaint}", output.status);
    ensure!(said.contains("No leaks"), "zdb does not say that nothing leaked");
    Ok(())
}

fn accepted_by_fsck(world: &World, pool: &str) -> Result<()> {
    let script = match std::env::var_os("ZFERRY_FSCK") {
        Some(path) => path.into(),
        None => workspace().join("../shared/judges/fsck.py"),
    };
    if !script.is_file() {
        return Ok(());
    }
    let mut command = Command::new("python3");
    command.arg(script).arg(world.image(pool)).stdin(Stdio::null());
    let output = command.output().with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        said.contains("bad 0"),
        "fsck.py: {}{}",
        said.trim(),
        complaint.trim()
    );
    Ok(())
}

/// Every snapshot holds what it held when it was first seen, and what the snapshot holds that it was received from.
fn remembered(world: &mut World, pool: &str, contents: &mut Contents) -> Result<()> {
    let inventory = Inventory::read(world, pool)?;
    for snapshot in inventory.snapshots() {
        let path = world.stream("contents.zsend");
        world.send(pool, &[&snapshot.name], &path)?;
        let met = contents.meet(snapshot.guid, Some(snapshot.txg), &path);
        met.with_context(|| snapshot.name.clone())?;
    }
    Ok(())
}

/// Sums of what a stream says, without what differs from pool to pool: names, and the checksums of blocks.
struct Sums {
    exact: [u8; 32],
    data: [u8; 32],
}

impl Sums {
    fn of(stream: &Path) -> Result<Self> {
        let mut reader = StreamReader::new(File::open(stream)?);
        let (mut exact, mut data) = (Sha256::new(), Sha256::new());
        while let Some(read) = reader.next()? {
            let (record, is_data) = match read.record {
                Record::Begin(begin) => {
                    let to_name = StreamName::new("")?;
                    (Record::Begin(Box::new(Begin { to_name, ..*begin })), false)
                }
                Record::Write(write) => {
                    let key = DedupKey::default();
                    (Record::Write(Write { key, ..write }), true)
                }
                Record::End(end) => {
                    let checksum = zferry_zstream::Checksum::default();
                    (Record::End(End { checksum, ..end }), false)
                }
                other => {
                    let is_data = matches!(
                        other,
                        Record::Object(_) | Record::Spill(_) | Record::WriteEmbedded(_)
                    );
                    (other, is_data)
                }
            };
            exact.update(format!("{record:?}"));
            exact.update(read.payload);
            if is_data {
                data.update(format!("{:?}", without_sum(record)));
                data.update(read.payload);
            }
        }
        Ok(Self {
            exact: exact.finalize().into(),
            data: data.finalize().into(),
        })
    }
}

/// A record without how its block is summed: one that fits its block pointer is not, and whether it does is a question of
/// how it is compressed.
fn without_sum(record: Record) -> Record {
    match record {
        Record::Write(write) => Record::Write(Write {
            checksum: ChecksumType::default(),
            flags: RecordFlags::empty(),
            ..write
        }),
        other => other,
    }
}
