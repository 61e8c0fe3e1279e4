//! Skein-512-256 with a key, as ZFS uses it for its salted `skein` checksum.
//!
//! Skein 1.3 chains Threefish-512 by UBI: each 64-byte block is encrypted under the chaining value, with a tweak that
//! says what is being processed and how far it has come, and is then added bit by bit to the outcome.
//!
//! ```text
//! tweak   bits   0..96   bytes processed so far, this block included
//!         bits 120..126  what is processed: key 0, configuration 4, message 48, output 63
//!         bit  126       first block     bit 127  last block
//! ```

use threefish::Threefish512;
use zferry_wire::u64_from_usize;

const BLOCK: usize = 64;

const KEY: u64 = 0;
const CONFIGURATION: u64 = 4;
const MESSAGE: u64 = 48;
const OUTPUT: u64 = 63;

/// Skein-512 with a key and an output of 256 bits, ready for a message.
#[derive(Clone)]
pub(super) struct Skein {
    chain: [u64; 8],
}

impl Skein {
    /// Takes in the key.
    pub(super) fn keyed(key: &[u8; 32]) -> Self {
        let chain = ubi([0; 8], KEY, key);
        Self {
            chain: ubi(chain, CONFIGURATION, &configuration()),
        }
    }

    /// The first 256 bits of output for `message`.
    pub(super) fn digest(&self, message: &[u8]) -> [u8; 32] {
        let chain = ubi(self.chain, MESSAGE, message);
        // The output is the processing of a counter; 256 bits are there at its first value, zero.
        let output = ubi(chain, OUTPUT, &[0; 8]);
        let mut digest = [0; 32];
        let (words, _) = digest.as_chunks_mut::<8>();
        for (bytes, word) in words.iter_mut().zip(output) {
            *bytes = word.to_le_bytes();
        }
        digest
    }
}

/// ```text
///  0  u32  "SHA3"     4  u16  version 1     6  u16  zero
///  8  u64  bits of output                  16  tree hashing: none
/// ```
fn configuration() -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(b"SHA3");
    bytes[4] = 1;
    bytes[8..16].copy_from_slice(&256_u64.to_le_bytes());
    bytes
}

/// Chains `bytes`, which are of the kind `what`, onto `chain`.
fn ubi(mut chain: [u64; 8], what: u64, bytes: &[u8]) -> [u64; 8] {
    const FIRST: u64 = 1 << 62;
    const LAST: u64 = 1 << 63;
    let kind = what << 56;

    // The last block is whatever is left, even if it is whole; only an empty message has an empty one.
    let (head, tail) = bytes.split_at(bytes.len().saturating_sub(1) / BLOCK * BLOCK);
    let (blocks, _) = head.as_chunks::<BLOCK>();
    let mut flags = kind | FIRST;
    let mut processed = 0;
    for block in blocks {
        processed += u64_from_usize(BLOCK);
        step(&mut chain, [processed, flags], block);
        flags = kind;
    }
    let mut last = [0; BLOCK];
    last[..tail.len()].copy_from_slice(tail);
    step(&mut chain, [u64_from_usize(bytes.len()), flags | LAST], &last);
    chain
}

fn step(chain: &mut [u64; 8], tweak: [u64; 2], block: &[u8; BLOCK]) {
    let mut words = [0; 8];
    let (chunks, _) = block.as_chunks::<8>();
    for (word, chunk) in words.iter_mut().zip(chunks) {
        *word = u64::from_le_bytes(*chunk);
    }
    let cipher = Threefish512::new_with_tweak_u64(chain, &tweak);
    let mut enciphered = words;
    cipher.encrypt_block_u64(&mut enciphered);
    for ((link, word), cipher) in chain.iter_mut().zip(words).zip(enciphered) {
        *link = word ^ cipher;
    }
}
