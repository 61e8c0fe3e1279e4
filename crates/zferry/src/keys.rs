//! Users' keys: where they come from, and zfs(8)'s sentences where they are none.

mod fresh;
mod prompt;

pub(crate) use fresh::NewKey;

use std::fmt::{self, Display};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;
use zferry_blocks::crypt::{KeyError, KeyFormat, WrappingKey};
use zferry_zpool::dsl::{DslDir, DslPool, Encryption, EntityName, LoadKeyError};
use zferry_zpool::{Error, PoolWriter};

use crate::error::CommandError;
use crate::pools::cannot_open;

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

/// An encryption root, and where its key comes from.
struct Lock {
    root: Arc<DslDir>,
    encryption: Encryption,
    origin: Origin,
}

impl KeyOptions {
    /// A key at this `keylocation`, or where the property says.
    pub(crate) fn at(location: Option<&str>) -> Self {
        Self {
            file: location
                .and_then(|location| location.strip_prefix("file://"))
                .map(PathBuf::from),
            prompt: location == Some("prompt"),
        }
    }

    /// Whether the key is asked for.
    pub(crate) const fn is_prompt(&self) -> bool {
        self.prompt
    }

    /// Loads the key of the dataset that `name` belongs to, if it is encrypted: from where the options say, or else from
    /// its `keylocation` where that is a file that can be read.
    pub(crate) fn load(&self, dsl: &DslPool<'_>, name: &str) -> Result<(), CommandError> {
        match self.lock(dsl, name)? {
            Some(lock) => lock.open(&mut |key| dsl.load_key(&lock.root, key)),
            None => Ok(()),
        }
    }

    /// The same for a pool that is written. Of what is not there yet, that of what it will lie below.
    pub(crate) fn unlock(&self, writer: &mut PoolWriter, name: &str) -> Result<(), CommandError> {
        let lock = self.lock(&DslPool::new(writer.pool()), name)?;
        match lock {
            Some(lock) => lock.open(&mut |key| writer.load_key(&lock.root.name, key)),
            None => Ok(()),
        }
    }

    /// Whether there is a place to take the key of that dataset from.
    pub(crate) fn is_found(&self, dsl: &DslPool<'_>, name: &str) -> Result<bool, CommandError> {
        Ok(self.lock(dsl, name)?.is_some())
    }

    /// Checks the key of an encryption root, wherever it is: if nothing else is said, it is asked for.
    pub(crate) fn check(&self, dsl: &DslPool<'_>, root: &Arc<DslDir>) -> Result<(), CommandError> {
        let cannot = |error: Error| cannot_open(&root.name, &error);
        let encryption = dsl.encryption(root).map_err(cannot)?;
        let encryption =
            encryption.ok_or_else(|| key_error(format_args!("'{}' is not encrypted.", root.name)))?;
        let lock = Lock {
            root: Arc::clone(root),
            encryption,
            origin: match &self.file {
                Some(file) => Origin::File(file.clone()),
                None if self.prompt => Origin::Prompt,
                None => location(dsl, root)
                    .map_err(cannot)?
                    .map_or(Origin::Prompt, Origin::File),
            },
        };
        lock.open(&mut |key| dsl.load_key(root, key))
    }

    fn lock(&self, dsl: &DslPool<'_>, name: &str) -> Result<Option<Lock>, CommandError> {
        let cannot = |error: Error| cannot_open(name, &error);
        // What is not there lies below something that is, or is missed by whoever uses it.
        let mut dataset = EntityName::new(name).dataset;
        let dir = loop {
            match (dsl.dir(dataset).map_err(cannot)?, dataset.rsplit_once('/')) {
                (Some(dir), _) => break dir,
                (None, Some((parent, _))) => dataset = parent,
                (None, None) => return Ok(None),
            }
        };
        let Some(root) = dsl.encryption_root(&dir).map_err(cannot)? else {
            return Ok(None);
        };
        let Some(encryption) = dsl.encryption(&root).map_err(cannot)? else {
            return Ok(None);
        };
        let origin = self.origin(dsl, &root).map_err(cannot)?;
        Ok(origin.map(|origin| Lock {
            root,
            encryption,
            origin,
        }))
    }

    fn origin(&self, dsl: &DslPool<'_>, root: &DslDir) -> Result<Option<Origin>, Error> {
        if self.prompt {
            return Ok(Some(Origin::Prompt));
        }
        if let Some(file) = &self.file {
            return Ok(Some(Origin::File(file.clone())));
        }
        // On this machine it may mean nothing.
        let path = location(dsl, root)?;
        Ok(path.filter(|path| File::open(path).is_ok()).map(Origin::File))
    }
}

/// The file that the property `keylocation` names.
fn location(dsl: &DslPool<'_>, root: &DslDir) -> Result<Option<PathBuf>, Error> {
    let location = dsl.dir_settings(root)?.get("keylocation");
    let path = location
        .and_then(|setting| setting.value.text())
        .and_then(|location| location.strip_prefix("file://"));
    Ok(path.map(PathBuf::from))
}

fn key_error(why: impl Display) -> CommandError {
    CommandError::failed(format_args!("Key load error: {why}"))
}

impl Lock {
    /// Gets the key and has `take` take it. A person may mistype.
    fn open(
        &self,
        take: &mut dyn FnMut(WrappingKey) -> Result<(), LoadKeyError>,
    ) -> Result<(), CommandError> {
        let is_typed = matches!(self.origin, Origin::Prompt) && io::stdin().is_terminal();
        let mut retries = if is_typed { RETRIES } else { 0 };
        loop {
            let taken = self.key().and_then(|key| {
                take(key).map_err(|error| match error {
                    LoadKeyError::Pool(Error::Unsupported(_)) => {
                        format!("'{}' uses an unsupported encryption suite.", self.root.name)
                    }
                    error => error.to_string(),
                })
            });
            let Err(why) = taken else { return Ok(()) };
            let failed = key_error(why);
            let Some(left) = retries.checked_sub(1) else {
                return Err(failed);
            };
            failed.report();
            retries = left;
        }
    }

    fn key(&self) -> Result<WrappingKey, String> {
        let name = &self.root.name;
        let format = self.encryption.key_format.and_then(KeyFormat::from_id);
        let format = format.ok_or_else(|| format!("'{name}' has no key format that is known."))?;
        let material = match &self.origin {
            Origin::File(path) => File::open(path)
                .map_err(|error| format!("Failed to open key material file: {}", Reason(&error)))
                .and_then(|mut file| read(&mut file, format)),
            Origin::Prompt if !io::stdin().is_terminal() => {
                standard_input().and_then(|mut file| read(&mut file, format))
            }
            Origin::Prompt if format == KeyFormat::Raw => {
                Err("Cannot enter raw keys on the terminal".to_owned())
            }
            Origin::Prompt => prompt::ask(format, name).map_err(|error| Reason(&error).to_string()),
        };
        wrapping_key(&material?, format, &self.encryption)
    }
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
    key.map_err(|error| key_sentence(&error))
}

/// Why something is no key, in zfs(8)'s words.
fn key_sentence(error: &KeyError) -> String {
    match error {
        KeyError::Length {
            format,
            expected,
            found,
        } => {
            let name = if *format == KeyFormat::Hex { "Hex" } else { "Raw" };
            let what = if found < expected { "short" } else { "long" };
            format!("{name} key too {what} (expected {expected}).")
        }
        KeyError::HexDigit { .. } => "Invalid hex character detected.".to_owned(),
        error => error.to_string(),
    }
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
