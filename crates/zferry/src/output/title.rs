//! The process' title, as `ps` shows it: `zfs send -V` says there how far it is, and tools look for it.
//!
//! Linux shows the memory in which it handed the arguments over, whatever stands there. They were read long ago, so the
//! title is written over them, through `/proc/self/mem`; what is longer than they were is cut. Elsewhere, and where the
//! system does not allow it, there is no title.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;

use crate::output::nice::nice_number;

/// Which of the numbers behind the command's name in `/proc/self/stat` say where the arguments begin and end.
const ARG_START: usize = 45;

/// The room for the title.
#[derive(Debug)]
pub(super) struct Title {
    memory: File,
    start: u64,
    bytes: usize,
}

impl Title {
    /// Finds the room.
    pub(super) fn find() -> Option<Self> {
        let (start, bytes) = room(&fs::read_to_string("/proc/self/stat").ok()?)?;
        let memory = OpenOptions::new().write(true).open("/proc/self/mem").ok()?;
        Some(Self { memory, start, bytes })
    }

    /// Shows that of about `total` bytes, `bytes` were sent.
    pub(super) fn show(&self, name: &str, bytes: u64, total: u64) {
        let mut text = text(name, bytes, total).into_bytes();
        // The last byte stays zero: with any other, Linux would go on with the environment.
        text.truncate(self.bytes.saturating_sub(1));
        text.resize(self.bytes, 0);
        // Nothing depends on it.
        let _ = self.memory.write_all_at(&text, self.start);
    }
}

/// Where the arguments begin and how many bytes they take, out of `/proc/self/stat`.
fn room(stat: &str) -> Option<(u64, usize)> {
    let (_, numbers) = stat.rsplit_once(')')?;
    let mut numbers = numbers.split_whitespace().skip(ARG_START);
    let start: u64 = numbers.next()?.parse().ok()?;
    let end: u64 = numbers.next()?.parse().ok()?;
    let bytes = usize::try_from(end.checked_sub(start)?).ok()?;
    (start != 0 && bytes > 1).then_some((start, bytes))
}

fn text(name: &str, bytes: u64, total: u64) -> String {
    let percent = bytes
        .checked_div(total / 100)
        .map_or(100, |percent| percent.min(100));
    let (bytes, total) = (nice_number(bytes), nice_number(total));
    format!("zfs: sending {name} ({percent}%: {bytes}/{total})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_tools_look_for() {
        assert_eq!(
            text("tank@a", 512 << 10, 1 << 20),
            "zfs: sending tank@a (50%: 512K/1M)"
        );
        assert_eq!(text("tank@a", 9, 8), "zfs: sending tank@a (100%: 9/8)");
    }

    #[test]
    fn the_room_is_found_behind_any_name() {
        let numbers = (3..=47)
            .map(|number| number.to_string())
            .collect::<Vec<_>>()
            .join(" ");
        assert_eq!(room(&format!("1 (a) b) {numbers} 1000 1040 0")), Some((1000, 40)));
        assert_eq!(room(&format!("1 (a) {numbers} 0 0 0")), None);
        assert_eq!(room(&format!("1 (a) {numbers} 1000")), None);
        assert_eq!(room(""), None);
    }
}
