//! Runs the fuzz targets of `fuzz/` for a bounded time each.

use std::env;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use zferry_fixtures::workspace;

use crate::tools::{output, shown, succeed};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Seconds for each target
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Megabytes of memory that a target may take
    #[arg(long, default_value_t = 1024)]
    memory: u32,
    /// The targets; all of them where none is named
    targets: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !workspace().join("fuzz/Cargo.toml").is_file() {
        bail!("there is no fuzz/Cargo.toml");
    }
    install()?;
    let targets = if arguments.targets.is_empty() {
        let listed = output(cargo_fuzz().arg("list"))?;
        listed.lines().map(str::to_owned).collect()
    } else {
        arguments.targets.clone()
    };
    let mut failed = Vec::new();
    for target in &targets {
        let mut command = cargo_fuzz();
        command.args(["run", target, "--"]).args([
            format!("-max_total_time={}", arguments.seconds),
            format!("-rss_limit_mb={}", arguments.memory),
            "-timeout=20".to_owned(),
            // Long inputs from the start: a bounded time is too short to grow them.
            "-len_control=0".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]);
        println!("$ {}", shown(&command));
        if let Err(error) = succeed(&mut command) {
            eprintln!("{error:#}");
            failed.push(target.as_str());
        }
    }
    if failed.is_empty() {
        println!(
            "fuzz: {} targets, {} seconds each, nothing found",
            targets.len(),
            arguments.seconds
        );
        Ok(())
    } else {
        bail!("found by: {} (inputs are in fuzz/artifacts)", failed.join(", "))
    }
}

/// `cargo fuzz` wants an unstable option of the compiler, which the stable one takes when told that it is no release.
fn cargo_fuzz() -> Command {
    let mut command = cargo();
    command
        .current_dir(workspace())
        .env("RUSTC_BOOTSTRAP", "1")
        .arg("fuzz");
    command
}

fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Installs cargo-fuzz where it is missing.
fn install() -> Result<()> {
    let found = cargo()
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cargo")?;
    if found.success() {
        return Ok(());
    }
    println!("installing cargo-fuzz");
    succeed(cargo().args(["install", "--locked", "cargo-fuzz"]))
}
