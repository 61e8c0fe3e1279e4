//! The plain chains of the corpus, received step by step into one pool of zferry's and into one of OpenZFS's own code.
//! After each step `zdb -bcc`, fsck.py and `pool check` find nothing wrong with zferry's pool, and `ozfs send` says the
//! same of both, of the whole snapshot and of the increment. What the kernel says of the trees: `kernel.rs`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use zferry_fixtures::{Corpus, corpus, target};

use super::pool::{POOL, Pool, Received, examine};
use super::receive::{Tally, accepted_by_fsck, receive, send};
use super::same::Sent;
use super::{Arguments, accepted_by_zstream};
use crate::tools::{Judges, succeed};

/// A dataset, and the streams that make it, one after the other.
pub(super) struct Chain {
    /// Its name below the pool's root.
    pub(super) name: &'static str,
    /// The snapshot that it is a clone of, where it is one: of another chain.
    pub(super) origin: Option<&'static str>,
    /// Each stream of the corpus, and the snapshot that it is of.
    pub(super) steps: &'static [(&'static str, &'static str)],
}

/// All of them; a clone behind what it is a clone of.
pub(super) const CHAINS: &[Chain] = &[
    Chain {
        name: "chain-fs",
        origin: None,
        steps: &[
            ("basic-fs-a", "basic/fs@a"),
            ("basic-fs-a-b", "basic/fs@b"),
            ("basic-fs-b-c", "basic/fs@c"),
        ],
    },
    Chain {
        name: "chain-clone",
        origin: Some("chain-fs@b"),
        steps: &[("basic-clone", "basic/clone@x")],
    },
    Chain {
        name: "chain-vol",
        origin: None,
        steps: &[("basic-vol-a", "basic/vol@a"), ("basic-vol-a-b", "basic/vol@b")],
    },
    Chain {
        name: "chain-z5",
        origin: None,
        steps: &[("v28-z5", "v28/z5@s"), ("v28-z5-i", "v28/z5@t")],
    },
    Chain {
        name: "chain-z3",
        origin: None,
        steps: &[("v28-z3", "v28/z3@s"), ("v28-z3-i", "v28/z3@t")],
    },
];

/// Judges the chains, where they are asked for.
pub(super) fn run(judges: &Judges, zferry: &Path, arguments: &Arguments) -> Result<Tally> {
    let mut tally = Tally::default();
    let Some(corpus) = corpus().filter(|_| !arguments.sample) else {
        return Ok(tally);
    };
    if !CHAINS.iter().any(|chain| arguments.names(chain.name)) {
        return Ok(tally);
    }
    let folder = target().join("interop").join("chains");
    if folder.is_dir() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let folder = fs::canonicalize(folder)?;
    let court = Court {
        judges,
        zferry,
        corpus: &corpus,
        image: folder.join(format!("{POOL}.img")),
        theirs: Pool::create(judges, &folder.join("theirs"))?,
        folder,
    };
    for chain in CHAINS {
        let mut sent = Sent::default();
        let mut before = chain.origin.map(|origin| format!("{POOL}/{origin}"));
        for step in chain.steps {
            let judged = court.step(chain, step, before.as_deref(), &mut sent);
            let failed = judged.is_err();
            tally.add(step.0, judged);
            if failed {
                break;
            }
            before = Some(snapshot(chain, step)?);
        }
    }
    Ok(tally)
}

/// The snapshot that a step makes.
fn snapshot(chain: &Chain, step: &(&str, &str)) -> Result<String> {
    let (_, short) = step.1.split_once('@').context("no snapshot")?;
    Ok(format!("{POOL}/{}@{short}", chain.name))
}

struct Court<'a> {
    judges: &'a Judges,
    zferry: &'a Path,
    corpus: &'a Corpus,
    folder: PathBuf,
    image: PathBuf,
    theirs: Pool<'a>,
}

impl Court<'_> {
    /// One step: `before` is the snapshot that the stream continues.
    fn step(
        &self,
        chain: &Chain,
        step: &(&str, &str),
        before: Option<&str>,
        sent: &mut Sent,
    ) -> Result<Received> {
        let stream = self.corpus.stream(step.0);
        let into = snapshot(chain, step)?;
        let origin = before.filter(|before| chain.origin.is_some_and(|origin| before.ends_with(origin)));
        receive(self.zferry, &self.image, &stream, &into, origin)?;
        examine(&self.folder)?;
        accepted_by_fsck(&self.image)?;
        let mut check = Command::new(self.zferry);
        check
            .arg("-d")
            .arg(&self.image)
            .args(["pool", "check", "-c", POOL]);
        succeed(check.stdout(Stdio::null()))?;
        ensure!(
            self.theirs.receive(&stream, &into, origin)? == Received::Yes,
            "ozfs does not receive it"
        );
        sent.note(&stream)?;
        let whole = |pool: &Path, name: &str| self.sent(pool, &into, None, name);
        let theirs = whole(self.theirs.folder(), "theirs.zsend")?;
        sent.compare(&whole(&self.folder, "ours.zsend")?, &theirs, None)?;
        if let Some(before) = before {
            let base = self.sent(self.theirs.folder(), before, None, "base.zsend")?;
            let ours = self.sent(&self.folder, &into, Some(before), "ours.zsend")?;
            let theirs = self.sent(self.theirs.folder(), &into, Some(before), "theirs.zsend")?;
            sent.compare(&ours, &theirs, Some(&base))?;
        }
        Ok(Received::Yes)
    }

    fn sent(&self, pool: &Path, snapshot: &str, from: Option<&str>, name: &str) -> Result<PathBuf> {
        let stream = send(self.judges, pool, snapshot, from, "", &self.folder.join(name))?;
        accepted_by_zstream(&stream)?;
        Ok(stream)
    }
}
