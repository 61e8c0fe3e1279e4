//! Users' keys: where they come from, and zfs(8)'s sentences where they are none.

mod prompt;

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;

use zeroize::Zeroizing;
use zferry_blocks::crypt::{KeyError, KeyFormat, WrappingKey};
use zferry_zpool::Error;
use zferry_zpool::dsl::{DslDir, DslPool, Encryption, EntityName, LoadKeyError};

use crate::error::CommandError;

/// No passphrase is longer.
const PASSPHRASE_BYTES_MAX: usize = 512;
/// How much of a line is read at most.
const KEY_BYTES_MAX: usize = 4096;
/// A raw key has one byte less; one more tells that it is too long.
const RAW_BYTES_MAX: usize = 33;
/// How often a person may try again.
const RETRIES: u32 = 2;

/// Where the key of an encrypted dataset comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct KeyOptions {
    /// Read the key of an encrypted dataset from this file, in the form that its property keyformat says
    #[arg(short = 'K', long = "key", value_name = "FILE", conflicts_with = "prompt")]
    file: Option<PathBuf>,
    /// Ask for the key of an encrypted dataset, or read it from standard input where that is no terminal
    #[arg(long = "key-prompt")]
    prompt: bool,
}

/// Where one key comes from.
enum Origin {
    File(PathBuf),
    Prompt,
}

impl KeyOptions {
    /// Loads the key of the dataset that `name` belongs to, if it is encrypted: from where the options say, or else from
    /// its `keylocation` where that is a file that can be read.
    pub(crate) fn load(&self, dsl: &DslPool<'_>, name: &str) -> Result<(), CommandError> {
        let cannot = |error: Error| CommandError::failed(format_args!("cannot open '{name}': {error}"));
        // What is not there is missed by whoever uses it.
        let Some(dir) = dsl.dir(EntityName::new(name).dataset).map_err(cannot)? else {
            return Ok(());
        };
        let Some(root) = dsl.encryption_root(&dir).map_err(cannot)? else {
            return Ok(());
        };
        let Some(encryption) = dsl.encryption(&root).map_err(cannot)? else {
            return Ok(());
        };
        let Some(origin) = self.origin(dsl, &root).map_err(cannot)? else {
            return Ok(());
        };
        // A person may mistype.
        let is_typed = matches!(origin, Origin::Prompt) && io::stdin().is_terminal();
        let mut retries = if is_typed { RETRIES } else { 0 };
        while let Err(error) = load(dsl, &root, &encryption, &origin) {
            let failed = CommandError::failed(format_args!("Key load error: {error}"));
            let Some(left) = retries.checked_sub(1) else {
                return Err(failed);
            };
            failed.report();
            retries = left;
        }
        Ok(())
    }

    fn origin(&self, dsl: &DslPool<'_>, root: &DslDir) -> Result<Option<Origin>, Error> {
        if self.prompt {
            return Ok(Some(Origin::Prompt));
        }
        if let Some(file) = &self.file {
            return Ok(Some(Origin::File(file.clone())));
        }
        let location = dsl.dir_settings(root)?.get("keylocation");
        let path = location
            .and_then(|setting| setting.value.text())
            .and_then(|location| location.strip_prefix("file://"))
            .map(PathBuf::from);
        // On this machine it may mean nothing.
        Ok(path.filter(|path| File::open(path).is_ok()).map(Origin::File))
    }
}

fn load(dsl: &DslPool<'_>, root: &DslDir, encryption: &Encryption, origin: &Origin) -> Result<(), String> {
    let format = encryption.key_format.and_then(KeyFormat::from_id);
    let format = format.ok_or_else(|| format!("'{}' has no key format that is known.", root.name))?;
    let material = match origin {
        Origin::File(path) => File::open(path)
            .map_err(|error| format!("Failed to open key material file: {}", Reason(&error)))
            .and_then(|mut file| read(&mut file, format)),
        Origin::Prompt if !io::stdin().is_terminal() => {
            standard_input().and_then(|mut file| read(&mut file, format))
        }
        Origin::Prompt if format == KeyFormat::Raw => Err("Cannot enter raw keys on the terminal".to_owned()),
        Origin::Prompt => prompt::ask(format, &root.name).map_err(|error| Reason(&error).to_string()),
    };
    let key = wrapping_key(&material?, format, encryption)?;
    dsl.load_key(root, key).map_err(|error| match error {
        LoadKeyError::Pool(Error::Unsupported(_)) => {
            format!("'{}' uses an unsupported encryption suite.", root.name)
        }
        error => error.to_string(),
    })
}

/// Standard input without the buffer that Rust puts before it, which is not wiped.
fn standard_input() -> Result<File, String> {
    let file = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    file.map_err(|error| Reason(&error).to_string())
}

/// Reads a raw key, or else a line, without its end.
fn read(file: &mut File, format: KeyFormat) -> Result<Zeroizing<Vec<u8>>, String> {
    let is_raw = format == KeyFormat::Raw;
    // It has its full size from the start, so that no part of it stays behind when it grows.
    let mut key = Zeroizing::new(vec![0; if is_raw { RAW_BYTES_MAX } else { KEY_BYTES_MAX }]);
    let mut len = 0_usize;
    let mut end = None;
    while let (None, Some(free)) = (end, key.get_mut(len..).filter(|free| !free.is_empty())) {
        match file.read(free) {
            Ok(0) => break,
            Ok(count) => len = len.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Reason(&error).to_string()),
        }
        end = key.iter().take(len).position(|&byte| byte == b'\n' && !is_raw);
    }
    key.truncate(end.unwrap_or(len));
    Ok(key)
}

fn wrapping_key(material: &[u8], format: KeyFormat, encryption: &Encryption) -> Result<WrappingKey, String> {
    let key = match format {
        KeyFormat::Raw => WrappingKey::from_raw(material),
        KeyFormat::Hex => WrappingKey::from_hex(material),
        KeyFormat::Passphrase if material.len() == KEY_BYTES_MAX => {
            return Err(format!("Passphrase too long (max {PASSPHRASE_BYTES_MAX})."));
        }
        KeyFormat::Passphrase => {
            let salt = encryption.pbkdf2_salt.unwrap_or(0);
            WrappingKey::from_passphrase(material, salt, encryption.pbkdf2_iterations.unwrap_or(0))
        }
    };
    key.map_err(|error| match error {
        KeyError::Length {
            format,
            expected,
            found,
        } => {
            let name = if format == KeyFormat::Hex { "Hex" } else { "Raw" };
            let what = if found < expected { "short" } else { "long" };
            format!("{name} key too {what} (expected {expected}).")
        }
        KeyError::HexDigit { .. } => "Invalid hex character detected.".to_owned(),
        error => error.to_string(),
    })
}

/// What the operating system says, without the number that Rust puts behind it.
struct Reason<'a>(&'a io::Error);

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn a_line_ends_and_a_raw_key_does_not() {
        let line = read(&mut file(b"correct horse\nbattery\n"), KeyFormat::Passphrase).unwrap();
        assert_eq!(*line, b"correct horse");
        let whole = read(&mut file(b"no newline"), KeyFormat::Passphrase).unwrap();
        assert_eq!(*whole, b"no newline");
        let raw = read(&mut file(&[b'\n'; 40]), KeyFormat::Raw).unwrap();
        assert_eq!(*raw, [b'\n'; 33]);
        let endless = read(&mut file(&[b'1'; 10_000]), KeyFormat::Hex).unwrap();
        assert_eq!(endless.len(), KEY_BYTES_MAX);
    }

    #[test]
    fn what_is_no_key_is_refused_in_the_words_of_zfs() {
        let encryption = Encryption {
            suite: None,
            key_guid: None,
            root: None,
            key_format: None,
            pbkdf2_iterations: None,
            pbkdf2_salt: None,
        };
        let said = |material: &[u8], format| wrapping_key(material, format, &encryption).unwrap_err();
        assert_eq!(said(&[0; 31], KeyFormat::Raw), "Raw key too short (expected 32).");
        assert_eq!(said(&[0; 33], KeyFormat::Raw), "Raw key too long (expected 32).");
        assert_eq!(said(b"12", KeyFormat::Hex), "Hex key too short (expected 64).");
        assert_eq!(
            said(&[b'1'; 65], KeyFormat::Hex),
            "Hex key too long (expected 64)."
        );
        assert_eq!(
            said(&[b'x'; 64], KeyFormat::Hex),
            "Invalid hex character detected."
        );
        let long = vec![b'x'; KEY_BYTES_MAX];
        assert_eq!(
            said(&long, KeyFormat::Passphrase),
            "Passphrase too long (max 512)."
        );
    }
}
