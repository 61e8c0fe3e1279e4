//! What is measured: a row for each, so that a new one is a few lines here.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::prepare::Prepared;

/// What a row has to show.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// zferry takes at most this part of OpenZFS's time.
    TimesAsFast(f64),
    /// zferry takes less than this.
    Within(Duration),
}

/// One comparison.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// What a person calls it.
    pub(super) name: &'static str,
    /// What has to be done before each run of either, and is not measured.
    pub(super) before: fn(&Prepared) -> Result<()>,
    /// What zferry runs.
    pub(super) ours: fn(&Prepared) -> Command,
    /// What OpenZFS runs to do the same.
    pub(super) theirs: fn(&Prepared) -> Command,
    /// The file with what `ours` has to print; it is compared before anything is measured.
    pub(super) expected: Option<fn(&Prepared) -> PathBuf>,
    /// What has to come out.
    pub(super) goal: Goal,
    /// The most memory that zferry may take.
    pub(super) memory_bytes: u64,
}

const MEMORY_BYTES: u64 = 256 << 20;

/// Every row, in the order of the table.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "send",
        before: |_| Ok(()),
        ours: |pool| pool.zferry(&["send", "bench/files@full"]),
        theirs: |pool| pool.ozfs("send", &["bench/files@full"]),
        expected: Some(|pool| pool.stream("full")),
        goal: Goal::TimesAsFast(3.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "send one block",
        before: |_| Ok(()),
        ours: |pool| pool.zferry(&["send", "-i", "@full", "bench/files@one"]),
        theirs: |pool| pool.ozfs("send", &["bench/files@one", "-i", "bench/files@full"]),
        expected: Some(|pool| pool.stream("one")),
        goal: Goal::Within(Duration::from_millis(50)),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "send compressed",
        before: |_| Ok(()),
        ours: |pool| pool.zferry(&["send", "-L", "-e", "-c", "bench/files@full"]),
        theirs: |pool| pool.ozfs("send", &["bench/files@full", "-Lec"]),
        expected: None,
        goal: Goal::TimesAsFast(3.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "send raw",
        before: |_| Ok(()),
        ours: |pool| pool.zferry_sealed(&["send", "-w", "sealed/safe/files@full"]),
        theirs: |pool| pool.ozfs("send", &["sealed/safe/files@full", "-w"]),
        expected: None,
        goal: Goal::TimesAsFast(3.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "raidz1 | one file",
        before: |_| Ok(()),
        ours: |pool| pool.zferry_raidz(&["send", "rbench/files@full"]),
        // Not OpenZFS: the same from a pool that is one file.
        theirs: |pool| pool.zferry(&["send", "bench/files@full"]),
        expected: None,
        goal: Goal::TimesAsFast(2.0 / 3.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "receive",
        before: Prepared::empty_pools,
        ours: |pool| pool.zferry_receive("full"),
        theirs: |pool| pool.ozfs_receive("full"),
        expected: None,
        goal: Goal::TimesAsFast(4.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "receive compressed",
        before: Prepared::empty_pools,
        ours: |pool| pool.zferry_receive("full-Lec"),
        theirs: |pool| pool.ozfs_receive("full-Lec"),
        expected: None,
        goal: Goal::TimesAsFast(4.0),
        memory_bytes: MEMORY_BYTES,
    },
    Row {
        name: "stream verify",
        before: |_| Ok(()),
        ours: |pool| {
            let mut command = Command::new(&pool.zferry);
            command.args(["stream", "verify"]).arg(pool.stream("full"));
            command
        },
        theirs: |pool| {
            let mut command = Command::new("zstream");
            command.arg("dump").arg(pool.stream("full"));
            command
        },
        expected: None,
        goal: Goal::TimesAsFast(3.0),
        memory_bytes: MEMORY_BYTES,
    },
];
