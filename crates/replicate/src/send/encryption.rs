//! Encryption in a stream: a raw one says how its blocks are encrypted, and under which key, wrapped as the pool has it.
//! Any other takes the key.
//!
//! ```text
//! crypt_keydata                       a list behind BEGIN
//!   DSL_CRYPTO_SUITE, _GUID, _VERSION              uint64
//!   DSL_CRYPTO_MASTER_KEY_1, _HMAC_KEY_1, _IV, _MAC   uint8 arrays of 32, 64, 12, 16 bytes
//!   portable_mac                      uint8 array of 32 bytes: the code of the object set
//!   keyformat, pbkdf2iters, pbkdf2salt             uint64, of the encryption root
//!   mdn_checksum … mdn_maxblkid       uint64: the shape of the object whose blocks hold the dnodes
//!   to_ivset_guid, from_ivset_guid    uint64; 0 where there is none
//! ```

use super::resolve::Earlier;
use std::sync::Arc;
use zferry_blocks::crypt::{FormatVersion, Key, KeyFormat, WrappedKey};
use zferry_nvlist::{NvList, Value};
use zferry_zpool::dmu::ObjectSet;
use zferry_zpool::dsl::{Dataset, DslPool};
use zferry_zpool::spa::BlockPointer;
use zferry_zpool::{Corrupt, Error};
use zferry_zstream::record::CryptParameters;

/// The entry of a dataset's table with the identity of its set of initialization vectors.
const IVSET_GUID: &str = "com.datto:ivset_guid";

/// How a snapshot is encrypted.
#[derive(Clone, Debug)]
pub struct SourceEncryption {
    /// Its key, as the pool has it.
    wrapped: WrappedKey,
    /// `keyformat` of the encryption root.
    key_format: u64,
    /// `pbkdf2iters` and `pbkdf2salt`; 0 where the user's key is no passphrase.
    pbkdf2_iterations: u64,
    pbkdf2_salt: u64,
    /// The identity of the snapshot's set of initialization vectors, and of that which it is sent from; 0: none.
    to_ivset_guid: u64,
    from_ivset_guid: u64,
    /// Its key, where it is loaded.
    pub(super) key: Option<Arc<Key>>,
}

impl SourceEncryption {
    /// How `to` is encrypted; `None` where it is not.
    pub(super) fn find(
        dsl: &DslPool<'_>,
        to: &Dataset,
        from: Option<&Earlier>,
    ) -> Result<Option<Self>, Error> {
        let Some(wrapped) = dsl.wrapped_key(&to.dir)? else {
            return Ok(None);
        };
        // Early versions of OpenZFS wrote the properties of the user's key only where they belong: to the root.
        let root = dsl.encryption_root(&to.dir)?;
        let root = root.map(|root| dsl.encryption(&root)).transpose()?.flatten();
        let root = root.ok_or_else(|| {
            let name = &to.dir.name;
            Corrupt::new(format!("'{name}' is encrypted, and its encryption root is not"))
        })?;
        let key_format = root.key_format.unwrap_or(0);
        let of_passphrase = |number: Option<u64>| {
            let is_passphrase = key_format == KeyFormat::Passphrase.id();
            number.filter(|_| is_passphrase).unwrap_or(0)
        };
        let from_ivset_guid = match from {
            None => 0,
            Some(Earlier::Snapshot(snapshot)) => ivset_guid(dsl, snapshot)?,
            Some(Earlier::Bookmark(bookmark)) => bookmark.ivset_guid,
        };
        Ok(Some(Self {
            wrapped,
            key_format,
            pbkdf2_iterations: of_passphrase(root.pbkdf2_iterations),
            pbkdf2_salt: of_passphrase(root.pbkdf2_salt),
            to_ivset_guid: ivset_guid(dsl, to)?,
            from_ivset_guid,
            key: dsl.key(&to.dir)?,
        }))
    }

    /// Whether a raw stream can be made: those of the time before OpenZFS 0.8 cannot be received.
    pub(super) fn can_be_sent_raw(&self) -> bool {
        self.wrapped.version == FormatVersion::One
    }

    /// What a receiver of a raw stream is told.
    pub(super) fn key_data(&self, set: &ObjectSet) -> NvList {
        let key = &self.wrapped;
        let dnode = &set.meta_dnode.dnode;
        let pointers = u64::try_from(dnode.pointers.len()).unwrap_or(u64::MAX);
        let mut list = NvList::new();
        list.insert("DSL_CRYPTO_SUITE", Value::Uint64(key.suite.id()))
            .insert("DSL_CRYPTO_GUID", Value::Uint64(key.guid))
            .insert("DSL_CRYPTO_VERSION", Value::Uint64(key.version.id()))
            .insert(
                "DSL_CRYPTO_MASTER_KEY_1",
                Value::Uint8Array(key.master_key.to_vec()),
            )
            .insert("DSL_CRYPTO_HMAC_KEY_1", Value::Uint8Array(key.hmac_key.to_vec()))
            .insert("DSL_CRYPTO_IV", Value::Uint8Array(key.iv.0.to_vec()))
            .insert("DSL_CRYPTO_MAC", Value::Uint8Array(key.mac.0.to_vec()))
            .insert("portable_mac", Value::Uint8Array(set.portable_mac.to_vec()))
            .insert("keyformat", Value::Uint64(self.key_format))
            .insert("pbkdf2iters", Value::Uint64(self.pbkdf2_iterations))
            .insert("pbkdf2salt", Value::Uint64(self.pbkdf2_salt))
            .insert("mdn_checksum", Value::Uint64(dnode.checksum.into()))
            .insert("mdn_compress", Value::Uint64(dnode.compression.into()))
            .insert("mdn_nlevels", Value::Uint64(dnode.levels.into()))
            .insert("mdn_blksz", Value::Uint64(dnode.data_bytes()))
            .insert("mdn_indblkshift", Value::Uint64(dnode.indirect_shift.into()))
            .insert("mdn_nblkptr", Value::Uint64(pointers))
            .insert("mdn_maxblkid", Value::Uint64(dnode.max_block.0))
            .insert("to_ivset_guid", Value::Uint64(self.to_ivset_guid))
            .insert("from_ivset_guid", Value::Uint64(self.from_ivset_guid));
        list
    }
}

fn ivset_guid(dsl: &DslPool<'_>, dataset: &Dataset) -> Result<u64, Error> {
    let value = dsl.dataset_entry(dataset, IVSET_GUID)?;
    Ok(value.and_then(|value| value.as_u64()).unwrap_or(0))
}

/// How a block is encrypted, for its record in a raw stream. One that is only authenticated has neither salt nor vector.
pub(super) fn crypt_parameters(pointer: &BlockPointer) -> CryptParameters {
    let is_encrypted = pointer.is_encrypted();
    CryptParameters {
        salt: if is_encrypted { pointer.salt().0 } else { [0; 8] },
        iv: if is_encrypted { pointer.iv().0 } else { [0; 12] },
        mac: pointer.mac().0,
    }
}
