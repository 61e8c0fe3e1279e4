//! The programs that tasks run: zferry itself, and the judges from OpenZFS where they can be had.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};
use zferry_fixtures::{target, workspace};

/// Builds zferry as it is shipped and says where it lies; or gives what `ZFERRY` names, to try another build.
pub(crate) fn zferry() -> Result<PathBuf> {
    if let Some(other) = env::var_os("ZFERRY") {
        return Ok(other.into());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(workspace())
        .args(["build", "--quiet", "--release", "--locked", "--package", "zferry"]);
    succeed(&mut build)?;
    Ok(target().join("release").join("zferry"))
}

/// OpenZFS's own code in user space: `ozfs` sends, receives and fills pools, `zo` beside it scripts a pool's life.
#[derive(Clone, Debug)]
pub(crate) struct Judges {
    /// The path of `ozfs`.
    pub(crate) ozfs: PathBuf,
    /// The path of `zo`.
    pub(crate) zo: PathBuf,
}

/// Finds the judges: where `ZFERRY_OZFS` says, or as `../shared/realzfs/realzfs tools` builds them. Where they cannot
/// be had, says why and gives `None`.
pub(crate) fn judges() -> Option<Judges> {
    match find_judges() {
        Ok(judges) => Some(judges),
        Err(why) => {
            eprintln!("skipped, for OpenZFS's programs cannot be had: {why:#}");
            None
        }
    }
}

fn find_judges() -> Result<Judges> {
    let ozfs = match env::var_os("ZFERRY_OZFS") {
        Some(path) => PathBuf::from(path),
        None => {
            let script = workspace().join("../shared/realzfs/realzfs");
            let printed = output(Command::new(&script).arg("tools"))?;
            PathBuf::from(printed.lines().last().unwrap_or_default())
        }
    };
    let zo = ozfs.with_file_name("zo");
    for program in [&ozfs, &zo] {
        if !program.is_file() {
            bail!("there is no {}", program.display());
        }
    }
    for program in ["zdb", "zstream"] {
        // Neither has an option that does nothing; that it starts is enough.
        Command::new(program)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .with_context(|| program.to_owned())?;
    }
    Ok(Judges { ozfs, zo })
}

/// How a shell would be told to run `command`.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

/// Runs `command` and fails unless it succeeds.
pub(crate) fn succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| shown(command))?;
    check(command, status)
}

/// Runs `command`, fails unless it succeeds, and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| shown(command))?;
    check(command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Fails unless `status` is success.
pub(crate) fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if status.success() {
        Ok(())
    } else {
        bail!("{}: {status}", shown(command))
    }
}

/// Makes a folder anew, without whatever was in it. Says where it is, from the root on.
pub(crate) fn fresh(folder: &Path) -> Result<PathBuf> {
    let place = || folder.display().to_string();
    if folder.is_dir() {
        fs::remove_dir_all(folder).with_context(place)?;
    }
    fs::create_dir_all(folder).with_context(place)?;
    fs::canonicalize(folder).with_context(place)
}

/// A path as it is shortest from the current folder, for what a person reads.
pub(crate) fn short(path: &Path) -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).to_path_buf()
}
