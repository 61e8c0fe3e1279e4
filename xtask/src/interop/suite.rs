//! What OpenZFS's own test suite carries (Debian's package zfs-test): deduplicated streams, which have to verify and to
//! pass `zstream redup`, and pools of the versions 1 to 15, on one file and on several, and of a SPARC. What `zdb -d` shows of
//! them, `zferry list` shows; and of snapshots that `zo` makes, zferry sends what `ozfs` does.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use zferry_fixtures::target;

use super::{Arguments, byte_order};
use crate::example::sha256;
use crate::tools::{Judges, check, fresh, output, shown, succeed};

/// Where the package puts its tests.
const INSTALLED: &str = "/usr/share/zfs/zfs-tests/tests/functional";
/// Pools of several files, whose names end with a digit.
const SEVERAL: [&str; 4] = ["mirror", "raidz", "stripe", "hotspare"];
/// Of how many pools a sample has one.
const SAMPLE: usize = 4;
/// A pool of no version that there is has to be refused.
const REFUSED: &str = "zfs-pool-v999";
/// A pool that is damaged on purpose, of which nothing in particular is expected.
const DAMAGED: &str = "zfs-pool-vBROKEN";

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) passed: usize,
    pub(super) failed: Vec<String>,
}

impl Outcome {
    fn count(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                println!("{name}: as OpenZFS has it");
                self.passed = self.passed.saturating_add(1);
            }
            Err(why) => self.failed.push(format!("{name}: {why:#}")),
        }
    }
}

/// Judges all that is wanted, where the package is installed.
pub(super) fn run(judges: &Judges, zferry: &Path, arguments: &Arguments) -> Result<Outcome> {
    let wants = |name: &str| arguments.names(name);
    let step = if arguments.sample { SAMPLE } else { 1 };
    let mut outcome = Outcome::default();
    let tests = env::var_os("ZFERRY_ZFS_TESTS").map_or_else(|| INSTALLED.into(), PathBuf::from);
    if !tests.is_dir() {
        eprintln!(
            "skipped: {} is not there (Debian's package zfs-test)",
            tests.display()
        );
        return Ok(outcome);
    }
    let folder = target().join("interop").join("suite");
    for stream in files(&tests.join("rsend"), ".zsend.bz2")? {
        let name = stem(&stream, ".zsend.bz2");
        if wants(&name) {
            fresh(&folder)?;
            outcome.count(&name, judge_stream(zferry, &stream, &folder));
        }
    }
    let wanted = pools(&tests)?
        .into_iter()
        .filter(|(name, _)| wants(name) && name != DAMAGED);
    for (name, disks) in wanted.step_by(step) {
        fresh(&folder)?;
        let suite = Suite {
            judges,
            zferry,
            folder: &folder,
        };
        outcome.count(&name, suite.judge_pool(&name, &disks));
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    Ok(outcome)
}

/// The files of a folder whose names end so, sorted.
fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(end) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path, end: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.strip_suffix(end).unwrap_or(&name).to_owned()
}

/// The pools, each with its disks.
fn pools(tests: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>> {
    let mut pools: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for disk in files(&tests.join("cli_root/zpool_upgrade/blockfiles"), ".dat.bz2")? {
        let mut name = stem(&disk, ".dat.bz2");
        if SEVERAL.iter().any(|kind| name.contains(kind)) {
            name.pop();
        }
        pools.entry(name).or_default().push(disk);
    }
    for disk in files(&tests.join("history"), ".migratedpool.DAT.Z")? {
        pools.insert(stem(&disk, ".DAT.Z"), vec![disk]);
    }
    Ok(pools)
}

/// Unpacks a file into another, with holes where there are zeros.
fn unpack(packed: &Path, to: &Path) -> Result<()> {
    let program = if packed.extension().is_some_and(|end| end == "Z") {
        "gzip"
    } else {
        "bzip2"
    };
    let script =
        format!("{program} -dc \"$0\" | dd of=\"$1\" conv=sparse bs=64K iflag=fullblock status=none");
    succeed(Command::new("sh").args(["-c", &script]).arg(packed).arg(to))
}

fn judge_stream(zferry: &Path, packed: &Path, folder: &Path) -> Result<()> {
    let (stream, plain) = (folder.join("stream.zsend"), folder.join("plain.zsend"));
    unpack(packed, &stream)?;
    output(Command::new(zferry).args(["stream", "verify"]).arg(&stream))?;
    let mut redup = Command::new("zstream");
    redup.arg("redup").arg(&stream).stdout(File::create(&plain)?);
    succeed(&mut redup)?;
    output(Command::new(zferry).args(["stream", "verify"]).arg(&plain))?;
    Ok(())
}

/// The judges of one pool, whose disks lie in a folder.
struct Suite<'a> {
    judges: &'a Judges,
    zferry: &'a Path,
    folder: &'a Path,
}

impl Suite<'_> {
    fn judge_pool(&self, name: &str, disks: &[PathBuf]) -> Result<()> {
        for (disk, number) in disks.iter().zip(1..) {
            unpack(disk, &self.folder.join(format!("disk-{number}.img")))?;
        }
        if name == REFUSED {
            let listed = self.zferry(&["list"]).output()?;
            ensure!(listed.status.code() == Some(1), "it is not refused");
            return Ok(());
        }
        let listed = output(&mut self.zferry(&["list", "-H", "-r", "-o", "name"]))?;
        let datasets: Vec<_> = listed.lines().collect();
        let pool = *datasets.first().context("no pool is found")?;
        self.compare_lists(pool)?;
        let mut life = Command::new(&self.judges.zo);
        life.args(["import", pool]).arg(self.folder);
        for dataset in &datasets {
            life.args([",", "snap", &format!("{dataset}@judged")]);
        }
        life.args([",", "export", pool]);
        output(&mut life)?;
        self.compare_lists(pool)?;
        datasets
            .iter()
            .try_for_each(|dataset| self.compare_streams(&format!("{dataset}@judged")))
    }

    fn zferry(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.zferry);
        command.arg("-d").arg(self.folder).args(arguments);
        command
    }

    /// The names of all datasets, with the numbers of their object sets, the transaction groups in which they were made,
    /// and how much they refer to.
    fn compare_lists(&self, pool: &str) -> Result<()> {
        let kinds = "filesystem,volume,snapshot";
        let columns = "name,objsetid,createtxg,refer";
        let ours = output(&mut self.zferry(&["list", "-H", "-r", "-t", kinds, "-o", columns, pool]))?;
        let ours: BTreeSet<_> = ours.lines().map(str::to_owned).collect();
        let mut zdb = Command::new("zdb");
        zdb.args(["-e", "-p"]).arg(self.folder).args(["-d", pool]);
        let theirs = zdb.output().with_context(|| shown(&zdb))?;
        check(&zdb, theirs.status)?;
        let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
        let theirs: BTreeSet<_> = theirs.lines().filter_map(dataset_of).collect();
        if let Some(line) = ours.symmetric_difference(&theirs).next() {
            bail!("zdb and zferry list differ in {line:?}");
        }
        ensure!(!ours.is_empty(), "zdb shows nothing");
        Ok(())
    }

    fn compare_streams(&self, snapshot: &str) -> Result<()> {
        let mut ozfs = Command::new(&self.judges.ozfs);
        ozfs.arg("send").arg(self.folder).arg(snapshot);
        let mut streams = Vec::new();
        for (mut command, by) in [(self.zferry(&["send", snapshot]), "zferry"), (ozfs, "ozfs")] {
            let stream = self.folder.join(format!("{by}.zsend"));
            succeed(command.stdout(File::create(&stream)?))?;
            streams.push((sha256(&mut File::open(&stream)?)?, stream));
        }
        if let [(our, ours), (their, theirs)] = &*streams
            && our != their
        {
            let turned = byte_order::compare(ours, theirs).with_context(|| snapshot.to_owned())?;
            ensure!(turned > 0, "{snapshot}: not what OpenZFS sends");
            println!("{snapshot}: the same but for the byte order of {turned} tables of a big-endian pool");
        }
        streams
            .iter()
            .try_for_each(|(_, stream)| fs::remove_file(stream))?;
        Ok(())
    }
}

/// From `Dataset NAME [KIND], ID 5, cr_txg 4, 32.6K, 4 objects` to the columns that are compared; nothing of what is no
/// dataset with a name of its own.
fn dataset_of(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Dataset ")?.split_once(" [")?;
    let (kind, rest) = rest.split_once("], ID ")?;
    let (id, rest) = rest.split_once(", cr_txg ")?;
    let (txg, rest) = rest.split_once(", ")?;
    let (refer, _) = rest.split_once(", ")?;
    let is_hidden = kind == "META" || name.contains(['$', '%']);
    (!is_hidden).then(|| format!("{name}\t{id}\t{txg}\t{refer}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zdb_names_datasets() {
        let line = "Dataset pool/fs@s [ZPL], ID 26, cr_txg 16, 32.6K, 4 objects";
        assert_eq!(dataset_of(line).as_deref(), Some("pool/fs@s\t26\t16\t32.6K"));
        assert_eq!(
            dataset_of("Dataset mos [META], ID 0, cr_txg 4, 86.6K, 27 objects"),
            None
        );
        assert_eq!(
            dataset_of("Verified device_removal feature refcount of 0 is correct"),
            None
        );
    }
}
