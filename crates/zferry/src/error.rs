//! What a failed command prints and what it exits with, as zfs(8) has it: 1 where the work failed, 2 where the command
//! line was wrong.

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};
use std::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorKind {
    /// The work failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Whoever read the output has gone. Nothing is printed.
    BrokenPipe,
    /// The work failed, and what went wrong was printed when it did.
    Reported,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) kind: ErrorKind,
    /// One sentence, in zfs's words where zfs has a sentence for it.
    pub(crate) message: String,
    /// What may help, a sentence each.
    pub(crate) hints: Vec<String>,
}

impl CommandError {
    /// The work failed.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self {
            kind: ErrorKind::Failed,
            message: message.to_string(),
            hints: Vec::new(),
        }
    }

    /// The work failed in parts, each of which was printed as it failed.
    pub(crate) fn reported() -> Self {
        Self {
            kind: ErrorKind::Reported,
            ..Self::failed("")
        }
    }

    /// The command line makes no sense, in a way that clap cannot see.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            kind: ErrorKind::Usage,
            ..Self::failed(message)
        }
    }

    /// Adds a sentence that may help.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hints.push(hint.to_string());
        self
    }

    /// Prints the failure on standard error and says what to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        // Standard error may be gone as well; the exit code still tells.
        let _ = write!(io::stderr(), "{self}");
        ExitCode::from(match self.kind {
            ErrorKind::Failed | ErrorKind::BrokenPipe | ErrorKind::Reported => 1,
            ErrorKind::Usage => 2,
        })
    }
}

impl Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.kind, ErrorKind::BrokenPipe | ErrorKind::Reported) {
            return Ok(());
        }
        writeln!(f, "{}", self.message)?;
        self.hints.iter().try_for_each(|hint| writeln!(f, "{hint}"))
    }
}

/// For what is written to standard output. Errors of files say which file, and so are not converted.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self {
            kind: match error.kind() {
                io::ErrorKind::BrokenPipe => ErrorKind::BrokenPipe,
                _ => ErrorKind::Failed,
            },
            ..Self::failed(format_args!("cannot write to standard output: {error}"))
        }
    }
}

/// Prints what clap has to say: help and version on standard output, mistakes on standard error. Programs look for the
/// sentences that zfs has for options it does not know, and for those that lack their value; they come first.
pub(crate) fn report_usage(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if let Some(sentence) = zfs_sentence(error) {
        let _ = writeln!(io::stderr(), "{sentence}");
    }
    let _ = error.print();
    ExitCode::from(2)
}

/// What zfs says of an option that it does not know, or that lacks its value. It knows them by their letters.
fn zfs_sentence(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if error.kind() == clap::error::ErrorKind::UnknownArgument && !option.starts_with('-') {
        return Some("too many arguments".to_owned());
    }
    match error.kind() {
        clap::error::ErrorKind::UnknownArgument => Some(match short(option) {
            Some(letter) => format!("invalid option '{letter}'"),
            None => format!("invalid option '{option}'"),
        }),
        clap::error::ErrorKind::InvalidValue => {
            let is_empty = matches!(error.get(ContextKind::InvalidValue), Some(ContextValue::String(value)) if value.is_empty());
            let letter = short(option)
                .or_else(|| short_of_long(option))
                .filter(|_| is_empty)?;
            Some(format!("missing argument for '{letter}' option"))
        }
        _ => None,
    }
}

/// The letter of `-x …`.
fn short(option: &str) -> Option<char> {
    let letter = option.strip_prefix('-')?.chars().next()?;
    (letter != '-').then_some(letter)
}

/// The letter of `--exclude …`: clap calls an option by its long name, however it was given.
fn short_of_long(option: &str) -> Option<char> {
    let name = option.strip_prefix("--")?.split([' ', '=']).next()?;
    let root = crate::cli::Cli::command();
    let mut commands = vec![&root];
    while let Some(command) = commands.pop() {
        let mut arguments = command.get_arguments();
        let found = arguments.find(|argument| argument.get_long() == Some(name));
        if let Some(letter) = found.and_then(clap::Arg::get_short) {
            return Some(letter);
        }
        commands.extend(command.get_subcommands());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_known_by_their_letters() {
        assert_eq!(short("-i <SNAPSHOT>"), Some('i'));
        assert_eq!(short("--exclude <DATASET>"), None);
        assert_eq!(short_of_long("--exclude <DATASET>"), Some('X'));
        assert_eq!(short_of_long("--nothing"), None);
    }

    #[test]
    fn a_failure_prints_its_hints_and_a_broken_pipe_nothing() {
        let error = CommandError::failed("cannot open 'x': no such file").hint("Name one with -d.");
        assert_eq!(
            error.to_string(),
            "cannot open 'x': no such file\nName one with -d.\n"
        );
        let gone = CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(gone.to_string(), "");
    }
}
