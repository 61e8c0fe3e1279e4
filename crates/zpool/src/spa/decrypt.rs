//! Authenticating and decrypting blocks with a dataset's key, as `zio_crypt.c` has it.
//!
//! What the code of a block covers depends on what it is: an object set has codes of its own inside, blocks of an
//! encrypted type are opened with theirs, others are only authenticated. Codes of indirect blocks take no key, so they
//! are not checked here.

use super::BlockPointer;
use crate::dmu::ObjectType;
use quick_cache::sync::Cache;
use std::sync::Arc;
use zferry_blocks::crypt::{CryptError, DataKey, Key, KeySalt};

/// How many data keys are kept. A dataset has a new salt each time its key is loaded, so blocks share few.
const DATA_KEYS: usize = 64;

/// A dataset's key, and the keys of those of its blocks that were met last.
pub(super) struct Decryptor {
    key: Arc<Key>,
    data_keys: Cache<KeySalt, Arc<DataKey>>,
}

impl Decryptor {
    pub(super) fn new(key: Arc<Key>) -> Self {
        Self {
            key,
            data_keys: Cache::new(DATA_KEYS),
        }
    }

    /// Authenticates the stored bytes of a block and decrypts them in place.
    pub(super) fn open(&self, pointer: &BlockPointer, bytes: &mut [u8]) -> Result<(), CryptError> {
        if pointer.level() > 0 {
            return Ok(());
        }
        if pointer.object_type() == ObjectType::OBJSET {
            // Object sets of encrypted datasets are never compressed.
            return self.key.verify_objset(bytes, pointer.endian());
        }
        if !pointer.is_encrypted() {
            return self.key.verify_mac(bytes, pointer.mac());
        }
        let data_key = self.data_key(pointer.salt());
        if pointer.object_type() == ObjectType::DNODE {
            data_key.decrypt_dnodes(pointer.iv(), pointer.mac(), bytes, pointer.endian())
        } else {
            data_key.decrypt(pointer.iv(), pointer.mac(), bytes)
        }
    }

    fn data_key(&self, salt: KeySalt) -> Arc<DataKey> {
        if let Some(key) = self.data_keys.get(&salt) {
            return key;
        }
        let key = Arc::new(self.key.data_key(salt));
        self.data_keys.insert(salt, Arc::clone(&key));
        key
    }
}

/// The key, which shows nothing secret.
impl std::fmt::Debug for Decryptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Decryptor").field(&self.key).finish()
    }
}
