//! What is measured on: a pool that OpenZFS filled with real files, a second snapshot of it, streams of both, and a pool
//! with the same files encrypted. Made once and kept, for it takes a few minutes and some gigabytes.

use std::env;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use zferry_fixtures::target;

use crate::tools::{Judges, shown, succeed};

/// The pool, and one with the same files encrypted.
const POOL: &str = "bench";
const SEALED: &str = "sealed";
/// How many files are put into the pool.
const FILES: usize = 100_000;
/// Larger files are left out.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The pool's size; its image is sparse.
const POOL_BYTES: u64 = 20 << 30;
/// The size of each of the four files of the raidz1 pool.
const COLUMN_BYTES: u64 = 6 << 30;
/// The size of blocks in the pool.
const BLOCK_BYTES: u64 = 128 << 10;

/// Everything that rows need.
pub(super) struct Prepared {
    folder: PathBuf,
    judges: Judges,
    /// The command under test.
    pub(super) zferry: PathBuf,
}

impl Prepared {
    /// Makes what is missing in `ZFERRY_BENCH_DIR`, or in `target/bench`.
    pub(super) fn new(judges: Judges, zferry: PathBuf) -> Result<Self> {
        let folder = env::var_os("ZFERRY_BENCH_DIR").map_or_else(|| target().join("bench"), PathBuf::from);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let folder = fs::canonicalize(folder)?;
        let prepared = Self {
            folder,
            judges,
            zferry,
        };
        prepared.make()?;
        Ok(prepared)
    }

    /// `zferry` with the pool named.
    pub(super) fn zferry(&self, arguments: &[&str]) -> Command {
        self.zferry_on(POOL, arguments)
    }

    /// `zferry` with the encrypted pool named.
    pub(super) fn zferry_sealed(&self, arguments: &[&str]) -> Command {
        self.zferry_on(SEALED, arguments)
    }

    fn zferry_on(&self, pool: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.image(pool)).args(arguments);
        command
    }

    /// `zferry` with the pool `rbench` named, which holds the same on a raidz1 of four files.
    pub(super) fn zferry_raidz(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.zferry);
        command.arg("-d").arg(self.raidz()).args(arguments);
        command
    }

    /// `ozfs` with the pool's folder named.
    pub(super) fn ozfs(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.judges.ozfs);
        command.arg(verb).arg(&self.folder).args(arguments);
        command
    }

    /// `zferry` receiving a stream into a pool that it makes.
    pub(super) fn zferry_receive(&self, stream: &str) -> Command {
        let mut receive = Command::new(&self.zferry);
        receive
            .args(["receive", "--no-progress", "--create"])
            .arg(self.folder.join("received.img"))
            .arg("fresh/files");
        self.fed(stream, &receive)
    }

    /// `ozfs` receiving a stream into a fresh pool.
    pub(super) fn ozfs_receive(&self, stream: &str) -> Command {
        let mut receive = Command::new(&self.judges.ozfs);
        receive
            .arg("recv")
            .arg(self.folder.join("received-by-ozfs"))
            .arg("fresh/files@full");
        self.fed(stream, &receive)
    }

    /// The same command, with a stream as its standard input.
    fn fed(&self, stream: &str, command: &Command) -> Command {
        let mut fed = Command::new("sh");
        fed.args(["-c", "exec \"$@\" < \"$0\""])
            .arg(self.stream(stream))
            .arg(command.get_program())
            .args(command.get_args());
        fed
    }

    /// The files in which what is received lies: with zferry, and with `ozfs`.
    pub(super) fn received(&self) -> [PathBuf; 2] {
        [
            self.folder.join("received.img"),
            self.folder.join("received-by-ozfs").join("fresh.img"),
        ]
    }

    /// Removes what was received before, and makes `ozfs` a pool to receive into.
    pub(super) fn empty_pools(&self) -> Result<()> {
        let (ours, theirs) = (
            self.folder.join("received.img"),
            self.folder.join("received-by-ozfs"),
        );
        if ours.exists() {
            fs::remove_file(&ours)?;
        }
        if theirs.exists() {
            fs::remove_dir_all(&theirs)?;
        }
        fs::create_dir_all(&theirs)?;
        File::create(theirs.join("fresh.img"))?.set_len(POOL_BYTES)?;
        succeed(
            Command::new(&self.judges.ozfs)
                .arg("create")
                .arg(&theirs)
                .arg("fresh"),
        )
    }

    /// The path of a stream that `ozfs send` made: `full`, `full-Lec` or `one`.
    pub(super) fn stream(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.zsend"))
    }

    /// The folder of the raidz1 pool.
    fn raidz(&self) -> PathBuf {
        self.folder.join("raidz")
    }

    fn image(&self, pool: &str) -> PathBuf {
        self.folder.join(format!("{pool}.img"))
    }

    fn make(&self) -> Result<()> {
        let list = self.folder.join("files.txt");
        if !list.is_file() {
            println!(
                "preparing {}: this takes a few minutes, once",
                self.folder.display()
            );
            whole(&list, write_list)?;
        }
        if !self.stream("full").is_file() {
            self.fill(&list)?;
            self.send("full", &["bench/files@full"])?;
        }
        if !self.stream("full-Lec").is_file() {
            self.send("full-Lec", &["bench/files@full", "-Lec"])?;
        }
        if !self.stream("one").is_file() {
            self.change_one_block(&list)?;
            self.send("one", &["bench/files@one", "-i", "bench/files@full"])?;
        }
        if !self.image(SEALED).is_file() {
            self.seal()?;
        }
        let filled = self.raidz().join("filled");
        if !filled.is_file() {
            self.fill_raidz(&list)?;
            File::create(filled)?;
        }
        Ok(())
    }

    /// A new pool with an encrypted file system that has received the stream of all files.
    fn seal(&self) -> Result<()> {
        println!("encrypting all of it: this takes a few minutes, once");
        let image = self.image(SEALED);
        File::create(&image)?.set_len(POOL_BYTES)?;
        let (folder, stream) = (self.folder.to_string_lossy(), self.stream("full"));
        let made = succeed(&mut self.ozfs("create", &[SEALED])).and_then(|()| {
            let mut fill = Command::new(&self.judges.zo);
            fill.args(["import", SEALED, &folder, ",", "mkenc", "sealed/safe", ","]);
            fill.args(["recv", "sealed/safe/files@full", &stream.to_string_lossy()]);
            succeed(fill.args([",", "export", SEALED]))
        });
        if made.is_err() {
            // Half a pool would be taken for a whole one the next time.
            let _ = fs::remove_file(image);
        }
        made
    }

    /// A pool on four files with the listed files, and its snapshot `rbench/files@full`.
    fn fill_raidz(&self, list: &Path) -> Result<()> {
        let folder = self.raidz();
        fs::create_dir_all(&folder)?;
        let files = (1..=4).map(|number| folder.join(format!("rz-{number}.img")));
        let files: Vec<PathBuf> = files.collect();
        for file in &files {
            File::create(file)?.set_len(COLUMN_BYTES)?;
        }
        let mut create = Command::new(&self.judges.zo);
        create
            .args(["create", "rbench", "raidz1", "12", "all"])
            .args(&files);
        succeed(create.args([",", "export", "rbench"]))?;
        let mut fill = Command::new(&self.judges.ozfs);
        succeed(fill.arg("fill").arg(&folder).arg("rbench/files").arg(list))
    }

    /// A new pool with the listed files, and its snapshot `bench/files@full`.
    fn fill(&self, list: &Path) -> Result<()> {
        let image = File::create(self.image(POOL))?;
        image.set_len(POOL_BYTES)?;
        succeed(&mut self.ozfs("create", &[POOL]))?;
        succeed(self.ozfs("fill", &["bench/files"]).arg(list))?;
        Ok(())
    }

    /// Overwrites the second block of the first file that has one, and makes `bench/files@one`.
    fn change_one_block(&self, list: &Path) -> Result<()> {
        let listed = fs::read_to_string(list)?;
        let large = |path: &str| fs::metadata(path).is_ok_and(|file| file.len() >= 2 * BLOCK_BYTES);
        let (_, object) = listed
            .lines()
            .zip(1_u64..)
            .find(|(path, _)| large(path))
            .context("no listed file is larger than a block")?;
        let (folder, block) = (self.folder.to_string_lossy(), BLOCK_BYTES.to_string());
        let mut change = Command::new(&self.judges.zo);
        change.args(["import", "bench", &folder, ","]).args([
            "wr",
            "bench/files",
            &object.to_string(),
            &block,
            &block,
            "7",
            ",",
        ]);
        change.args(["snap", "bench/files@one", ",", "export", "bench"]);
        succeed(&mut change)
    }

    /// Has `ozfs send` make a stream.
    fn send(&self, name: &str, arguments: &[&str]) -> Result<()> {
        whole(&self.stream(name), |file| {
            let mut command = self.ozfs("send", arguments);
            let status = command.stdout(file).status().with_context(|| shown(&command))?;
            ensure!(status.success(), "{}: {status}", shown(&command));
            Ok(())
        })
    }
}

/// Writes a file under another name first, so that it is there only when it is whole.
fn whole(path: &Path, write: impl FnOnce(File) -> Result<()>) -> Result<()> {
    let unfinished = path.with_extension("tmp");
    write(File::create(&unfinished)?)?;
    fs::rename(&unfinished, path)?;
    Ok(())
}

/// Lists the first files, by their paths, below the folders that developers' machines have.
fn write_list(file: File) -> Result<()> {
    let home = env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let mut paths = Vec::new();
    for root in [PathBuf::from("/usr"), home.join(".cargo"), home.join(".rustup")] {
        if paths.len() < FILES {
            let mut below = walk(root);
            below.sort();
            paths.extend(below);
        }
    }
    paths.truncate(FILES);
    ensure!(
        paths.len() == FILES,
        "this machine has only {} suitable files",
        paths.len()
    );
    let mut list = BufWriter::new(file);
    for path in paths {
        list.write_all(path.as_os_str().as_bytes())?;
        list.write_all(b"\n")?;
    }
    list.flush()?;
    Ok(())
}

/// The files below a folder that are neither empty nor too large, nor have names that a list of lines cannot hold.
fn walk(root: PathBuf) -> Vec<PathBuf> {
    let mut folders = vec![root];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // What cannot be read is of no use.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.metadata().is_ok_and(|file| suits(file.len())) {
                files.push(entry.path());
            }
        }
    }
    files.retain(|path| path.to_str().is_some_and(|path| !path.contains(char::is_control)));
    files
}

fn suits(bytes: u64) -> bool {
    (1..=FILE_BYTES_MAX).contains(&bytes)
}
