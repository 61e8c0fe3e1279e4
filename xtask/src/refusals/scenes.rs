//! The pools into which is received what cannot be received: datasets in every state that a receiver finds one in.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use zferry_fixtures::Corpus;

use crate::tools::{Judges, shown, succeed};

/// The pool with every feature.
pub(super) const JUDGE: &str = "judge";
/// The pool with none but those without which zferry does not write to one.
pub(super) const BARE: &str = "bare";
const BARE_FEATURES: &str =
    "spacemap_histogram+extensible_dataset+enabled_txg+hole_birth+async_destroy+empty_bpobj";

/// The streams of the corpus that the scenes are made of.
const FULL: &str = "basic-fs-a";
const STEP: &str = "basic-fs-a-b";
const NEXT: &str = "basic-fs-b-c";

/// Makes the pools, each in a folder of its own below `folder`.
pub(super) struct Scenes<'a> {
    pub(super) judges: &'a Judges,
    pub(super) zferry: &'a Path,
    pub(super) corpus: &'a Corpus,
    pub(super) folder: &'a Path,
}

/// The file in which a pool lies.
pub(super) fn image(folder: &Path, pool: &str) -> PathBuf {
    folder.join(pool).join(format!("{pool}.img"))
}

impl Scenes<'_> {
    pub(super) fn make(&self) -> Result<()> {
        for pool in [JUDGE, BARE] {
            fs::create_dir_all(self.folder.join(pool))?;
        }
        let mut create = Command::new(self.zferry);
        create.args(["pool", "create", "--size", "512M", "-O", "mountpoint=none", JUDGE]);
        succeed(create.arg(image(self.folder, JUDGE)))?;
        let bare = image(self.folder, BARE);
        succeed(Command::new("truncate").args(["-s", "128M"]).arg(&bare))?;
        let mut create = Command::new(&self.judges.zo);
        create
            .args(["create", BARE, "file", "12", BARE_FEATURES])
            .arg(&bare);
        succeed(create.args([",", "export", BARE]).stdout(Stdio::null()))?;
        self.receive(JUDGE, &["judge/fs"], &self.corpus.stream(FULL))?;
        self.receive(JUDGE, &["judge/fs"], &self.corpus.stream(STEP))?;
        self.receive(JUDGE, &["judge/vol"], &self.corpus.stream("basic-vol-a"))?;
        self.receive(JUDGE, &["judge/mod"], &self.corpus.stream(FULL))?;
        self.receive(JUDGE, &["judge/large"], &self.corpus.stream("feat-r-1M-Lec"))?;
        self.receive(JUDGE, &["judge/raw"], &self.corpus.stream("crypt-gcm-raw-a"))?;
        self.receive(JUDGE, &["judge/cont"], &self.corpus.stream(FULL))?;
        for name in ["judge/held", "judge/cloned"] {
            for stream in [FULL, STEP, NEXT] {
                self.receive(JUDGE, &[name], &self.corpus.stream(stream))?;
            }
        }
        self.zferry(&["create", "judge/empty"])?;
        self.zferry(&["create", "judge/kids"])?;
        self.zferry(&["create", "judge/kids/child"])?;
        self.zferry(&["hold", "tag", "judge/held@c"])?;
        self.zferry(&["clone", "judge/cloned@c", "judge/clone"])?;
        let key = self.folder.join("passphrase");
        fs::write(&key, "correct horse battery\n")?;
        let location = format!("keylocation=file://{}", key.display());
        let options = [
            "-o",
            "encryption=on",
            "-o",
            "keyformat=passphrase",
            "-o",
            &location,
        ];
        self.zferry(&[&["create"][..], &options[..], &["judge/safe"]].concat())?;
        self.interrupt("judge/part", FULL)?;
        self.interrupt("judge/cont", STEP)?;
        let mut write = Command::new(&self.judges.zo);
        write.args(["import", JUDGE]).arg(self.folder.join(JUDGE));
        write.args([
            ",",
            "wr",
            "judge/mod",
            "500",
            "0",
            "5000",
            "7",
            ",",
            "export",
            JUDGE,
        ]);
        succeed(write.stdout(Stdio::null()))?;
        // Nobody finds it, as long as nobody loads it.
        fs::remove_file(&key)?;
        succeed(&mut self.command(BARE, &["snapshot", "bare@a"]))
    }

    fn command(&self, pool: &str, words: &[&str]) -> Command {
        let mut command = Command::new(self.zferry);
        command.arg("-d").arg(image(self.folder, pool)).args(words);
        command.stdin(Stdio::null());
        command
    }

    fn zferry(&self, words: &[&str]) -> Result<()> {
        succeed(&mut self.command(JUDGE, words))
    }

    fn receive(&self, pool: &str, words: &[&str], stream: &Path) -> Result<()> {
        let mut command = self.command(pool, &[&["receive", "--no-progress"], words].concat());
        succeed(command.stdin(File::open(stream)?))
    }

    /// Receives half of a stream, and keeps what came.
    fn interrupt(&self, name: &str, stream: &str) -> Result<()> {
        let bytes = fs::read(self.corpus.stream(stream))?;
        let half = bytes.get(..bytes.len() / 2).context("no stream")?;
        let path = self.folder.join("half");
        fs::write(&path, half)?;
        let mut command = self.command(JUDGE, &["receive", "--no-progress", "-s", name]);
        command.stdin(File::open(&path)?).stderr(Stdio::null());
        let status = command.status().with_context(|| shown(&command))?;
        ensure!(!status.success(), "half a stream was received into {name}");
        Ok(())
    }
}
