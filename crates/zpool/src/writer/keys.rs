//! Users' keys while a pool is written: which are loaded, and what they open.
//!
//! There is no keystore that outlives a writer, as a kernel has: whoever changes an encrypted dataset brings its key.

use super::encryption::KEY_ROOT;
use super::{DatasetId, PoolWriter};
use crate::dmu::{OpenSet, SetCrypt};
use crate::dsl::{LoadKeyError, wrapped_key};
use crate::spa::{BlockReader, Sealer};
use crate::{Corrupt, Error, ObjectNumber, Unsupported};
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_blocks::crypt::{FormatVersion, Key, Nonces, WrappedKey, WrappingKey};

/// The keys that are loaded.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Users' keys, by the directory of the encryption root.
    users: BTreeMap<ObjectNumber, Arc<WrappingKey>>,
    /// What they unwrapped, by the table of the key, and what reads with it.
    opened: BTreeMap<ObjectNumber, Opened>,
}

#[derive(Clone, Debug)]
struct Opened {
    key: Arc<Key>,
    reader: Arc<BlockReader>,
}

impl PoolWriter {
    /// Loads the user's key for a dataset: that of its encryption root. Whatever has the same root can be changed then.
    ///
    /// # Errors
    /// [`LoadKeyError::Incorrect`] where it is not the one.
    pub fn load_key(&mut self, dataset: &str, user: WrappingKey) -> Result<(), LoadKeyError> {
        let dir = self.existing_dir(dataset)?;
        let not_encrypted = || LoadKeyError::NotEncrypted(dataset.to_owned());
        let root = self.encryption_root(dir)?.ok_or_else(not_encrypted)?;
        let table = self.key_of(root)?.ok_or_else(not_encrypted)?;
        let wrapped = self.wrapped_key(table)?;
        let incorrect = |_| LoadKeyError::Incorrect(dataset.to_owned());
        wrapped.unwrap(&user).map_err(incorrect)?;
        self.keep_key(root, Arc::new(user));
        Ok(())
    }

    /// Keeps a user's key that is known to be right.
    pub(super) fn keep_key(&mut self, root: ObjectNumber, user: Arc<WrappingKey>) {
        self.keys.users.insert(root, user);
    }

    /// The user's key of an encryption root, where it is loaded.
    pub(super) fn user_key(&self, root: ObjectNumber) -> Option<Arc<WrappingKey>> {
        self.keys.users.get(&root).cloned()
    }

    /// The key in a key's table, as the open group has it.
    pub(super) fn wrapped_key(&mut self, table: ObjectNumber) -> Result<WrappedKey, Error> {
        wrapped_key(&self.table_all(table)?)
    }

    /// Whether a file system or volume is an encryption root; `None` where it is not encrypted.
    ///
    /// # Errors
    /// [`Error::Missing`] where it is not there.
    pub fn is_encryption_root(&mut self, dataset: &str) -> Result<Option<bool>, Error> {
        let dir = self.existing_dir(dataset)?;
        Ok(self.encryption_root(dir)?.map(|root| root == dir))
    }

    /// Whether what lies in a file system or volume, or would if it were made there, can be changed: it is not encrypted, or
    /// its key is loaded.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn is_unlocked(&mut self, dataset: &str) -> Result<bool, Error> {
        let mut name = dataset;
        let dir = loop {
            match (self.find_dir(name)?, name.rsplit_once('/')) {
                (Some(dir), _) => break dir,
                (None, Some((parent, _))) => name = parent,
                (None, None) => return Ok(true),
            }
        };
        match self.encryption_root(dir)? {
            Some(root) => Ok(self.keys.users.contains_key(&root)),
            None => Ok(true),
        }
    }

    /// The key of what lies in a directory; `None` where that is not encrypted, or the user's key is not loaded.
    pub(super) fn opened_key(&mut self, dir: ObjectNumber) -> Result<Option<Arc<Key>>, Error> {
        Ok(self.opened(dir)?.map(|opened| opened.key))
    }

    fn opened(&mut self, dir: ObjectNumber) -> Result<Option<Opened>, Error> {
        let Some(table) = self.key_of(dir)? else {
            return Ok(None);
        };
        let root = self.table_get(table, KEY_ROOT)?.map(ObjectNumber);
        let Some(user) = root.and_then(|root| self.user_key(root)) else {
            return Ok(None);
        };
        let wrapped = self.wrapped_key(table)?;
        if let Some(opened) = self.keys.opened.get(&table)
            && opened.key.guid() == wrapped.guid
        {
            return Ok(Some(opened.clone()));
        }
        if wrapped.version != FormatVersion::One {
            return Err(Unsupported::KeyVersion(wrapped.version.id()).into());
        }
        let foreign = |_| Corrupt::new(format!("key {table} is not wrapped by that of its root"));
        let key = Arc::new(wrapped.unwrap(&user).map_err(foreign)?);
        let opened = Opened {
            reader: Arc::new(self.io.reader.with_key(Arc::clone(&key))),
            key,
        };
        self.keys.opened.insert(table, opened.clone());
        Ok(Some(opened))
    }

    /// Salts and vectors that were never used before.
    pub(super) fn nonces(&mut self) -> Nonces {
        Nonces::new(&self.secret())
    }

    /// So many random bytes.
    pub(super) fn secret<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            for (byte, random) in chunk.iter_mut().zip(self.environment.guid().to_le_bytes()) {
                *byte = random;
            }
        }
        bytes
    }

    /// Gives the object set of a dataset its key, where that is loaded.
    pub(super) fn unlock(&mut self, id: DatasetId, set: &mut OpenSet) -> Result<(), Error> {
        if matches!(set.crypt, SetCrypt::Plain) && !set.root.is_hole() {
            return Ok(());
        }
        let dir = self.dataset(id.0)?.dir;
        let Some(Opened { key, reader }) = self.opened(dir)? else {
            return Ok(());
        };
        let sealer = Sealer::new(key, self.nonces(), self.io.reader.summer().clone());
        set.unlock(reader, sealer)
    }
}
