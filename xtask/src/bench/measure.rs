//! The time and memory of one process.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use wait4::Wait4;

use crate::tools::{check, shown};

/// What a process took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// From before its start until after its end.
    pub(super) seconds: f64,
    /// The most memory that was resident at once.
    pub(super) peak_bytes: u64,
}

impl Measured {
    /// The median time, and the highest peak.
    pub(super) fn median(mut all: Vec<Self>) -> Self {
        all.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        let seconds = all.get(all.len() / 2).map_or(f64::NAN, |middle| middle.seconds);
        let peak_bytes = all.iter().map(|one| one.peak_bytes).max().unwrap_or_default();
        Self { seconds, peak_bytes }
    }
}

/// Runs `command` with its output thrown away.
pub(super) fn measure(command: &mut Command) -> Result<Measured> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| shown(command))?;
    let used = child.wait4().with_context(|| shown(command))?;
    let seconds = start.elapsed().as_secs_f64();
    check(command, used.status)?;
    Ok(Measured {
        seconds,
        peak_bytes: used.rusage.maxrss,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_times_and_the_highest_peak() {
        let one = |seconds, peak_bytes| Measured { seconds, peak_bytes };
        let median = Measured::median(vec![one(3.0, 5), one(1.0, 9), one(2.0, 7)]);
        assert_eq!((median.seconds, median.peak_bytes), (2.0, 9));
    }
}
