//! What zfs(8) says: each stream is received in a virtual machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};
use zferry_fixtures::workspace;

use super::cases::Case;
use super::{Court, said_by_zferry};
use crate::tools::output;

/// What was said.
#[derive(Default)]
pub(super) struct Said {
    /// How often the same.
    pub(super) same: usize,
    /// What was not the same.
    pub(super) failures: Vec<String>,
}

/// The machine, if it can be had.
pub(super) fn machine() -> Option<PathBuf> {
    let machine = workspace().join("../shared/realzfs/realzfs");
    if machine.is_file() {
        return Some(machine);
    }
    eprintln!("the kernel is not asked: that takes ../shared/realzfs/realzfs");
    None
}

/// Has the kernel receive them all, and zferry.
pub(super) fn ask(court: &Court, machine: &Path, cases: &[&Case]) -> Result<Said> {
    let share = |name: String| court.folder.join(name);
    let mut lines = String::new();
    let mut ours = Vec::new();
    for (number, case) in (1_usize..).zip(cases) {
        let stream = share(format!("{number}.zsend"));
        fs::write(&stream, &case.stream)?;
        // What is received after all is not in the way of the next.
        let target = case.target.replace("/new@", &format!("/new{number}@"));
        lines.push_str(&format!("{number} {} {target}\n", case.options.join(" ")));
        ours.push(said_by_zferry(court, case, &target, &stream)?);
    }
    fs::write(share("cases".to_owned()), lines)?;
    let script = share("kernel.sh".to_owned());
    fs::write(&script, include_str!("kernel.sh"))?;
    let mut boot = Command::new(machine);
    boot.arg("run").arg(&script).arg(&court.folder);
    let printed = output(&mut boot)?;
    let bad: Vec<_> = printed.lines().filter(|line| line.starts_with("BAD")).collect();
    ensure!(bad.is_empty(), "{}", bad.join("; "));
    ensure!(
        printed.contains("kernel done"),
        "the kernel did not come to its end"
    );
    let mut said = Said::default();
    for ((number, case), (has_failed, ours)) in (1_usize..).zip(cases).zip(ours) {
        let exit = fs::read_to_string(share(format!("{number}.exit")))?;
        let theirs = fs::read_to_string(share(format!("{number}.said")))?;
        // What zferry knows besides stands behind.
        if has_failed == (exit.trim() != "0") && ours.starts_with(theirs.trim()) {
            said.same = said.same.saturating_add(1);
        } else {
            let theirs = theirs.trim();
            said.failures.push(format!(
                "{}: zferry says {ours:?}, zfs {theirs:?} ({})",
                case.what,
                exit.trim()
            ));
        }
    }
    Ok(said)
}
