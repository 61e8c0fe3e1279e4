//! AES in its two modes, under a key that is ready for blocks.

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use ccm::Ccm;
use zferry_wire::{Endian, u64_from_usize};

use super::dnodes::Split;
use super::{CryptError, FormatVersion, Iv, Mac, Suite};

/// What the length of a message can be under CCM: three bytes hold it beside a vector of twelve.
const CCM_LIMIT: usize = (1 << 24) - 1;

/// The cipher of a suite with its key schedule. The schedule is wiped when it is dropped.
enum Cipher {
    Aes128Ccm(Box<Ccm<Aes128, U16, U12>>),
    Aes192Ccm(Box<Ccm<Aes192, U16, U12>>),
    Aes256Ccm(Box<Ccm<Aes256, U16, U12>>),
    Aes128Gcm(Box<AesGcm<Aes128, U12>>),
    Aes192Gcm(Box<AesGcm<Aes192, U12>>),
    Aes256Gcm(Box<AesGcm<Aes256, U12>>),
}

/// Runs the same call on whichever cipher there is.
macro_rules! with_cipher {
    ($cipher:expr, $name:ident => $call:expr) => {
        match $cipher {
            Cipher::Aes128Ccm($name) => $call,
            Cipher::Aes192Ccm($name) => $call,
            Cipher::Aes256Ccm($name) => $call,
            Cipher::Aes128Gcm($name) => $call,
            Cipher::Aes192Gcm($name) => $call,
            Cipher::Aes256Gcm($name) => $call,
        }
    };
}

/// A key under which blocks are encrypted and decrypted. Each salt has its own.
pub struct DataKey {
    suite: Suite,
    version: FormatVersion,
    cipher: Cipher,
}

impl DataKey {
    /// The key with the first bytes of `bytes`, as many as the suite takes.
    pub(super) fn new(suite: Suite, version: FormatVersion, bytes: &[u8; 32]) -> Self {
        fn boxed<C: KeyInit>(bytes: &[u8; 32]) -> Box<C> {
            let mut key = aes_gcm::aead::Key::<C>::default();
            for (key, byte) in key.iter_mut().zip(bytes) {
                *key = *byte;
            }
            let cipher = Box::new(C::new(&key));
            zeroize::Zeroize::zeroize(key.as_mut_slice());
            cipher
        }
        let cipher = match suite {
            Suite::Aes128Ccm => Cipher::Aes128Ccm(boxed(bytes)),
            Suite::Aes192Ccm => Cipher::Aes192Ccm(boxed(bytes)),
            Suite::Aes256Ccm => Cipher::Aes256Ccm(boxed(bytes)),
            Suite::Aes128Gcm => Cipher::Aes128Gcm(boxed(bytes)),
            Suite::Aes192Gcm => Cipher::Aes192Gcm(boxed(bytes)),
            Suite::Aes256Gcm => Cipher::Aes256Gcm(boxed(bytes)),
        };
        Self {
            suite,
            version,
            cipher,
        }
    }

    /// Encrypts a block in place, as it will lie on disk: compressed and padded already.
    ///
    /// # Errors
    /// [`CryptError::TooLong`] for 16 MiB or more under CCM.
    pub fn encrypt(&self, iv: Iv, block: &mut [u8]) -> Result<Mac, CryptError> {
        self.seal(iv, &[], block)
    }

    /// Decrypts a block in place, as it lay on disk, and checks that it is what was encrypted.
    ///
    /// # Errors
    /// [`CryptError::Authentication`] where it is not; the block is then zeroed.
    pub fn decrypt(&self, iv: Iv, mac: Mac, block: &mut [u8]) -> Result<(), CryptError> {
        self.open(iv, mac, &[], block)
    }

    /// Encrypts the bonus areas in a block of dnodes and authenticates the rest of it. The block is in `endian` order.
    ///
    /// # Errors
    /// [`CryptError::Dnode`] and [`CryptError::BlockLength`] where the block cannot be one of dnodes.
    pub fn encrypt_dnodes(&self, iv: Iv, block: &mut [u8], endian: Endian) -> Result<Mac, CryptError> {
        let split = Split::of(block, endian, self.version)?;
        let mut secret = split.gather(block);
        let mac = self.seal(iv, split.authenticated(), &mut secret)?;
        split.scatter(&secret, block);
        Ok(mac)
    }

    /// Decrypts the bonus areas in a block of dnodes, and checks that block. The block is in `endian` order.
    ///
    /// # Errors
    /// [`CryptError::Authentication`] where it is not what was encrypted; the bonus areas are then zeroed.
    /// [`CryptError::Dnode`] and [`CryptError::BlockLength`] where the block cannot be one of dnodes.
    pub fn decrypt_dnodes(
        &self,
        iv: Iv,
        mac: Mac,
        block: &mut [u8],
        endian: Endian,
    ) -> Result<(), CryptError> {
        let split = Split::of(block, endian, self.version)?;
        let mut secret = split.gather(block);
        let outcome = self.open(iv, mac, split.authenticated(), &mut secret);
        split.scatter(&secret, block);
        outcome
    }

    pub(super) fn seal(&self, iv: Iv, authenticated: &[u8], data: &mut [u8]) -> Result<Mac, CryptError> {
        self.check_length(data)?;
        let length = u64_from_usize(data.len());
        let nonce = iv.0.into();
        let buffer = InOutBuf::from(data);
        let tag = with_cipher!(&self.cipher, cipher =>
            cipher.encrypt_inout_detached(&nonce, authenticated, buffer));
        tag.map(|tag| Mac(tag.into()))
            .map_err(|_error| CryptError::TooLong { length })
    }

    pub(super) fn open(
        &self,
        iv: Iv,
        mac: Mac,
        authenticated: &[u8],
        data: &mut [u8],
    ) -> Result<(), CryptError> {
        self.check_length(data)?;
        let nonce = iv.0.into();
        let buffer = InOutBuf::from(&mut *data);
        let outcome = with_cipher!(&self.cipher, cipher =>
            cipher.decrypt_inout_detached(&nonce, authenticated, buffer, &mac.0.into()));
        outcome.map_err(|_error| {
            // CCM has decrypted by the time it knows. Nobody shall use what did not verify.
            data.fill(0);
            CryptError::Authentication
        })
    }

    fn check_length(&self, data: &[u8]) -> Result<(), CryptError> {
        let is_ccm = matches!(self.suite.wrapping(), Suite::Aes256Ccm);
        if is_ccm && data.len() > CCM_LIMIT {
            return Err(CryptError::TooLong {
                length: u64_from_usize(data.len()),
            });
        }
        Ok(())
    }
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey")
            .field("suite", &self.suite)
            .finish_non_exhaustive()
    }
}
