//! Asking for a key on the terminal, which shows nothing of it.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;
use zferry_blocks::crypt::KeyFormat;

use super::KEY_BYTES_MAX;

// What keys send that are no characters.
const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const KILL_LINE: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// Asks for the key of an encryption root on standard error, for standard output is where the stream goes.
pub(super) fn ask(format: KeyFormat, root: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    write!(io::stderr(), "Enter {} for '{root}':", word(format))?;
    read_quietly()
}

/// Asks for a new key, of what has this name if it has one.
pub(super) fn ask_new(format: KeyFormat, verb: &str, name: Option<&str>) -> io::Result<Zeroizing<Vec<u8>>> {
    let whose = name.map_or_else(String::new, |name| format!(" for '{name}'"));
    write!(io::stderr(), "{verb} new {}{whose}:", word(format))?;
    read_quietly()
}

const fn word(format: KeyFormat) -> &'static str {
    match format {
        KeyFormat::Hex => "hex key",
        KeyFormat::Raw | KeyFormat::Passphrase => "passphrase",
    }
}

fn read_quietly() -> io::Result<Zeroizing<Vec<u8>>> {
    let quiet = Quiet::new()?;
    let line = read_line();
    drop(quiet);
    writeln!(io::stderr())?;
    line
}

/// A terminal that shows nothing of what is typed, and hands it over at once, until it is dropped.
struct Quiet {
    before: Termios,
}

impl Quiet {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut quiet = before.clone();
        // Without signals, for whoever interrupts shall get a terminal back that shows what is typed.
        let shown = LocalModes::ECHO | LocalModes::ECHONL;
        quiet
            .local_modes
            .remove(shown | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &self.before);
    }
}

fn read_line() -> io::Result<Zeroizing<Vec<u8>>> {
    let mut terminal = std::fs::File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut line = Zeroizing::new(Vec::with_capacity(KEY_BYTES_MAX));
    let mut byte = Zeroizing::new([0]);
    while line.len() < KEY_BYTES_MAX {
        match terminal.read(&mut *byte) {
            Ok(0) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        let [typed] = *byte;
        match typed {
            b'\n' | b'\r' | END => break,
            INTERRUPT => return Err(io::Error::new(io::ErrorKind::Interrupted, "interrupted")),
            BACKSPACE | DELETE => drop(line.pop()),
            KILL_LINE => line.clear(),
            typed => line.push(typed),
        }
    }
    Ok(line)
}
