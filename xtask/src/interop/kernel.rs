//! Receives every known full stream into one pool, and gives that to OpenZFS's kernel in a virtual machine: it has to
//! import it without a word, to show the files, attributes and volumes that were sent, and to go on with it; so with each
//! snapshot of the chains, which were received step by step; and zferry
//! has to go on from there. So with what is encrypted: received raw, made here, received below that, and under keys that
//! changed. Before that, both heal the same damage ([`heal`]). What the kernel is asked is in `kernel.sh`.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use zferry_fixtures::{Corpus, corpus, target, workspace};

use super::chains::CHAINS;
use super::heal;
use super::pool::{POOL, examine};
use super::receive::{Stream, accepted_by_fsck, streams};
use crate::tools::{self, check, fresh, output, shown, succeed};

/// How large the pool is; its image is sparse.
const POOL_SIZE: &str = "4G";
/// The pools that the streams came from.
const SOURCES: [&str; 4] = ["basic", "feat", "gang", "v28"];
/// The columns that the kernel and zferry have to agree on.
const COLUMNS: &str = "name,used,referenced,logicalused,logicalreferenced,written,compressratio,type";

/// Keys, as files that the machine sees too.
const KEYS: [(&str, &str); 3] = [
    ("passphrase", "correct horse battery\n"),
    ("second", "correct horse battery, again\n"),
    (
        "hex",
        "1111111111111111111111111111111111111111111111111111111111111111",
    ),
];

/// Runs the whole of it.
pub(crate) fn run() -> Result<()> {
    let machine = workspace().join("../shared/realzfs/realzfs");
    let (Some(corpus), true) = (corpus(), machine.is_file()) else {
        eprintln!("skipped: it takes the corpus and ../shared/realzfs/realzfs");
        return Ok(());
    };
    let session = Session::new(&corpus)?;
    heal::run(&machine, &corpus, &session.zferry)?;
    let received = session.fill(&corpus)?;
    examine(&session.folder)?;
    accepted_by_fsck(&session.image())?;
    println!("kernel: {received} streams received into one pool; zdb and fsck.py pass it");
    // Its counters before anyone else touches it.
    let first = session.listed()?;

    let mut boot = Command::new(&machine);
    boot.arg("run")
        .arg(session.folder.join("kernel.sh"))
        .arg(&session.folder);
    let said = output(&mut boot)?;
    print!("{said}");
    ensure!(!said.contains("BAD "), "the kernel disagrees");
    ensure!(said.contains("kernel done"), "the kernel did not come to its end");

    session.same_list("first.list", &first)?;
    session.goes_on()?;
    println!("kernel: passed");
    Ok(())
}

/// A folder that is shared with the machine, and the command under test.
struct Session {
    folder: PathBuf,
    zferry: PathBuf,
}

impl Session {
    fn new(corpus: &Corpus) -> Result<Self> {
        let folder = fresh(&target().join("kernel"))?;
        fs::write(folder.join("kernel.sh"), include_str!("kernel.sh"))?;
        for pool in SOURCES {
            let mut copy = Command::new("cp");
            copy.arg("--sparse=always");
            copy.arg(corpus.file(&format!("{pool}.img")));
            succeed(copy.arg(&folder))?;
        }
        for snapshot in ["crypt-gcm@a", "crypt-gcm@b", "crypt-ccm@a", "crypt-ccm@b"] {
            fs::copy(
                corpus.file(&format!("{snapshot}.tree")),
                folder.join(format!("{snapshot}.tree")),
            )?;
        }
        for (name, key) in KEYS {
            fs::write(folder.join(name), key)?;
        }
        for stream in ["basic-fs-b", "basic-fs-a-b", "basic-vol-a-b"] {
            fs::copy(corpus.stream(stream), folder.join(format!("{stream}.zsend")))?;
        }
        fs::copy(corpus.file("basic-fs@b.tree"), folder.join("basic-fs-b.tree"))?;
        fs::copy(
            corpus.file("basic-vol@b.sha256"),
            folder.join("basic-vol-b.sha256"),
        )?;
        Ok(Self {
            folder,
            zferry: tools::zferry()?,
        })
    }

    fn image(&self) -> PathBuf {
        self.folder.join(format!("{POOL}.img"))
    }

    /// Makes the pool and receives everything into it; writes what the kernel has to compare.
    fn fill(&self, corpus: &Corpus) -> Result<usize> {
        let mut create = Command::new(&self.zferry);
        create.args(["pool", "create", "--size", POOL_SIZE, POOL]);
        succeed(create.arg(self.image()))?;
        let mut cases = String::new();
        for stream in &streams()? {
            let Some(path) = stream.full() else { continue };
            let source = stream.source()?;
            if !SOURCES.iter().any(|pool| stream.line.pool() == *pool) {
                continue;
            }
            self.receive(path, &format!("{POOL}/{}", stream.line.name))?;
            let known = known(corpus, stream, &self.folder)?;
            cases.push_str(&format!("{} {source} {known}\n", stream.line.name));
        }
        for chain in CHAINS {
            let dataset = format!("{POOL}/{}", chain.name);
            let origin = chain.origin.map(|origin| format!("origin={POOL}/{origin}"));
            for (stream, _) in chain.steps {
                let stream = corpus.stream(stream);
                match &origin {
                    Some(origin) => self.receive_with(&["-o", origin], &stream, &dataset)?,
                    None => self.receive(&stream, &dataset)?,
                }
            }
            // Each of its snapshots, now that the last is there.
            for (_, source) in chain.steps {
                cases.push_str(&format!("{} {source} -\n", chain.name));
            }
        }
        fs::write(self.folder.join("cases"), &cases)?;
        self.encrypt(corpus)?;
        Ok(cases.lines().count())
    }

    /// Receives the raw streams, makes encrypted datasets, receives into those, and changes keys.
    fn encrypt(&self, corpus: &Corpus) -> Result<()> {
        for suite in ["gcm", "ccm"] {
            for part in ["a", "a-b"] {
                let stream = corpus.stream(&format!("crypt-{suite}-raw-{part}"));
                self.receive(&stream, &format!("{POOL}/raw-{suite}"))?;
            }
        }
        let location = |name: &str| format!("keylocation=file://{}", self.folder.join(name).display());
        let (first, second) = (location("passphrase"), location("second"));
        let [safe, below, own] = ["safe", "safe/below", "safe/own"].map(|name| format!("{POOL}/{name}"));
        self.create_root("on", "passphrase", &first, &safe)?;
        self.run(&["create", &below])?;
        self.run(&["create", "-V", "8M", &format!("{safe}/volume")])?;
        for stream in ["basic-fs-a", "basic-fs-a-b"] {
            self.receive(&corpus.stream(stream), &format!("{safe}/files"))?;
        }
        self.create_root("aes-128-ccm", "hex", &location("hex"), &own)?;
        self.run(&["change-key", "-o", &second, &safe])?;
        // An encryption root whose clone takes its place.
        let [first, below, promoted] =
            ["first", "first/below", "promoted"].map(|name| format!("{POOL}/{name}"));
        self.create_root("on", "hex", &location("hex"), &first)?;
        self.run(&["create", &below])?;
        self.run(&["snapshot", "-r", &format!("{first}@s")])?;
        self.run(&["clone", &format!("{first}@s"), &promoted])?;
        self.run(&["promote", &promoted])
    }

    /// Makes a dataset that is an encryption root.
    fn create_root(&self, suite: &str, format: &str, location: &str, dataset: &str) -> Result<()> {
        let (suite, format) = (format!("encryption={suite}"), format!("keyformat={format}"));
        self.run(&["create", "-o", &suite, "-o", &format, "-o", location, dataset])
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.zferry);
        succeed(
            command
                .arg("-d")
                .arg(self.image())
                .args(arguments)
                .stdin(Stdio::null()),
        )
    }

    fn receive(&self, stream: &Path, into: &str) -> Result<()> {
        self.receive_with(&[], stream, into)
    }

    fn receive_with(&self, options: &[&str], stream: &Path, into: &str) -> Result<()> {
        let mut receive = Command::new(&self.zferry);
        receive.arg("-d").arg(self.image());
        receive.args(["receive", "--no-progress"]).args(options).arg(into);
        succeed(receive.stdin(File::open(stream)?).stdout(Stdio::null()))
    }

    /// Every dataset below the pool's root, with its counters. The root's own follow the pool's metadata, which each
    /// import changes.
    fn listed(&self) -> Result<String> {
        let mut list = Command::new(&self.zferry);
        list.arg("-d").arg(self.image());
        let said = output(list.args(["list", "-Hp", "-r", "-t", "all", "-o", COLUMNS, POOL]))?;
        let root = format!("{POOL}\t");
        let lines = said.lines().filter(|line| !line.starts_with(&root));
        Ok(lines.map(|line| format!("{line}\n")).collect())
    }

    /// Whether the kernel printed the list that zferry prints.
    fn same_list(&self, theirs: &str, ours: &str) -> Result<()> {
        let theirs = fs::read_to_string(self.folder.join(theirs))?;
        for (our, their) in ours.lines().zip(theirs.lines()) {
            ensure!(our == their, "zferry lists {our:?}, the kernel {their:?}");
        }
        ensure!(
            ours.lines().count() == theirs.lines().count(),
            "not as many lines"
        );
        Ok(())
    }

    /// zferry lists, sends and receives after the kernel was there.
    fn goes_on(&self) -> Result<()> {
        examine(&self.folder)?;
        self.same_list("after.list", &self.listed()?)?;
        self.same_history()?;
        for snapshot in ["child@one", "clone@c", "again@b", "basic-vol-a@b"] {
            let (name, _) = snapshot.split_once('@').context("no snapshot")?;
            self.sends_the_same(&[&format!("{POOL}/{snapshot}")], &format!("after-{name}.zsend"))?;
        }
        for name in ["raw-gcm", "raw-ccm", "safe/files"] {
            let (snapshot, kernel) = (format!("{POOL}/{name}@kernel"), name.replace('/', "-"));
            let arguments = ["-w", "-i", "@b", &snapshot];
            self.sends_the_same(&arguments, &format!("after-{kernel}.zsend"))?;
        }
        self.receive(
            &self.folder.join("after-child.zsend"),
            &format!("{POOL}/child-again"),
        )?;
        self.sends_the_same(&[&format!("{POOL}/again@b")], "after-again.zsend")?;
        examine(&self.folder)?;
        accepted_by_fsck(&self.image())
    }

    /// zferry tells the history that `zpool history -il` told before the pool was exported.
    fn same_history(&self) -> Result<()> {
        let mut history = Command::new(&self.zferry);
        history.env("TZ", "UTC0").arg("-d").arg(self.image());
        let ours = output(history.args(["pool", "history", "-il", POOL]))?;
        let theirs = fs::read_to_string(self.folder.join("history.txt"))?;
        let is_same = ours.starts_with(theirs.trim_end());
        ensure!(is_same && theirs.len() > 1000, "not the history that zpool tells");
        Ok(())
    }

    fn sends_the_same(&self, arguments: &[&str], kernel: &str) -> Result<()> {
        let mut send = Command::new(&self.zferry);
        send.arg("-d").arg(self.image()).arg("send").args(arguments);
        let ours = send.stdin(Stdio::null()).output().with_context(|| shown(&send))?;
        check(&send, ours.status)?;
        let mut theirs = Vec::new();
        File::open(self.folder.join(kernel))?.read_to_end(&mut theirs)?;
        ensure!(
            ours.stdout == theirs,
            "{arguments:?}: not the stream that the kernel sends"
        );
        Ok(())
    }
}

/// Which file of the corpus says what a stream holds: copied beside under the stream's name, its kind is returned.
fn known(corpus: &Corpus, stream: &Stream, folder: &Path) -> Result<&'static str> {
    let source = stream.source()?.replace('/', "-");
    for kind in ["tree", "sha256"] {
        let file = corpus.file(&format!("{source}.{kind}"));
        if file.is_file() {
            fs::copy(file, folder.join(format!("{}.{kind}", stream.line.name)))?;
            return Ok(kind);
        }
    }
    Ok("-")
}
