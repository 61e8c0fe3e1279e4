//! Checksums that lie inside the block that they cover: labels, uberblocks, boot environments and gang headers.
//!
//! ```text
//! the last 40 bytes of the block (zio_eck_t)
//!   0  u64     magic, 0x0210da7ab10c7a11, by which a reader learns the byte order
//!   8  u64×4   SHA-256 of the block, taken while the verifier stood in these four words
//! ```
//!
//! The verifier is what the reader knows already (where the block lies, or who points to it), so a block that was
//! written elsewhere does not verify here.

use sha2::{Digest, Sha256};
use zferry_wire::Endian;

/// The magic number before an embedded checksum.
pub const EMBEDDED_MAGIC: u64 = 0x0210_da7a_b10c_7a11;

/// The bytes that an embedded checksum takes from the end of its block: the magic number and four words.
pub const EMBEDDED_SIZE: usize = 40;

const WORDS_SIZE: usize = 32;

/// The byte order in which a block's embedded checksum was written, if its magic number can be seen in either.
#[must_use]
pub fn embedded_endian(block: &[u8]) -> Option<Endian> {
    let (_, trailer) = block.split_last_chunk::<EMBEDDED_SIZE>()?;
    let magic = trailer.first_chunk::<8>()?;
    [Endian::Little, Endian::Big]
        .into_iter()
        .find(|endian| endian.u64(*magic) == EMBEDDED_MAGIC)
}

/// Whether a block in `endian` order ends with the magic number and the checksum that belongs to its bytes and to
/// `verifier`.
#[must_use]
pub fn verify_embedded(block: &[u8], verifier: [u64; 4], endian: Endian) -> bool {
    if embedded_endian(block) != Some(endian) {
        return false;
    }
    let Some((covered, stored)) = block.split_last_chunk::<WORDS_SIZE>() else {
        return false;
    };
    *stored == checksum_bytes(covered, verifier, endian)
}

/// As [`verify_embedded`], for a block of an encrypted dataset: its checksum is folded to two words, and the other two
/// are not looked at, for they are where a message authentication code would be.
#[must_use]
pub fn verify_embedded_folded(block: &[u8], verifier: [u64; 4], endian: Endian) -> bool {
    if embedded_endian(block) != Some(endian) {
        return false;
    }
    let Some((covered, stored)) = block.split_last_chunk::<WORDS_SIZE>() else {
        return false;
    };
    let sum = checksum_bytes(covered, verifier, endian);
    let (first, second) = sum.split_at(WORDS_SIZE / 2);
    let folded = first.iter().zip(second).map(|(first, second)| first ^ second);
    stored.iter().copied().take(WORDS_SIZE / 2).eq(folded)
}

/// Writes the magic number and the checksum into the last bytes of a block that is otherwise ready.
///
/// A block with less than [`EMBEDDED_SIZE`] bytes has no room for them and is left as it is.
pub fn seal_embedded(block: &mut [u8], verifier: [u64; 4], endian: Endian) {
    let Some((_, trailer)) = block.split_last_chunk_mut::<EMBEDDED_SIZE>() else {
        return;
    };
    if let Some(magic) = trailer.first_chunk_mut::<8>() {
        *magic = endian.bytes_u64(EMBEDDED_MAGIC);
    }
    if let Some((covered, stored)) = block.split_last_chunk_mut::<WORDS_SIZE>() {
        *stored = checksum_bytes(covered, verifier, endian);
    }
}

/// The checksum as it stands on disk, of a block of which `covered` is all but the last four words.
fn checksum_bytes(covered: &[u8], verifier: [u64; 4], endian: Endian) -> [u8; WORDS_SIZE] {
    let digest = Sha256::new()
        .chain_update(covered)
        .chain_update(words_to_bytes(verifier, endian))
        .finalize();
    // The digest makes four big-endian numbers, which are then stored in the order of the block.
    let (words, _) = digest.as_chunks::<8>();
    let mut bytes = [0; WORDS_SIZE];
    let (stored, _) = bytes.as_chunks_mut::<8>();
    for (stored, word) in stored.iter_mut().zip(words) {
        *stored = endian.bytes_u64(Endian::Big.u64(*word));
    }
    bytes
}

fn words_to_bytes(words: [u64; 4], endian: Endian) -> [u8; WORDS_SIZE] {
    let mut bytes = [0; WORDS_SIZE];
    let (chunks, _) = bytes.as_chunks_mut::<8>();
    for (chunk, word) in chunks.iter_mut().zip(words) {
        *chunk = endian.bytes_u64(word);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_verifies_and_what_is_moved_does_not() {
        for endian in [Endian::Little, Endian::Big] {
            let mut block = vec![7; 1024];
            let verifier = [0x4000, 0, 0, 0];
            assert_eq!(embedded_endian(&block), None);
            seal_embedded(&mut block, verifier, endian);
            assert_eq!(embedded_endian(&block), Some(endian));
            assert!(verify_embedded(&block, verifier, endian));
            assert!(!verify_embedded(&block, verifier, endian.swapped()));
            assert!(!verify_embedded(&block, [0x4400, 0, 0, 0], endian));
            block[3] ^= 1;
            assert!(!verify_embedded(&block, verifier, endian));
        }
    }

    #[test]
    fn a_folded_checksum_is_half_of_the_whole_one_over_the_other() {
        for endian in [Endian::Little, Endian::Big] {
            let mut block = vec![7; 512];
            let verifier = [1, 0x4000, 50, 0];
            seal_embedded(&mut block, verifier, endian);
            assert!(!verify_embedded_folded(&block, verifier, endian));
            for at in 480..496 {
                block[at] ^= block[at + 16];
            }
            block[496..].fill(0);
            assert!(verify_embedded_folded(&block, verifier, endian));
            assert!(!verify_embedded(&block, verifier, endian));
            assert!(!verify_embedded_folded(&block, [1, 0x4200, 50, 0], endian));
            block[3] ^= 1;
            assert!(!verify_embedded_folded(&block, verifier, endian));
        }
    }

    #[test]
    fn a_block_without_room_is_refused() {
        for len in 0..EMBEDDED_SIZE {
            let mut block = vec![1; len];
            seal_embedded(&mut block, [0; 4], Endian::Little);
            assert_eq!(block, vec![1; len]);
            assert!(!verify_embedded(&block, [0; 4], Endian::Little));
            assert!(!verify_embedded_folded(&block, [0; 4], Endian::Little));
        }
    }
}
