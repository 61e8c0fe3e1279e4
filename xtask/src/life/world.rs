//! The two pools of a life, and who acts on them: zferry, and OpenZFS's own code.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use zferry_fixtures::workspace;

use crate::tools::{Judges, shown, succeed};

/// The pool whose life it is.
pub(super) const LIFE: &str = "life";
/// The pool from which it receives.
pub(super) const FIELD: &str = "field";

/// What an assertion of OpenZFS's says that is no fault of the pool: see `interop/pool.rs`.
const FALSE_ALARM: &str = "drrw->drr_logical_size > dn->dn_datablksz";

/// Something that is done to a pool: as zferry is told to do it, as OpenZFS is, or both.
#[derive(Clone, Debug, Default)]
pub(super) struct Act {
    /// zferry's arguments.
    pub(super) ours: Option<Vec<String>>,
    /// What OpenZFS is told.
    pub(super) theirs: Option<Theirs>,
    /// The file that either reads.
    pub(super) input: Option<PathBuf>,
}

/// How OpenZFS is told to do something.
#[derive(Clone, Debug)]
pub(super) enum Theirs {
    /// A script of `zo`, without the import and the export.
    Zo(Vec<String>),
    /// `zlife`'s command, its target, and what follows.
    Zlife(Vec<String>),
    /// What follows `ozfs recv DIR`.
    Receive(Vec<String>),
}

/// What became of an act.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Done,
    Refused(String),
}

/// Where a life takes place.
pub(super) struct World {
    pub(super) judges: Judges,
    pub(super) zferry: PathBuf,
    zlife: PathBuf,
    peer: PathBuf,
    folder: PathBuf,
    log: File,
    count: u64,
}

impl World {
    /// Makes both pools in `folder`, anew: `life` by zferry, or with `features` by OpenZFS.
    pub(super) fn new(
        judges: Judges,
        zferry: PathBuf,
        folder: &Path,
        size: &str,
        features: Option<&str>,
    ) -> Result<Self> {
        if folder.is_dir() {
            fs::remove_dir_all(folder)?;
        }
        for pool in [LIFE, FIELD] {
            fs::create_dir_all(folder.join(pool))?;
        }
        let folder = fs::canonicalize(folder)?;
        let zlife = build(&judges, "zlife.c", folder.join("zlife"), &[])?;
        let library = folder.join("peer.so");
        let peer = build(&judges, "peer.c", library, &["-shared", "-fPIC"])?;
        let log = File::create(folder.join("log"))?;
        let mut world = Self {
            judges,
            zferry,
            zlife,
            peer,
            folder,
            log,
            count: 0,
        };
        world.make_pool(FIELD, size)?;
        match features {
            None => world.make_pool(LIFE, size)?,
            Some(features) => world.have_pool_made(size, features)?,
        }
        Ok(world)
    }

    fn make_pool(&mut self, pool: &str, size: &str) -> Result<()> {
        let image = self.image(pool);
        let mut command = Command::new(&self.zferry);
        command.args(["pool", "create", "--size", size, pool]).arg(image);
        self.note(&shown(&command))?;
        succeed(&mut command)
    }

    fn have_pool_made(&mut self, size: &str, features: &str) -> Result<()> {
        let image = self.image(LIFE);
        succeed(Command::new("truncate").args(["-s", size]).arg(&image))?;
        let mut command = Command::new(&self.judges.zo);
        command.args(["create", LIFE, "file", "12", features]);
        command.arg(&image).args([",", "export", LIFE]);
        self.note(&shown(&command))?;
        succeed(&mut command)
    }

    /// A name that nothing has had.
    pub(super) fn fresh(&mut self, what: &str) -> String {
        self.count = self.count.saturating_add(1);
        format!("{what}{}", self.count)
    }

    /// The folder of a pool.
    pub(super) fn folder(&self, pool: &str) -> PathBuf {
        self.folder.join(pool)
    }

    /// The file in which a pool lies.
    pub(super) fn image(&self, pool: &str) -> PathBuf {
        self.folder(pool).join(format!("{pool}.img"))
    }

    /// An empty folder that a virtual machine may see.
    pub(super) fn turn_folder(&self) -> Result<PathBuf> {
        let folder = self.folder.join("turn");
        if folder.is_dir() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Keeps a pool as it is now.
    pub(super) fn keep(&self, pool: &str) -> Result<()> {
        let mut command = Command::new("cp");
        command.arg("--sparse=always").arg(self.image(pool));
        succeed(command.arg(self.folder.join("before.img")))
    }

    /// A file for a stream.
    pub(super) fn stream(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where everything that is done is written down.
    pub(super) fn log_path(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Writes a line into the log.
    pub(super) fn note(&mut self, line: &str) -> Result<()> {
        writeln!(self.log, "{line}")?;
        Ok(())
    }

    /// zferry, looking at a pool.
    pub(super) fn zferry(&self, pool: &str) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image(pool));
        command
    }

    fn zo(&self) -> Command {
        let mut command = Command::new(&self.judges.zo);
        command.env("LD_PRELOAD", &self.peer);
        command
    }

    /// Has zferry do an act.
    pub(super) fn ours(&mut self, pool: &str, act: &Act) -> Result<Option<Outcome>> {
        let Some(words) = &act.ours else { return Ok(None) };
        let mut command = self.zferry(pool);
        command.args(words);
        let (is_done, said) = self.run(&mut command, act.input.as_deref())?;
        if is_done {
            return Ok(Some(Outcome::Done));
        }
        // A command that fails says why; one that panics does so otherwise.
        ensure!(!said.contains("panicked"), "{}: {said}", shown(&command));
        Ok(Some(Outcome::Refused(said)))
    }

    /// Has OpenZFS do an act.
    pub(super) fn theirs(&mut self, pool: &str, act: &Act) -> Result<Option<Outcome>> {
        let Some(theirs) = &act.theirs else {
            return Ok(None);
        };
        let folder = self.folder(pool);
        let mut command = match theirs {
            Theirs::Zo(words) => {
                let mut command = self.zo();
                command.args(["import", pool]).arg(&folder).arg(",");
                command.args(words).args([",", "export", pool]);
                command
            }
            Theirs::Zlife(words) => {
                let mut command = Command::new(&self.zlife);
                let (first, rest) = words.split_first().context("no words")?;
                command.arg(first).arg(&folder).args(rest);
                command
            }
            Theirs::Receive(words) => {
                let mut command = Command::new(&self.judges.ozfs);
                command.arg("recv").arg(&folder).args(words);
                command
            }
        };
        let (is_done, said) = self.run(&mut command, act.input.as_deref())?;
        // `zo` tells what a receive came to, and goes on.
        let failed_inside = said.contains("recv_stream=") && !said.contains("recv_end=0");
        if is_done && !failed_inside {
            return Ok(Some(Outcome::Done));
        }
        let is_false_alarm = said.contains(FALSE_ALARM);
        ensure!(
            is_false_alarm
                || !(said.contains("ASSERT") || said.contains("failed (") || said.contains("panic")),
            "{}: {said}",
            shown(&command)
        );
        self.export(pool)?;
        Ok(Some(Outcome::Refused(said)))
    }

    /// What fails leaves the pool imported.
    fn export(&mut self, pool: &str) -> Result<()> {
        let mut command = self.zo();
        command.args(["import", pool]).arg(self.folder(pool));
        command.args([",", "export", pool]);
        let (is_done, said) = self.run(&mut command, None)?;
        ensure!(is_done, "{}: {said}", shown(&command));
        Ok(())
    }

    fn run(&mut self, command: &mut Command, input: Option<&Path>) -> Result<(bool, String)> {
        let redirection = input.map_or_else(String::new, |input| format!(" < {}", input.display()));
        self.note(&format!("{}{redirection}", shown(command)))?;
        let stdin = match input {
            Some(path) => File::open(path).map(Stdio::from)?,
            None => Stdio::null(),
        };
        let output = command.stdin(stdin).output().with_context(|| shown(command))?;
        let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', " ");
        // What is there already zfs(8) passes over, for it looks after the kernel has refused.
        let printed = String::from_utf8_lossy(&output.stdout);
        let is_passed_over =
            printed.contains("already exists; ignoring") || said.contains("already exists; ignoring");
        if !output.status.success() {
            self.note(&format!("# {}: {said}", output.status))?;
        }
        Ok((output.status.success() && !is_passed_over, said))
    }

    /// Sends with zferry into a file.
    pub(super) fn send(&mut self, pool: &str, words: &[&str], into: &Path) -> Result<()> {
        let mut command = self.zferry(pool);
        command.arg("send").args(words);
        self.note(&format!("{} > {}", shown(&command), into.display()))?;
        let output = command
            .stdout(File::create(into)?)
            .stderr(Stdio::piped())
            .output();
        let output = output.with_context(|| shown(&command))?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                shown(&command),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(())
    }

    /// What `zlife numbers` prints of a pool.
    pub(super) fn numbers(&mut self, pool: &str) -> Result<String> {
        let mut command = Command::new(&self.zlife);
        command.arg("numbers").arg(self.folder(pool)).arg(pool);
        let output = command.output().with_context(|| shown(&command))?;
        if !output.status.success() {
            bail!(
                "{}: {}",
                shown(&command),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Builds one of the judges' programs beside the pools, with the headers that `ozfs` was built with.
fn build(judges: &Judges, source: &str, into: PathBuf, options: &[&str]) -> Result<PathBuf> {
    let home = judges.ozfs.parent().context("ozfs lies nowhere")?;
    let mut command = Command::new("gcc");
    command.args([
        "-O2",
        "-w",
        "-D_GNU_SOURCE",
        "-D_LARGEFILE64_SOURCE",
        "-DTEXT_DOMAIN=\"\"",
    ]);
    command.args(options).arg("-I").arg(home.join("inc"));
    command.args(["-I/usr/include/libzfs", "-I/usr/include/libspl", "-o"]);
    command
        .arg(&into)
        .arg(workspace().join("xtask/judges").join(source));
    command.args(["-lzpool", "-lzfs", "-lnvpair"]);
    succeed(&mut command)?;
    Ok(into)
}
