//! Each way in which a receive is refused, provoked by a stream that is made for it: zferry's library gives the errno that
//! OpenZFS's own receiver gives in user space (`ozfs recv`), and the command says what zfs(8) says over OpenZFS's kernel, in
//! a virtual machine. What makes that receiver stop over an assertion instead, it does not judge, and the kernel does not
//! get to see.

mod cases;
mod kernel;
mod made;
mod records;
mod scenes;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use zferry_fixtures::{corpus, target};
use zferry_replicate::receive::{
    Destination, Errno, Incoming, Naming, Progress, ReceiveError, Request, receive,
};
use zferry_zpool::vdev::WritableFile;
use zferry_zpool::{Environment, OpenOptions, PoolWriter};
use zferry_zstream::source::Buffered;

use self::cases::{Case, Templates};
use self::scenes::{Scenes, image};
use crate::tools::{self, Judges, shown, succeed};

/// Errnos that OpenZFS has besides the system's, and those that a receive can end with.
const ERRNOS: [i32; 34] = [
    1, 2, 4, 5, 7, 12, 13, 16, 17, 18, 19, 22, 26, 28, 30, 34, 36, 52, 95, 122, 1033, 1034, 1035, 1036, 1037,
    1038, 1039, 1040, 1041, 1042, 1044, 1046, 1047, 1048,
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only the refusals whose description contains one of these
    cases: Vec<String>,
    /// Do not ask the kernel
    #[arg(long)]
    no_kernel: bool,
}

/// What a receive came to: an errno, or 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Errno(i32),
    /// An assertion failed.
    NotJudged,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let (Some(corpus), Some(judges)) = (corpus(), tools::judges()) else {
        eprintln!("skipped: it takes the corpus and OpenZFS's programs");
        return Ok(());
    };
    let zferry = tools::zferry()?;
    let court = Court::new(judges, zferry)?;
    let scenes = Scenes {
        judges: &court.judges,
        zferry: &court.zferry,
        corpus: &corpus,
        folder: &court.folder,
    };
    scenes.make().context("the scenes")?;
    let templates = Templates::read(&corpus)?;
    let mut cases = templates.cases()?;
    cases.extend(records::cases(&templates)?);
    cases.retain(|case| {
        let named = |part: &String| case.what.contains(part.as_str());
        arguments.cases.is_empty() || arguments.cases.iter().any(named)
    });
    let (mut failures, mut not_judged, mut tally) = (Vec::new(), 0_usize, BTreeMap::new());
    let mut for_kernel = Vec::new();
    for case in &cases {
        if case.is_of_command {
            for_kernel.push(case);
            continue;
        }
        let ours = court.ours(case).with_context(|| case.what.clone())?;
        let theirs = court.theirs(case).with_context(|| case.what.clone())?;
        match theirs {
            Outcome::NotJudged => {
                println!("OpenZFS stops over '{}'; zferry says errno {}", case.what, ours.0);
                not_judged = not_judged.saturating_add(1);
            }
            Outcome::Errno(theirs) if theirs == ours.0 => {
                if theirs == 0 {
                    println!("both receive '{}'", case.what);
                }
                let count: &mut usize = tally.entry(theirs).or_default();
                *count = count.saturating_add(1);
            }
            Outcome::Errno(0) if case.only_ours.is_some() => {
                let why = case.only_ours.unwrap_or_default();
                println!(
                    "errno {} for '{}', which OpenZFS receives: {why}",
                    ours.0, case.what
                );
            }
            Outcome::Errno(theirs) => {
                failures.push(format!("{}: errno {}, OpenZFS's {theirs}", case.what, ours.0));
            }
        }
        if let Some(why) = case.other_words {
            println!(
                "errno {} for '{}', in words of zferry's own: {why}",
                ours.0, case.what
            );
        }
        if !case.is_of_library && case.only_ours.is_none() && theirs != Outcome::NotJudged {
            for_kernel.push(case);
        }
    }
    for (errno, count) in &tally {
        println!("errno {errno:>4} {count:>4} times, as OpenZFS");
    }
    let same: usize = tally.values().sum();
    println!("refusals: {same} streams refused with OpenZFS's errno, {not_judged} over which it stops");
    if let (Some(machine), false) = (kernel::machine(), arguments.no_kernel) {
        let said = kernel::ask(&court, &machine, &for_kernel)?;
        println!("refusals: {} streams refused in the words of zfs(8)", said.same);
        failures.extend(said.failures);
    }
    for failure in &failures {
        eprintln!("FAILED {failure}");
    }
    ensure!(
        failures.is_empty(),
        "OpenZFS disagrees in {} places",
        failures.len()
    );
    Ok(())
}

/// Where it takes place.
struct Court {
    judges: Judges,
    zferry: PathBuf,
    folder: PathBuf,
}

impl Court {
    fn new(judges: Judges, zferry: PathBuf) -> Result<Self> {
        let folder = target().join("refusals");
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let folder = fs::canonicalize(folder)?;
        Ok(Self {
            judges,
            zferry,
            folder,
        })
    }

    /// A fresh copy of the pool that a case is about; each is in a folder of its own, for importing searches whole ones.
    fn copy(&self, case: &Case) -> Result<PathBuf> {
        let pool = case.target.split(['/', '@']).next().unwrap_or_default();
        let folder = self.folder.join("copy");
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(folder.join(pool))?;
        let copy = image(&folder, pool);
        succeed(
            Command::new("cp")
                .arg("--sparse=always")
                .arg(image(&self.folder, pool))
                .arg(&copy),
        )?;
        Ok(copy)
    }

    /// What the library says.
    fn ours(&self, case: &Case) -> Result<Errno> {
        let file = WritableFile::open(&self.copy(case)?)?;
        let environment = Environment::fixed(1_700_000_000, 7);
        let mut writer = PoolWriter::open(vec![Arc::new(file)], &OpenOptions::default(), environment)?;
        match Self::receive(&mut writer, case) {
            Ok(()) => Ok(Errno(0)),
            Err(error) => Ok(error.errno()),
        }
    }

    fn receive(writer: &mut PoolWriter, case: &Case) -> Result<(), ReceiveError> {
        let mut incoming = Incoming::open(Buffered::new(&*case.stream))?;
        let sent = incoming.begin().to_name.to_string();
        let Ok(destination) = Destination::new(&case.target, Naming::Exact, &sent) else {
            return Err(ReceiveError::Internal);
        };
        let request = Request {
            is_forced: case.has("-F"),
            is_resumable: case.has("-s"),
            origin: case.origin().map(str::to_owned),
            ..Request::new(destination)
        };
        receive(writer, &mut incoming, &request, &Progress::default()).map(|_| ())
    }

    /// What OpenZFS says.
    fn theirs(&self, case: &Case) -> Result<Outcome> {
        let copy = self.copy(case)?;
        let stream = self.folder.join("stream.zsend");
        fs::write(&stream, &case.stream)?;
        let mut command = Command::new(&self.judges.ozfs);
        command.arg("recv").arg(copy.parent().context("no folder")?);
        command.arg(&case.target);
        for option in case.options.iter().filter(|option| *option != "-o") {
            match option.strip_prefix("origin=") {
                Some(origin) => command.args(["-o", origin]),
                None => command.arg(option),
            };
        }
        command.stdin(File::open(&stream)?).stdout(Stdio::null());
        let output = command.output().with_context(|| shown(&command))?;
        if output.status.success() {
            return Ok(Outcome::Errno(0));
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said
            .lines()
            .find_map(|line| {
                line.strip_prefix("ozfs: read")
                    .or(line.strip_prefix("ozfs: recv "))
            })
            .and_then(|line| line.split_once(": "))
            .map(|(_, why)| why.trim());
        let errno = why.and_then(|why| ERRNOS.into_iter().find(|errno| text(*errno) == why));
        match errno {
            Some(errno) => Ok(Outcome::Errno(errno)),
            None if why.is_none() => Ok(Outcome::NotJudged),
            None => anyhow::bail!("{}: {}", shown(&command), said.trim()),
        }
    }
}

/// What the system calls an errno.
fn text(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Has the command receive a case's stream, and gives whether it failed and what it said.
fn said_by_zferry(court: &Court, case: &Case, target: &str, stream: &Path) -> Result<(bool, String)> {
    let mut command = Command::new(&court.zferry);
    command
        .arg("-d")
        .arg(court.copy(case)?)
        .arg("receive")
        .args(&case.options);
    command.arg("--no-progress").arg(target);
    command.stdin(File::open(stream)?).stdout(Stdio::null());
    let output = command.output().with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Ok((!output.status.success(), said))
}
