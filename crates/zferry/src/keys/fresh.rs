//! New users' keys: of new encryption roots, and of those whose key changes.

use super::{KEY_BYTES_MAX, Reason, key_sentence, prompt, read, standard_input};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use zeroize::Zeroizing;
use zferry_blocks::crypt::{DEFAULT_ITERATIONS, KeyFormat, MIN_ITERATIONS, WrappingKey};
use zferry_zpool::UserKey;

/// The lengths that a new passphrase may have, in bytes.
const PASSPHRASE_BYTES: std::ops::RangeInclusive<usize> = 8..=512;

/// What is asked for of a new user's key: properties, by their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewKey {
    /// `keyformat`
    pub(crate) format: Option<KeyFormat>,
    /// `keylocation`
    pub(crate) location: Option<String>,
    /// `pbkdf2iters`
    pub(crate) iterations: Option<u64>,
}

impl NewKey {
    /// Takes one of the properties. Says whether it was one.
    pub(crate) fn take(&mut self, name: &str, value: &str) -> Result<bool, String> {
        match name {
            "keyformat" => {
                let formats = [KeyFormat::Raw, KeyFormat::Hex, KeyFormat::Passphrase];
                let format = formats.into_iter().find(|format| format.name() == value);
                let wrong = || "'keyformat' must be one of 'raw | hex | passphrase'".to_owned();
                self.format = Some(format.ok_or_else(wrong)?);
            }
            "keylocation" => {
                let is_valid = value == "prompt" || value.starts_with("file:///");
                if !is_valid {
                    let is_remote = value.starts_with("http://") || value.starts_with("https://");
                    return Err(if is_remote {
                        "keys are read from files only".to_owned()
                    } else {
                        "invalid keylocation".to_owned()
                    });
                }
                self.location = Some(value.to_owned());
            }
            "pbkdf2iters" => {
                let number = value
                    .parse()
                    .map_err(|_| format!("bad numeric value '{value}'"))?;
                if number < MIN_ITERATIONS {
                    return Err(format!("minimum pbkdf2 iterations is {MIN_ITERATIONS}"));
                }
                self.iterations = Some(number);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether anything is asked for.
    pub(crate) const fn is_some(&self) -> bool {
        self.format.is_some() || self.location.is_some() || self.iterations.is_some()
    }

    /// Reads the key from its location. `name` is whose key it is, where that is there; `salt` is random.
    pub(crate) fn read(
        &self,
        format: KeyFormat,
        location: &str,
        name: Option<&str>,
        salt: u64,
    ) -> Result<UserKey, String> {
        let material = material(format, location, name)?;
        let is_passphrase = format == KeyFormat::Passphrase;
        if !is_passphrase && self.iterations.is_some() {
            return Err("Cannot specify pbkdf2iters with a non-passphrase keyformat.".to_owned());
        }
        let iterations = self.iterations.unwrap_or(DEFAULT_ITERATIONS);
        let wrapping = match format {
            KeyFormat::Raw => WrappingKey::from_raw(&material),
            KeyFormat::Hex => WrappingKey::from_hex(&material),
            KeyFormat::Passphrase => {
                if material.len() > *PASSPHRASE_BYTES.end() {
                    return Err(format!("Passphrase too long (max {}).", PASSPHRASE_BYTES.end()));
                }
                if material.len() < *PASSPHRASE_BYTES.start() {
                    return Err(format!(
                        "Passphrase too short (min {}).",
                        PASSPHRASE_BYTES.start()
                    ));
                }
                WrappingKey::from_passphrase(&material, salt, iterations)
            }
        };
        Ok(UserKey {
            wrapping: Arc::new(wrapping.map_err(|error| key_sentence(&error))?),
            format,
            pbkdf2_iterations: if is_passphrase { iterations } else { 0 },
            pbkdf2_salt: if is_passphrase { salt } else { 0 },
        })
    }
}

/// The key as it is given, without the end of its line.
fn material(format: KeyFormat, location: &str, name: Option<&str>) -> Result<Zeroizing<Vec<u8>>, String> {
    if let Some(path) = location.strip_prefix("file://") {
        let file = File::open(path);
        let mut file =
            file.map_err(|error| format!("Failed to open key material file: {}", Reason(&error)))?;
        return read(&mut file, format);
    }
    if location != "prompt" {
        return Err("Invalid keylocation.".to_owned());
    }
    if !io::stdin().is_terminal() {
        return standard_input().and_then(|mut file| read(&mut file, format));
    }
    if format == KeyFormat::Raw {
        return Err("Cannot enter raw keys on the terminal".to_owned());
    }
    let ask = |verb: &str| prompt::ask_new(format, verb, name).map_err(|error| Reason(&error).to_string());
    let first = ask("Enter")?;
    if first.len() >= KEY_BYTES_MAX || *first != *ask("Re-enter")? {
        return Err("Provided keys do not match.".to_owned());
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_must_make_sense() {
        let mut key = NewKey::default();
        assert_eq!(key.take("compression", "lz4"), Ok(false));
        assert!(!key.is_some());
        assert_eq!(key.take("keyformat", "hex"), Ok(true));
        assert_eq!(key.take("keylocation", "file:///a/b"), Ok(true));
        assert_eq!(
            key.take("keylocation", "there").unwrap_err(),
            "invalid keylocation"
        );
        assert_eq!(
            key.take("pbkdf2iters", "1000").unwrap_err(),
            "minimum pbkdf2 iterations is 100000"
        );
        assert!(key.take("keyformat", "none").is_err());
        assert_eq!(
            (key.format, key.location),
            (Some(KeyFormat::Hex), Some("file:///a/b".to_owned()))
        );
    }

    #[test]
    fn keys_come_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let location = format!("file://{}", path.display());
        let read = |format, iterations| {
            let key = NewKey {
                iterations,
                ..NewKey::default()
            };
            key.read(format, &location, None, 7)
        };
        assert_eq!(
            read(KeyFormat::Hex, None).unwrap_err(),
            "Failed to open key material file: No such file or directory"
        );
        std::fs::write(&path, "short\n").unwrap();
        assert_eq!(
            read(KeyFormat::Passphrase, None).unwrap_err(),
            "Passphrase too short (min 8)."
        );
        std::fs::write(&path, "long enough\n").unwrap();
        let key = read(KeyFormat::Passphrase, Some(100_000)).unwrap();
        assert_eq!((key.pbkdf2_iterations, key.pbkdf2_salt), (100_000, 7));
        std::fs::write(&path, "1".repeat(64)).unwrap();
        assert_eq!(read(KeyFormat::Hex, None).unwrap().pbkdf2_salt, 0);
        assert_eq!(
            read(KeyFormat::Hex, Some(100_000)).unwrap_err(),
            "Cannot specify pbkdf2iters with a non-passphrase keyformat."
        );
    }
}
