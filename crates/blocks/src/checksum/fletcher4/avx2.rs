//! Fletcher-4 in four interleaved lanes of a 256-bit register.
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
//!
//! All intrinsics here are safe ones: bytes enter registers through ordinary loads, which the compiler fuses.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_set_epi8, _mm_set_epi64x, _mm_shuffle_epi8, _mm256_add_epi64,
    _mm256_cvtepu32_epi64, _mm256_extract_epi64, _mm256_setzero_si256,
};

use zferry_wire::Endian;

use super::Fletcher4;

/// The bytes of one step: one word for each lane.
pub(super) const STRIDE: usize = 16;

/// The sum of `strides`. Only to be called where the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn sum(strides: &[[u8; STRIDE]], endian: Endian) -> Fletcher4 {
    match endian {
        Endian::Little => lanes(strides, |words| words),
        Endian::Big => lanes(strides, |words| swap_words(words)),
    }
}

/// Turns the bytes of each 32-bit word around.
#[target_feature(enable = "avx2")]
#[inline]
fn swap_words(words: __m128i) -> __m128i {
    _mm_shuffle_epi8(
        words,
        _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3),
    )
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(stride: &[u8; STRIDE]) -> __m128i {
    let (halves, _) = stride.as_chunks::<8>();
    match halves {
        &[low, high] => _mm_set_epi64x(i64::from_le_bytes(high), i64::from_le_bytes(low)),
        _ => _mm_set_epi64x(0, 0),
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn lanes(strides: &[[u8; STRIDE]], order: impl Fn(__m128i) -> __m128i) -> Fletcher4 {
    let [mut a, mut b, mut c, mut d] = [_mm256_setzero_si256(); 4];
    for stride in strides {
        a = _mm256_add_epi64(a, _mm256_cvtepu32_epi64(order(load(stride))));
        b = _mm256_add_epi64(b, a);
        c = _mm256_add_epi64(c, b);
        d = _mm256_add_epi64(d, c);
    }
    combine(split(a), split(b), split(c), split(d))
}

#[target_feature(enable = "avx2")]
#[inline]
fn split(lanes: __m256i) -> [u64; 4] {
    [
        _mm256_extract_epi64::<0>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<1>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<2>(lanes).cast_unsigned(),
        _mm256_extract_epi64::<3>(lanes).cast_unsigned(),
    ]
}

fn combine(a: [u64; 4], b: [u64; 4], c: [u64; 4], d: [u64; 4]) -> Fletcher4 {
    let dot = |lanes: [u64; 4], factors: [u64; 4]| -> u64 {
        lanes.into_iter().zip(factors).fold(0, |sum, (lane, factor)| {
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
