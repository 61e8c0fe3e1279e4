//! Sends a snapshot of the example pool, checks the stream, and receives it into a new pool: the first thing to try.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use zferry_fixtures::{Line, example, target};

use crate::tools::{check, short, shown, succeed, zferry};

/// The stream that is made: its name in `examples/MANIFEST`.
const STREAM: &str = "photos-monday";

pub(crate) fn run() -> Result<()> {
    println!("Building zferry (the first time takes a minute or two) ...");
    let zferry = short(&zferry()?);
    let example = example()?;
    let image = short(example.image());
    println!(
        "{} is a ZFS pool that OpenZFS's kernel module made.\n",
        image.display()
    );

    let lines = example.manifest()?;
    let line = lines
        .iter()
        .find(|line| line.name == STREAM)
        .with_context(|| format!("no {STREAM} in examples/MANIFEST"))?;
    let stream = short(&target().join("example").join(format!("{STREAM}.zsend")));
    let program = |arguments: &[&str]| {
        let mut command = Command::new(&zferry);
        command.arg("-d").arg(&image).args(arguments);
        command
    };
    say_and_run(&mut program(&["list", "-r", "-t", "all"]))?;

    let mut send = program(&["send"]);
    send.args(&line.arguments);
    println!("$ {} > {}", shown(&send), stream.display());
    let file = File::create(&stream).with_context(|| stream.display().to_string())?;
    let status = send.stdout(file).status().with_context(|| shown(&send))?;
    check(&send, status)?;
    let bytes = fs::metadata(&stream)?.len();
    println!("{bytes} bytes\n");

    say_and_run(Command::new(&zferry).args(["stream", "verify"]).arg(&stream))?;
    compare(line, &stream)?;
    receive(&zferry, &stream)
}

/// Makes a pool of the stream, shows it, and sends it back.
fn receive(zferry: &Path, stream: &Path) -> Result<()> {
    let image = stream.with_file_name("copy.img");
    if image.exists() {
        fs::remove_file(&image).with_context(|| image.display().to_string())?;
    }
    println!("\nAnd now into a pool that is not there yet.\n");
    let mut receive = Command::new(zferry);
    receive
        .args(["receive", "-v", "--no-progress", "--create"])
        .arg(&image)
        .arg("copy/photos");
    println!("$ {} < {}", shown(&receive), stream.display());
    succeed(receive.stdin(File::open(stream)?))?;
    println!();
    let program = |arguments: &[&str]| {
        let mut command = Command::new(zferry);
        command.arg("-d").arg(&image).args(arguments);
        command
    };
    say_and_run(&mut program(&["list", "-r", "-t", "all"]))?;
    say_and_run(&mut program(&["pool", "status"]))?;

    let back = stream.with_file_name("back.zsend");
    let mut send = program(&["send", "copy/photos@monday"]);
    println!("$ {} > {}", shown(&send), back.display());
    let status = send.stdout(File::create(&back)?).status();
    check(&send, status.with_context(|| shown(&send))?)?;
    say_and_run(Command::new(zferry).args(["stream", "verify"]).arg(&back))?;
    println!(
        "{} is a ZFS pool that OpenZFS imports: zpool import -d {} copy",
        image.display(),
        image.parent().unwrap_or(&image).display()
    );
    Ok(())
}

fn say_and_run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    succeed(command)?;
    println!();
    Ok(())
}

/// Holds the stream against what the kernel sent.
fn compare(line: &Line, stream: &Path) -> Result<()> {
    let sum = sha256(&mut File::open(stream)?)?;
    ensure!(
        sum == line.sha256,
        "{}: the SHA-256 is {sum}; `zfs send {}` wrote one of {}",
        stream.display(),
        line.arguments.join(" "),
        line.sha256
    );
    println!(
        "The same bytes as `zfs send {}` wrote of this pool: SHA-256 {sum}.\n\
         Where ZFS runs, `zfs receive` takes it: zfs receive POOL/photos < {}",
        line.arguments.join(" "),
        stream.display()
    );
    Ok(())
}

/// The SHA-256 of everything in `file`, in hexadecimal digits.
pub(crate) fn sha256(file: &mut (impl Read + Seek)) -> Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece)?;
        let Some(piece) = piece.get(..read).filter(|piece| !piece.is_empty()) else {
            break;
        };
        hash.update(piece);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
