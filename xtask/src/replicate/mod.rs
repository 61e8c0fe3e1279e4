//! A random life of a tree of datasets in OpenZFS's kernel, which runs in a virtual machine: after each step, `zfs send -R`
//! makes a package of it, and zferry receives that over what it has. The tree must come to be what the kernel makes of the
//! same package: the same names, guids of snapshots, origins and properties. Then it goes back: zferry sends the same steps
//! of what it received, and the kernel receives them.
//!
//! The kernel's part is in `life.sh` and `back.sh`. Where its own receive gives up on a package, so must zferry's.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use zferry_fixtures::{target, workspace};

use crate::interop::{accepted_by_fsck, examine};
use crate::tools::{self, fresh, output, shown, succeed};

/// Where zferry receives.
const POOL: &str = "judge";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What happens; the same seed gives the same life
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// How many packages there are
    #[arg(long, default_value_t = 8)]
    steps: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let machine = workspace().join("../shared/realzfs/realzfs");
    if !machine.is_file() {
        eprintln!("skipped: it takes ../shared/realzfs/realzfs");
        return Ok(());
    }
    let session = Session::new(arguments, machine)?;
    session.boot("life.sh")?;
    let made = fs::read_to_string(session.folder.join("made"))?;
    let steps: u32 = made.trim().parse()?;
    let mut converged = 0_u32;
    for step in 1..=steps {
        let place = || format!("step {step} (all is in {})", session.folder.display());
        if !session.step(step).with_context(place)? {
            continue;
        }
        converged = converged.saturating_add(1);
        // Behind one that did not bring all, the next would continue what is not there.
        if converged == step {
            session.send_back(step)?;
        }
    }
    examine(&session.folder.join("pool"))?;
    accepted_by_fsck(&session.image())?;
    session.boot("back.sh")?;
    println!(
        "replicate: {} packages of the kernel received as by the kernel itself, {converged} of them all that was sent; \
         and back again",
        steps
    );
    Ok(())
}

/// A folder that is shared with the machine.
struct Session {
    folder: PathBuf,
    machine: PathBuf,
    zferry: PathBuf,
}

impl Session {
    fn new(arguments: &Arguments, machine: PathBuf) -> Result<Self> {
        let folder = fresh(&target().join("replicate"))?;
        fs::create_dir(folder.join("pool"))?;
        for (name, text) in [
            ("life.sh", include_str!("life.sh")),
            ("back.sh", include_str!("back.sh")),
            ("tree.sh", include_str!("tree.sh")),
        ] {
            fs::write(folder.join(name), text)?;
        }
        let plan = format!("{} {}\n", arguments.seed, arguments.steps);
        fs::write(folder.join("plan"), plan)?;
        let session = Self {
            folder,
            machine,
            zferry: tools::zferry()?,
        };
        let mut create = Command::new(&session.zferry);
        create.args(["pool", "create", "--size", "400M", "-O", "mountpoint=none", POOL]);
        succeed(create.arg(session.image()))?;
        Ok(session)
    }

    fn image(&self) -> PathBuf {
        self.folder.join("pool").join(format!("{POOL}.img"))
    }

    fn file(&self, step: u32, end: &str) -> PathBuf {
        self.folder.join(format!("{step}.{end}"))
    }

    /// Runs one of the scripts in the machine.
    fn boot(&self, script: &str) -> Result<()> {
        let mut boot = Command::new(&self.machine);
        boot.arg("run").arg(self.folder.join(script)).arg(&self.folder);
        let said = output(&mut boot)?;
        if let Some(line) = said.lines().find(|line| line.starts_with("BAD")) {
            bail!("{script}: {line}");
        }
        ensure!(said.contains("kernel done"), "the kernel did not come to its end");
        Ok(())
    }

    fn zferry(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image()).args(arguments);
        command
    }

    /// Receives a package and compares; says whether the tree is the sender's.
    fn step(&self, step: u32) -> Result<bool> {
        let top = format!("{POOL}/tree");
        let mut receive = self.zferry(&["receive", "--no-progress", "-F", &top]);
        receive.stdin(File::open(self.file(step, "zsend"))?);
        let received = receive.output().with_context(|| shown(&receive))?;
        let exit = fs::read_to_string(self.file(step, "exit"))?;
        let code = received.status.code().map(|code| code.to_string());
        ensure!(
            code.as_deref() == Some(exit.trim()),
            "exit code {code:?}, the kernel's {}: {}",
            exit.trim(),
            String::from_utf8_lossy(&received.stderr).trim()
        );
        let ours = self.tree(&top)?;
        fs::write(self.file(step, "ours"), &ours)?;
        same(&ours, &self.file(step, "tree"))?;
        succeed(&mut self.zferry(&["pool", "check", POOL]))?;
        Ok(same(&ours, &self.file(step, "sent")).is_ok())
    }

    /// Sends what was received.
    fn send_back(&self, step: u32) -> Result<()> {
        let from = format!("@step{}", step.saturating_sub(1));
        let to = format!("{POOL}/tree@step{step}");
        let mut send = self.zferry(&["send", "-R"]);
        if step > 1 {
            send.args(["-I", &from]);
        }
        succeed(send.arg(to).stdout(File::create(self.file(step, "back"))?))
    }

    /// What lies below a dataset, in the words of `tree.sh`.
    fn tree(&self, top: &str) -> Result<String> {
        let script = ". \"$0\"; tree \"$1 -d $2\" \"$3\"";
        let mut shell = Command::new("bash");
        shell.args(["-c", script]).arg(self.folder.join("tree.sh"));
        shell.arg(&self.zferry).arg(self.image()).arg(top);
        output(shell.stdin(Stdio::null()))
    }
}

/// Whether a tree is the one in a file.
fn same(ours: &str, theirs: &Path) -> Result<()> {
    let theirs = fs::read_to_string(theirs)?;
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (ours, theirs) = (lines(ours), lines(&theirs));
    let missing = theirs.iter().find(|line| !ours.contains(line));
    let surplus = ours.iter().find(|line| !theirs.contains(line));
    ensure!(
        missing.is_none() && surplus.is_none(),
        "the kernel has {missing:?}, zferry {surplus:?}"
    );
    Ok(())
}
