//! Blocks of encrypted datasets on their way to the disk: sealed by their sender, or here with the dataset's key.
//!
//! ```text
//! a block of data            encrypted, or authenticated where its type stays readable: salt, vector and code go into
//!                            the pointer (`zferry_blocks::crypt`)
//! a block of dnodes          only its bonus buffers are encrypted; the code covers all of it
//! an indirect block          a code of the codes below it, which takes no key
//! an object set              has its codes inside; the pointer only says that it has
//! ```
//!
//! What is sealed never lies in a pointer, is never shared, and of blocks of dnodes and object sets nothing is compressed.

use super::prepare::{Form, Place};
use super::{BlockPointer, BlockPolicy, Draft, PreparedBlock};
use crate::Error;
use crate::dmu::ObjectType;
use std::ops::Range;
use std::sync::Arc;
use zferry_blocks::checksum::{Checksum, ChecksumAlgorithm, Summer};
use zferry_blocks::compress::Compression;
use zferry_blocks::crypt::{
    CryptError, DataKey, FormatVersion, Iv, Key, KeySalt, Mac, Nonces, set_objset_macs,
};
use zferry_wire::{Endian, u64_from_usize};

/// How many blocks are encrypted with one salt before there is another.
const SALT_USES: u64 = 400_000_000;

/// What an encrypted block's pointer holds beside its addresses. One that is only authenticated has the code alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CryptParameters {
    /// What the block's key is made with.
    pub salt: KeySalt,
    /// The initialisation vector.
    pub iv: Iv,
    /// The message authentication code.
    pub mac: Mac,
}

impl CryptParameters {
    /// Those in the pointer to an encrypted block.
    pub(crate) fn of(pointer: &BlockPointer) -> Self {
        Self {
            salt: pointer.salt(),
            iv: pointer.iv(),
            mac: pointer.mac(),
        }
    }

    const fn of_code(mac: Mac) -> Self {
        Self {
            salt: KeySalt([0; 8]),
            iv: Iv([0; 12]),
            mac,
        }
    }

    /// Puts them into the words of the pointer to `block`: in place of the third address, of half of the fill, and of half
    /// of the checksum. A block that is authenticated only has its code there, and an object set nothing.
    pub(super) fn put_into(
        &self,
        words: &mut [u64; 16],
        block: &PreparedBlock,
        sum: Checksum,
        checksum: ChecksumAlgorithm,
        endian: Endian,
    ) {
        const SEALED: u64 = 1 << 61;
        words[6] |= SEALED;
        if block.object_type == ObjectType::OBJSET {
            return;
        }
        words[12..14].copy_from_slice(&sum.truncated(checksum));
        words[14..].copy_from_slice(&self.mac.words(endian));
        if block.level == 0 && block.object_type.is_encrypted() {
            let (iv, iv_end) = self.iv.words(endian);
            words[4] = self.salt.word(endian);
            words[5] = iv;
            words[11] = words[11] & 0xffff_ffff | u64::from(iv_end) << 32;
        }
    }
}

/// How a stream carries a block that its sender has sealed.
#[derive(Clone, Copy, Debug)]
pub struct SealedBlock {
    /// The type that its pointer states.
    pub object_type: ObjectType,
    /// The size of its content, in bytes.
    pub logical_size: u64,
    /// How the content was compressed before it was encrypted.
    pub compression: Compression,
    /// The byte order of its writer.
    pub endian: Endian,
    /// What its pointer has to say.
    pub crypt: CryptParameters,
}

impl BlockPolicy {
    /// Makes a block ready that its sender has sealed; its bytes are a part of `memory` and stay as they are.
    ///
    /// # Errors
    /// Where it cannot be summed.
    pub fn draft_sealed(
        &self,
        sealed: &SealedBlock,
        memory: &[u8],
        place: Range<usize>,
    ) -> Result<Draft, Error> {
        let bytes = memory.get(place.clone()).unwrap_or_default();
        let form = Form::Stored {
            compression: sealed.compression.id(),
            checksum: self.checksum,
            sum: self.sum(self.checksum, bytes, sealed.endian)?,
            bytes: Vec::new().into(),
            endian: sealed.endian,
            crypt: Some(sealed.crypt),
        };
        Ok(Draft {
            block: self.block(sealed.object_type, 0, sealed.logical_size, form),
            place: Place::Content(place),
        })
    }

    /// Makes a block of dnodes or an object set ready, which is sealed and stays as it is.
    pub(crate) fn prepare_sealed(
        &self,
        object_type: ObjectType,
        endian: Endian,
        bytes: Vec<u8>,
        crypt: CryptParameters,
    ) -> Result<PreparedBlock, Error> {
        let logical_size = u64_from_usize(bytes.len());
        let form = Form::Stored {
            compression: Compression::Off.id(),
            checksum: self.checksum,
            sum: self.sum(self.checksum, &bytes, endian)?,
            bytes: bytes.into(),
            endian,
            crypt: Some(crypt),
        };
        Ok(self.block(object_type, 0, logical_size, form))
    }
}

impl PreparedBlock {
    /// Whether it is encrypted or authenticated already, or has nothing that could be.
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self.form, Form::Hole | Form::Stored { crypt: Some(_), .. })
    }

    /// The block with a code of what is in it, which is all that an indirect block needs.
    pub(crate) fn with_code(mut self, mac: Mac) -> Self {
        if let Form::Stored { crypt, .. } = &mut self.form {
            *crypt = Some(CryptParameters::of_code(mac));
        }
        self
    }
}

/// Seals blocks with a dataset's key.
#[derive(Debug)]
pub(crate) struct Sealer {
    key: Arc<Key>,
    summer: Summer,
    nonces: Nonces,
    salt: KeySalt,
    data_key: DataKey,
    /// How many blocks have been encrypted with that.
    uses: u64,
}

impl Sealer {
    /// A sealer with a key. Salts and vectors come from `nonces`.
    pub(crate) fn new(key: Arc<Key>, mut nonces: Nonces, summer: Summer) -> Self {
        let salt = nonces.salt();
        Self {
            data_key: key.data_key(salt),
            key,
            summer,
            nonces,
            salt,
            uses: 0,
        }
    }

    /// How codes of indirect blocks are made.
    pub(crate) fn version(&self) -> FormatVersion {
        self.key.version()
    }

    fn next_iv(&mut self) -> Iv {
        self.uses = self.uses.saturating_add(1);
        if self.uses > SALT_USES {
            self.salt = self.nonces.salt();
            self.data_key = self.key.data_key(self.salt);
            self.uses = 1;
        }
        self.nonces.iv()
    }

    /// Seals a block of data.
    pub(crate) fn seal(&mut self, block: &PreparedBlock) -> Result<PreparedBlock, Error> {
        let mut block = block.clone();
        let object_type = block.object_type;
        let Form::Stored {
            checksum,
            sum,
            bytes,
            endian,
            crypt,
            ..
        } = &mut block.form
        else {
            return Err(Error::Invalid(
                "an encrypted block that lies in its pointer".to_owned(),
            ));
        };
        if object_type.is_encrypted() {
            let iv = self.next_iv();
            let mut secret = bytes.to_vec();
            let mac = self.data_key.encrypt(iv, &mut secret).map_err(cannot_encrypt)?;
            *sum = self
                .summer
                .sum(*checksum, &secret, *endian)
                .map_err(|error| Error::Invalid(error.to_string()))?;
            *bytes = secret.into();
            *crypt = Some(CryptParameters {
                salt: self.salt,
                iv,
                mac,
            });
        } else {
            *crypt = Some(CryptParameters::of_code(self.key.mac(bytes)));
        }
        Ok(block)
    }

    /// Encrypts what is secret in a block of dnodes.
    pub(crate) fn seal_dnodes(&mut self, block: &mut [u8]) -> Result<CryptParameters, Error> {
        let iv = self.next_iv();
        let mac = self
            .data_key
            .encrypt_dnodes(iv, block, Endian::Little)
            .map_err(cannot_encrypt)?;
        Ok(CryptParameters {
            salt: self.salt,
            iv,
            mac,
        })
    }

    /// Puts the codes into an object set.
    pub(crate) fn seal_set(&self, set: &mut [u8]) -> Result<(), Error> {
        let macs = self.key.objset_macs(set, Endian::Little);
        macs.and_then(|macs| set_objset_macs(set, macs))
            .map_err(cannot_encrypt)
    }
}

fn cannot_encrypt(error: CryptError) -> Error {
    Error::Invalid(error.to_string())
}
