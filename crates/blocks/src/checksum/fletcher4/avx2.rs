//! [`Lanes`] in 256-bit registers, one lane for each quarter.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_set_epi8, _mm_set_epi64x, _mm_shuffle_epi8, _mm256_add_epi64,
    _mm256_cvtepu32_epi64, _mm256_extract_epi64, _mm256_set_epi64x,
};

use zferry_wire::Endian;

use super::lanes::{Lanes, STRIDE};

/// Goes on over `strides`. Only to be called where the processor has AVX2.
#[target_feature(enable = "avx2")]
pub(super) fn update(lanes: Lanes, strides: &[[u8; STRIDE]], endian: Endian) -> Lanes {
    run(lanes, strides.iter().map(|stride| load(stride)), endian)
}

/// Goes on over the words that `strides` gives. Only to be called where the processor has AVX2.
#[target_feature(enable = "avx2")]
#[inline]
pub(crate) fn run(lanes: Lanes, strides: impl Iterator<Item = __m128i>, endian: Endian) -> Lanes {
    match endian {
        Endian::Little => add(lanes, strides, |words| words),
        Endian::Big => add(lanes, strides, |words| swap_words(words)),
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

/// Bytes enter the register through ordinary loads, which the compiler fuses.
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
fn add(lanes: Lanes, strides: impl Iterator<Item = __m128i>, order: impl Fn(__m128i) -> __m128i) -> Lanes {
    let [mut a, mut b, mut c, mut d] = [join(lanes.a), join(lanes.b), join(lanes.c), join(lanes.d)];
    for stride in strides {
        a = _mm256_add_epi64(a, _mm256_cvtepu32_epi64(order(stride)));
        b = _mm256_add_epi64(b, a);
        c = _mm256_add_epi64(c, b);
        d = _mm256_add_epi64(d, c);
    }
    Lanes {
        a: split(a),
        b: split(b),
        c: split(c),
        d: split(d),
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn join([first, second, third, fourth]: [u64; 4]) -> __m256i {
    _mm256_set_epi64x(
        fourth.cast_signed(),
        third.cast_signed(),
        second.cast_signed(),
        first.cast_signed(),
    )
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
