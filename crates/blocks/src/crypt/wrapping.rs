//! The key that a user has, and the keys of a dataset wrapped with it.

use sha1::Sha1;
use zeroize::{Zeroize, Zeroizing};
use zferry_wire::u64_from_usize;

use super::{CryptError, DataKey, FormatVersion, Iv, Key, Mac, Suite};

/// The bytes of a wrapping key, whatever the suite.
const KEY_LEN: usize = 32;

/// Fewer rounds than these are not accepted for a new passphrase.
pub const MIN_ITERATIONS: u64 = 100_000;

/// The rounds that a new passphrase gets unless told otherwise.
pub const DEFAULT_ITERATIONS: u64 = 350_000;

/// More rounds than these OpenZFS cannot count.
const MAX_ITERATIONS: u64 = 0x7fff_ffff;

/// How the user's key is given (`keyformat`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyFormat {
    /// 32 bytes.
    Raw,
    /// 64 hexadecimal digits.
    Hex,
    /// A passphrase, from which PBKDF2 makes the key.
    Passphrase,
}

impl KeyFormat {
    /// The format of that number, if there is one; 0 is `none`.
    #[must_use]
    pub const fn from_id(id: u64) -> Option<Self> {
        match id {
            1 => Some(Self::Raw),
            2 => Some(Self::Hex),
            3 => Some(Self::Passphrase),
            _ => None,
        }
    }

    /// Its number in properties.
    #[must_use]
    pub const fn id(self) -> u64 {
        match self {
            Self::Raw => 1,
            Self::Hex => 2,
            Self::Passphrase => 3,
        }
    }

    /// ZFS's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Hex => "hex",
            Self::Passphrase => "passphrase",
        }
    }
}

impl std::fmt::Display for KeyFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why what a user gave is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// A raw or hex key of another length.
    #[error("a {format} key has {expected} bytes, not {found}")]
    Length {
        /// The format that was asked for.
        format: KeyFormat,
        /// The bytes that such a key has.
        expected: u64,
        /// The bytes that were given.
        found: u64,
    },
    /// A hex key with something else in it.
    #[error("character {position} of the hex key is no hexadecimal digit")]
    HexDigit {
        /// Which character, from 0.
        position: u64,
    },
    /// A number of rounds that cannot be.
    #[error("{iterations} rounds of PBKDF2 are out of range")]
    Iterations {
        /// The number of rounds.
        iterations: u64,
    },
}

/// The user's key, with which the keys of a dataset are wrapped. Wiped when dropped.
pub struct WrappingKey(Zeroizing<[u8; KEY_LEN]>);

impl WrappingKey {
    /// A raw key.
    ///
    /// # Errors
    /// [`KeyError::Length`] unless it has 32 bytes.
    pub fn from_raw(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; KEY_LEN]);
        if bytes.len() != KEY_LEN {
            return Err(wrong_length(KeyFormat::Raw, KEY_LEN, bytes));
        }
        key.copy_from_slice(bytes);
        Ok(Self(key))
    }

    /// A key in hexadecimal digits, of either case.
    ///
    /// # Errors
    /// [`KeyError::Length`] unless there are 64, [`KeyError::HexDigit`] where one is none.
    pub fn from_hex(digits: &[u8]) -> Result<Self, KeyError> {
        if digits.len() != 2 * KEY_LEN {
            return Err(wrong_length(KeyFormat::Hex, 2 * KEY_LEN, digits));
        }
        let mut key = Zeroizing::new([0_u8; KEY_LEN]);
        for (position, &digit) in digits.iter().enumerate() {
            let value = char::from(digit)
                .to_digit(16)
                .and_then(|value| u8::try_from(value).ok())
                .ok_or(KeyError::HexDigit {
                    position: u64_from_usize(position),
                })?;
            key[position / 2] = key[position / 2] << 4 | value;
        }
        Ok(Self(key))
    }

    /// The key that PBKDF2 makes of a passphrase with the dataset's `pbkdf2salt` and `pbkdf2iters`.
    ///
    /// A passphrase ends at its first zero byte, if it has one: OpenZFS handles it as a string of C. Lengths (8 to 512
    /// bytes) are a rule for new passphrases and not checked here.
    ///
    /// # Errors
    /// [`KeyError::Iterations`] for none, or 2³¹ and more.
    pub fn from_passphrase(passphrase: &[u8], salt: u64, iterations: u64) -> Result<Self, KeyError> {
        let rounds = match u32::try_from(iterations) {
            Ok(rounds) if (1..=MAX_ITERATIONS).contains(&iterations) => rounds,
            _ => return Err(KeyError::Iterations { iterations }),
        };
        let end = passphrase.iter().position(|&byte| byte == 0);
        let passphrase = passphrase
            .get(..end.unwrap_or(passphrase.len()))
            .unwrap_or_default();
        let mut key = Zeroizing::new([0; KEY_LEN]);
        pbkdf2::pbkdf2_hmac::<Sha1>(passphrase, &salt.to_le_bytes(), rounds, &mut *key);
        Ok(Self(key))
    }

    fn cipher(&self, suite: Suite, version: FormatVersion) -> DataKey {
        DataKey::new(suite.wrapping(), version, &self.0)
    }
}

impl std::fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WrappingKey(..)")
    }
}

fn wrong_length(format: KeyFormat, expected: usize, found: &[u8]) -> KeyError {
    KeyError::Length {
        format,
        expected: u64_from_usize(expected),
        found: u64_from_usize(found.len()),
    }
}

/// The keys of a dataset as a pool or a raw stream has them: encrypted under the user's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// `DSL_CRYPTO_SUITE`
    pub suite: Suite,
    /// `DSL_CRYPTO_VERSION`
    pub version: FormatVersion,
    /// `DSL_CRYPTO_GUID`
    pub guid: u64,
    /// `DSL_CRYPTO_IV`
    pub iv: Iv,
    /// `DSL_CRYPTO_MAC`
    pub mac: Mac,
    /// `DSL_CRYPTO_MASTER_KEY_1`: as many bytes as the suite's keys have, then zeros.
    pub master_key: [u8; 32],
    /// `DSL_CRYPTO_HMAC_KEY_1`
    pub hmac_key: [u8; 64],
}

impl WrappedKey {
    /// Unwraps the keys.
    ///
    /// # Errors
    /// [`CryptError::Authentication`] if the wrapping key is another one.
    pub fn unwrap(&self, wrapping: &WrappingKey) -> Result<Key, CryptError> {
        let (master_key, _) = self.master_key.split_at(self.suite.key_len());
        let mut secret = Zeroizing::new([master_key, &self.hmac_key].concat());
        wrapping.cipher(self.suite, self.version).open(
            self.iv,
            self.mac,
            &authenticated(self.suite, self.version, self.guid),
            &mut secret,
        )?;
        let (master, hmac) = secret.split_at(self.suite.key_len());
        let mut key = Key {
            suite: self.suite,
            version: self.version,
            guid: self.guid,
            master: Zeroizing::new([0; 32]),
            hmac: Zeroizing::new([0; 64]),
        };
        for (kept, byte) in key.master.iter_mut().zip(master) {
            *kept = *byte;
        }
        key.hmac.copy_from_slice(hmac);
        Ok(key)
    }
}

impl Key {
    /// Wraps the keys under `wrapping`, with a vector that is used only this once.
    ///
    /// # Errors
    /// None in practice: the keys are short enough for every suite.
    pub fn wrap(&self, wrapping: &WrappingKey, iv: Iv) -> Result<WrappedKey, CryptError> {
        let (master, _) = self.master.split_at(self.suite.key_len());
        let mut secret = Zeroizing::new([master, &*self.hmac].concat());
        let mac = wrapping.cipher(self.suite, self.version).seal(
            iv,
            &authenticated(self.suite, self.version, self.guid),
            &mut secret,
        )?;
        let (master, hmac) = secret.split_at(self.suite.key_len());
        let mut wrapped = WrappedKey {
            suite: self.suite,
            version: self.version,
            guid: self.guid,
            iv,
            mac,
            master_key: [0; 32],
            hmac_key: [0; 64],
        };
        for (kept, byte) in wrapped.master_key.iter_mut().zip(master) {
            *kept = *byte;
        }
        wrapped.hmac_key.copy_from_slice(hmac);
        secret.zeroize();
        Ok(wrapped)
    }
}

/// What is authenticated beside wrapped keys, as little-endian words. Version 0 knew the first only.
fn authenticated(suite: Suite, version: FormatVersion, guid: u64) -> Vec<u8> {
    let words: &[u64] = match version {
        FormatVersion::Zero => &[guid],
        FormatVersion::One => &[guid, suite.id(), version.id()],
    };
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrapped_keys_unwrap_under_their_own_key_only() {
        for suite in Suite::ALL {
            let key = Key::new(suite, 42, &[1; 32], &[2; 64]);
            let user = WrappingKey::from_raw(&[3; 32]).unwrap();
            let wrapped = key.wrap(&user, Iv([4; 12])).unwrap();
            assert_eq!(wrapped.master_key[suite.key_len()..], [0; 32][suite.key_len()..]);
            assert_ne!(wrapped.hmac_key, [2; 64]);

            let back = wrapped.unwrap(&user).unwrap();
            assert_eq!(*back.hmac, [2; 64]);
            assert_eq!(*back.master, *key.master);

            let other = WrappingKey::from_raw(&[5; 32]).unwrap();
            assert_eq!(wrapped.unwrap(&other).unwrap_err(), CryptError::Authentication);
            for altered in [
                WrappedKey {
                    guid: 43,
                    ..wrapped.clone()
                },
                WrappedKey {
                    version: FormatVersion::Zero,
                    ..wrapped.clone()
                },
            ] {
                assert_eq!(altered.unwrap(&user).unwrap_err(), CryptError::Authentication);
            }
        }
    }

    #[test]
    fn keys_are_read_in_every_format() {
        let raw = WrappingKey::from_raw(&[0xab; 32]).unwrap();
        let hex = WrappingKey::from_hex(b"aB".repeat(32).as_slice()).unwrap();
        assert_eq!(*raw.0, *hex.0);
        assert_eq!(
            WrappingKey::from_raw(&[0; 31]).unwrap_err().to_string(),
            "a raw key has 32 bytes, not 31"
        );
        assert_eq!(
            WrappingKey::from_hex(&[b'0'; 65]).unwrap_err().to_string(),
            "a hex key has 64 bytes, not 65"
        );
        let mut digits = [b'0'; 64];
        digits[63] = b'g';
        assert_eq!(
            WrappingKey::from_hex(&digits).unwrap_err(),
            KeyError::HexDigit { position: 63 }
        );
    }

    #[test]
    fn passphrases_end_at_a_zero_byte() {
        let one = WrappingKey::from_passphrase(b"correct horse", 7, 2).unwrap();
        let two = WrappingKey::from_passphrase(b"correct horse\0battery", 7, 2).unwrap();
        assert_eq!(*one.0, *two.0);
        for iterations in [0, 1 << 31, 1 << 32, u64::MAX] {
            assert_eq!(
                WrappingKey::from_passphrase(b"correct horse", 7, iterations).unwrap_err(),
                KeyError::Iterations { iterations }
            );
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let user = WrappingKey::from_raw(&[77; 32]).unwrap();
        let key = Key::new(Suite::ON, 1, &[77; 32], &[77; 64]);
        let printed = format!(
            "{user:?} {key:?} {:?}",
            key.data_key(super::super::KeySalt([1; 8]))
        );
        assert!(!printed.contains("77"), "{printed}");
    }
}
