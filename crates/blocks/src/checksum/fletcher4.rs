//! Fletcher-4: four running sums over 32-bit words, each the running sum of the one before it.
//!
//! ```text
//! a += word;  b += a;  c += b;  d += c          (all modulo 2^64)
//! ```
//!
//! It is the checksum of nearly every block and of every stream, so it is the one that must be fast. Where the machine
//! has AVX2, four interleaved sums run side by side and are then put together; elsewhere the plain loop runs.

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
mod lanes;

use zferry_wire::{Endian, u64_from_usize};

use super::Checksum;

pub use lanes::{Lanes, STRIDE};

/// The bytes of one word.
const WORD: u64 = 4;

/// Below this many bytes the plain loop is as fast as setting up wide registers.
#[cfg(target_arch = "x86_64")]
const WORTH_WIDE: usize = 512;

/// The state of a fletcher-4 sum, which is also its result.
///
/// Sums can be continued ([`update`](Self::update)) and put together ([`append`](Self::append)): a block that was
/// summed on its own need not be read again when the sum of a stream goes over it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fletcher4 {
    /// The sum of the words.
    pub a: u64,
    /// The sum of every `a`.
    pub b: u64,
    /// The sum of every `b`.
    pub c: u64,
    /// The sum of every `c`.
    pub d: u64,
}

impl Fletcher4 {
    /// The sum of `bytes`, whose words are in `endian` order.
    #[must_use]
    pub fn of(bytes: &[u8], endian: Endian) -> Self {
        let mut sum = Self::default();
        sum.update(bytes, endian);
        sum
    }

    /// The sum with these words.
    #[must_use]
    pub const fn from_words([a, b, c, d]: [u64; 4]) -> Self {
        Self { a, b, c, d }
    }

    /// Goes on over `bytes`.
    ///
    /// They must be whole words of four bytes, as everything is that ZFS sums; a trailing part of a word is not summed.
    pub fn update(&mut self, bytes: &[u8], endian: Endian) {
        #[cfg(target_arch = "x86_64")]
        let bytes = if bytes.len() >= WORTH_WIDE && is_x86_feature_detected!("avx2") {
            let (strides, rest) = bytes.as_chunks::<STRIDE>();
            let mut lanes = Lanes::default();
            lanes.update(strides, endian);
            self.append(u64_from_usize(bytes.len().wrapping_sub(rest.len())), lanes.sum());
            rest
        } else {
            bytes
        };
        self.update_portably(bytes, endian);
    }

    fn update_portably(&mut self, bytes: &[u8], endian: Endian) {
        match endian {
            Endian::Little => self.run(bytes, u32::from_le_bytes),
            Endian::Big => self.run(bytes, u32::from_be_bytes),
        }
    }

    #[inline(always)]
    fn run(&mut self, bytes: &[u8], decode: impl Fn([u8; 4]) -> u32) {
        let Self {
            mut a,
            mut b,
            mut c,
            mut d,
        } = *self;
        let (words, _) = bytes.as_chunks::<4>();
        for &word in words {
            a = a.wrapping_add(u64::from(decode(word)));
            b = b.wrapping_add(a);
            c = c.wrapping_add(b);
            d = d.wrapping_add(c);
        }
        *self = Self { a, b, c, d };
    }

    /// Makes the sum of X, followed by Y, out of the sum of X (this one) and that of Y alone (`tail`), which is
    /// `tail_len_bytes` bytes long.
    ///
    /// A sum that goes on over n more words counts what it already had n times in `b`, and as often as there are
    /// pairs and triples of words in `c` and `d`:
    ///
    /// ```text
    /// b' = b + n·a + tail.b
    /// c' = c + n·b + n(n+1)/2·a + tail.c
    /// d' = d + n·c + n(n+1)/2·b + n(n+1)(n+2)/6·a + tail.d
    /// ```
    pub const fn append(&mut self, tail_len_bytes: u64, tail: Self) {
        let n = tail_len_bytes / WORD;
        let (pairs, triples) = figurate(n);
        let Self { a, b, c, d } = *self;
        *self = Self {
            a: a.wrapping_add(tail.a),
            b: b.wrapping_add(n.wrapping_mul(a)).wrapping_add(tail.b),
            c: c.wrapping_add(n.wrapping_mul(b))
                .wrapping_add(pairs.wrapping_mul(a))
                .wrapping_add(tail.c),
            d: d.wrapping_add(n.wrapping_mul(c))
                .wrapping_add(pairs.wrapping_mul(b))
                .wrapping_add(triples.wrapping_mul(a))
                .wrapping_add(tail.d),
        };
    }

    /// The four sums in the order in which a block pointer or a stream stores them.
    #[must_use]
    pub const fn words(self) -> [u64; 4] {
        [self.a, self.b, self.c, self.d]
    }

    /// The checksum that a block pointer has of a block with this sum.
    #[must_use]
    pub const fn checksum(self) -> Checksum {
        Checksum(self.words())
    }
}

/// n(n+1)/2 and n(n+1)(n+2)/6, modulo 2^64, for an n below 2^62.
const fn figurate(n: u64) -> (u64, u64) {
    let (next, last) = (n + 1, n + 2);
    // The products may be cut to 64 bits, so each division comes first, in the factor that it divides.
    let (n, next) = if n.is_multiple_of(2) {
        (n / 2, next)
    } else {
        (n, next / 2)
    };
    let pairs = n.wrapping_mul(next);
    let triples = match last % 3 {
        0 => pairs.wrapping_mul(last / 3),
        1 => n.wrapping_mul(next / 3).wrapping_mul(last),
        _ => (n / 3).wrapping_mul(next).wrapping_mul(last),
    };
    (pairs, triples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(bytes: &[u8], endian: Endian) -> Fletcher4 {
        let mut sum = Fletcher4::default();
        sum.update_portably(bytes, endian);
        sum
    }

    #[test]
    fn known_sums() {
        let words = [1_u32, 2, 3];
        let little: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let big: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(Fletcher4::of(&little, Endian::Little).words(), [6, 10, 15, 21]);
        assert_eq!(Fletcher4::of(&big, Endian::Big).words(), [6, 10, 15, 21]);
        assert_eq!(Fletcher4::default().checksum(), Checksum([0; 4]));
    }

    #[test]
    fn figurate_numbers_are_exact() {
        for n in (0..100).chain([1 << 40, (1 << 62) - 3, (1 << 62) - 2, (1 << 62) - 1]) {
            let wide = u128::from(n);
            let pairs = wide * (wide + 1) / 2;
            // One of the two factors has the three.
            let triples = if pairs % 3 == 0 {
                (pairs / 3).wrapping_mul(wide + 2)
            } else {
                pairs.wrapping_mul(wide.div_ceil(3))
            };
            assert_eq!(figurate(n), (pairs as u64, triples as u64), "{n}");
        }
    }

    #[test]
    fn sums_wrap_alike_on_every_path() {
        let bytes = vec![0xff; 16 << 20];
        for endian in [Endian::Little, Endian::Big] {
            assert_eq!(Fletcher4::of(&bytes, endian), plain(&bytes, endian));
        }
    }

    #[test]
    fn a_tail_of_zeros_may_be_as_long_as_it_likes() {
        // Appending zeros in one step or in two is the same, also where the products no longer fit 64 bits.
        for (first, second) in [
            (4, 8),
            (1 << 40, 12),
            (u64::MAX / 8 * 4, 1 << 33),
            (1 << 62, 1 << 61),
        ] {
            let start = Fletcher4::from_words([3, 1 << 63, 0xdead_beef, 7]);
            let (mut one, mut two) = (start, start);
            one.append(first + second, Fletcher4::default());
            two.append(first, Fletcher4::default());
            two.append(second, Fletcher4::default());
            assert_eq!(one, two, "{first} and {second}");
        }
    }

    proptest! {
        #[test]
        fn wide_equals_plain(bytes in proptest::collection::vec(any::<u8>(), 0..2048), big: bool) {
            let endian = if big { Endian::Big } else { Endian::Little };
            prop_assert_eq!(Fletcher4::of(&bytes, endian), plain(&bytes, endian));
        }

        #[test]
        fn the_sum_of_parts_is_the_sum_of_the_whole(
            head in proptest::collection::vec(any::<[u8; 4]>(), 0..300),
            tail in proptest::collection::vec(any::<[u8; 4]>(), 0..300),
        ) {
            let (head, tail) = (head.as_flattened(), tail.as_flattened());
            let whole = Fletcher4::of(&[head, tail].concat(), Endian::Little);

            let mut continued = Fletcher4::of(head, Endian::Little);
            continued.update(tail, Endian::Little);
            prop_assert_eq!(continued, whole);

            let mut appended = Fletcher4::of(head, Endian::Little);
            appended.append(u64_from_usize(tail.len()), Fletcher4::of(tail, Endian::Little));
            prop_assert_eq!(appended, whole);
        }
    }
}
