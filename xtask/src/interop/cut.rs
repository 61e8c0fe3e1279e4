//! Receives a stream in pieces: cut in its midst, and gone on with by `zferry send -t`, more than once. `zdb -bcc` passes
//! what is kept in between.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

use super::pool::{POOL, examine};
use super::receive::receiving;
use crate::tools::{output, succeed};

/// How often each stream is cut.
const CUTS: u64 = 2;

/// A stream that is to be received in pieces.
pub(super) struct Cut<'a> {
    pub(super) zferry: &'a Path,
    /// The pool that it was sent from, and the snapshot.
    pub(super) source: &'a Path,
    pub(super) snapshot: &'a str,
    pub(super) stream: &'a Path,
    /// The snapshot that it becomes, and the one that it is a clone of.
    pub(super) into: &'a str,
    pub(super) origin: Option<&'a str>,
    /// The folder with the pool, which has what the stream continues.
    pub(super) folder: PathBuf,
}

/// The key of what the corpus has encrypted, as is written beside it.
fn key_of(snapshot: &str) -> Option<String> {
    match snapshot.split('@').next()? {
        "crypt/gcm" => Some("correct horse battery\n".to_owned()),
        "crypt/ccm" => Some("1".repeat(64)),
        _ => None,
    }
}

impl Cut<'_> {
    /// Receives all of it.
    pub(super) fn receive(&self) -> Result<()> {
        let (part, rest) = (self.folder.join("part.zsend"), self.folder.join("rest.zsend"));
        fs::copy(self.stream, &rest)?;
        for left in (1..=CUTS).rev() {
            let length = fs::metadata(&rest)?.len();
            let end = length.saturating_sub(length.checked_div(CUTS.saturating_add(1)).unwrap_or(0));
            // The last time only a part of END is missing.
            let end = if left == 1 {
                length.saturating_sub(100)
            } else {
                end
            };
            let mut whole = io::Read::take(File::open(&rest)?, end);
            io::copy(&mut whole, &mut File::create(&part)?)?;
            let cut = self.command(&part)?.output()?;
            let said = String::from_utf8_lossy(&cut.stderr);
            ensure!(
                !cut.status.success() && said.contains("zfs send -t"),
                "cut at {end}, and nothing is kept: {said}"
            );
            examine(&self.folder)?;
            self.send_rest(&rest)?;
        }
        succeed(&mut self.command(&rest)?)?;
        fs::remove_file(part)?;
        fs::remove_file(rest)?;
        examine(&self.folder)
    }

    fn image(&self) -> PathBuf {
        self.folder.join(format!("{POOL}.img"))
    }

    fn command(&self, stream: &Path) -> Result<Command> {
        let mut command = receiving(self.zferry, &self.image(), stream, self.into, self.origin)?;
        command.arg("-s");
        Ok(command)
    }

    fn send_rest(&self, rest: &Path) -> Result<()> {
        let dataset = self.into.split('@').next().unwrap_or_default();
        let mut get = Command::new(self.zferry);
        get.arg("-d").arg(&self.folder);
        let token = output(get.args(["get", "-H", "-o", "value", "receive_resume_token", dataset]))?;
        let mut send = Command::new(self.zferry);
        send.arg("-d").arg(self.source).args(["send", "-t", token.trim()]);
        if let Some(key) = key_of(self.snapshot) {
            let file = self.folder.join("key");
            fs::write(&file, key)?;
            send.arg("-K").arg(file);
        }
        succeed(send.stdin(Stdio::null()).stdout(File::create(rest)?))
    }
}
