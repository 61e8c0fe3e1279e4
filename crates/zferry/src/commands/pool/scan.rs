//! What is said of the last scrub or resilver.

use crate::output::date_of_line;
use crate::output::nice::nice_bytes;
use zferry_zpool::spa::{Scan, ScanFunction, ScanState};

/// The line that says how the last scrub or resilver went; `None` where there was none.
pub(super) fn scan_line(scan: &Scan) -> Option<String> {
    let (did, name) = match scan.function {
        ScanFunction::SCRUB => ("scrub repaired", "scrub"),
        ScanFunction::RESILVER => ("resilvered", "resilver"),
        _ => return None,
    };
    Some(match scan.state {
        ScanState::FINISHED => format!(
            "{did} {} in {} with {} errors on {}",
            nice_bytes(scan.processed),
            duration(scan.end_time.saturating_sub(scan.start_time)),
            scan.errors,
            date_of_line(scan.end_time)
        ),
        ScanState::CANCELED => format!("{name} canceled on {}", date_of_line(scan.end_time)),
        ScanState::SCANNING => {
            let done = format!(
                "{} of {} examined",
                nice_bytes(scan.examined),
                nice_bytes(scan.to_examine)
            );
            format!(
                "{name} in progress since {}\n\t{done}",
                date_of_line(scan.start_time)
            )
        }
        _ => return None,
    })
}

/// Hours, minutes and seconds, after days where it took any.
fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, (seconds / 3600) % 24);
    let (minutes, rest) = ((seconds / 60) % 60, seconds % 60);
    let clock = format!("{hours:02}:{minutes:02}:{rest:02}");
    if days == 0 {
        clock
    } else {
        format!("{days} days {clock}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_scan_takes_days() {
        assert_eq!(duration(3), "00:00:03");
        assert_eq!(duration(2 * 86_400 + 3 * 3600 + 61), "2 days 03:01:01");
    }

    #[test]
    fn a_scrub_says_what_it_did() {
        let scan = Scan {
            function: ScanFunction::SCRUB,
            state: ScanState::FINISHED,
            start_time: 10,
            end_time: 13,
            to_examine: 0,
            examined: 0,
            processed: 2048,
            errors: 1,
        };
        let line = scan_line(&scan).unwrap();
        assert!(
            line.starts_with("scrub repaired 2K in 00:00:03 with 1 errors on "),
            "{line}"
        );
        assert_eq!(
            scan_line(&Scan {
                function: ScanFunction(0),
                ..scan
            }),
            None
        );
    }
}
