//! The checksum of a block by the algorithm that its pointer names.

use sha2::{Digest, Sha256, Sha512_256};
use zferry_wire::Endian;

use super::edonr::EdonR;
use super::skein::Skein;
use super::{Checksum, ChecksumAlgorithm, Fletcher4, fletcher2};

/// The random bytes that a pool mixes into its salted checksums (`org.illumos:checksum_salt` in the MOS).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl std::fmt::Debug for Salt {
    /// A salt is kept from users: whoever knows it can look for colliding blocks.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Why a checksum could not be computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// The algorithm is a salted one and the pool has no salt.
    #[error("{algorithm} is a salted checksum, and the pool has no salt")]
    NoSalt {
        /// The algorithm that was asked for.
        algorithm: ChecksumAlgorithm,
    },
}

/// What each salted algorithm makes of the salt before it sees a block.
#[derive(Clone)]
struct Templates {
    skein: Skein,
    edonr: EdonR,
    blake3: [u8; 32],
}

/// Computes checksums by any algorithm, with the salt of one pool. Cheap to share between threads.
#[derive(Clone)]
pub struct Summer {
    templates: Option<Templates>,
}

impl Summer {
    /// A summer for the pool that has this salt, or none.
    #[must_use]
    pub fn new(salt: Option<Salt>) -> Self {
        Self {
            templates: salt.map(|Salt(salt)| Templates {
                skein: Skein::keyed(&salt),
                edonr: EdonR::salted(&salt),
                blake3: salt,
            }),
        }
    }

    /// The checksum of `data`, a block as it lies on disk, written in `endian` order.
    ///
    /// The words compare with those of the block pointer, decoded in its byte order. [`ChecksumAlgorithm::Label`] and
    /// the other embedded ones sum the bytes as they are; see [`verify_embedded`](super::verify_embedded) for the
    /// words that have to be put in first.
    ///
    /// # Errors
    /// [`ChecksumError::NoSalt`] for a salted algorithm where there is no salt.
    pub fn sum(
        &self,
        algorithm: ChecksumAlgorithm,
        data: &[u8],
        endian: Endian,
    ) -> Result<Checksum, ChecksumError> {
        use ChecksumAlgorithm as A;
        let templates = || self.templates.as_ref().ok_or(ChecksumError::NoSalt { algorithm });
        Ok(match algorithm {
            A::Off | A::NoParity => Checksum::default(),
            A::Fletcher4 | A::Zilog2 => Fletcher4::of(data, endian).checksum(),
            A::Fletcher2 | A::Zilog => fletcher2(data, endian),
            // SHA-256 came first, and wrote big-endian numbers on every machine. The later ones copy the bytes of the
            // digest into the pointer, which makes them numbers of the writer's order.
            A::Sha256 | A::Label | A::GangHeader => digest_words(&Sha256::digest(data).into(), Endian::Big),
            A::Sha512 => digest_words(&Sha512_256::digest(data).into(), endian),
            A::Skein => digest_words(&templates()?.skein.digest(data), endian),
            A::EdonR => digest_words(&templates()?.edonr.digest(data), endian),
            A::Blake3 => digest_words(blake3::keyed_hash(&templates()?.blake3, data).as_bytes(), endian),
        })
    }
}

impl std::fmt::Debug for Summer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Summer")
            .field("salted", &self.templates.is_some())
            .finish_non_exhaustive()
    }
}

fn digest_words(digest: &[u8; 32], endian: Endian) -> Checksum {
    let mut words = [0; 4];
    let (chunks, _) = digest.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = endian.u64(*chunk);
    }
    Checksum(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_salted_algorithms_need_a_salt() {
        let without = Summer::new(None);
        let with = Summer::new(Some(Salt([1; 32])));
        for algorithm in ChecksumAlgorithm::ALL {
            let sum = without.sum(algorithm, &[1; 512], Endian::Little);
            if algorithm.is_salted() {
                assert_eq!(sum, Err(ChecksumError::NoSalt { algorithm }));
            } else {
                assert!(sum.is_ok());
            }
            assert!(with.sum(algorithm, &[1; 512], Endian::Little).is_ok());
        }
    }

    #[test]
    fn a_debugged_salt_says_nothing() {
        assert_eq!(format!("{:?}", Salt([42; 32])), "Salt(..)");
        assert!(!format!("{:?}", Summer::new(Some(Salt([42; 32])))).contains("42"));
    }
}
