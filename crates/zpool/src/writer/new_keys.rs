//! Keys that are made here: those of new datasets; and users' keys that change, for which all that they wrap is wrapped
//! anew. What encrypts blocks never changes.

use super::encryption::KEY_ROOT;
use super::{DatasetId, PoolWriter};
use crate::dsl::DatasetPhys;
use crate::spa::Feature;
use crate::zap::ZapValue;
use crate::{Corrupt, Error, ObjectNumber, Unsupported, WrittenKey};
use std::collections::BTreeSet;
use std::sync::Arc;
use zferry_blocks::crypt::{Iv, Key, KeyFormat, Suite, WrappingKey};

/// A user's key, and how it is given.
#[derive(Clone, Debug)]
pub struct UserKey {
    /// The key.
    pub wrapping: Arc<WrappingKey>,
    /// In which form it is given.
    pub format: KeyFormat,
    /// In how many rounds a passphrase becomes the key; 0 for other forms.
    pub pbkdf2_iterations: u64,
    /// The salt with which it does; 0 for other forms.
    pub pbkdf2_salt: u64,
}

/// How a new dataset is encrypted.
#[derive(Clone, Debug, Default)]
pub enum NewEncryption {
    /// As what it lies below, under the same user's key, which must be loaded; in a suite of its own, perhaps.
    #[default]
    Inherited,
    /// The same in this suite.
    InheritedKey(Suite),
    /// Not at all.
    Off,
    /// Under a user's key of its own.
    Root {
        /// In this suite; or in that of what it lies below.
        suite: Option<Suite>,
        /// The user's key.
        key: UserKey,
        /// Where the user's key is found, for the property `keylocation`.
        location: String,
    },
    /// As a raw stream says, later.
    Received,
}

/// What wraps keys: the user's key of this directory.
struct Wrapping {
    root: ObjectNumber,
    key: UserKey,
}

impl PoolWriter {
    /// Gives a new dataset what `encryption` says.
    pub(super) fn encrypt_new(
        &mut self,
        id: DatasetId,
        dir: ObjectNumber,
        encryption: &NewEncryption,
    ) -> Result<(), Error> {
        let parent = self.dir(dir)?.parent;
        let above = match parent {
            Some(parent) => self.key_of(parent)?,
            None => None,
        };
        let of_suite = |suite: Option<u64>| suite.and_then(Suite::from_id);
        let inherited = match above {
            Some(table) => of_suite(self.table_get(table, "DSL_CRYPTO_SUITE")?),
            None => None,
        };
        let no_suite =
            || Error::Invalid("Encryption must be turned on to set encryption properties.".to_owned());
        let (suite, wrapping) = match encryption {
            NewEncryption::Off | NewEncryption::Received => return Ok(()),
            NewEncryption::Inherited if above.is_none() => return Ok(()),
            NewEncryption::Inherited => (inherited.ok_or_else(no_suite)?, self.inherited_key(above)?),
            NewEncryption::InheritedKey(suite) => (*suite, self.inherited_key(above)?),
            NewEncryption::Root { suite, key, location } => {
                let suite = suite.or(inherited).ok_or_else(no_suite)?;
                self.keep_key(dir, Arc::clone(&key.wrapping));
                self.put_local(dir, "keylocation", &ZapValue::text(location))?;
                let key = key.clone();
                (suite, Wrapping { root: dir, key })
            }
        };
        // Without long bookmarks, raw streams could not go on behind them.
        if !self.is_feature_enabled(Feature::BookmarkV2)? {
            return Err(Error::FeatureDisabled(Feature::BookmarkV2));
        }
        let guid = self.environment.guid();
        let key = Key::generate(suite, guid, || self.environment.guid());
        let written = self.wrap(&key, &wrapping.key)?;
        self.new_key(id, dir, wrapping.root, &written)
    }

    /// The user's key that wraps the key in a table.
    fn inherited_key(&mut self, table: Option<ObjectNumber>) -> Result<Wrapping, Error> {
        let no_key = || Error::Invalid("Keyformat required for new encryption root.".to_owned());
        let table = table.ok_or_else(no_key)?;
        let root = self.root_of_key(table)?;
        let wrapping = self.user_key(root).ok_or(Unsupported::Encrypted)?;
        let table = self.key_of(root)?;
        let table = table.ok_or_else(|| Corrupt::new(format!("encryption root {root} has no key")))?;
        let format = self.table_get(table, "keyformat")?.and_then(KeyFormat::from_id);
        Ok(Wrapping {
            root,
            key: UserKey {
                wrapping,
                format: format.ok_or_else(|| Corrupt::new(format!("key {table} has no format")))?,
                pbkdf2_iterations: self.table_get(table, "pbkdf2iters")?.unwrap_or(0),
                pbkdf2_salt: self.table_get(table, "pbkdf2salt")?.unwrap_or(0),
            },
        })
    }

    fn root_of_key(&mut self, table: ObjectNumber) -> Result<ObjectNumber, Error> {
        let root = self.table_get(table, KEY_ROOT)?.map(ObjectNumber);
        Ok(root.ok_or_else(|| Corrupt::new(format!("key {table} has no encryption root")))?)
    }

    fn wrap(&mut self, key: &Key, user: &UserKey) -> Result<WrittenKey, Error> {
        let iv = Iv(self.secret());
        let wrapped = key.wrap(&user.wrapping, iv);
        Ok(WrittenKey {
            wrapped: wrapped.map_err(|error| Error::Invalid(error.to_string()))?,
            format: user.format,
            pbkdf2_iterations: user.pbkdf2_iterations,
            pbkdf2_salt: user.pbkdf2_salt,
        })
    }

    /// The directory of an encrypted dataset, which is no clone, and its encryption root.
    fn own_key(&mut self, dataset: &str) -> Result<(ObjectNumber, ObjectNumber), Error> {
        let dir = self.existing_dir(dataset)?;
        let root = self.encryption_root(dir)?;
        let root = root.ok_or_else(|| Error::Invalid("Dataset not encrypted.".to_owned()))?;
        if self.is_clone(dir)? {
            return Err(Error::Invalid("Keys cannot be changed on clones.".to_owned()));
        }
        Ok((dir, root))
    }

    fn is_clone(&mut self, dir: ObjectNumber) -> Result<bool, Error> {
        let origin = self.dir(dir)?.origin;
        Ok(origin.is_some_and(|origin| origin != self.known.origin_snapshot))
    }

    /// Gives a dataset, and all that inherits its key, another user's key: it is an encryption root then. That of before
    /// must be loaded.
    ///
    /// # Errors
    /// [`Unsupported::Encrypted`] where that is not loaded; [`Error::Invalid`] where the dataset is not encrypted, or a
    /// clone.
    pub fn change_key(&mut self, dataset: &str, key: &UserKey, location: Option<&str>) -> Result<(), Error> {
        let (dir, root) = self.own_key(dataset)?;
        let wrapping = Wrapping {
            root: dir,
            key: key.clone(),
        };
        self.rewrap(dir, root, dir, Some(&wrapping))?;
        if let Some(location) = location {
            self.put_local(dir, "keylocation", &ZapValue::text(location))?;
        }
        self.keep_key(dir, Arc::clone(&key.wrapping));
        Ok(())
    }

    /// Has an encryption root, and all that inherits its key, inherit that of what it lies below. Both keys must be loaded.
    ///
    /// # Errors
    /// As [`Self::change_key`]; [`Error::Invalid`] where it is no encryption root, or lies below nothing encrypted.
    pub fn inherit_key(&mut self, dataset: &str) -> Result<(), Error> {
        let (dir, above) = self.root_to_inherit(dataset)?;
        let wrapping = self.inherited_key(Some(above))?;
        self.rewrap(dir, dir, wrapping.root, Some(&wrapping))?;
        self.inherit_property(dataset, "keylocation", false)
    }

    /// The same without any key: for a dataset that was received raw, where it is known that its key is wrapped so.
    ///
    /// # Errors
    /// As [`Self::inherit_key`], but for keys.
    pub fn force_inherited_key(&mut self, dataset: &str) -> Result<(), Error> {
        let (dir, above) = self.root_to_inherit(dataset)?;
        let root = self.root_of_key(above)?;
        self.rewrap(dir, dir, root, None)?;
        self.inherit_property(dataset, "keylocation", false)
    }

    /// Makes a dataset, and all that inherits its key, an encryption root without any key: what wraps its key stays.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it is one, or not encrypted, or a clone.
    pub fn force_own_key(&mut self, dataset: &str) -> Result<(), Error> {
        let (dir, root) = self.own_key(dataset)?;
        if dir == root {
            return Err(Error::Invalid("an encryption root already".to_owned()));
        }
        self.rewrap(dir, root, dir, None)?;
        self.put_local(dir, "keylocation", &ZapValue::text("prompt"))
    }

    /// An encryption root that may inherit a key, and the table of the key of what it lies below.
    fn root_to_inherit(&mut self, dataset: &str) -> Result<(ObjectNumber, ObjectNumber), Error> {
        let (dir, root) = self.own_key(dataset)?;
        if dir != root {
            let why = "Key inheritting can only be performed on encryption roots.";
            return Err(Error::Invalid(why.to_owned()));
        }
        let parent = self.dir(dir)?.parent;
        let parent = parent.ok_or_else(|| Error::Invalid("Root dataset cannot inherit key.".to_owned()))?;
        let above = self.key_of(parent)?;
        let above = above.ok_or_else(|| Error::Invalid("Parent must be encrypted.".to_owned()))?;
        Ok((dir, above))
    }

    /// Whether a clone that is promoted becomes the encryption root that its origin's directory is. A clone shares the key of
    /// its origin, whose directory is to lie below the same root as before.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the promotion would take the key away from its encryption root.
    pub(super) fn is_root_promoted(
        &mut self,
        clone: ObjectNumber,
        origin: ObjectNumber,
    ) -> Result<bool, Error> {
        if self.key_of(origin)?.is_none() || self.is_clone(origin)? {
            return Ok(false);
        }
        if self.encryption_root(origin)? == Some(origin) {
            return Ok(true);
        }
        let mut above = [None; 2];
        for (dir, root) in [clone, origin].into_iter().zip(&mut above) {
            if let Some(parent) = self.dir(dir)?.parent {
                *root = self.encryption_root(parent)?;
            }
        }
        match above {
            [Some(of_clone), Some(of_origin)] if of_clone == of_origin => Ok(false),
            _ => {
                let why = "cannot promote dataset outside its encryption root";
                Err(Error::Invalid(why.to_owned()))
            }
        }
    }

    /// Makes a clone the encryption root that its origin's directory was.
    pub(super) fn promote_root(&mut self, clone: ObjectNumber, origin: ObjectNumber) -> Result<(), Error> {
        const LOCATION: &str = "keylocation";
        if let Some(table) = self.dir(origin)?.properties
            && let Some(location) = self.table_get_value(table, LOCATION)?
        {
            self.put_local(clone, LOCATION, &location)?;
            self.table_remove(table, LOCATION)?;
            self.table_remove(table, "keylocation$inherit")?;
        }
        self.rewrap(origin, origin, clone, None)?;
        if let Some(user) = self.user_key(origin) {
            self.keep_key(clone, user);
        }
        Ok(())
    }

    /// Gives all keys from `dir` down that have the encryption root `old` the root `new`, wrapped anew where there is
    /// something to wrap them with. Clones share the keys of their origins, so only what lies below them is looked at.
    fn rewrap(
        &mut self,
        dir: ObjectNumber,
        old: ObjectNumber,
        new: ObjectNumber,
        wrapping: Option<&Wrapping>,
    ) -> Result<(), Error> {
        let mut waiting = vec![(dir, false)];
        let mut seen = BTreeSet::new();
        let mut changed = Vec::new();
        while let Some((dir, is_shared)) = waiting.pop() {
            let Some(table) = self.key_of(dir)? else { continue };
            if !is_shared && (self.root_of_key(table)? != old || self.is_clone(dir)?) {
                continue;
            }
            if !seen.insert(dir) {
                continue;
            }
            if !is_shared {
                changed.push((dir, table));
            }
            let phys = self.dir(dir)?;
            if let Some(children) = phys.children {
                for child in self.table_all(children)? {
                    let is_special = child.name.starts_with(b"$") || child.name.starts_with(b"%");
                    let number = child.value.as_u64().filter(|_| !is_special);
                    waiting.extend(number.map(|number| (ObjectNumber(number), false)));
                }
            }
            if let Some(clones) = phys.clones {
                for clone in self.table_all(clones)? {
                    if let Some(number) = clone.value.as_u64() {
                        let DatasetPhys { dir, .. } = self.dataset(ObjectNumber(number))?;
                        waiting.push((dir, true));
                    }
                }
            }
        }
        for (dir, table) in changed {
            match wrapping {
                None => self.table_put(table, KEY_ROOT, new.0)?,
                Some(wrapping) => {
                    let key = self.opened_key(dir)?.ok_or(Unsupported::Encrypted)?;
                    let written = self.wrap(&key, &wrapping.key)?;
                    self.put_key(table, new, &written)?;
                }
            }
        }
        Ok(())
    }
}
