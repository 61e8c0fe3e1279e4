//! The last scrub or resilver, and what is known to be damaged.
//!
//! ```text
//! scan           in the object directory: an array of 64-bit numbers
//!    0  scn_func       1: scrub, 2: resilver
//!    1  scn_state      1: scanning, 2: finished, 3: canceled
//!    7  scn_start_time, scn_end_time     seconds since 1970
//!    9  scn_to_examine, scn_examined, scn_skipped, scn_processed, scn_errors
//!
//! errlog_last, errlog_scrub    tables: hex(objset):hex(object):hex(level):hex(block) → a name; or, with the feature
//!                              head_errlog, hex(head) → a table hex(object):hex(level):hex(block):hex(birth) → a name
//! ```

use super::Feature;
use crate::zap;
use crate::{Error, ObjectNumber, Pool, Unsupported};
use std::collections::BTreeSet;

/// What a scan does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanFunction(pub u64);

impl ScanFunction {
    /// It reads everything and repairs what is damaged.
    pub const SCRUB: Self = Self(1);
    /// It writes to a device what it lacks.
    pub const RESILVER: Self = Self(2);
}

/// How far a scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanState(pub u64);

impl ScanState {
    /// It goes on.
    pub const SCANNING: Self = Self(1);
    /// It is done.
    pub const FINISHED: Self = Self(2);
    /// Somebody ended it.
    pub const CANCELED: Self = Self(3);
}

/// The last scrub or resilver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What it does.
    pub function: ScanFunction,
    /// How far it is.
    pub state: ScanState,
    /// When it began: seconds since 1970.
    pub start_time: u64,
    /// When it ended: seconds since 1970.
    pub end_time: u64,
    /// How much there is to examine, in bytes.
    pub to_examine: u64,
    /// How much was examined, in bytes.
    pub examined: u64,
    /// How much was repaired, in bytes.
    pub processed: u64,
    /// How many errors could not be repaired.
    pub errors: u64,
}

/// How many entries of the logs of errors are looked at. Logs of damaged pools may lead to one table many times.
const KNOWN_ERRORS_MAX: usize = 1 << 19;
/// The least length of a scan's array, in numbers.
const SCAN_WORDS: usize = 14;

impl Pool {
    /// The last scrub or resilver; `None` where there never was one.
    ///
    /// # Errors
    /// Where the object directory cannot be read.
    pub fn scan(&self) -> Result<Option<Scan>, Error> {
        let words = self.directory_entry("scan")?.and_then(|value| value.as_u64s());
        let Some(words) = words.filter(|words| words.len() >= SCAN_WORDS) else {
            return Ok(None);
        };
        let word = |index: usize| words.get(index).copied().unwrap_or(0);
        Ok(Some(Scan {
            function: ScanFunction(word(0)),
            state: ScanState(word(1)),
            start_time: word(7),
            end_time: word(8),
            to_examine: word(9),
            examined: word(10),
            processed: word(12),
            errors: word(13),
        }))
    }

    /// What is known to be damaged, each object once: `<0xDATASET>:<0xOBJECT>`, or `<metadata>:<0xOBJECT>`.
    ///
    /// # Errors
    /// Where the logs of errors cannot be read, and [`Unsupported::KnownErrors`] where they are too long.
    pub fn known_errors(&self) -> Result<Vec<String>, Error> {
        let by_head = self.is_feature_active(Feature::HeadErrlog.guid())?;
        let mut places = BTreeSet::new();
        let mut room = KNOWN_ERRORS_MAX;
        let mut count = |entries: usize| {
            room = room
                .checked_sub(entries)
                .ok_or(Unsupported::KnownErrors(KNOWN_ERRORS_MAX))?;
            Ok::<_, Error>(())
        };
        for log in ["errlog_last", "errlog_scrub"] {
            let number = self.directory_entry(log)?.and_then(|value| value.as_u64());
            let Some(number) = number.filter(|number| *number != 0) else {
                continue;
            };
            let log = self.meta_object(ObjectNumber(number))?;
            let entries = zap::entries(self.reader(), &log)?;
            count(entries.len())?;
            for entry in entries {
                let name = entry.name_lossy();
                if !by_head {
                    places.extend(place(&name));
                    continue;
                }
                let Some(table) = entry.value.as_u64() else {
                    continue;
                };
                let table = self.meta_object(ObjectNumber(table))?;
                let entries = zap::entries(self.reader(), &table)?;
                count(entries.len())?;
                for entry in entries {
                    places.extend(place(&format!("{name}:{}", entry.name_lossy())));
                }
            }
        }
        Ok(places
            .into_iter()
            .map(|(set, object)| describe(set, object))
            .collect())
    }
}

/// The object set and the object that an entry of the log names.
fn place(entry: &str) -> Option<(u64, u64)> {
    let mut numbers = entry
        .split(':')
        .map(|number| u64::from_str_radix(number, 16).ok());
    Some((numbers.next()??, numbers.next()??))
}

fn describe(set: u64, object: u64) -> String {
    match set {
        0 => format!("<metadata>:<0x{object:x}>"),
        _ => format!("<0x{set:x}>:<0x{object:x}>"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_object() {
        assert_eq!(place("36:a:0:12"), Some((0x36, 10)));
        assert_eq!(place("x"), None);
        assert_eq!(describe(0, 16), "<metadata>:<0x10>");
        assert_eq!(describe(54, 2), "<0x36>:<0x2>");
    }
}
