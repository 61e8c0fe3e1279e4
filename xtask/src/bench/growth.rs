//! What does not grow with a pool: receiving and destroying little in a pool of many snapshots, the increments of a long
//! chain; and what readers take from a receive.
//!
//! The pools lie in a file system in memory, where a flush costs nothing: what is measured is what comes beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::measure::{Measured, measure};
use super::shown_seconds;
use crate::tools::{Judges, shown, succeed};

/// How many datasets the large pool has, and how many snapshots each.
const DATASETS: usize = 500;
const SNAPSHOTS: usize = 100;
/// How long the chain is, and over how many increments its ends are measured.
const CHAIN: usize = 1000;
const CHAIN_END: usize = 100;
const READERS: usize = 8;

/// The rows, by what a person calls them.
pub(super) const ROWS: [&str; 3] = ["growth", "chain", "readers"];

/// Where pools of this run lie; they go when it ends.
struct Memory {
    folder: PathBuf,
    zferry: PathBuf,
    judges: Judges,
}

impl Drop for Memory {
    fn drop(&mut self) {
        // What cannot be removed is in memory only.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Measures the rows that are wanted.
pub(super) fn run(judges: &Judges, zferry: &Path, runs: usize, wants: impl Fn(&str) -> bool) -> Result<()> {
    if !ROWS.iter().any(|row| wants(row)) {
        return Ok(());
    }
    let memory = Path::new("/dev/shm");
    if !memory.is_dir() {
        println!("growth: skipped, for there is no /dev/shm");
        return Ok(());
    }
    let folder = memory.join(format!("zferry-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let memory = Memory {
        folder,
        zferry: zferry.to_owned(),
        judges: judges.clone(),
    };
    memory.make_streams()?;
    if wants("growth") {
        memory.growth(runs)?;
    }
    if wants("chain") {
        memory.chain()?;
    }
    if wants("readers") {
        memory.readers(runs)?;
    }
    Ok(())
}

impl Memory {
    fn pool(&self, pool: &str) -> PathBuf {
        self.folder.join(pool)
    }

    fn image(&self, pool: &str) -> PathBuf {
        self.pool(pool).join(format!("{pool}.img"))
    }

    fn stream(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.zsend"))
    }

    fn create(&self, pool: &str, size: &str) -> Result<()> {
        fs::create_dir_all(self.pool(pool))?;
        let mut create = Command::new(&self.zferry);
        create.args(["pool", "create", "--size", size, pool]);
        succeed(create.arg(self.image(pool)))
    }

    fn zferry<'a>(&self, pool: &str, words: impl IntoIterator<Item = &'a str>) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image(pool)).args(words);
        command
    }

    /// The same command with a stream as its input.
    fn fed(&self, stream: &str, command: &Command) -> Command {
        let mut fed = Command::new("sh");
        fed.args(["-c", "exec \"$@\" < \"$0\""]).arg(self.stream(stream));
        fed.arg(command.get_program()).args(command.get_args());
        fed
    }

    fn receive(&self, pool: &str, dataset: &str, stream: &str) -> Command {
        self.fed(stream, &self.zferry(pool, ["receive", "--no-progress", dataset]))
    }

    fn send(&self, pool: &str, words: &[&str], stream: &str) -> Result<()> {
        let mut send = self.zferry(pool, [&["send"], words].concat());
        succeed(send.stdout(File::create(self.stream(stream))?))
    }

    /// Has OpenZFS act on a pool.
    fn script(&self, pool: &str, words: &[String]) -> Result<()> {
        let mut script = Command::new(&self.judges.zo);
        script.args(["import", pool]).arg(self.pool(pool)).arg(",");
        script.args(words).args([",", "export", pool]);
        succeed(script.stdout(Stdio::null()))
    }

    /// A file system with one file of 8 MiB, and an increment of one block of it.
    fn make_streams(&self) -> Result<()> {
        self.create("source", "4G")?;
        succeed(&mut self.zferry("source", ["create", "source/f"]))?;
        let words = "wr source/f 128 0 8388608 3 , snap source/f@0 , wr source/f 128 131072 131072 7 , snap source/f@1";
        self.script("source", &words.split(' ').map(str::to_owned).collect::<Vec<_>>())?;
        self.send("source", &["source/f@0"], "full")?;
        self.send("source", &["-i", "@0", "source/f@1"], "one")
    }

    /// An increment of a block, a list and a destroy in a pool of many snapshots.
    fn growth(&self, runs: usize) -> Result<()> {
        self.create("many", "16G")?;
        let names: Vec<String> = (1..=DATASETS).map(|number| format!("many/d{number}")).collect();
        for name in &names {
            succeed(&mut self.zferry("many", ["create", name.as_str()]))?;
        }
        for snapshot in 1..=SNAPSHOTS {
            let all: Vec<String> = names.iter().map(|name| format!("{name}@s{snapshot}")).collect();
            let words = std::iter::once("snapshot").chain(all.iter().map(String::as_str));
            succeed(&mut self.zferry("many", words))?;
        }
        succeed(&mut self.receive("many", "many/new", "full"))?;
        let mut list = self.zferry("many", ["list", "-Hp", "many/d250"]);
        let (mut lists, mut received, mut destroyed, mut theirs) = (vec![], vec![], vec![], vec![]);
        for _ in 0..runs.max(1) {
            lists.push(measure(&mut list)?);
            received.push(measure(&mut self.receive("many", "many/new", "one"))?);
            destroyed.push(measure(&mut self.zferry("many", ["destroy", "many/new@1"]))?);
            // The destroyed increment stays in the head.
            succeed(&mut self.zferry("many", ["rollback", "many/new@0"]))?;
            let mut receive = Command::new(&self.judges.ozfs);
            receive.arg("recv").arg(self.pool("many")).arg("many/new@1");
            theirs.push(measure(&mut self.fed("one", &receive))?);
            succeed(&mut self.zferry("many", ["rollback", "-r", "many/new@0"]))?;
        }
        within(
            "receive, 50,000 snaps",
            &Measured::median(received),
            Some(&Measured::median(theirs)),
            0.150,
        );
        within("list, 50,000 snaps", &Measured::median(lists), None, 0.030);
        within("destroy, 50,000 snaps", &Measured::median(destroyed), None, 0.150);
        fs::remove_dir_all(self.pool("many")).context("the pool of many snapshots")
    }

    /// A chain of increments of a block each: the last against the first.
    fn chain(&self) -> Result<()> {
        let mut words: Vec<String> = Vec::new();
        for number in 2..=CHAIN {
            let offset = number.checked_rem(60).unwrap_or(0).saturating_mul(131_072);
            let step = format!("wr source/f 128 {offset} 131072 {number} , snap source/f@{number} ,");
            words.extend(step.split(' ').map(str::to_owned));
            if number.checked_rem(200) == Some(0) {
                words.pop();
                self.script("source", &words)?;
                words.clear();
            }
        }
        self.create("chain", "4G")?;
        succeed(&mut self.receive("chain", "chain/f", "full"))?;
        let mut times = Vec::new();
        for number in 1..=CHAIN {
            let from = format!("@{}", number.saturating_sub(1));
            self.send("source", &["-i", &from, &format!("source/f@{number}")], "step")?;
            times.push(measure(&mut self.receive("chain", "chain/f", "step"))?);
        }
        let last = Measured::median(times.split_off(times.len().saturating_sub(CHAIN_END)));
        times.truncate(CHAIN_END);
        let first = Measured::median(times);
        let ratio = last.seconds / first.seconds;
        println!(
            "{:<22} {:>10} {:>10} {ratio:>6.2}x  {}",
            "chain of 1,000",
            shown_seconds(last.seconds),
            shown_seconds(first.seconds),
            verdict("<= 1.2 x the first", ratio <= 1.2)
        );
        fs::remove_dir_all(self.pool("chain")).context("the pool of the chain")
    }

    /// A receive beside as many senders, each of which must send what it sends when alone.
    fn readers(&self, runs: usize) -> Result<()> {
        self.create("busy", "8G")?;
        succeed(&mut self.zferry("source", ["create", "source/large"]))?;
        let words = "wr source/large 128 0 536870912 5 , snap source/large@a";
        self.script("source", &words.split(' ').map(str::to_owned).collect::<Vec<_>>())?;
        self.send("source", &["source/large@a"], "large")?;
        succeed(&mut self.receive("busy", "busy/read", "large"))?;
        self.send("busy", &["busy/read@a"], "expected")?;
        let (mut alone, mut beside) = (vec![], vec![]);
        for _ in 0..runs.max(1) {
            alone.push(measure(&mut self.receive("busy", "busy/new", "large"))?);
            succeed(&mut self.zferry("busy", ["destroy", "-r", "busy/new"]))?;
            let readers: Result<Vec<Child>> = (0..READERS).map(|_| self.compared()).collect();
            beside.push(measure(&mut self.receive("busy", "busy/new", "large"))?);
            for mut reader in readers? {
                ensure!(reader.wait()?.success(), "a reader got another stream");
            }
            succeed(&mut self.zferry("busy", ["destroy", "-r", "busy/new"]))?;
        }
        let (alone, beside) = (Measured::median(alone), Measured::median(beside));
        let ratio = alone.seconds / beside.seconds;
        println!(
            "{:<22} {:>10} {:>10} {ratio:>6.2}x  {}",
            "receive, 8 readers",
            shown_seconds(beside.seconds),
            shown_seconds(alone.seconds),
            verdict(">= 0.5 x alone", ratio >= 0.5)
        );
        Ok(())
    }

    /// A reader that sends, over and over while the receive goes on, and compares.
    fn compared(&self) -> Result<Child> {
        let mut reader = Command::new("sh");
        reader.args(["-c", "\"$0\" -d \"$1\" send busy/read@a | cmp - \"$2\""]);
        reader
            .arg(&self.zferry)
            .arg(self.image("busy"))
            .arg(self.stream("expected"));
        reader.spawn().with_context(|| shown(&reader))
    }
}

fn within(name: &str, ours: &Measured, theirs: Option<&Measured>, limit: f64) {
    let ratio = theirs.map(|theirs| format!("{:>6.2}x", theirs.seconds / ours.seconds));
    let theirs = theirs.map(|theirs| shown_seconds(theirs.seconds));
    println!(
        "{name:<22} {:>10} {:>10} {:>7}  {}",
        shown_seconds(ours.seconds),
        theirs.as_deref().unwrap_or("-"),
        ratio.as_deref().unwrap_or(""),
        verdict(&format!("< {}", shown_seconds(limit)), ours.seconds < limit)
    );
}

fn verdict(wanted: &str, met: bool) -> String {
    format!("{wanted} {}", if met { "ok" } else { "MISSED" })
}
