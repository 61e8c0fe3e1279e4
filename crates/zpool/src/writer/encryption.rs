//! Keys of encrypted datasets: made, received, wrapped anew; and sets that are received as their sender has sealed them.
//!
//! What lies in the table of a key: `dsl/keystore.rs`. How many directories share it, and the version of the format, are
//! there too.

use super::clones::{KEY, KEY_USERS};
use super::{DatasetId, PoolWriter};
use crate::dmu::{ObjectType, RawSet};
use crate::spa::Feature;
use crate::zap::ZapValue;
use crate::{Corrupt, Error, ObjectNumber};
use std::collections::BTreeSet;
use zferry_blocks::crypt::{KeyFormat, WrappedKey};

/// The type of a key's table.
const KEY_TABLE: ObjectType = ObjectType(0xc4);
/// The entry of a key's table with the directory of its encryption root.
pub(super) const KEY_ROOT: &str = "DSL_CRYPTO_ROOT_DDOBJ";
/// The entry of a snapshot's table with the identity of its set of initialization vectors.
pub(super) const IVSET: &str = "com.datto:ivset_guid";

/// A key as a pool has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenKey {
    /// The key, wrapped by the user's.
    pub wrapped: WrappedKey,
    /// In which form the user's key is given.
    pub format: KeyFormat,
    /// In how many rounds a passphrase becomes a key; 0 for other forms.
    pub pbkdf2_iterations: u64,
    /// The salt with which it does; 0 for other forms.
    pub pbkdf2_salt: u64,
}

impl PoolWriter {
    /// The table of the key of what lies in a directory; `None` where it is not encrypted.
    pub(super) fn key_of(&mut self, dir: ObjectNumber) -> Result<Option<ObjectNumber>, Error> {
        if !self.is_table(dir)? {
            return Ok(None);
        }
        Ok(self.table_get(dir, KEY)?.map(ObjectNumber))
    }

    /// Puts a key that came with a raw stream in place. What has none yet becomes an encryption root of its own; what has
    /// one keeps its root, and gets the key as its sender has wrapped it now.
    ///
    /// # Errors
    /// [`Error::FeatureDisabled`] where the pool cannot have encrypted datasets.
    pub fn receive_key(&mut self, id: DatasetId, key: &WrittenKey) -> Result<(), Error> {
        let dir = self.dataset(id.0)?.dir;
        if let Some(table) = self.key_of(dir)? {
            let root = self.table_get(table, KEY_ROOT)?;
            let root = root.ok_or_else(|| Corrupt::new(format!("key {table} has no encryption root")))?;
            return self.put_key(table, ObjectNumber(root), key);
        }
        self.new_key(id, dir, dir, key)?;
        self.put_local(dir, "keylocation", &ZapValue::text("prompt"))
    }

    /// Gives a dataset that has none a key with an encryption root.
    pub(super) fn new_key(
        &mut self,
        id: DatasetId,
        dir: ObjectNumber,
        root: ObjectNumber,
        key: &WrittenKey,
    ) -> Result<(), Error> {
        self.use_features(id.0, &BTreeSet::from([Feature::Encryption]))?;
        self.make_table(dir)?;
        let table = self.new_table(KEY_TABLE)?;
        self.table_put(table, KEY_USERS, 1)?;
        self.table_put(table, "DSL_CRYPTO_VERSION", key.wrapped.version.id())?;
        self.table_put(dir, KEY, table.0)?;
        self.put_key(table, root, key)
    }

    /// Writes a key into its table.
    pub(super) fn put_key(
        &mut self,
        table: ObjectNumber,
        root: ObjectNumber,
        key: &WrittenKey,
    ) -> Result<(), Error> {
        let wrapped = &key.wrapped;
        let entries = [
            ("DSL_CRYPTO_SUITE", ZapValue::number(wrapped.suite.id())),
            (KEY_ROOT, ZapValue::number(root.0)),
            ("DSL_CRYPTO_GUID", ZapValue::number(wrapped.guid)),
            ("DSL_CRYPTO_IV", ZapValue::bytes(&wrapped.iv.0)),
            ("DSL_CRYPTO_MAC", ZapValue::bytes(&wrapped.mac.0)),
            ("DSL_CRYPTO_MASTER_KEY_1", ZapValue::bytes(&wrapped.master_key)),
            ("DSL_CRYPTO_HMAC_KEY_1", ZapValue::bytes(&wrapped.hmac_key)),
            ("keyformat", ZapValue::number(key.format.id())),
            ("pbkdf2iters", ZapValue::number(key.pbkdf2_iterations)),
            ("pbkdf2salt", ZapValue::number(key.pbkdf2_salt)),
        ];
        for (name, value) in entries {
            self.table_put_value(table, name, &value)?;
        }
        Ok(())
    }

    pub(super) fn put_local(
        &mut self,
        dir: ObjectNumber,
        property: &str,
        value: &ZapValue,
    ) -> Result<(), Error> {
        let table = self.dir(dir)?.properties;
        let table = table.ok_or_else(|| Corrupt::new(format!("directory {dir} can have no properties")))?;
        self.put_property(dir, table, property, value)
    }

    /// Makes the object set of a dataset what a raw stream says: its blocks come as their sender has sealed them.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is one of another shape.
    pub fn begin_raw(&mut self, id: DatasetId, raw: &RawSet) -> Result<(), Error> {
        self.open_set(id)?;
        let policies = self.policies(id)?;
        let missing = || Error::Missing(format!("dataset {}", id.0));
        let set = self.sets.get_mut(&id.0).ok_or_else(missing)?;
        set.policies = policies;
        set.begin_raw(raw)
    }

    /// Gives a snapshot of an encrypted dataset the identity of its set of initialization vectors.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn set_ivset_guid(&mut self, snapshot: ObjectNumber, guid: u64) -> Result<(), Error> {
        self.set_dataset_entry(DatasetId(snapshot), IVSET, &ZapValue::number(guid))
    }
}
