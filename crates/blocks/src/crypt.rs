//! Native encryption: what becomes of the blocks of an encrypted dataset, and of the keys that this takes.
//!
//! ```text
//! passphrase, hex or raw key ──► wrapping key (256 bits)
//!                                    │ unwraps what the pool stores
//!                                    ▼
//!                     master key, and HMAC key (512 bits)
//!                        │                        │
//!      + salt (8 bytes)  │ HKDF-SHA512            │ HMAC-SHA512
//!                        ▼                        ▼
//!        data key: AES-CCM or AES-GCM      what must stay readable without keys,
//!        + IV (12 bytes) ──► MAC           objsets, salts of deduplicated blocks
//! ```
//!
//! Level-0 blocks are encrypted, or only authenticated where their type must stay readable. Of a block of dnodes only
//! the bonus areas are encrypted. Indirect blocks carry an unkeyed sum of the MACs below them, up to the objset, whose
//! two MACs are keyed again. Salt, IV and MAC of a block lie in its pointer.
//!
//! The facts are those of `zio_crypt.c` and `dsl_crypt.c`. Blocks of the intent log are laid out differently and are
//! not read here. There is no source of randomness here either: whoever encrypts brings new keys, and the seed from which salts and
//! IVs follow.

mod cipher;
mod dnodes;
mod key;
mod nonces;
mod objset;
mod parameters;
mod pointer;
mod suite;
mod wrapping;

pub use cipher::DataKey;
pub use key::Key;
pub use nonces::Nonces;
pub use objset::{ObjsetMacs, objset_macs_in, set_objset_macs};
pub use parameters::{Iv, KeySalt, Mac};
pub use pointer::{indirect_mac, verify_indirect_mac};
pub use suite::{FormatVersion, Suite, is_encrypted_type};
pub use wrapping::{DEFAULT_ITERATIONS, KeyError, KeyFormat, MIN_ITERATIONS, WrappedKey, WrappingKey};

/// Why a block could not be encrypted, decrypted or authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CryptError {
    /// The message authentication code is not that of these bytes under this key.
    #[error("the message authentication code does not match: another key, or altered data")]
    Authentication,
    /// AES-CCM as ZFS uses it has 24 bits for the length of what it encrypts.
    #[error("{length} bytes are more than AES-CCM can encrypt at once")]
    TooLong {
        /// The length in bytes.
        length: u64,
    },
    /// A dnode says that it is larger than its place.
    #[error("the dnode at byte {offset} needs {needed} bytes and has {available}")]
    Dnode {
        /// Where the dnode begins in its block, in bytes.
        offset: u64,
        /// How many bytes the dnode says it takes, or its block pointers do.
        needed: u64,
        /// How many bytes there are for it.
        available: u64,
    },
    /// A block has not the length of its kind.
    #[error("a block of {length} bytes is no {kind}")]
    BlockLength {
        /// What the block should be.
        kind: &'static str,
        /// Its length in bytes.
        length: u64,
    },
}

#[cfg(test)]
mod tests;
