//! Receives every known plain stream into a pool that zferry makes, an incremental one after its source, and has OpenZFS
//! look at it: `zdb -bcc` finds nothing wrong and nothing leaked, and `ozfs send` says the same of it as of a pool that
//! `ozfs recv` made. Each is received in pieces, too, and then is the same.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use zferry_fixtures::{Corpus, Line, corpus, example, target, workspace};
use zferry_zstream::reader::StreamReader;
use zferry_zstream::record::Record;

use super::Arguments;
use super::cut::Cut;
use super::plan::Plan;
use super::pool::{POOL, Pool, Received, examine};
use super::same::Sent;
use crate::tools::{Judges, fresh, shown, succeed};

/// How large the pools are; their images are sparse.
const POOL_SIZE: &str = "1G";

/// Of how many streams a sample has one. The corpus lists its streams by kind, so that it has some of each.
const SAMPLE: usize = 15;

/// What came of the streams.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) not_compared: usize,
    pub(super) failed: Vec<String>,
}

/// A stream and what is known of it.
pub(super) struct Stream {
    pub(super) line: Line,
    /// The pool that it was sent from.
    pub(super) image: PathBuf,
    /// The stream as the kernel sent it, where it is kept.
    pub(super) path: Option<PathBuf>,
}

impl Stream {
    /// A stream of the corpus.
    pub(super) fn of_corpus(corpus: &Corpus, line: Line) -> Self {
        Self {
            image: corpus.file(&format!("{}.img", line.pool())),
            path: Some(corpus.stream(&line.name)),
            line,
        }
    }

    /// The stream as the kernel sent it; where that is not kept, zferry sends it into the file `name` in a folder.
    pub(super) fn file(&self, zferry: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
        if let Some(path) = &self.path {
            return Ok(path.clone());
        }
        let path = folder.join(name);
        zferry_send(zferry, &self.image, &self.line.arguments, &path)?;
        Ok(path)
    }

    /// The snapshot that was sent, as `dataset@snapshot`.
    pub(super) fn source(&self) -> Result<&str> {
        Ok(self.line.arguments.last().context("nothing is sent")?)
    }

    /// The stream as the kernel sent it, where it is kept and sends all of its snapshot.
    pub(super) fn full(&self) -> Option<&Path> {
        if self.line.has("-i") {
            None
        } else {
            self.path.as_deref()
        }
    }
}

/// How many streams are judged at a time: most of it is zdb, which has one thread.
const JUDGES: usize = 2;

/// Judges the streams that are asked for.
pub(super) fn run(judges: &Judges, zferry: &Path, arguments: &Arguments) -> Result<Tally> {
    let mut streams = streams()?;
    streams.retain(|stream| arguments.wants(&stream.line));
    let step = if arguments.sample { SAMPLE } else { 1 };
    Ok(Tally::of(
        "received",
        streams.iter().step_by(step),
        |stream, folder| (&stream.line.name, judge(judges, zferry, stream, folder)),
    ))
}

impl Tally {
    /// Judges each of these, some at a time, in folders of that name. `judge` says what it judged, and what came of it.
    pub(super) fn of<'a, T: 'a + ?Sized>(
        name: &str,
        all: impl Iterator<Item = &'a T> + Send,
        judge: impl Fn(&'a T, &Path) -> (&'a str, Result<Received>) + Sync,
    ) -> Self
    where
        &'a T: Send,
    {
        let waiting = Mutex::new(all);
        let tally = Mutex::new(Self::default());
        let work = |number: usize| {
            let folder = target().join("interop").join(format!("{name}-{number}"));
            loop {
                let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(next) = next else { return };
                let (name, judged) = judge(next, &folder);
                tally
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .add(name, judged);
            }
        };
        std::thread::scope(|scope| {
            for number in 1..=JUDGES {
                let work = &work;
                scope.spawn(move || work(number));
            }
        });
        tally.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&mut self, name: &str, judged: Result<Received>) {
        match judged {
            Ok(Received::Yes) => self.passed = self.passed.saturating_add(1),
            Ok(Received::NotJudged) => self.not_compared = self.not_compared.saturating_add(1),
            Err(why) => self.failed.push(format!("receiving {name}: {why:#}")),
        }
    }
}

/// The plain streams of the corpus, and the incremental ones of the example pool.
pub(super) fn streams() -> Result<Vec<Stream>> {
    let plain = |line: &Line| {
        !["-I", "-R", "-p", "-b", "-h", "-t"]
            .iter()
            .any(|option| line.has(option))
    };
    let example = example()?;
    let lines = example.manifest()?.into_iter();
    let mut streams: Vec<Stream> = lines
        .filter(|line| plain(line) && line.has("-i"))
        .map(|line| Stream {
            image: example.image().to_path_buf(),
            path: None,
            line,
        })
        .collect();
    if let Some(corpus) = corpus() {
        let lines = corpus.manifest()?.into_iter().filter(plain);
        streams.extend(lines.map(|line| Stream::of_corpus(&corpus, line)));
    }
    Ok(streams)
}

fn judge(judges: &Judges, zferry: &Path, stream: &Stream, folder: &Path) -> Result<Received> {
    let folder = fresh(folder)?;
    let image = folder.join(format!("{POOL}.img"));
    let plan = Plan::new(&stream.line)?;
    let theirs = Pool::create(judges, &folder.join("theirs"))?;
    let mut sent = Sent::default();
    if let Some(base) = &plan.base {
        let path = folder.join("base.zsend");
        zferry_send(zferry, &stream.image, &base.arguments, &path)?;
        receive(zferry, &image, &path, &base.into, None)?;
        sent.note(&path)?;
        if theirs.receive(&path, &base.into, None)? == Received::NotJudged {
            return Ok(Received::NotJudged);
        }
    }
    let path = stream.file(zferry, &folder, "stream.zsend")?;
    let (into, origin) = (&*plan.into, plan.origin.as_deref());
    let cut = Cut {
        zferry,
        source: &stream.image,
        snapshot: stream.line.arguments.last().map_or("", String::as_str),
        stream: &path,
        into,
        origin,
        folder: folder.join("cut"),
    };
    // A pool of several disks has no one file that the rest could be sent from.
    let in_pieces = stream.image.is_file();
    fs::create_dir(&cut.folder)?;
    if image.is_file() {
        let mut copy = Command::new("cp");
        copy.arg("--sparse=always").arg(&image);
        succeed(copy.arg(&cut.folder))?;
    }
    receive(zferry, &image, &path, into, origin)?;
    if in_pieces {
        cut.receive()?;
    }
    examine(&folder)?;
    accepted_by_fsck(&image)?;
    if theirs.receive(&path, into, origin)? == Received::NotJudged {
        return Ok(Received::NotJudged);
    }
    let options = stream.line.arguments.iter().filter(|argument| *argument != "-i");
    let options: String = options
        .filter_map(|argument| argument.strip_prefix('-'))
        .collect();
    let whole = |pool: &Path, snapshot: &str, name: &str| {
        send(judges, pool, snapshot, None, &options, &folder.join(name))
    };
    let ours = whole(&folder, into, "ours.zsend")?;
    if in_pieces {
        let pieces = whole(&cut.folder, into, "pieces.zsend")?;
        ensure!(
            fs::read(&ours)? == fs::read(&pieces)?,
            "what was received in pieces is not what was received at once"
        );
    }
    let base = plan.base.as_ref().map(|base| &*base.into);
    let increment =
        |pool: &Path, base, name: &str| send(judges, pool, into, Some(base), &options, &folder.join(name));
    let our_increment = base
        .map(|base| increment(&folder, base, "our-increment.zsend"))
        .transpose()?;
    if loses_attributes(&path)? {
        return Ok(Received::NotJudged);
    }
    sent.note(&path)?;
    sent.compare(&ours, &whole(theirs.folder(), into, "theirs.zsend")?, None)?;
    if let (Some(base), Some(ours)) = (base, our_increment) {
        let increment = increment(theirs.folder(), base, "their-increment.zsend")?;
        let base = whole(theirs.folder(), base, "base-again.zsend")?;
        sent.compare(&ours, &increment, Some(&base))?;
    }
    Ok(Received::Yes)
}

/// Has zferry receive a stream into a pool, which it makes if it is not there.
pub(super) fn receive(
    zferry: &Path,
    image: &Path,
    stream: &Path,
    into: &str,
    origin: Option<&str>,
) -> Result<()> {
    succeed(&mut receiving(zferry, image, stream, into, origin)?)
}

/// The command that does it.
pub(super) fn receiving(
    zferry: &Path,
    image: &Path,
    stream: &Path,
    into: &str,
    origin: Option<&str>,
) -> Result<Command> {
    let mut command = Command::new(zferry);
    command
        .args(["receive", "--no-progress", "--size", POOL_SIZE, "--create"])
        .arg(image);
    if let Some(origin) = origin {
        command.arg("-o").arg(format!("origin={origin}"));
    }
    command.arg(into).stdin(File::open(stream)?);
    Ok(command)
}

/// Has zferry send from a pool.
pub(super) fn zferry_send(zferry: &Path, image: &Path, arguments: &[String], stream: &Path) -> Result<()> {
    let mut command = Command::new(zferry);
    command.arg("-d").arg(image).arg("send").args(arguments);
    succeed(command.stdout(File::create(stream)?))
}

pub(super) fn send(
    judges: &Judges,
    pool: &Path,
    snapshot: &str,
    from: Option<&str>,
    options: &str,
    stream: &Path,
) -> Result<PathBuf> {
    let mut command = Command::new(&judges.ozfs);
    command.arg("send").arg(pool).arg(snapshot);
    if let Some(from) = from {
        command.args(["-i", from]);
    }
    if !options.is_empty() {
        command.arg(format!("-{options}"));
    }
    succeed(command.stdout(File::create(stream)?))?;
    Ok(stream.to_owned())
}

/// The judge that walks a pool by the letter of the format, where it can be had.
pub(crate) fn accepted_by_fsck(image: &Path) -> Result<()> {
    let script = workspace().join("../shared/judges/fsck.py");
    if !script.is_file() {
        return Ok(());
    }
    let mut command = Command::new("python3");
    command.arg(script).arg(image).stdin(Stdio::null());
    let output = command.output().with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    if !said.contains("bad 0") {
        bail!("fsck.py: {}", said.lines().last().unwrap_or("nothing"));
    }
    Ok(())
}

/// Whether the stream has a spill block as `zfs send -e` sends it: OpenZFS's receiver writes it to the end of the file.
fn loses_attributes(stream: &Path) -> Result<bool> {
    let mut reader = StreamReader::new(File::open(stream)?);
    while let Some(read) = reader.next_passing()? {
        if matches!(read.record, Record::WriteEmbedded(write) if write.offset > u64::MAX >> 1) {
            return Ok(true);
        }
    }
    Ok(false)
}
