//! A turn of OpenZFS's kernel in the life of a pool, in a virtual machine: zferry does some acts on one copy of the pool, and
//! `zfs` the same on another. What one refuses, the other refuses in the same words, and afterwards there are the same
//! datasets. The life goes on with the kernel's pool, into which the kernel has written files besides; whatever numbers
//! `zfs list` shows of it after the import and before the export, `zferry list` shows, too. What the kernel is asked is in
//! `kernel.sh`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use zferry_fixtures::workspace;

use super::Life;
use super::acts::Fate;
use super::inventory::Inventory;
use super::judge::Contents;
use super::world::{Act, LIFE, Outcome, World};
use crate::tools::{output, succeed};

/// How many acts a turn has.
const ACTS: usize = 30;

/// The numbers that both have to show, of every dataset and snapshot but the pool's root: its own follow the pool's
/// metadata, which importing and exporting changes, and so does what is available.
const NUMBERS: &str = "name,used,usedbysnapshots,usedbydataset,usedbyrefreservation,usedbychildren,referenced,written,\
                       logicalused,logicalreferenced,compressratio,refcompressratio,guid,createtxg,userrefs,type,origin";

/// What the same acts have to come to, whoever does them.
const KEPT: &str =
    "name,type,origin,userrefs,defer_destroy,refreservation,reservation,compression,copies,checksum,volsize";

/// What the script in the machine is.
const SCRIPT: &str = "kernel.sh";

/// An act, and what came of it here.
struct Done {
    words: Vec<String>,
    input: String,
    outcome: Outcome,
}

/// The machine, if it can be had.
pub(super) fn machine() -> Option<PathBuf> {
    let machine = workspace().join("../shared/realzfs/realzfs");
    if machine.is_file() {
        return Some(machine);
    }
    eprintln!("skipped: it takes ../shared/realzfs/realzfs");
    None
}

/// Has the kernel have its turn; `number` is different each time.
pub(super) fn turn(life: &mut Life, world: &mut World, machine: &Path, number: u64) -> Result<()> {
    let folder = world.turn_folder()?;
    let share = |name: &str| folder.join(name);
    for (name, text) in [
        (SCRIPT, include_str!("kernel.sh")),
        ("columns", NUMBERS),
        ("kept", KEPT),
    ] {
        fs::write(share(name), text)?;
    }
    fs::write(share("seed"), number.to_string())?;
    let image = share("life.img");
    copy(&world.image(LIFE), &image)?;
    let first = listed(world, NUMBERS)?;
    let acts = have_done(life, world, &folder)?;
    let lines = acts
        .iter()
        .map(|act| format!("{} {}\n", act.input, act.words.join(" ")));
    fs::write(share("acts"), lines.collect::<String>())?;
    let kept = kept(world)?;

    world.note(&format!("# turn {number} of the kernel"))?;
    let mut boot = Command::new(machine);
    boot.arg("run").arg(share(SCRIPT)).arg(&folder);
    let said = output(&mut boot)?;
    let bad: Vec<_> = said.lines().filter(|line| line.starts_with("BAD")).collect();
    ensure!(bad.is_empty(), "{}", bad.join("; "));
    ensure!(
        said.contains("kernel done"),
        "the kernel did not come to its end: {said}"
    );

    same(&first, &fs::read_to_string(share("first.list"))?).context("after the import")?;
    for (number, act) in (1..).zip(&acts) {
        same_outcome(act, &folder, number)
            .with_context(|| format!("act {number}: {}", act.words.join(" ")))?;
    }
    same(&kept, &fs::read_to_string(share("acts.list"))?).context("after the acts")?;
    copy(&image, &world.image(LIFE))?;
    same(&listed(world, NUMBERS)?, &fs::read_to_string(share("last.list"))?).context("before the export")
}

/// Does some acts, and says what came of each.
fn have_done(life: &mut Life, world: &mut World, folder: &Path) -> Result<Vec<Done>> {
    let mut acts = Vec::new();
    while acts.len() < ACTS {
        let act = Fate {
            life: Inventory::read(world, LIFE)?,
            world: &mut *world,
            numbers: &mut life.numbers,
            // What is taken here is not what the kernel takes.
            contents: &mut Contents::default(),
            step: u64::try_from(acts.len())?,
            first_object: super::FIRST_OBJECT_BESIDE_KERNEL,
        }
        .act()?;
        let Some(Act {
            ours: Some(ours),
            input,
            ..
        }) = act
        else {
            continue;
        };
        let name = match &input {
            Some(path) => {
                let name = format!("{}.zsend", acts.len());
                fs::copy(path, folder.join(&name))?;
                name
            }
            None => "/dev/null".to_owned(),
        };
        let act = Act {
            ours: Some(ours.clone()),
            input,
            ..Act::default()
        };
        let outcome = life.have(world, &act, true)?.context("nothing was done")?;
        let mut words: Vec<_> = ours.into_iter().filter(|word| word != "--no-progress").collect();
        if words.first().is_some_and(|verb| verb == "receive") {
            words.insert(1, "-u".to_owned());
        }
        acts.push(Done {
            words,
            input: name,
            outcome,
        });
    }
    Ok(acts)
}

/// Whether the kernel did what zferry did, or refused it in the same words.
fn same_outcome(act: &Done, folder: &Path, number: usize) -> Result<()> {
    let exit = fs::read_to_string(folder.join(format!("{number}.exit")))?;
    let said = fs::read_to_string(folder.join(format!("{number}.said")))?;
    let said = said.trim().replace('\n', " ");
    match &act.outcome {
        Outcome::Done => ensure!(exit.trim() == "0", "the kernel refuses what zferry does: {said}"),
        Outcome::Refused(why) => {
            let is_passed_over = why.contains("already exists; ignoring") || why.is_empty();
            ensure!(
                exit.trim() != "0" || is_passed_over,
                "zferry refuses what the kernel does: {why}"
            );
            // What zferry knows besides stands behind.
            ensure!(why.starts_with(&said), "zferry says '{why}', zfs '{said}'");
        }
    }
    Ok(())
}

/// What `zferry list` says of all but the root.
fn listed(world: &World, columns: &str) -> Result<String> {
    let mut command = world.zferry(LIFE);
    command.args([
        "list",
        "-Hp",
        "-r",
        "-t",
        "filesystem,volume,snapshot",
        "-o",
        columns,
        LIFE,
    ]);
    let said = output(&mut command)?;
    let root = format!("{LIFE}\t");
    let lines = said.lines().filter(|line| !line.starts_with(&root));
    Ok(lines.map(|line| format!("{line}\n")).collect())
}

/// What the acts have come to.
fn kept(world: &World) -> Result<String> {
    let mut command = world.zferry(LIFE);
    command.args(["list", "-Hp", "-r", "-t", "all", "-o", KEPT, LIFE]);
    output(&mut command)
}

fn same(ours: &str, theirs: &str) -> Result<()> {
    let (ours, theirs): (Vec<_>, Vec<_>) = (ours.lines().collect(), theirs.lines().collect());
    for (our, their) in ours.iter().zip(&theirs) {
        ensure!(our == their, "zferry lists {our:?}, the kernel {their:?}");
    }
    ensure!(
        ours.len() == theirs.len(),
        "zferry lists {} lines, the kernel {}",
        ours.len(),
        theirs.len()
    );
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    succeed(Command::new("cp").arg("--sparse=always").arg(from).arg(to))
}
