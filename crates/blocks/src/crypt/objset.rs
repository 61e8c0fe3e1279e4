//! The two codes of an objset, which are the root of everything that is authenticated below it.
//!
//! ```text
//! objset, 1024, 2048 or 4096 bytes
//!     0        the meta-dnode              704  u64  type          712  u64  flags
//!   720  32 B  the portable code           752  32 B  the local code
//!  1024        the dnode of space used by users;  1536 by groups;  2048 by projects
//! ```
//!
//! The portable code covers the meta-dnode and goes with a raw send. The local code covers the accounting objects,
//! which are not sent; it is zero where there are none.

use hmac::Mac as _;
use zferry_wire::{Endian, u64_from_usize};

use super::dnodes::{Dnode, SLOT};
use super::key::{Authenticator, equal};
use super::{CryptError, Key};

const TYPE: usize = 704;
const FLAGS: usize = 712;
const PORTABLE: usize = 720;
const LOCAL: usize = 752;
const USERS: usize = 1024;
const GROUPS: usize = 1536;
const PROJECTS: usize = 2048;

/// Space used by users and groups has been counted for the whole dataset.
const FLAG_ACCOUNTED: u64 = 1;

/// The two codes of an objset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjsetMacs {
    /// Covers what goes with a raw send.
    pub portable: [u8; 32],
    /// Covers the accounting objects; zero where there are none.
    pub local: [u8; 32],
}

/// The codes that are stored in an objset.
///
/// # Errors
/// [`CryptError::BlockLength`] where the block cannot be an objset.
pub fn objset_macs_in(objset: &[u8]) -> Result<ObjsetMacs, CryptError> {
    check_length(objset)?;
    Ok(ObjsetMacs {
        portable: array(objset, PORTABLE),
        local: array(objset, LOCAL),
    })
}

/// Stores the codes in an objset.
///
/// # Errors
/// [`CryptError::BlockLength`] where the block cannot be an objset.
pub fn set_objset_macs(objset: &mut [u8], macs: ObjsetMacs) -> Result<(), CryptError> {
    check_length(objset)?;
    objset[PORTABLE..LOCAL].copy_from_slice(&macs.portable);
    objset[LOCAL..LOCAL + 32].copy_from_slice(&macs.local);
    Ok(())
}

impl Key {
    /// The codes that belong to an objset, which is in `endian` order.
    ///
    /// # Errors
    /// [`CryptError::BlockLength`] and [`CryptError::Dnode`] where the block cannot be an objset.
    pub fn objset_macs(&self, objset: &[u8], endian: Endian) -> Result<ObjsetMacs, CryptError> {
        check_length(objset)?;
        Ok(ObjsetMacs {
            portable: self.portable_mac(objset, endian)?,
            local: self.local_mac(objset, endian)?,
        })
    }

    /// Checks the codes in an objset, which is in `endian` order.
    ///
    /// Where there is nothing that the local code covers, it may be anything, as in OpenZFS: it is made anew when
    /// accounting is.
    ///
    /// # Errors
    /// [`CryptError::Authentication`] where a code is another one; [`CryptError::BlockLength`] and
    /// [`CryptError::Dnode`] where the block cannot be an objset.
    pub fn verify_objset(&self, objset: &[u8], endian: Endian) -> Result<(), CryptError> {
        let stored = objset_macs_in(objset)?;
        let ours = self.objset_macs(objset, endian)?;
        equal(&ours.portable, &stored.portable)?;
        if ours.local == [0; 32] {
            return Ok(());
        }
        equal(&ours.local, &stored.local)
    }

    fn portable_mac(&self, objset: &[u8], endian: Endian) -> Result<[u8; 32], CryptError> {
        // The type is the one number here that is taken in big-endian order. No flag is portable yet.
        let mut covered = Vec::with_capacity(SLOT);
        covered.extend(endian.u64(array(objset, TYPE)).to_be_bytes());
        covered.extend([0; 8]);
        self.cover_dnode(objset, 0, endian, &mut covered)?;
        Ok(first_half(self.authenticator().chain_update(covered)))
    }

    fn local_mac(&self, objset: &[u8], endian: Endian) -> Result<[u8; 32], CryptError> {
        let flags = endian.u64(array(objset, FLAGS));
        let has_object = |at: usize| objset.get(at).is_some_and(|&object_type| object_type != 0);
        if flags & FLAG_ACCOUNTED == 0 || !(has_object(USERS) || has_object(GROUPS)) {
            return Ok([0; 32]);
        }
        let mut covered = Vec::with_capacity(3 * SLOT);
        covered.extend(flags.to_le_bytes());
        for at in [USERS, GROUPS, PROJECTS] {
            if has_object(at) {
                self.cover_dnode(objset, at, endian, &mut covered)?;
            }
        }
        Ok(first_half(self.authenticator().chain_update(covered)))
    }

    fn cover_dnode(
        &self,
        objset: &[u8],
        at: usize,
        endian: Endian,
        covered: &mut Vec<u8>,
    ) -> Result<(), CryptError> {
        let slot = objset.get(at..).unwrap_or_default();
        let slot = slot.get(..SLOT).unwrap_or(slot);
        Dnode::parse(slot, at)?.authenticate_portably(endian, self.version(), covered);
        Ok(())
    }
}

fn check_length(objset: &[u8]) -> Result<(), CryptError> {
    match objset.len() {
        1024 | 2048 | 4096 => Ok(()),
        length => Err(CryptError::BlockLength {
            kind: "objset",
            length: u64_from_usize(length),
        }),
    }
}

/// The bytes at `at`, which must be there.
fn array<const N: usize>(objset: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&objset[at..at + N]);
    array
}

fn first_half(authenticator: Authenticator) -> [u8; 32] {
    array(&authenticator.finalize().into_bytes(), 0)
}
