//! Holds the streams that zferry makes against OpenZFS's own code: the same bytes as the kernel sent, taken by `zstream
//! dump`, received by `ozfs` into a fresh pool that `zdb -bcc` then walks; and the pools that it receives into.

mod byte_order;
mod chains;
mod cut;
mod heal;
mod kernel;
mod packages;
mod plan;
mod pool;
mod receive;
mod same;
mod suite;

pub(crate) use kernel::run as run_kernel;
pub(crate) use pool::examine;
pub(crate) use receive::accepted_by_fsck;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use zferry_fixtures::{Line, corpus, example, target};

use crate::example::sha256;
use crate::tools::{self, Judges, check, shown};
use plan::Plan;
use pool::{Pool, Received};

/// Of how many streams from each pool a sample has one.
const SAMPLE: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only streams whose name contains one of these
    streams: Vec<String>,
    /// Judge only every fourth of the streams that are sent, and every tenth of those that are received: each takes
    /// OpenZFS some seconds
    #[arg(long)]
    sample: bool,
}

impl Arguments {
    fn wants(&self, line: &Line) -> bool {
        self.names(&line.name)
    }

    fn names(&self, name: &str) -> bool {
        let named = |part: &String| name.contains(part.as_str());
        self.streams.is_empty() || self.streams.iter().any(named)
    }
}

/// A pool to send from and the streams that are known to come from it.
struct Source {
    image: PathBuf,
    lines: Vec<Line>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(judges) = tools::judges() else {
        return Ok(());
    };
    let zferry = tools::zferry()?;
    let (mut passed, mut not_judged, mut failed) = (0_usize, 0_usize, Vec::new());
    for source in sources()? {
        let step = if arguments.sample { SAMPLE } else { 1 };
        let wanted = source.lines.iter().filter(|line| arguments.wants(line));
        let lines: Vec<_> = wanted.step_by(step).collect();
        if lines.is_empty() {
            continue;
        }
        let court = Court::new(&judges, &zferry, &source.image)?;
        for line in lines {
            match court.judge(line) {
                Ok(Received::Yes) => passed = passed.saturating_add(1),
                Ok(Received::NotJudged) => not_judged = not_judged.saturating_add(1),
                Err(why) => failed.push(format!("{}: {why:#}", line.name)),
            }
        }
        match court.pool.examine() {
            Ok(()) => println!("{}: received, and zdb passes it", source.image.display()),
            Err(why) => failed.push(format!("{}: {why:#}", source.image.display())),
        }
    }
    let received = receive::run(&judges, &zferry, arguments)?;
    failed.extend(received.failed);
    let chains = chains::run(&judges, &zferry, arguments)?;
    failed.extend(chains.failed);
    let packages = packages::run(&judges, &zferry, arguments)?;
    failed.extend(packages.failed);
    let suite = suite::run(&judges, &zferry, arguments)?;
    failed.extend(suite.failed);
    for failure in &failed {
        eprintln!("FAILED {failure}");
    }
    println!(
        "interop: {passed} streams passed, {not_judged} that ozfs cannot receive (see pool.rs), {} failures",
        failed.len()
    );
    println!(
        "interop: {} streams received as by OpenZFS, {} received without comparison (see receive.rs)",
        received.passed, received.not_compared
    );
    println!(
        "interop: {} steps of chains received as by OpenZFS",
        chains.passed
    );
    println!(
        "interop: {} packages received as by OpenZFS, {} received without comparison (see packages.rs)",
        packages.passed, packages.not_compared
    );
    println!(
        "interop: {} pools and streams of OpenZFS's test suite are as OpenZFS has them",
        suite.passed
    );
    ensure!(failed.is_empty(), "OpenZFS disagrees in {} places", failed.len());
    Ok(())
}

/// The example pool, and of the corpus the pools that are one plain file each.
fn sources() -> Result<Vec<Source>> {
    let example = example()?;
    let mut sources = vec![Source {
        image: example.image().to_path_buf(),
        lines: example.manifest()?,
    }];
    if let Some(corpus) = corpus() {
        let lines = corpus.manifest()?;
        for pool in ["basic", "feat", "gang", "v28"] {
            sources.push(Source {
                image: corpus.file(&format!("{pool}.img")),
                lines: lines
                    .iter()
                    .filter(|line| line.pool() == pool && !line.name.starts_with("basic-R"))
                    .cloned()
                    .collect(),
            });
        }
    }
    for source in &mut sources {
        source.lines.retain(is_plain);
    }
    Ok(sources)
}

/// Whether a stream is neither raw nor a package: what is sent so far.
fn is_plain(line: &Line) -> bool {
    !["-R", "-I", "-p", "-w", "-b", "-h"]
        .iter()
        .any(|option| line.has(option))
}

/// One source pool, and the fresh pool that everything sent from it is received into.
struct Court<'a> {
    zferry: &'a Path,
    image: &'a Path,
    folder: PathBuf,
    pool: Pool<'a>,
}

impl<'a> Court<'a> {
    fn new(judges: &'a Judges, zferry: &'a Path, image: &'a Path) -> Result<Self> {
        let folder = target().join("interop");
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let folder = fs::canonicalize(folder)?;
        let pool = Pool::create(judges, &folder)?;
        Ok(Self {
            zferry,
            image,
            folder,
            pool,
        })
    }

    /// Sends what `line` says, and what has to be received before it.
    fn judge(&self, line: &Line) -> Result<Received> {
        let plan = Plan::new(line)?;
        let stream = self.folder.join("stream.zsend");
        let mut receivable = true;
        if let Some(base) = &plan.base {
            let base_stream = self.folder.join("base.zsend");
            self.send(&base.arguments, &base_stream)?;
            receivable = self.pool.receive(&base_stream, &base.into, None)? == Received::Yes;
        }
        self.send(&line.arguments, &stream)?;
        let sum = sha256(&mut File::open(&stream)?)?;
        ensure!(
            sum == line.sha256,
            "not the kernel's bytes: {} of them, the kernel sent {}",
            fs::metadata(&stream)?.len(),
            line.bytes
        );
        accepted_by_zstream(&stream)?;
        if !receivable {
            return Ok(Received::NotJudged);
        }
        self.pool.receive(&stream, &plan.into, plan.origin.as_deref())
    }

    fn send(&self, arguments: &[String], stream: &Path) -> Result<()> {
        let mut command = Command::new(self.zferry);
        command.arg("-d").arg(self.image).arg("send").args(arguments);
        let status = command
            .stdout(File::create(stream)?)
            .status()
            .with_context(|| shown(&command))?;
        check(&command, status)
    }
}

/// `zstream dump` exits with success whatever it meets; what it says is what counts.
fn accepted_by_zstream(stream: &Path) -> Result<()> {
    let mut command = Command::new("zstream");
    command.arg("dump").arg(stream).stdin(Stdio::null());
    let output = command.output().with_context(|| shown(&command))?;
    check(&command, output.status)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    let checksum_wrong = said
        .lines()
        .any(|line| line.contains("Expected checksum differs"));
    if checksum_wrong || !complaint.trim().is_empty() || !said.contains("END checksum") {
        bail!(
            "zstream dump complains: {}",
            complaint.lines().next().unwrap_or("no END")
        );
    }
    Ok(())
}
