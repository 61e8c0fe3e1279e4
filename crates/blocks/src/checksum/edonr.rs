//! Edon-R-512 in the tweaked form that ZFS uses for its salted `edonr` checksum.
//!
//! Edon-R (Gligoroski and others, a candidate for SHA-3) works on sixteen 64-bit words at a time with a quasigroup
//! operation on eight-word vectors, `x * y`: both operands go through additions and rotations (a Latin square each),
//! then through exclusive-ors (an orthogonal one each), and are added. A block is taken in by eight such operations
//! in four rows; the tweak adds the old chaining value and the block to the new one.
//!
//! ZFS has no use for its padding of odd bits: messages are whole bytes.

use zferry_wire::u64_from_usize;

/// The bytes of a block, which is also the size of the double chaining value.
const BLOCK: usize = 128;

type Vector = [u64; 8];

/// The chaining value after whole blocks.
#[derive(Clone, Copy)]
struct Pipe {
    low: Vector,
    high: Vector,
}

/// Edon-R-512 after zero or more whole blocks.
#[derive(Clone)]
pub(super) struct EdonR {
    pipe: Pipe,
    taken_bytes: u64,
}

impl EdonR {
    fn new() -> Self {
        // The bytes 0x80, 0x81 … 0xff, read as big-endian words.
        let word =
            |index: u64| 0x8081_8283_8485_8687_u64.wrapping_add(index.wrapping_mul(0x0808_0808_0808_0808));
        Self {
            pipe: Pipe {
                low: [0, 1, 2, 3, 4, 5, 6, 7].map(word),
                high: [8, 9, 10, 11, 12, 13, 14, 15].map(word),
            },
            taken_bytes: 0,
        }
    }

    /// The state after the salt. It is stretched to one whole block first: H(salt), then H(H(salt)).
    pub(super) fn salted(salt: &[u8; 32]) -> Self {
        let first = Self::new().digest_full(salt);
        let second = Self::new().digest_full(&first);
        let mut state = Self::new();
        let mut block = [0; BLOCK];
        let (halves, _) = block.as_chunks_mut::<64>();
        for (half, digest) in halves.iter_mut().zip([first, second]) {
            *half = digest;
        }
        state.take(&block);
        state
    }

    /// The first half of the digest of `message` behind what was taken in already.
    pub(super) fn digest(&self, message: &[u8]) -> [u8; 32] {
        let mut half = [0; 32];
        half.copy_from_slice(&self.digest_full(message)[..32]);
        half
    }

    fn digest_full(&self, message: &[u8]) -> [u8; 64] {
        let mut state = self.clone();
        let (blocks, rest) = message.as_chunks::<BLOCK>();
        for block in blocks {
            state.take(block);
        }
        state.finish(rest)
    }

    /// Pads: one bit, zeros, and the length in bits in the last eight bytes; in one block more if they do not fit.
    fn finish(mut self, rest: &[u8]) -> [u8; 64] {
        let bits = self
            .taken_bytes
            .wrapping_add(u64_from_usize(rest.len()))
            .wrapping_mul(8);
        let mut padded = [0; 2 * BLOCK];
        padded[..rest.len()].copy_from_slice(rest);
        padded[rest.len()] = 0x80;
        let used = if rest.len() < BLOCK - 8 { BLOCK } else { 2 * BLOCK };
        padded[used - 8..used].copy_from_slice(&bits.to_le_bytes());
        let (blocks, _) = padded[..used].as_chunks::<BLOCK>();
        for block in blocks {
            self.take(block);
        }
        let mut digest = [0; 64];
        let (words, _) = digest.as_chunks_mut::<8>();
        for (bytes, word) in words.iter_mut().zip(self.pipe.high) {
            *bytes = word.to_le_bytes();
        }
        digest
    }

    fn take(&mut self, block: &[u8; BLOCK]) {
        let mut low = [0; 8];
        let mut high = [0; 8];
        let (words, _) = block.as_chunks::<8>();
        for (word, bytes) in low.iter_mut().chain(&mut high).zip(words) {
            *word = u64::from_le_bytes(*bytes);
        }
        self.pipe.absorb(low, high);
        self.taken_bytes = self.taken_bytes.wrapping_add(u64_from_usize(BLOCK));
    }
}

impl Pipe {
    fn absorb(&mut self, low: Vector, high: Vector) {
        // Each row begins with something new as the left operand and runs over what the row before left behind.
        let first = quasigroup(reversed(high), low);
        let second = quasigroup(first, high);

        let first = quasigroup(self.high, first);
        let second = quasigroup(first, second);

        let first = quasigroup(first, self.low);
        let second = quasigroup(second, first);

        let first = quasigroup(reversed(low), first);
        let second = quasigroup(first, second);

        self.low = xor(self.low, xor(high, first));
        self.high = xor(self.high, xor(low, second));
    }
}

fn reversed([a, b, c, d, e, f, g, h]: Vector) -> Vector {
    [h, g, f, e, d, c, b, a]
}

fn xor(mut left: Vector, right: Vector) -> Vector {
    for (left, right) in left.iter_mut().zip(right) {
        *left ^= right;
    }
    left
}

/// The sum of five of a vector's words, by their indices.
macro_rules! sum {
    ($vector:ident[$($index:literal)+]) => { 0_u64$(.wrapping_add($vector[$index]))+ };
}

/// `x * y`.
#[inline(always)]
fn quasigroup(x: Vector, y: Vector) -> Vector {
    const SHIFT: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    let s = [
        sum!(x[0 1 2 4 7]).wrapping_add(SHIFT),
        sum!(x[0 1 3 4 7]).rotate_left(5),
        sum!(x[0 1 4 6 7]).rotate_left(15),
        sum!(x[2 3 5 6 7]).rotate_left(22),
        sum!(x[1 2 3 5 6]).rotate_left(31),
        sum!(x[0 2 3 4 5]).rotate_left(40),
        sum!(x[0 1 5 6 7]).rotate_left(50),
        sum!(x[2 3 4 5 6]).rotate_left(59),
    ];
    let t = [
        sum!(y[0 1 2 5 7]).wrapping_add(!SHIFT),
        sum!(y[0 1 3 4 6]).rotate_left(10),
        sum!(y[0 1 2 3 5]).rotate_left(19),
        sum!(y[2 3 4 6 7]).rotate_left(29),
        sum!(y[0 1 3 4 5]).rotate_left(36),
        sum!(y[2 4 5 6 7]).rotate_left(44),
        sum!(y[1 2 5 6 7]).rotate_left(48),
        sum!(y[0 3 4 6 7]).rotate_left(55),
    ];
    [
        (s[0] ^ s[1] ^ s[4]).wrapping_add(t[0] ^ t[1] ^ t[5]),
        (s[0] ^ s[4] ^ s[7]).wrapping_add(t[2] ^ t[6] ^ t[7]),
        (s[1] ^ s[6] ^ s[7]).wrapping_add(t[0] ^ t[1] ^ t[3]),
        (s[2] ^ s[3] ^ s[4]).wrapping_add(t[0] ^ t[3] ^ t[4]),
        (s[0] ^ s[1] ^ s[7]).wrapping_add(t[1] ^ t[2] ^ t[5]),
        (s[3] ^ s[5] ^ s[6]).wrapping_add(t[3] ^ t[4] ^ t[6]),
        (s[2] ^ s[5] ^ s[6]).wrapping_add(t[2] ^ t[5] ^ t[7]),
        (s[2] ^ s[3] ^ s[5]).wrapping_add(t[4] ^ t[6] ^ t[7]),
    ]
}
