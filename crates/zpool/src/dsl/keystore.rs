//! The keys of encrypted datasets: wrapped as the pool has them, and unwrapped once the user's key is loaded.
//!
//! ```text
//! the table of a dataset's key
//! DSL_CRYPTO_SUITE, DSL_CRYPTO_GUID          numbers
//! DSL_CRYPTO_VERSION                         number; without it, 0
//! DSL_CRYPTO_IV, DSL_CRYPTO_MAC              12 and 16 bytes
//! DSL_CRYPTO_MASTER_KEY_1                    32 bytes, whatever the suite
//! DSL_CRYPTO_HMAC_KEY_1                      64 bytes
//! ```
//!
//! Every dataset that is no clone has a key of its own. The user's key wraps those of an encryption root and of all that
//! inherit from it, so it is loaded for the root.

use super::encryption::Encryption;
use super::{DslDir, DslPool};
use crate::zap::{ZapEntry, ZapValue};
use crate::{Corrupt, Error, ObjectNumber, Unsupported};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use zferry_blocks::crypt::{FormatVersion, Iv, Key, Mac, Suite, WrappedKey, WrappingKey};

/// Users' keys, by the directory of the encryption root. They are wiped when the store is dropped.
#[derive(Debug, Default)]
pub(super) struct Keystore {
    loaded: Mutex<HashMap<ObjectNumber, Arc<WrappingKey>>>,
}

/// Why a user's key was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadKeyError {
    /// The dataset is not encrypted.
    #[error("'{0}' is not encrypted.")]
    NotEncrypted(String),
    /// The key does not unwrap that of the encryption root.
    #[error("Incorrect key provided for '{0}'.")]
    Incorrect(String),
    /// The root's own key cannot be read.
    #[error(transparent)]
    Pool(#[from] Error),
}

impl DslPool<'_> {
    /// The directory from which the dataset in `dir` has its user's key; `None` where it is not encrypted.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn encryption_root(&self, dir: &DslDir) -> Result<Option<Arc<DslDir>>, Error> {
        let Some(encryption) = self.encryption(dir)? else {
            return Ok(None);
        };
        let root = encryption
            .root
            .ok_or_else(|| Corrupt::new(format!("the key of '{}' has no encryption root", dir.name)))?;
        self.dir_at(root).map(Some)
    }

    /// The key of the dataset in `dir` as the pool has it; `None` where it is not encrypted.
    ///
    /// # Errors
    /// Where it cannot be read; [`Unsupported`] where it is of a suite or of a version that is not known.
    pub fn wrapped_key(&self, dir: &DslDir) -> Result<Option<WrappedKey>, Error> {
        let Some(entries) = self.key_table(dir)? else {
            return Ok(None);
        };
        wrapped(&entries).map(Some)
    }

    /// Loads the user's key of an encryption root.
    ///
    /// # Errors
    /// [`LoadKeyError::Incorrect`] where it is not the one.
    pub fn load_key(&self, root: &DslDir, user: WrappingKey) -> Result<(), LoadKeyError> {
        let wrapped = self
            .wrapped_key(root)?
            .ok_or_else(|| LoadKeyError::NotEncrypted(root.name.clone()))?;
        wrapped
            .unwrap(&user)
            .map_err(|_| LoadKeyError::Incorrect(root.name.clone()))?;
        let mut loaded = self
            .keystore
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        loaded.insert(root.number, Arc::new(user));
        Ok(())
    }

    /// The key of the dataset in `dir`; `None` where it is not encrypted or its user's key is not loaded.
    ///
    /// # Errors
    /// Where it cannot be read, or is not wrapped by the key of its encryption root.
    pub fn key(&self, dir: &DslDir) -> Result<Option<Arc<Key>>, Error> {
        let (Some(Encryption { root: Some(root), .. }), Some(wrapped)) =
            (self.encryption(dir)?, self.wrapped_key(dir)?)
        else {
            return Ok(None);
        };
        let loaded = self
            .keystore
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(user) = loaded.get(&root) else {
            return Ok(None);
        };
        let key = wrapped.unwrap(user).map_err(|_| {
            let dir = &dir.name;
            Corrupt::new(format!(
                "the key of '{dir}' is not wrapped by that of its encryption root"
            ))
        })?;
        Ok(Some(Arc::new(key)))
    }
}

/// The key in the entries of a key's table.
pub(crate) fn wrapped(entries: &[ZapEntry]) -> Result<WrappedKey, Error> {
    let value = |name: &str| {
        let mut entries = entries.iter();
        let found = entries.find(|entry| entry.name == name.as_bytes())?;
        Some(&found.value)
    };
    let missing = |name: &str| Error::Missing(format!("'{name}' in the table of a key"));
    let number = |name: &str| value(name).and_then(ZapValue::as_u64);
    let suite = number("DSL_CRYPTO_SUITE").ok_or_else(|| missing("DSL_CRYPTO_SUITE"))?;
    let version = number("DSL_CRYPTO_VERSION").unwrap_or(0);
    Ok(WrappedKey {
        suite: Suite::from_id(suite).ok_or(Unsupported::Suite(suite))?,
        version: FormatVersion::from_id(version).ok_or(Unsupported::KeyVersion(version))?,
        guid: number("DSL_CRYPTO_GUID").ok_or_else(|| missing("DSL_CRYPTO_GUID"))?,
        iv: Iv(bytes("DSL_CRYPTO_IV", value("DSL_CRYPTO_IV"))?),
        mac: Mac(bytes("DSL_CRYPTO_MAC", value("DSL_CRYPTO_MAC"))?),
        master_key: bytes("DSL_CRYPTO_MASTER_KEY_1", value("DSL_CRYPTO_MASTER_KEY_1"))?,
        hmac_key: bytes("DSL_CRYPTO_HMAC_KEY_1", value("DSL_CRYPTO_HMAC_KEY_1"))?,
    })
}

fn bytes<const N: usize>(name: &str, value: Option<&ZapValue>) -> Result<[u8; N], Error> {
    let bytes = value.and_then(ZapValue::as_bytes);
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Corrupt::new(format!("'{name}' of a key is not {N} bytes long")).into())
}
