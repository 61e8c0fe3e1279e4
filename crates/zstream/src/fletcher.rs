//! Fletcher-4 over bytes whose 32-bit words lie in a stream's order.

use zferry_wire::Endian;

/// A Fletcher-4 sum in the making, which knows how many words went into it and so can be put behind another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fletcher4 {
    endian: Endian,
    words: [u64; 4],
    count: u64,
}

impl Fletcher4 {
    /// The sum of nothing.
    #[must_use]
    pub const fn new(endian: Endian) -> Self {
        Self {
            endian,
            words: [0; 4],
            count: 0,
        }
    }

    /// The sum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8], endian: Endian) -> Self {
        let mut sum = Self::new(endian);
        sum.update(bytes);
        sum
    }

    /// Adds bytes. A tail shorter than four bytes is left out.
    pub fn update(&mut self, bytes: &[u8]) {
        let [mut a, mut b, mut c, mut d] = self.words;
        for word in bytes.chunks_exact(4) {
            let Ok(word) = word.try_into() else { break };
            a = a.wrapping_add(u64::from(self.endian.u32(word)));
            b = b.wrapping_add(a);
            c = c.wrapping_add(b);
            d = d.wrapping_add(c);
            self.count = self.count.wrapping_add(1);
        }
        self.words = [a, b, c, d];
    }

    /// Adds the bytes that `next` was made of.
    pub fn append(&mut self, next: &Self) {
        let n = u128::from(next.count);
        let pairs = n.wrapping_mul(n.wrapping_add(1)) / 2;
        let triples = pairs.wrapping_mul(n.wrapping_add(2)) / 3;
        let [n, pairs, triples] = [n, pairs, triples].map(low);
        let [a, b, c, d] = self.words;
        let [na, nb, nc, nd] = next.words;
        self.words = [
            a.wrapping_add(na),
            b.wrapping_add(n.wrapping_mul(a)).wrapping_add(nb),
            c.wrapping_add(n.wrapping_mul(b))
                .wrapping_add(pairs.wrapping_mul(a))
                .wrapping_add(nc),
            d.wrapping_add(n.wrapping_mul(c))
                .wrapping_add(pairs.wrapping_mul(b))
                .wrapping_add(triples.wrapping_mul(a))
                .wrapping_add(nd),
        ];
        self.count = self.count.wrapping_add(next.count);
    }

    /// The four words of the sum.
    #[must_use]
    pub const fn words(&self) -> [u64; 4] {
        self.words
    }
}

fn low(wide: u128) -> u64 {
    let [bytes @ .., _, _, _, _, _, _, _, _] = wide.to_le_bytes();
    u64::from_le_bytes(bytes)
}
