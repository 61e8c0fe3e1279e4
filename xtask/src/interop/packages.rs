//! Receives every known package (`zfs send -R` and the like) into a pool that zferry makes, and has OpenZFS look at it:
//! `zdb -bcc` finds nothing wrong and nothing leaked, and of every snapshot `ozfs send` says the same as of a pool into
//! which `ozfs recv` has received the package's streams one by one. What the streams continue is received before.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use zferry_fixtures::{Line, corpus, packages};
use zferry_zstream::flags::BeginFlags;
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{Begin, Record};

use super::Arguments;
use super::pool::{POOL, Pool, Received, examine};
use super::receive::{self, Stream, Tally, accepted_by_fsck, send, zferry_send};
use super::same::Sent;
use crate::tools::{Judges, check, fresh, output, shown, succeed};

/// Of how many packages a sample has one.
const SAMPLE: usize = 16;

/// A stream of a package.
struct Part {
    begin: Begin,
    /// Where it stands in the package, in bytes.
    start: u64,
    end: u64,
}

impl Part {
    fn is_clone(&self) -> bool {
        self.begin.flags.contains(BeginFlags::CLONE)
    }
}

/// Judges the packages that are asked for.
pub(super) fn run(judges: &Judges, zferry: &Path, arguments: &Arguments) -> Result<Tally> {
    let mut known = known()?;
    known.retain(|package| arguments.names(&package.line.name));
    let step = if arguments.sample { SAMPLE } else { 1 };
    Ok(Tally::of(
        "package",
        known.iter().step_by(step),
        |package, folder| (&package.line.name, judge(judges, zferry, package, folder)),
    ))
}

/// The packages that are not raw: those of the corpus, and those of the pools that are kept for packages.
fn known() -> Result<Vec<Stream>> {
    let is_package = |line: &Line| {
        let options = ["-R", "-I", "-p", "-b", "-h", "--replicate", "--props", "--holds"];
        let is_one = options.iter().any(|option| line.has(option));
        is_one && !line.has("-w")
    };
    let kept = packages()?;
    let lines = kept.manifest()?.into_iter().filter(is_package);
    let mut known: Vec<_> = lines
        .map(|line| Stream {
            image: kept.image(line.pool()),
            path: None,
            line,
        })
        .collect();
    if let Some(corpus) = corpus() {
        let lines = corpus.manifest()?.into_iter().filter(is_package);
        known.extend(lines.map(|line| Stream {
            image: corpus.file(&format!("{}.img", line.pool())),
            path: Some(corpus.stream(&line.name)),
            line,
        }));
    }
    Ok(known)
}

fn judge(judges: &Judges, zferry: &Path, package: &Stream, folder: &Path) -> Result<Received> {
    let folder = fresh(folder)?;
    let path = package.file(zferry, &folder, "package.zsend")?;
    let (sent, parts) = parts(&path)?;
    let court = Court {
        judges,
        zferry,
        package,
        image: folder.join(format!("{POOL}.img")),
        theirs: Pool::create(judges, &folder.join("theirs"))?,
        top: format!("{POOL}/{}", package.line.name),
        sent,
        folder,
    };
    court.judge(&path, &parts)
}

/// The name of the dataset that was sent, and the streams.
fn parts(path: &Path) -> Result<(String, Vec<Part>)> {
    let mut reader = StreamReader::new(File::open(path)?);
    let (mut sent, mut parts) = (String::new(), Vec::new());
    let mut open: Option<(Begin, u64)> = None;
    while let Some(record) = reader.next_passing()? {
        let (place, position) = (record.place, record.position);
        match record.record {
            Record::Begin(begin) if place == Place::PackageBegin => {
                let name = begin.to_name.to_string();
                sent = name.split('@').next().unwrap_or_default().to_owned();
            }
            Record::Begin(begin) => open = Some((*begin, position)),
            _ => {}
        }
        if place == Place::StreamEnd
            && let Some((begin, start)) = open.take()
        {
            let end = reader.position();
            parts.push(Part { begin, start, end });
        }
    }
    Ok((sent, parts))
}

/// What both pools have received.
#[derive(Default)]
struct Known {
    /// The guids of snapshots, and their names.
    names: HashMap<u64, String>,
    /// What came for a dataset.
    streams: HashMap<String, Sent>,
}

impl Known {
    fn note(&mut self, snapshot: &str, stream: &Path) -> Result<()> {
        let dataset = snapshot.split('@').next().unwrap_or_default();
        self.streams.entry(dataset.to_owned()).or_default().note(stream)
    }
}

/// Two pools into which one package is received.
struct Court<'a> {
    judges: &'a Judges,
    zferry: &'a Path,
    package: &'a Stream,
    folder: PathBuf,
    /// The pool that zferry makes.
    image: PathBuf,
    theirs: Pool<'a>,
    /// Where the package goes.
    top: String,
    /// The dataset that was sent.
    sent: String,
}

impl Court<'_> {
    fn judge(&self, path: &Path, parts: &[Part]) -> Result<Received> {
        // The pool has to be there before there is anything in it.
        let mut create = Command::new(self.zferry);
        create
            .args(["pool", "create", "--size", "1G", POOL])
            .arg(&self.image);
        succeed(&mut create)?;
        let mut received = Known::default();
        if let Some(before) = self.package_before()? {
            let (_, parts) = self::parts(&before)?;
            if self.lacks_origin(&before)? {
                return Ok(Received::NotJudged);
            }
            for part in &parts {
                received.names.insert(part.begin.to_guid, self.name(part)?);
            }
            if self.they_receive(&before, &parts, &mut received)? == Received::NotJudged {
                return Ok(Received::NotJudged);
            }
        }
        for part in parts {
            if part.begin.from_guid != 0 && !received.names.contains_key(&part.begin.from_guid) {
                let Some(base) = self.base(part, &received.names)? else {
                    return Ok(Received::NotJudged);
                };
                received.note(&base, &self.folder.join("base.zsend"))?;
                received.names.insert(part.begin.from_guid, base);
            }
            received.names.insert(part.begin.to_guid, self.name(part)?);
        }
        self.receive(path)?;
        examine(&self.folder)?;
        accepted_by_fsck(&self.image)?;
        if self.they_receive(path, parts, &mut received)? == Received::NotJudged {
            return Ok(Received::NotJudged);
        }
        let mut streams = received.streams;
        for part in parts {
            let name = self.name(part)?;
            let dataset = name.split('@').next().unwrap_or_default();
            let sent = streams.entry(dataset.to_owned()).or_default();
            let ours = self.folder.join("ours.zsend");
            send(self.judges, &self.folder, &name, None, "", &ours)?;
            let theirs = self.folder.join("theirs.zsend");
            send(self.judges, self.theirs.folder(), &name, None, "", &theirs)?;
            sent.compare(&ours, &theirs, None).with_context(|| name.clone())?;
        }
        Ok(Received::Yes)
    }

    /// What an incremental replication continues, where that can be sent as a package, too.
    fn package_before(&self) -> Result<Option<PathBuf>> {
        let words = &self.package.line.arguments;
        let is_recursive = words.iter().any(|word| word == "-R" || word == "--replicate");
        let option = words.iter().position(|word| word == "-i" || word == "-I");
        let from = option.and_then(|option| words.get(option.saturating_add(1)));
        let Some(from) = from.filter(|from| is_recursive && from.starts_with('@')) else {
            return Ok(None);
        };
        let path = self.folder.join("before.zsend");
        let arguments = ["-R".to_owned(), format!("{}{from}", self.sent)];
        let sent = zferry_send(self.zferry, &self.package.image, &arguments, &path);
        Ok(sent.is_ok().then_some(path))
    }

    /// Has zferry receive a package; says whether that cannot be, as a clone's origin lies in a dataset that is younger than
    /// what was sent, and so is not in it.
    fn lacks_origin(&self, package: &Path) -> Result<bool> {
        let mut command = self.receiving(package)?;
        let received = command.output().with_context(|| shown(&command))?;
        let said = String::from_utf8_lossy(&received.stderr);
        if said.contains("local origin for clone") {
            return Ok(true);
        }
        check(&command, received.status)?;
        Ok(false)
    }

    /// Has zferry receive a package.
    fn receive(&self, package: &Path) -> Result<()> {
        succeed(&mut self.receiving(package)?)
    }

    fn receiving(&self, package: &Path) -> Result<Command> {
        let mut command = Command::new(self.zferry);
        command.arg("-d").arg(&self.image);
        command.args(["receive", "--no-progress", &self.top]);
        command.stdin(File::open(package)?);
        Ok(command)
    }

    /// Has OpenZFS receive the streams of a package.
    fn they_receive(&self, package: &Path, parts: &[Part], received: &mut Known) -> Result<Received> {
        for part in parts {
            let stream = self.folder.join("part.zsend");
            cut(package, part, &stream)?;
            let name = self.name(part)?;
            received.note(&name, &stream)?;
            let origin = received.names.get(&part.begin.from_guid);
            let origin = origin.filter(|_| part.is_clone()).map(String::as_str);
            if self.theirs.receive(&stream, &name, origin)? == Received::NotJudged {
                return Ok(Received::NotJudged);
            }
        }
        Ok(Received::Yes)
    }

    /// The snapshot that a stream becomes.
    fn name(&self, part: &Part) -> Result<String> {
        let name = part.begin.to_name.to_string();
        let below = name
            .strip_prefix(&self.sent)
            .context("a stream of something else")?;
        Ok(format!("{}{below}", self.top))
    }

    /// Receives what a stream continues into both pools, and says under which name; `None` where what it lies in would
    /// come with the package.
    fn base(&self, part: &Part, received: &HashMap<u64, String>) -> Result<Option<String>> {
        let guid = part.begin.from_guid;
        let mut list = Command::new(self.zferry);
        list.arg("-d").arg(&self.package.image);
        let columns = ["list", "-H", "-t", "snapshot", "-o", "guid,name"];
        let listed = output(list.args(columns))?;
        let mut lines = listed.lines().filter_map(|line| line.split_once('\t'));
        let found = lines.find(|(number, _)| number.parse() == Ok(guid));
        let (_, source) = found.context("what is continued is not in the pool")?;
        let (_, short) = source.split_once('@').context("no snapshot")?;
        let name = self.name(part)?;
        let (dataset, _) = name.split_once('@').context("no snapshot")?;
        let into = if part.is_clone() {
            format!("{POOL}/origin-{guid}@{short}")
        } else {
            format!("{dataset}@{short}")
        };
        let (parent, _) = dataset.rsplit_once('/').context("no parent")?;
        let is_there = |name: &String| name.split('@').next() == Some(parent);
        let comes_later = received.values().any(is_there) && !self.has(parent)?;
        if comes_later && !part.is_clone() {
            return Ok(None);
        }
        let stream = self.folder.join("base.zsend");
        zferry_send(self.zferry, &self.package.image, &[source.to_owned()], &stream)?;
        receive::receive(self.zferry, &self.image, &stream, &into, None)?;
        let theirs = self.theirs.receive(&stream, &into, None)?;
        Ok((theirs == Received::Yes).then_some(into))
    }

    fn has(&self, dataset: &str) -> Result<bool> {
        let mut list = Command::new(self.zferry);
        list.arg("-d").arg(&self.image);
        let listed = output(list.args(["list", "-H", "-r", "-o", "name", POOL]))?;
        Ok(listed.lines().any(|line| line == dataset))
    }
}

/// Copies one stream out of a package.
fn cut(package: &Path, part: &Part, to: &Path) -> Result<()> {
    let mut input = File::open(package)?;
    input.seek(SeekFrom::Start(part.start))?;
    let length = part.end.saturating_sub(part.start);
    let mut bytes = Vec::new();
    input.take(length).read_to_end(&mut bytes)?;
    ensure!(
        u64::try_from(bytes.len()) == Ok(length),
        "the package is shorter than it was"
    );
    Ok(File::create(to)?.write_all(&bytes)?)
}
