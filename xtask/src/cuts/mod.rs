//! Streams that are cut, each at many places: zferry receives what came with `-s`, and OpenZFS's kernel, which runs in a
//! virtual machine, and zferry both make the rest with `send -t`, the same to the byte. Some rests are cut once more. In
//! the end, all are what a receive makes that was never cut, and `zdb -bcc`, `fsck.py` and `pool check` pass the pool, with
//! what is kept of the cut ones and without.
//!
//! The kernel's part is in `cuts.sh`.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use zferry_fixtures::{Corpus, corpus, target, workspace};

use crate::interop::{accepted_by_fsck, examine};
use crate::numbers::Numbers;
use crate::tools::{self, fresh, output, shown, succeed};

/// Where zferry receives.
const POOL: &str = "judge";
/// What is received is called so while it is compared, whatever it was called before.
const COMPARED: &str = "judge/compared";
/// Within so many bytes of its start, a stream that is cut leaves nothing.
const START: u64 = 4096;

/// A stream, with what it continues.
struct Case {
    /// Its name in the corpus, and that of the pool that it was sent from.
    stream: &'static str,
    pool: &'static str,
    base: Option<&'static str>,
    snapshot: &'static str,
    /// Whether it is sent on as it is stored.
    is_raw: bool,
}

impl Case {
    const fn new(pool: &'static str, stream: &'static str, snapshot: &'static str) -> Self {
        Self {
            stream,
            pool,
            base: None,
            snapshot,
            is_raw: false,
        }
    }

    const fn after(self, base: &'static str) -> Self {
        Self {
            base: Some(base),
            ..self
        }
    }

    const fn raw(self) -> Self {
        Self { is_raw: true, ..self }
    }
}

/// The streams. Each has its turn as often as the others.
const CASES: [Case; 9] = [
    Case::new("basic", "basic-fs-c", "c"),
    Case::new("basic", "basic-fs-c-Lec", "c"),
    Case::new("basic", "basic-fs-a-c", "c").after("basic-fs-a"),
    Case::new("basic", "basic-vol-a", "a"),
    Case::new("basic", "basic-vol-a-b", "b").after("basic-vol-a"),
    Case::new("crypt", "crypt-gcm-raw-a", "a").raw(),
    Case::new("crypt", "crypt-gcm-raw-a-b", "b")
        .after("crypt-gcm-raw-a")
        .raw(),
    Case::new("gang", "gang", "s"),
    Case::new("feat", "feat-r-1M-Lec", "s"),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// At how many places streams are cut
    #[arg(long, default_value_t = 500)]
    cuts: u64,
    /// At which places
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// A stream that was cut.
struct Cut {
    number: u64,
    case: &'static Case,
    /// The byte at which it ends.
    end: u64,
    /// What the pool has to say of it; nothing where it was cut too early.
    token: Option<String>,
}

/// A folder that is shared with the machine.
struct Session {
    folder: PathBuf,
    zferry: PathBuf,
    corpus: Corpus,
    numbers: Numbers,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let machine = workspace().join("../shared/realzfs/realzfs");
    let Some(corpus) = corpus() else {
        eprintln!("skipped: it takes the corpus");
        return Ok(());
    };
    if !machine.is_file() {
        eprintln!("skipped: it takes ../shared/realzfs/realzfs");
        return Ok(());
    }
    let folder = fresh(&target().join("cuts"))?;
    fs::create_dir(folder.join("pool"))?;
    let mut session = Session {
        folder,
        zferry: tools::zferry()?,
        corpus,
        numbers: Numbers::new(arguments.seed),
    };
    session.prepare()?;
    let mut cuts = Vec::new();
    for number in 0..arguments.cuts {
        cuts.push(session.cut(number)?);
    }
    session.judge().context("with all that is kept")?;
    let kept = cuts.iter().filter(|cut| cut.token.is_some()).count();
    session.ask_kernel(&machine, &cuts)?;
    let mut twice = 0_u64;
    for cut in &cuts {
        let again = session.go_on(cut);
        let again = again.with_context(|| {
            let folder = session.folder.display();
            format!(
                "cut {} of {} at {} (all is in {folder})",
                cut.number, cut.case.stream, cut.end
            )
        })?;
        twice = twice.saturating_add(u64::from(again));
    }
    session.judge().context("the end")?;
    fs::remove_dir_all(&session.folder)?;
    println!(
        "cuts: {} streams cut, {kept} of them kept; the kernel and zferry send the same rests, {twice} were cut again, and all \
         became what was never cut",
        cuts.len()
    );
    Ok(())
}

impl Session {
    /// The pool, and what each stream makes that is not cut.
    fn prepare(&self) -> Result<()> {
        let mut create = Command::new(&self.zferry);
        create.args(["pool", "create", "--size", "8G", "-O", "mountpoint=none", POOL]);
        succeed(create.arg(self.image()))?;
        for case in &CASES {
            let whole = self.corpus.stream(case.stream);
            self.receive_base(case, COMPARED)?;
            succeed(self.receive(&whole, COMPARED)?.arg("-F"))?;
            let sent = self.whole(case)?;
            fs::rename(sent, self.file(case.stream, "whole"))?;
            succeed(&mut self.zferry(&["destroy", "-r", COMPARED]))?;
        }
        Ok(())
    }

    /// Receives a stream up to some byte of it.
    fn cut(&mut self, number: u64) -> Result<Cut> {
        let index = usize::try_from(number)?.checked_rem(CASES.len()).unwrap_or(0);
        let case = CASES.get(index).context("no case")?;
        let stream = self.corpus.stream(case.stream);
        let end = self.numbers.below(fs::metadata(&stream)?.len());
        let name = format!("{POOL}/c{number}");
        self.receive_base(case, &name)?;
        let mut cut = Cut {
            number,
            case,
            end,
            token: None,
        };
        cut.token = self.receive_part(&stream, end, &name)?;
        ensure!(
            cut.token.is_some() || end < START,
            "{} cut at {end}: nothing is kept",
            case.stream
        );
        Ok(cut)
    }

    /// Receives the first bytes of a stream, and says what goes on from there.
    fn receive_part(&self, stream: &Path, end: u64, name: &str) -> Result<Option<String>> {
        let part = self.file("part", "zsend");
        let mut bytes = io::Read::take(File::open(stream)?, end);
        io::copy(&mut bytes, &mut File::create(&part)?)?;
        let mut receive = self.receive(&part, name)?;
        let received = receive.arg("-s").stderr(Stdio::null()).status()?;
        ensure!(
            !received.success(),
            "{}: a part was taken for whole",
            shown(&receive)
        );
        let mut list = self.zferry(&["list", "-H", "-r", "-o", "name,receive_resume_token", POOL]);
        let listed = output(&mut list)?;
        let token = listed
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
        Ok(token.filter(|token| *token != "-").map(str::to_owned))
    }

    /// Has the kernel make the rests.
    fn ask_kernel(&self, machine: &Path, cuts: &[Cut]) -> Result<()> {
        let pools: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.pool).collect();
        for pool in &pools {
            let image = self.corpus.file(&format!("{pool}.img"));
            let place = self.folder.join("sources");
            fs::create_dir_all(&place)?;
            succeed(Command::new("cp").arg("--sparse=always").arg(image).arg(place))?;
        }
        let lines = cuts.iter().filter_map(|cut| {
            let token = cut.token.as_ref()?;
            Some(format!("{} {token}\n", cut.number))
        });
        fs::write(self.folder.join("tokens"), lines.collect::<String>())?;
        let pools: Vec<&str> = pools.into_iter().collect();
        fs::write(self.folder.join("pools"), pools.join("\n") + "\n")?;
        fs::write(self.folder.join("cuts.sh"), include_str!("cuts.sh"))?;
        let mut boot = Command::new(machine);
        boot.arg("run").arg(self.folder.join("cuts.sh")).arg(&self.folder);
        let said = output(&mut boot)?;
        if let Some(line) = said.lines().find(|line| line.starts_with("BAD")) {
            anyhow::bail!("{line}");
        }
        ensure!(said.contains("kernel done"), "the kernel did not come to its end");
        Ok(())
    }

    /// Receives the rest, and compares; says whether it was cut again.
    fn go_on(&mut self, cut: &Cut) -> Result<bool> {
        let case = cut.case;
        let name = format!("{POOL}/c{}", cut.number);
        let Some(token) = &cut.token else {
            succeed(self.receive(&self.corpus.stream(case.stream), &name)?.arg("-F"))?;
            self.compare(&name, case)?;
            return Ok(false);
        };
        let ours = self.rest(case, token)?;
        let theirs = self.file(&cut.number.to_string(), "kernel");
        ensure!(
            fs::read(&ours)? == fs::read(&theirs)?,
            "zferry's rest is not the kernel's"
        );
        let again = self.numbers.one_in(2);
        let mut rest = theirs.clone();
        if again {
            let end = self.numbers.below(fs::metadata(&theirs)?.len());
            // What is cut before it begins leaves what there was: the token stays, or is a later one.
            let token = self.receive_part(&theirs, end, &name)?;
            rest = self.rest(case, &token.context("what was kept is gone")?)?;
        }
        succeed(self.receive(&rest, &name)?.arg("-s"))?;
        fs::remove_file(theirs)?;
        self.compare(&name, case)?;
        Ok(again)
    }

    /// What zferry sends from a token on.
    fn rest(&self, case: &Case, token: &str) -> Result<PathBuf> {
        let rest = self.file("rest", "zsend");
        let mut send = Command::new(&self.zferry);
        send.arg("-d")
            .arg(self.corpus.file(&format!("{}.img", case.pool)));
        succeed(send.args(["send", "-t", token]).stdout(File::create(&rest)?))?;
        Ok(rest)
    }

    /// Holds a dataset to what was never cut; then it goes.
    fn compare(&self, name: &str, case: &Case) -> Result<()> {
        succeed(&mut self.zferry(&["rename", name, COMPARED]))?;
        let sent = self.whole(case)?;
        ensure!(
            fs::read(sent)? == fs::read(self.file(case.stream, "whole"))?,
            "it is not what was never cut"
        );
        succeed(&mut self.zferry(&["destroy", "-r", COMPARED]))
    }

    /// All of what was received, as it is sent on.
    fn whole(&self, case: &Case) -> Result<PathBuf> {
        let sent = self.file("sent", "zsend");
        let snapshot = format!("{COMPARED}@{}", case.snapshot);
        let options: &[&str] = if case.is_raw {
            &["send", "-w"]
        } else {
            &["send", "-Lec"]
        };
        let mut send = self.zferry(&[options, &[&snapshot]].concat());
        succeed(send.stdout(File::create(&sent)?))?;
        Ok(sent)
    }

    fn receive_base(&self, case: &Case, name: &str) -> Result<()> {
        match case.base {
            Some(base) => succeed(&mut self.receive(&self.corpus.stream(base), name)?),
            None => Ok(()),
        }
    }

    fn receive(&self, stream: &Path, name: &str) -> Result<Command> {
        let mut receive = self.zferry(&["receive", "--no-progress", name]);
        receive.stdin(File::open(stream)?).stdout(Stdio::null());
        Ok(receive)
    }

    fn zferry(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image()).args(arguments);
        command
    }

    fn judge(&self) -> Result<()> {
        examine(&self.folder.join("pool"))?;
        accepted_by_fsck(&self.image())?;
        succeed(self.zferry(&["pool", "check", POOL]).stdout(Stdio::null()))
    }

    fn image(&self) -> PathBuf {
        self.folder.join("pool").join(format!("{POOL}.img"))
    }

    fn file(&self, name: &str, end: &str) -> PathBuf {
        self.folder.join(format!("{name}.{end}"))
    }
}
