//! What is known of a dataset's encryption without its key.
//!
//! ```text
//! com.datto:crypto_key_obj   in the table of a directory: the table of its key
//!
//! DSL_CRYPTO_SUITE           the cipher
//! DSL_CRYPTO_GUID            the key's identity
//! DSL_CRYPTO_ROOT_DDOBJ      the directory whose key wraps this one
//! keyformat, pbkdf2iters, pbkdf2salt
//! ```

use super::phys::object_number;
use super::{DslDir, DslPool};
use crate::zap::{self, ZapEntry};
use crate::{Error, ObjectNumber};

/// The entry of a directory's table that leads to its key.
const KEY_OBJECT: &str = "com.datto:crypto_key_obj";

/// What is known of a dataset's encryption without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// The cipher, as the property `encryption` has it.
    pub suite: Option<u64>,
    /// The key's identity.
    pub key_guid: Option<u64>,
    /// The directory whose key wraps this one.
    pub root: Option<ObjectNumber>,
    /// The form of the wrapping key, as the property `keyformat` has it.
    pub key_format: Option<u64>,
    /// The rounds in which a passphrase becomes a key.
    pub pbkdf2_iterations: Option<u64>,
    /// The salt with which it does.
    pub pbkdf2_salt: Option<u64>,
}

impl DslPool<'_> {
    /// The encryption of what lies in a directory; `None` where it is not encrypted.
    ///
    /// # Errors
    /// Where the table of its key cannot be read.
    pub fn encryption(&self, dir: &DslDir) -> Result<Option<Encryption>, Error> {
        let Some(entries) = self.key_table(dir)? else {
            return Ok(None);
        };
        let number = |name: &str| {
            entries
                .iter()
                .find(|entry| is_named(entry, name))
                .and_then(|entry| entry.value.as_u64())
        };
        Ok(Some(Encryption {
            suite: number("DSL_CRYPTO_SUITE"),
            key_guid: number("DSL_CRYPTO_GUID"),
            root: number("DSL_CRYPTO_ROOT_DDOBJ").and_then(object_number),
            key_format: number("keyformat"),
            pbkdf2_iterations: number("pbkdf2iters"),
            pbkdf2_salt: number("pbkdf2salt"),
        }))
    }

    /// The table of a key; `None` where what lies in the directory is not encrypted.
    pub(super) fn key_table(&self, dir: &DslDir) -> Result<Option<Vec<ZapEntry>>, Error> {
        let value = self.dir_entry(dir, KEY_OBJECT)?;
        let Some(table) = value.and_then(|value| value.as_u64()).and_then(object_number) else {
            return Ok(None);
        };
        zap::entries(self.pool().reader(), &self.pool().meta_object(table)?).map(Some)
    }
}

fn is_named(entry: &ZapEntry, name: &str) -> bool {
    entry.name == name.as_bytes()
}
