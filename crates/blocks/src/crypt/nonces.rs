//! Salts and initialization vectors: numbers that nobody can foretell, one after another from a seed.
//!
//! The n-th is the beginning of HMAC-SHA512 of n under the seed. So they are as random as the seed is, and the same seed
//! makes the same pool again.

use hmac::{Hmac, KeyInit, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use super::{Iv, KeySalt};

/// The bytes of a seed.
const SEED: usize = 32;

/// Salts and vectors from a seed. The seed is wiped when they are dropped.
pub struct Nonces {
    /// The seed and zeros, as many bytes as HMAC takes for a key.
    seed: Zeroizing<[u8; 128]>,
    count: u64,
}

impl Nonces {
    /// What follows from a seed. A seed is used once.
    #[must_use]
    pub fn new(seed: &[u8; SEED]) -> Self {
        let mut padded = Zeroizing::new([0; 128]);
        padded[..SEED].copy_from_slice(seed);
        Self {
            seed: padded,
            count: 0,
        }
    }

    fn next<const N: usize>(&mut self) -> [u8; N] {
        self.count = self.count.wrapping_add(1);
        let hmac = Hmac::<Sha512>::new((&*self.seed).into());
        let digest = hmac
            .chain_update(self.count.to_le_bytes())
            .finalize()
            .into_bytes();
        let mut bytes = [0; N];
        for (byte, digit) in bytes.iter_mut().zip(digest) {
            *byte = digit;
        }
        bytes
    }

    /// The next vector.
    pub fn iv(&mut self) -> Iv {
        Iv(self.next())
    }

    /// The next salt.
    pub fn salt(&mut self) -> KeySalt {
        KeySalt(self.next())
    }
}

impl std::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn they_differ_and_follow_from_the_seed() {
        let mut nonces = Nonces::new(&[7; 32]);
        let first: BTreeSet<[u8; 12]> = (0..1000).map(|_| nonces.iv().0).collect();
        assert_eq!(first.len(), 1000);
        let mut again = Nonces::new(&[7; 32]);
        let mut other = Nonces::new(&[8; 32]);
        assert!(first.contains(&again.iv().0));
        assert!(!first.contains(&other.iv().0));
        assert_eq!(again.salt(), other_salt(&[7; 32]));
    }

    fn other_salt(seed: &[u8; 32]) -> KeySalt {
        let mut nonces = Nonces::new(seed);
        let _ = nonces.iv();
        nonces.salt()
    }
}
