//! Runs the command, and says what came of it.

use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The words of a command line: a list of them, or one text with a blank between each two.
pub(crate) trait Words {
    fn words(&self) -> Vec<String>;
}

impl Words for str {
    fn words(&self) -> Vec<String> {
        self.split(' ').map(Self::to_owned).collect()
    }
}

impl Words for String {
    fn words(&self) -> Vec<String> {
        self.as_str().words()
    }
}

impl<W: AsRef<str>> Words for [W] {
    fn words(&self) -> Vec<String> {
        self.iter().map(|word| word.as_ref().to_owned()).collect()
    }
}

impl<W: AsRef<str>, const N: usize> Words for [W; N] {
    fn words(&self) -> Vec<String> {
        self.as_slice().words()
    }
}

impl<W: AsRef<str>> Words for Vec<W> {
    fn words(&self) -> Vec<String> {
        self.as_slice().words()
    }
}

/// `zferry -d PLACE ARGUMENTS`, with nothing to read, and nothing of the environment that changes what it says.
pub(crate) fn command(place: &Path, arguments: &(impl Words + ?Sized)) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_zferry"));
    command.arg("-d").arg(place).args(arguments.words());
    command.env_remove("ZFERRY_PATH").env("TZ", "UTC");
    command.stdin(Stdio::null());
    command
}

/// Runs the command on the pools in a file or folder.
pub(crate) fn run(place: &Path, arguments: &(impl Words + ?Sized)) -> Ran {
    Ran::of(&mut command(place, arguments))
}

/// The same, with a stream in a file as standard input.
pub(crate) fn run_with(place: &Path, arguments: &(impl Words + ?Sized), stream: &[u8]) -> Ran {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(stream).unwrap();
    file.rewind().unwrap();
    Ran::of(command(place, arguments).stdin(file))
}

/// What came of a run of the command.
#[must_use = "say whether it has to succeed"]
pub(crate) struct Ran {
    /// The command, for those who read why a test fails.
    command: String,
    pub(crate) output: Output,
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        Self {
            output: command.output().unwrap(),
            command: format!("{command:?}"),
        }
    }

    /// What it wrote to standard output, if it succeeded, as it must.
    pub(crate) fn bytes(self) -> Vec<u8> {
        let said = String::from_utf8_lossy(&self.output.stderr);
        assert!(self.output.status.success(), "{}: {said}", self.command);
        self.output.stdout
    }

    /// The same, as text.
    pub(crate) fn succeeds(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }

    /// What it wrote to standard error, if it failed with exit code 1, as it must.
    pub(crate) fn fails(self) -> String {
        self.exits(1)
    }

    /// What it wrote to standard error, if it ended with this exit code, as it must.
    pub(crate) fn exits(self, code: i32) -> String {
        let said = String::from_utf8(self.output.stderr).unwrap();
        assert_eq!(self.output.status.code(), Some(code), "{}: {said}", self.command);
        said
    }
}
