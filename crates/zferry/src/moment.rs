//! A moment in a pool's life: a transaction group, or a time.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use zferry_zpool::Txg;
use zferry_zpool::vdev::Uberblock;

/// A moment in a pool's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// A transaction group.
    Txg(Txg),
    /// Seconds since 1970, UTC.
    Time(u64),
}

impl Moment {
    /// Whether an uberblock was written then or before.
    pub(crate) fn is_since(self, uberblock: &Uberblock) -> bool {
        match self {
            Self::Txg(txg) => uberblock.txg <= txg,
            Self::Time(seconds) => uberblock.timestamp <= seconds,
        }
    }
}

/// What a moment may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a transaction group is a number, a time YYYY-MM-DD or 'YYYY-MM-DD HH:MM:SS'")]
pub(crate) struct NoMoment;

impl FromStr for Moment {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(txg) = text.parse() {
            return Ok(Self::Txg(Txg(txg)));
        }
        let time: DateTime = text.parse().map_err(|_| NoMoment)?;
        let time = time.to_zoned(TimeZone::system()).map_err(|_| NoMoment)?;
        let seconds = u64::try_from(time.timestamp().as_second()).map_err(|_| NoMoment)?;
        Ok(Self::Time(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_number_or_a_time() {
        assert_eq!("17".parse(), Ok(Moment::Txg(Txg(17))));
        assert!(matches!("2026-01-02".parse().unwrap(), Moment::Time(seconds) if seconds > 1_767_200_000));
        assert!(matches!("2026-01-02 10:11:12".parse().unwrap(), Moment::Time(_)));
        for text in ["", "-3", "yesterday", "2026-13-01"] {
            assert_eq!(text.parse::<Moment>(), Err(NoMoment), "{text}");
        }
    }
}
