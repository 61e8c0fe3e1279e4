//! A fresh pool, made and written by OpenZFS's own code.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::tools::{Judges, check, shown, succeed};

/// The fresh pool's name.
pub(super) const POOL: &str = "judge";
/// Its size; the image is sparse.
const POOL_BYTES: u64 = 4 << 30;

/// What `ozfs` says of a block that was split into 128 KiB parts with a shorter last one, as every `zfs send` without
/// `-L` does with larger blocks. That assertion is compiled into Debian's library and not into kernels: they receive
/// such streams, so it speaks against the judge and not against the stream.
const FALSE_ALARM: &str = "drrw->drr_logical_size > dn->dn_datablksz";

/// What came of receiving a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// The snapshot is there.
    Yes,
    /// The judge stopped over what is no fault of the stream.
    NotJudged,
}

/// The fresh pool.
pub(super) struct Pool<'a> {
    judges: &'a Judges,
    folder: PathBuf,
}

impl<'a> Pool<'a> {
    /// Makes the pool anew in a folder of its own below `folder`, for importing searches whole folders.
    pub(super) fn create(judges: &'a Judges, folder: &Path) -> Result<Self> {
        let folder = folder.join("pool");
        std::fs::create_dir_all(&folder)?;
        let image = folder.join(format!("{POOL}.img"));
        File::create(&image)
            .and_then(|file| file.set_len(POOL_BYTES))
            .with_context(|| image.display().to_string())?;
        succeed(Command::new(&judges.ozfs).arg("create").arg(&folder).arg(POOL))?;
        Ok(Self { judges, folder })
    }

    /// Receives `stream` as the snapshot `into`, as a clone of `origin` where one is given.
    pub(super) fn receive(&self, stream: &Path, into: &str, origin: Option<&str>) -> Result<Received> {
        let mut command = Command::new(&self.judges.ozfs);
        command.arg("recv").arg(&self.folder).arg(into);
        if let Some(origin) = origin {
            command.args(["-o", origin]);
        }
        let output = command
            .stdin(File::open(stream)?)
            .stdout(Stdio::null())
            .output()
            .with_context(|| shown(&command))?;
        if output.status.success() {
            return Ok(Received::Yes);
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        if complaint.contains(FALSE_ALARM) {
            return Ok(Received::NotJudged);
        }
        bail!("{}: {}", shown(&command), complaint.trim())
    }

    /// Where its file lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has `zdb` walk it.
    pub(super) fn examine(&self) -> Result<()> {
        examine(&self.folder)
    }
}

/// Has `zdb` walk the pool [`POOL`] that lies in `folder`. It exits with success on leaks and on bad checksums too, so its
/// words count.
pub(crate) fn examine(folder: &Path) -> Result<()> {
    let mut command = Command::new("zdb");
    command
        .args(["-e", "-p"])
        .arg(folder)
        .args(["-bcc", POOL])
        .stdin(Stdio::null());
    let output = command.output().with_context(|| shown(&command))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    check(&command, output.status).with_context(|| complaint.trim().to_owned())?;
    if let Some(line) = said.lines().chain(complaint.lines()).find(|line| is_bad(line)) {
        bail!("zdb: {}", line.trim());
    }
    ensure!(
        said.contains("No leaks (block sum matches space maps exactly)"),
        "zdb does not say that nothing leaked"
    );
    Ok(())
}

/// Whether a line of `zdb -bcc` tells of a fault.
fn is_bad(line: &str) -> bool {
    [
        "leaked space",
        "block traversal size",
        "Got error",
        "Error counts",
        "skipped",
        "zdb_blkptr_cb",
    ]
    .iter()
    .any(|words| line.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_from_figures() {
        assert!(is_bad("leaked space: vdev 0, offset 0x30a000, size 4096"));
        assert!(is_bad("block traversal size 100 != alloc 200 (unreachable 100)"));
        assert!(!is_bad("\tNo leaks (block sum matches space maps exactly)"));
        assert!(!is_bad("\tbp allocated:       2568192      avg:   6233"));
    }
}
