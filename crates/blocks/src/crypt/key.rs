//! The keys of an encrypted dataset, unwrapped.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha512;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{CryptError, DataKey, FormatVersion, Iv, KeySalt, Mac, Suite};

/// HMAC-SHA512 under a dataset's HMAC key.
pub(super) type Authenticator = Hmac<Sha512>;

/// The master key and the HMAC key of an encrypted dataset and its clones. Wiped when dropped.
pub struct Key {
    pub(super) suite: Suite,
    pub(super) version: FormatVersion,
    pub(super) guid: u64,
    pub(super) master: Zeroizing<[u8; 32]>,
    pub(super) hmac: Zeroizing<[u8; 64]>,
}

impl Key {
    /// A new key, of random bytes that the caller brings. Suites with shorter keys take the first bytes of `master`.
    #[must_use]
    pub fn new(suite: Suite, guid: u64, master: &[u8; 32], hmac: &[u8; 64]) -> Self {
        let mut kept = Zeroizing::new([0; 32]);
        for (kept, byte) in kept.iter_mut().zip(master).take(suite.key_len()) {
            *kept = *byte;
        }
        Self {
            suite,
            version: FormatVersion::One,
            guid,
            master: kept,
            hmac: Zeroizing::new(*hmac),
        }
    }

    /// A new key of random numbers.
    #[must_use]
    pub fn generate(suite: Suite, guid: u64, mut random: impl FnMut() -> u64) -> Self {
        let mut bytes = Zeroizing::new([0; 96]);
        for chunk in bytes.as_chunks_mut::<8>().0 {
            *chunk = random().to_le_bytes();
        }
        let (master, hmac) = bytes.split_at(32);
        let mut key = Self {
            suite,
            version: FormatVersion::One,
            guid,
            master: Zeroizing::new([0; 32]),
            hmac: Zeroizing::new([0; 64]),
        };
        for (kept, byte) in key.master.iter_mut().zip(master).take(suite.key_len()) {
            *kept = *byte;
        }
        key.hmac.copy_from_slice(hmac);
        key
    }

    /// The suite that the dataset is encrypted with.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// What is authenticated under this key.
    #[must_use]
    pub const fn version(&self) -> FormatVersion {
        self.version
    }

    /// The number by which streams and clones know the key (`DSL_CRYPTO_GUID`).
    #[must_use]
    pub const fn guid(&self) -> u64 {
        self.guid
    }

    /// The key for the blocks with this salt.
    ///
    /// It costs about as much as decrypting a few kilobytes. ZFS takes a new salt each time a key is loaded, so
    /// neighbouring blocks mostly share theirs: keep the last one.
    #[must_use]
    pub fn data_key(&self, salt: KeySalt) -> DataKey {
        let mut bytes = Zeroizing::new([0; 32]);
        let (key, _) = bytes.split_at_mut(self.suite.key_len());
        let (master, _) = self.master.split_at(self.suite.key_len());
        // What ZFS calls the salt is the `info` of HKDF, which has no salt of its own here. An output of at most
        // 32 bytes is always to be had from SHA-512.
        let expanded = Hkdf::<Sha512>::new(None, master).expand(&salt.0, key);
        debug_assert!(expanded.is_ok());
        DataKey::new(self.suite, self.version, &bytes)
    }

    /// The code of a block that is only authenticated, as it lies on disk.
    #[must_use]
    pub fn mac(&self, block: &[u8]) -> Mac {
        let digest = self.authenticator().chain_update(block).finalize().into_bytes();
        let mut mac = [0; 16];
        mac.copy_from_slice(&digest[..16]);
        Mac(mac)
    }

    /// Checks a block that is only authenticated, as it lies on disk.
    ///
    /// # Errors
    /// [`CryptError::Authentication`] where the code is another one.
    pub fn verify_mac(&self, block: &[u8], mac: Mac) -> Result<(), CryptError> {
        equal(&self.mac(block).0, &mac.0)
    }

    /// The salt and vector for a block of a dataset with deduplication, where equal blocks must become equal again.
    /// `block` is what will be encrypted.
    #[must_use]
    pub fn dedup_parameters(&self, block: &[u8]) -> (KeySalt, Iv) {
        let digest = self.authenticator().chain_update(block).finalize().into_bytes();
        let (mut salt, mut iv) = ([0; 8], [0; 12]);
        salt.copy_from_slice(&digest[..8]);
        iv.copy_from_slice(&digest[8..20]);
        (KeySalt(salt), Iv(iv))
    }

    pub(super) fn authenticator(&self) -> Authenticator {
        let mut padded = Zeroizing::new([0; 128]);
        let (key, _) = padded.split_at_mut(self.hmac.len());
        key.copy_from_slice(&*self.hmac);
        // HMAC fills short keys up with zeros itself, so the padded key is the same one, and has the right type.
        Authenticator::new((&*padded).into())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("suite", &self.suite)
            .field("version", &self.version)
            .field("guid", &self.guid)
            .finish_non_exhaustive()
    }
}

/// Whether two codes are equal, in a time that does not tell where they differ.
pub(super) fn equal(ours: &[u8], theirs: &[u8]) -> Result<(), CryptError> {
    if bool::from(ours.ct_eq(theirs)) {
        Ok(())
    } else {
        Err(CryptError::Authentication)
    }
}
