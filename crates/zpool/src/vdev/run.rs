//! Bytes that lie in a row on a disk, gathered from many small writes so that they can be written at once.
//!
//! ```text
//! memory   ├ unused ┼ unused ┼───── bytes ─────┼ room ┤
//!                   ▲        ▲
//!                aligned   lies in memory as the place on disk lies behind a multiple of ALIGNMENT
//! ```
//!
//! A system that is to write straight from this memory wants both, the place on disk and that in memory, at multiples of
//! a sector.

use std::ops::Range;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How much is gathered at most, in bytes. Larger is not faster, and smaller keeps a disk less busy.
pub(super) const RUN_BYTES: usize = 1 << 20;

/// Disks write whole sectors, of at most this many bytes.
const ALIGNMENT: usize = 4096;

/// Bytes that lie in a row.
#[derive(Debug)]
pub(super) struct Run {
    memory: Vec<u8>,
    /// Where in `memory` the bytes are.
    place: Range<usize>,
    /// Where on the disk they go.
    start: u64,
}

impl Run {
    pub(super) fn new() -> Self {
        Self {
            memory: vec![0; RUN_BYTES.saturating_add(ALIGNMENT)],
            place: 0..0,
            start: 0,
        }
    }

    /// Forgets what it has, and begins again at `start` on the disk.
    pub(super) fn begin(&mut self, start: u64) {
        let within = start.checked_rem(u64_from_usize(ALIGNMENT)).unwrap_or(0);
        let aligned = self.memory.as_ptr().align_offset(ALIGNMENT);
        // Whatever it says where it cannot tell, bytes are written from where they are.
        let first = aligned.min(ALIGNMENT).saturating_add(usize_from_u64(within));
        self.place = first..first;
        self.start = start;
    }

    /// Takes bytes from the front of `bytes` as long as there is room, and gives back the others.
    pub(super) fn append<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.memory.get_mut(self.place.end..).unwrap_or_default();
        let room = room.len().min(self.left());
        let (taken, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        let end = self.place.end.saturating_add(taken.len());
        if let Some(target) = self.memory.get_mut(self.place.end..end) {
            target.copy_from_slice(taken);
            self.place.end = end;
        }
        rest
    }

    /// How many bytes there is room for. A run ends at a multiple of [`ALIGNMENT`] if it can.
    fn left(&self) -> usize {
        let before = self.start.checked_rem(u64_from_usize(ALIGNMENT)).unwrap_or(0);
        let most = RUN_BYTES.saturating_sub(usize_from_u64(before));
        most.saturating_sub(self.place.len())
    }

    pub(super) fn is_full(&self) -> bool {
        self.left() == 0
    }

    /// Where on the disk the bytes go.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// Where on the disk they end.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(u64_from_usize(self.place.len()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.memory.get(self.place.clone()).unwrap_or_default()
    }

    /// The bytes before the first sector that is written as a whole, those sectors, and the bytes behind the last; with
    /// the place of the sectors on the disk.
    pub(super) fn sectors(&self) -> (&[u8], &[u8], &[u8], u64) {
        let sector = u64_from_usize(ALIGNMENT);
        let first = self.start.checked_next_multiple_of(sector).unwrap_or(self.end());
        let head = usize_from_u64(first.saturating_sub(self.start));
        let bytes = self.bytes();
        let (head, rest) = bytes.split_at_checked(head).unwrap_or((bytes, &[]));
        let tail = rest.len().checked_rem(ALIGNMENT).unwrap_or(0);
        let (whole, tail) = rest
            .split_at_checked(rest.len().saturating_sub(tail))
            .unwrap_or((&[], rest));
        (head, whole, tail, first)
    }

    /// Whether any of the bytes go into the range of `len` bytes from `offset` on.
    pub(super) fn touches(&self, offset: u64, len: usize) -> bool {
        offset < self.end() && self.start < offset.saturating_add(u64_from_usize(len))
    }

    /// Fills `buffer` with what goes to `offset` and behind, if all of it is here.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> bool {
        let found = offset.checked_sub(self.start).and_then(|from| {
            let from = usize_from_u64(from);
            self.bytes().get(from..from.checked_add(buffer.len())?)
        });
        if let Some(found) = found {
            buffer.copy_from_slice(found);
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_sectors_lie_where_a_disk_can_take_them() {
        for start in [0, 512, 4096, 7 << 20 | 3584] {
            let mut run = Run::new();
            run.begin(start);
            let bytes: Vec<u8> = (0..2 * RUN_BYTES).map(|at| (at % 251) as u8).collect();
            let mut rest = run.append(&bytes[..700]);
            assert!(rest.is_empty());
            rest = run.append(&bytes[700..]);
            assert!(run.is_full());
            assert_eq!(run.end() % 4096, 0);
            assert_eq!(run.bytes(), &bytes[..bytes.len() - rest.len()]);
            let (head, whole, tail, at) = run.sectors();
            assert_eq!([head, whole, tail].concat(), run.bytes());
            assert_eq!((at % 4096, tail.len()), (0, 0));
            assert_eq!(start + head.len() as u64, at);
            assert_eq!(whole.len() % 4096, 0);
            assert_eq!(whole.as_ptr().align_offset(512), 0);
        }
    }

    #[test]
    fn what_is_less_than_a_sector_has_no_whole_one() {
        let mut run = Run::new();
        run.begin(512);
        run.append(&[1; 1024]);
        let (head, whole, tail, _) = run.sectors();
        assert_eq!((head.len(), whole.len(), tail.len()), (1024, 0, 0));
    }

    #[test]
    fn what_was_taken_can_be_read_where_it_is_whole() {
        let mut run = Run::new();
        run.begin(10_000);
        run.append(b"0123456789");
        let mut buffer = [0; 4];
        assert!(run.read(&mut buffer, 10_006));
        assert_eq!(&buffer, b"6789");
        assert!(!run.read(&mut buffer, 10_007));
        assert!(!run.read(&mut buffer, 9_999));
        assert!(run.touches(10_009, 1) && run.touches(9_000, 1001));
        assert!(!run.touches(10_010, 5) && !run.touches(9_000, 1000));
    }
}
