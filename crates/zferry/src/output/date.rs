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
    in_form(seconds, format).unwrap_or_else(|| seconds.to_string())
}

/// A moment in a form of `strftime`; none for what is no time on earth.
pub(crate) fn in_form(seconds: u64, form: &str) -> Option<String> {
    let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(time.to_zoned(TimeZone::system()).strftime(form).to_string())
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
