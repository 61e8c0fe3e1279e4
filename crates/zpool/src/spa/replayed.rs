//! What is free of a metaslab while its space map is gone through.
//!
//! A map says thousands of times that sectors are taken or given back, the same ones again and again. A bit for each
//! sector is changed in no time; only of metaslabs too large for that, ranges are kept from the start.

use super::range_set::RangeSet;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How many sectors have a bit each at most: those of 32 GiB in sectors of 4 KiB, in 1 MiB of memory. Tests go through
/// small metaslabs in both ways.
const SECTORS_MAX: u64 = if cfg!(test) { 1 << 12 } else { 1 << 23 };

/// What is free of a metaslab, in sectors from its start.
pub(super) enum Replayed {
    Bits(SectorBits),
    Ranges(Box<RangeSet>),
}

/// A bit for each sector, set where it is free.
pub(super) struct SectorBits {
    words: Vec<u64>,
    sectors: u64,
}

impl Replayed {
    /// All of so many sectors.
    pub(super) fn all_free(sectors: u64) -> Self {
        if sectors <= SECTORS_MAX {
            return Self::Bits(SectorBits::all_free(sectors));
        }
        let mut ranges = Box::<RangeSet>::default();
        ranges.insert(0, sectors);
        Self::Ranges(ranges)
    }

    /// Gives sectors back. Returns false where some are free already, or there are none; then what is free is unknown.
    pub(super) fn give(&mut self, first: u64, count: u64) -> bool {
        match self {
            Self::Bits(bits) => bits.turn(first, count, true),
            Self::Ranges(ranges) => ranges.insert(first, first.saturating_add(count)),
        }
    }

    /// Takes sectors. Returns false where some are not free; then what is free is unknown.
    pub(super) fn take(&mut self, first: u64, count: u64) -> bool {
        match self {
            Self::Bits(bits) => bits.turn(first, count, false),
            Self::Ranges(ranges) => ranges.remove(first, first.saturating_add(count)),
        }
    }

    /// Calls `each` with where each range of free sectors begins and ends, in their order.
    pub(super) fn for_each_free(&self, mut each: impl FnMut(u64, u64)) {
        match self {
            Self::Bits(bits) => bits.for_each_run(each),
            Self::Ranges(ranges) => ranges.iter().for_each(|(start, end)| each(start, end)),
        }
    }
}

impl SectorBits {
    fn all_free(sectors: u64) -> Self {
        let mut bits = Self {
            words: vec![0; usize_from_u64(sectors.div_ceil(64))],
            sectors,
        };
        bits.turn(0, sectors, true);
        bits
    }

    /// Turns sectors that are all free, or all taken, into the other.
    fn turn(&mut self, first: u64, count: u64, to_free: bool) -> bool {
        let Some(end) = first.checked_add(count).filter(|end| *end <= self.sectors) else {
            return false;
        };
        let mut at = first;
        while at < end {
            let (within, here) = word_at(at, end);
            let mask = low_bits(here).checked_shl(within).unwrap_or(0);
            let Some(word) = self.words.get_mut(usize_from_u64(at / 64)) else {
                return false;
            };
            let expected = if to_free { 0 } else { mask };
            if *word & mask != expected {
                return false;
            }
            *word ^= mask;
            at = at.saturating_add(u64::from(here));
        }
        true
    }

    fn for_each_run(&self, mut each: impl FnMut(u64, u64)) {
        let mut began = None;
        for (index, word) in self.words.iter().enumerate() {
            let base = u64_from_usize(index).saturating_mul(64);
            let mut bit = 0;
            // From one change between free and taken to the next.
            while bit < 64 {
                let rest = word.checked_shr(bit).unwrap_or(0);
                let same = if began.is_some() {
                    rest.trailing_ones()
                } else {
                    rest.trailing_zeros()
                };
                bit = bit.saturating_add(same).min(64);
                if bit < 64 {
                    let at = base.saturating_add(u64::from(bit));
                    match began.take() {
                        Some(start) => each(start, at),
                        None => began = Some(at),
                    }
                }
            }
        }
        if let Some(start) = began {
            each(start, self.sectors);
        }
    }
}

/// Which bit of its word a sector has, and how many bits of the word lie before `end`.
fn word_at(at: u64, end: u64) -> (u32, u32) {
    let within = u32::try_from(at % 64).unwrap_or(0);
    let left = u32::try_from(end.saturating_sub(at)).unwrap_or(u32::MAX);
    (within, left.min(64_u32.saturating_sub(within)))
}

fn low_bits(count: u32) -> u64 {
    u64::MAX.checked_shr(64_u32.saturating_sub(count)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn free(replayed: &Replayed) -> Vec<(u64, u64)> {
        let mut free = Vec::new();
        replayed.for_each_free(|start, end| free.push((start, end)));
        free
    }

    #[test]
    fn what_is_given_or_taken_twice_is_noticed() {
        for mut replayed in [
            Replayed::all_free(SECTORS_MAX),
            Replayed::all_free(SECTORS_MAX + 1),
        ] {
            assert!(!replayed.give(0, 1));
            assert!(replayed.take(60, 10));
            assert!(!replayed.take(69, 5));
            assert!(!replayed.take(SECTORS_MAX, 2));
        }
        for sectors in [0, 1, 63, 64, 65, 128] {
            let expected: &[(u64, u64)] = if sectors == 0 { &[] } else { &[(0, sectors)] };
            assert_eq!(free(&Replayed::all_free(sectors)), expected);
        }
    }

    proptest! {
        /// Bits and ranges say the same of what they can take, and of what they cannot.
        #[test]
        fn bits_are_as_ranges(sectors in 1_u64..600, steps in prop::collection::vec((0_u64..600, 0_u64..150, any::<bool>()), 0..200)) {
            let mut ranges = Box::<RangeSet>::default();
            ranges.insert(0, sectors);
            let (mut bits, mut ranges) = (Replayed::Bits(SectorBits::all_free(sectors)), Replayed::Ranges(ranges));
            for (first, count, is_free) in steps {
                // Ranges know no end but their own.
                let count = count.min(sectors.saturating_sub(first));
                let turn = |replayed: &mut Replayed| {
                    if is_free { replayed.give(first, count) } else { replayed.take(first, count) }
                };
                let fits = turn(&mut ranges);
                if fits {
                    prop_assert!(count == 0 || turn(&mut bits));
                }
                prop_assert_eq!(free(&bits), free(&ranges));
            }
        }
    }
}
