//! What a writer takes from the world around it: the time, and numbers that nobody can guess.
//!
//! Both are given from outside, so that the same input, clock and source of numbers make the same pool, byte for byte.

use std::fmt;

/// A moment: seconds since 1970, UTC, and the nanoseconds after that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: u64,
    /// Nanoseconds, below 10⁹.
    pub nanoseconds: u32,
}

/// What the environment is made of: functions that a writer calls when it needs the time or a number.
pub struct Environment {
    clock: Box<dyn FnMut() -> Timestamp + Send>,
    random: Box<dyn FnMut() -> u64 + Send>,
}

impl Environment {
    /// An environment of a clock and a source of numbers.
    pub fn new(
        clock: impl FnMut() -> Timestamp + Send + 'static,
        random: impl FnMut() -> u64 + Send + 'static,
    ) -> Self {
        Self {
            clock: Box::new(clock),
            random: Box::new(random),
        }
    }

    /// An environment that is always the same: time stands still, and the numbers follow from `seed`.
    #[must_use]
    pub fn fixed(seconds: u64, seed: u64) -> Self {
        let mut state = seed;
        // SplitMix64: small, and its numbers differ for a very long time
        let random = move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut number = state;
            number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            number ^ (number >> 31)
        };
        let now = Timestamp {
            seconds,
            nanoseconds: 0,
        };
        Self::new(move || now, random)
    }

    /// What time it is.
    pub fn now(&mut self) -> Timestamp {
        (self.clock)()
    }

    /// A number that nobody can guess; never 0, which means none in so many places.
    pub fn guid(&mut self) -> u64 {
        (self.random)().max(1)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").finish_non_exhaustive()
    }
}
