//! Fletcher-4 in four lanes, which are put together only when the sum is asked for.
//!
//! Lane j sums the words j, j+4, j+8 … on its own. A word that a lane counts t times in its `b` is counted 4t − j times
//! in the `b` of the whole, so the sums of the whole are polynomials in those of the lanes:
//!
//! ```text
//! a = Σ A_j
//! b = Σ 4·B_j − j·A_j
//! c = Σ 16·C_j − (4j+6)·B_j + j(j−1)/2·A_j
//! d = Σ 64·D_j − (16j+48)·C_j + (2j²+4j+4)·B_j − j(j−1)(j−2)/6·A_j
//! ```

use zferry_wire::Endian;

use super::Fletcher4;

/// The bytes of one step: one word for each lane.
pub const STRIDE: usize = 16;

/// A fletcher-4 sum in the making, kept in four lanes.
///
/// Keeping it costs a few stores where putting it together costs some forty multiplications, so it is what to note
/// when a sum is noted often and asked for seldom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lanes {
    pub(super) a: [u64; 4],
    pub(super) b: [u64; 4],
    pub(super) c: [u64; 4],
    pub(super) d: [u64; 4],
}

impl Lanes {
    /// Goes on over `strides`, whose words are in `endian` order.
    pub fn update(&mut self, strides: &[[u8; STRIDE]], endian: Endian) {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor was just asked and has AVX2; the function is otherwise safe.
            #[expect(
                unsafe_code,
                reason = "a function compiled for AVX2 is called behind its run-time check"
            )]
            let lanes = unsafe { super::avx2::update(*self, strides, endian) };
            *self = lanes;
            return;
        }
        self.update_portably(strides, endian);
    }

    pub(super) fn update_portably(&mut self, strides: &[[u8; STRIDE]], endian: Endian) {
        match endian {
            Endian::Little => self.run(strides, u32::from_le_bytes),
            Endian::Big => self.run(strides, u32::from_be_bytes),
        }
    }

    #[inline(always)]
    fn run(&mut self, strides: &[[u8; STRIDE]], decode: impl Fn([u8; 4]) -> u32) {
        let Self { a, b, c, d } = self;
        for stride in strides {
            let (words, _) = stride.as_chunks::<4>();
            for ((((word, a), b), c), d) in words.iter().zip(&mut *a).zip(&mut *b).zip(&mut *c).zip(&mut *d) {
                *a = a.wrapping_add(u64::from(decode(*word)));
                *b = b.wrapping_add(*a);
                *c = c.wrapping_add(*b);
                *d = d.wrapping_add(*c);
            }
        }
    }

    /// The sum of everything so far.
    #[must_use]
    pub fn sum(&self) -> Fletcher4 {
        let Self { a, b, c, d } = self;
        let dot = |lanes: &[u64; 4], factors: [u64; 4]| -> u64 {
            lanes.iter().zip(factors).fold(0, |sum, (lane, factor)| {
                sum.wrapping_add(lane.wrapping_mul(factor))
            })
        };
        Fletcher4 {
            a: dot(a, [1; 4]),
            b: dot(b, [4; 4]).wrapping_sub(dot(a, [0, 1, 2, 3])),
            c: dot(c, [16; 4])
                .wrapping_sub(dot(b, [6, 10, 14, 18]))
                .wrapping_add(dot(a, [0, 0, 1, 3])),
            d: dot(d, [64; 4])
                .wrapping_sub(dot(c, [48, 64, 80, 96]))
                .wrapping_add(dot(b, [4, 10, 20, 34]))
                .wrapping_sub(dot(a, [0, 0, 0, 1])),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lanes_put_together_are_the_sum(
            first in proptest::collection::vec(any::<[u8; STRIDE]>(), 0..100),
            second in proptest::collection::vec(any::<[u8; STRIDE]>(), 0..100),
            big: bool,
        ) {
            let endian = if big { Endian::Big } else { Endian::Little };
            let [mut wide, mut portable] = [Lanes::default(); 2];
            let mut plain = Fletcher4::default();
            for strides in [&first, &second] {
                wide.update(strides, endian);
                portable.update_portably(strides, endian);
                plain.update_portably(strides.as_flattened(), endian);
                prop_assert_eq!(wide, portable);
                prop_assert_eq!(wide.sum(), plain);
            }
        }
    }
}
