//! Kills zferry while it writes to a pool, by a signal that it cannot catch, at moments that nobody chose: afterwards the
//! pool is as it was before, or as the command would have left it; `pool check` and `zdb -bcc` find nothing wrong, and
//! the next command has no trouble.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use zferry_fixtures::target;

use crate::numbers::Numbers;
use crate::tools::{self, Judges, output, shown, succeed};

/// The pool that is written to, and the one that the streams come from.
const POOL: &str = "killed";
const SOURCE: &str = "source";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How many commands are killed, or end before that
    #[arg(long, default_value_t = 300)]
    times: u64,
    /// Which commands, and roughly when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The folder in which it takes place, `target/kill` if not given; it is emptied first
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// A command to be killed: what has to be done before it, and what it is. The word `FULL` or `STEP` at its end is the
/// stream that it reads.
struct Victim {
    before: &'static [&'static [&'static str]],
    words: &'static [&'static str],
}

const FULL: &str = "FULL";
const STEP: &str = "STEP";

/// All of them begin with `killed/x@a`.
const VICTIMS: &[Victim] = &[
    Victim {
        before: &[],
        words: &["receive", "killed/y", FULL],
    },
    Victim {
        before: &[],
        words: &["receive", "killed/x", STEP],
    },
    Victim {
        // Nothing goes over what has snapshots.
        before: &[&["destroy", "killed/x@a"]],
        words: &["receive", "-F", "killed/x", FULL],
    },
    Victim {
        before: &[&["snapshot", "killed/x@more"]],
        words: &["receive", "-F", "killed/x", STEP],
    },
    Victim {
        before: &[],
        words: &["snapshot", "killed/x@s"],
    },
    Victim {
        before: &[&["receive", "killed/x", STEP]],
        words: &["destroy", "killed/x@a"],
    },
    Victim {
        before: &[&["receive", "killed/x", STEP]],
        words: &["destroy", "-r", "killed/x"],
    },
    Victim {
        before: &[],
        words: &["clone", "killed/x@a", "killed/c"],
    },
    Victim {
        before: &[&["clone", "killed/x@a", "killed/c"]],
        words: &["promote", "killed/c"],
    },
    Victim {
        before: &[],
        words: &["rename", "killed/x", "killed/w"],
    },
    Victim {
        before: &[&["receive", "killed/x", STEP]],
        words: &["rollback", "-r", "killed/x@a"],
    },
];

/// What became of the commands of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    as_before: u64,
    as_after: u64,
    ended: u64,
    /// How long one takes, more or less: less than was thought if it ends before it is killed, more otherwise.
    lasts: Option<Duration>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let Some(judges) = tools::judges() else {
        return Ok(());
    };
    let folder = arguments.folder.clone().unwrap_or_else(|| target().join("kill"));
    let place = Place::new(tools::zferry()?, &folder)?;
    place.make_streams(&judges)?;
    let mut numbers = Numbers::new(arguments.seed);
    let mut tallies: BTreeMap<usize, Tally> = BTreeMap::new();
    for time in 1..=arguments.times {
        let count = u64::try_from(VICTIMS.len())?;
        let kind = usize::try_from(numbers.below(count))?;
        let victim = VICTIMS.get(kind).context("no such command")?;
        let tally = tallies.entry(kind).or_default();
        let what = || format!("{} (time {time})", victim.words.join(" "));
        place.prepare(victim).with_context(what)?;
        place.kill(victim, tally, &mut numbers).with_context(what)?;
    }
    let mut killed = 0_u64;
    for (kind, tally) in &tallies {
        let words = VICTIMS.get(*kind).map(|victim| victim.words.join(" "));
        let Tally {
            as_before,
            as_after,
            ended,
            ..
        } = tally;
        println!(
            "{:<32} {as_before:>5} as before {as_after:>5} as after {ended:>5} not killed",
            words.unwrap_or_default()
        );
        killed = killed.saturating_add(*as_before).saturating_add(*as_after);
    }
    println!(
        "kill: {killed} of {} were killed, and every pool was sound",
        arguments.times
    );
    Ok(())
}

/// Where it takes place.
struct Place {
    zferry: PathBuf,
    folder: PathBuf,
}

impl Place {
    fn new(zferry: PathBuf, folder: &Path) -> Result<Self> {
        if folder.is_dir() {
            fs::remove_dir_all(folder)?;
        }
        for pool in [POOL, SOURCE] {
            fs::create_dir_all(folder.join(pool))?;
        }
        let folder = fs::canonicalize(folder)?;
        let place = Self { zferry, folder };
        for pool in [POOL, SOURCE] {
            let mut create = Command::new(&place.zferry);
            create.args(["pool", "create", "--size", "512M", pool]);
            succeed(create.arg(place.image(pool)))?;
        }
        Ok(place)
    }

    fn image(&self, pool: &str) -> PathBuf {
        self.folder.join(pool).join(format!("{pool}.img"))
    }

    /// A command on a pool; its last word may name a stream.
    fn zferry(&self, pool: &str, words: &[&str]) -> Result<Command> {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image(pool)).stdin(Stdio::null());
        for word in words {
            if [FULL, STEP].contains(word) {
                command.stdin(File::open(self.folder.join(word))?);
            } else {
                command.arg(word);
            }
        }
        Ok(command)
    }

    /// A full stream of some megabytes, and an increment of a block.
    fn make_streams(&self, judges: &Judges) -> Result<()> {
        succeed(&mut self.zferry(SOURCE, &["create", "source/f"])?)?;
        let mut fill = Command::new(&judges.zo);
        fill.args(["import", SOURCE])
            .arg(self.folder.join(SOURCE))
            .arg(",");
        fill.args([
            "wr",
            "source/f",
            "128",
            "0",
            "8388608",
            "3",
            ",",
            "snap",
            "source/f@a",
            ",",
        ]);
        fill.args([
            "wr",
            "source/f",
            "128",
            "131072",
            "131072",
            "7",
            ",",
            "snap",
            "source/f@b",
            ",",
        ]);
        succeed(fill.args(["export", SOURCE]).stdout(Stdio::null()))?;
        for (name, words) in [
            (FULL, &["send", "source/f@a"][..]),
            (STEP, &["send", "-i", "@a", "source/f@b"][..]),
        ] {
            let mut send = self.zferry(SOURCE, words)?;
            succeed(send.stdout(File::create(self.folder.join(name))?))?;
        }
        Ok(())
    }

    /// Brings the pool into the state in which a command is given.
    fn prepare(&self, victim: &Victim) -> Result<()> {
        // A clone goes with what it was made of, and after a promotion the other way round.
        for name in ["killed/x", "killed/y", "killed/c", "killed/w"] {
            if self.names()?.contains(&format!("{name}\t")) {
                succeed(&mut self.zferry(POOL, &["destroy", "-R", name])?)?;
            }
        }
        succeed(&mut self.zferry(POOL, &["receive", "killed/x", FULL])?)?;
        for words in victim.before {
            succeed(&mut self.zferry(POOL, words)?)?;
        }
        Ok(())
    }

    /// Every name in the pool, with what it refers to.
    fn names(&self) -> Result<String> {
        let words = ["list", "-Hp", "-r", "-t", "all", "-o", "name,guid,refer", POOL];
        output(&mut self.zferry(POOL, &words)?)
    }

    /// Gives the command, kills it after a while, and holds the pool to what it may be.
    fn kill(&self, victim: &Victim, tally: &mut Tally, numbers: &mut Numbers) -> Result<()> {
        let before = self.names()?;
        let mut command = self.zferry(POOL, victim.words)?;
        let mut process = command.spawn().with_context(|| shown(&command))?;
        let usual = tally.lasts.unwrap_or(Duration::from_millis(100));
        let part = u32::try_from(numbers.below(110))?;
        thread::sleep(part_of(usual, part));
        let has_ended = process.try_wait()?;
        if has_ended.is_none() {
            process.kill()?;
        }
        let status = process.wait()?;
        let after = self.names()?;
        // One that is killed may have ended a moment before.
        if status.code().is_some() {
            ensure!(status.success(), "{}: {status}", shown(&command));
            ensure!(after != before, "{} did nothing", shown(&command));
            tally.ended = tally.ended.saturating_add(1);
            tally.lasts = Some(part_of(usual, 85));
        } else if after == before {
            tally.as_before = tally.as_before.saturating_add(1);
            tally.lasts = Some(part_of(usual, 105));
        } else {
            tally.as_after = tally.as_after.saturating_add(1);
        }
        self.judge()?;
        if status.code().is_none() && after == before {
            // Nothing is in the way of the same once more.
            succeed(&mut self.zferry(POOL, victim.words)?)?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<()> {
        succeed(
            self.zferry(POOL, &["pool", "check", "--data", POOL])?
                .stdout(Stdio::null()),
        )?;
        let mut zdb = Command::new("zdb");
        zdb.args(["-bcc", "-e", "-p"])
            .arg(self.folder.join(POOL))
            .arg(POOL);
        let found = zdb.stderr(Stdio::null()).output().context("zdb")?;
        let said = String::from_utf8_lossy(&found.stdout);
        ensure!(
            found.status.success() && said.contains("No leaks (block sum matches space maps exactly)"),
            "{}: {}: {said}",
            shown(&zdb),
            found.status
        );
        Ok(())
    }
}

fn part_of(duration: Duration, percent: u32) -> Duration {
    duration
        .saturating_mul(percent)
        .checked_div(100)
        .unwrap_or_default()
}
