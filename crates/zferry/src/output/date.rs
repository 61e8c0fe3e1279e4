//! Dates, in the local time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A moment, given in seconds since 1970: `Sun Nov 22  7:12 2026`.
pub(crate) fn date(seconds: u64) -> String {
    format(seconds, "%a %b %e %k:%M %Y")
}

/// A moment, with its seconds: `Sun Nov 22  7:12:05 2026`.
pub(crate) fn date_with_seconds(seconds: u64) -> String {
    format(seconds, "%a %b %e %k:%M:%S %Y")
}

/// A moment, as it ends a line of C: `Sun Nov 22 07:12:05 2026`.
pub(crate) fn date_of_line(seconds: u64) -> String {
    format(seconds, "%a %b %e %H:%M:%S %Y")
}

/// What is no time on earth stays a number.
fn format(seconds: u64, format: &str) -> String {
    let time = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(
        || seconds.to_string(),
        |time| time.to_zoned(TimeZone::system()).strftime(format).to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_time_stays_a_number() {
        assert_eq!(date(u64::MAX), u64::MAX.to_string());
        // Days and hours below ten are padded with a blank.
        assert_eq!(date(0).len(), "Thu Jan  1  0:00 1970".len());
    }
}
