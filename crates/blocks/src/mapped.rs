//! A file that is summed where the system keeps it, without being copied first.
//!
//! Reading 3 GB from the page cache takes as long as copying 3 GB, which is several times what summing them takes. A
//! mapping shows the same bytes without a copy. It has two dangers, and both are met here rather than by whoever sums:
//!
//! - *Other programs may write the file meanwhile.* So no reference to mapped bytes is ever made: they are loaded into
//!   registers or copied out, and whatever was there at that moment counts, as with `read`.
//! - *A page that cannot be had* (the disk is damaged, the file was cut) *ends the process by a signal.* So
//!   [`fetch`](MappedFile::fetch) asks the system for the pages first, which reports such things as an error. What is
//!   left is a file that is cut between the fetch and the sum: the process then still ends, with nothing said to be
//!   sound that is not.
//!
//! Asking for each page takes Linux longer than the sum of what is in it. But with one page it maps those around it that
//! it has in memory, so one in sixteen is asked for, and a look at the page table tells whether that was enough.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use zferry_wire::{Endian, u64_from_usize};

use crate::checksum::fletcher4::{Fletcher4, Lanes, STRIDE};

/// Mappings begin, and are fetched and given back, at multiples of this. No machine with Linux has larger pages.
const PAGE: usize = 64 << 10;

/// How much is mapped, at multiples of itself, when one page in it is asked for: what Linux does unless it is told
/// otherwise. Where it maps less, every page is asked for.
const AROUND: usize = 64 << 10;

/// How many pages' entries of the page table are looked at in one go.
const ENTRIES: usize = 256;

/// How far ahead of the sum the processor is asked for bytes. It does not do so by itself across pages.
#[cfg(target_arch = "x86_64")]
const PREFETCH: usize = 4 << 10;

/// The bytes that the processor fetches at a time.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// What is copied out at a time where the processor has no wide registers.
const COPIED: usize = 4 << 10;

/// A file in the process's memory.
#[derive(Debug)]
pub struct MappedFile {
    start: NonNull<u8>,
    length: usize,
    /// `/proc/self/pagemap`: one word for each page of the process, whose highest bit says whether it is mapped. `None`
    /// where the system does not show it.
    page_table: Option<File>,
}

// SAFETY: the mapping is only read, which any number of threads may do.
#[expect(unsafe_code, reason = "a read-only mapping may be shared between threads")]
unsafe impl Send for MappedFile {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a read-only mapping may be shared between threads")]
unsafe impl Sync for MappedFile {}

impl MappedFile {
    /// Maps `file` as long as it is now. What is appended later is not seen.
    ///
    /// # Errors
    /// What the system says; also if the file is empty or none that can be mapped, or its pages cannot be fetched by
    /// request (before Linux 5.14).
    pub fn new(file: &File) -> io::Result<Self> {
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        // SAFETY: the system chooses a place that is free, and nothing else is changed.
        #[expect(unsafe_code, reason = "mapping at a place of the system's choice")]
        let start = unsafe {
            mmap(
                ptr::null_mut(),
                length,
                ProtFlags::READ,
                MapFlags::SHARED,
                file,
                0,
            )
        }?;
        let start = NonNull::new(start.cast::<u8>()).ok_or_else(|| io::Error::other("mapped at zero"))?;
        let page_table = File::open("/proc/self/pagemap").ok();
        let map = Self {
            start,
            length,
            page_table,
        };
        map.fetch(0..1)?;
        Ok(map)
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// Sees to it that the bytes in `range` can be read.
    ///
    /// # Errors
    /// If they cannot. `read` on the file says why.
    pub fn fetch(&self, range: Range<usize>) -> io::Result<()> {
        let range = range.start.min(self.length) / PAGE * PAGE..range.end.min(self.length);
        if self.page_table.is_some() {
            let mut at = range.start;
            while at < range.end {
                self.advise(at..at + 1, Advice::LinuxPopulateRead)?;
                at += AROUND - (self.start.addr().get() + at) % AROUND;
            }
            if self.is_mapped(&range) {
                return Ok(());
            }
        }
        self.advise(range, Advice::LinuxPopulateRead)
    }

    /// Whether each page of `range` is known to be mapped.
    fn is_mapped(&self, range: &Range<usize>) -> bool {
        const ENTRY: usize = size_of::<u64>();
        let Some(table) = &self.page_table else {
            return false;
        };
        let page = rustix::param::page_size();
        let address = self.start.addr().get();
        let (mut next, end) = (
            (address + range.start) / page,
            (address + range.end).div_ceil(page),
        );
        let mut entries = [[0; ENTRY]; ENTRIES];
        while next < end {
            let entries = &mut entries[..(end - next).min(ENTRIES)];
            let read = table.read_exact_at(entries.as_flattened_mut(), u64_from_usize(next * ENTRY));
            let mapped = |entry: &[u8; ENTRY]| Endian::OURS.u64(*entry) >> 63 == 1;
            if read.is_err() || !entries.iter().all(mapped) {
                return false;
            }
            next += entries.len();
        }
        true
    }

    /// Tells the system that the bytes in `range` are not looked at again soon, so that the process does not seem to
    /// hold the whole file.
    pub fn release(&self, range: Range<usize>) {
        let end = range.end.min(self.length) / PAGE * PAGE;
        // At worst the process holds more for a while.
        let _ = self.advise(
            range.start.min(end).next_multiple_of(PAGE)..end,
            Advice::LinuxDontNeed,
        );
    }

    /// `range.start` is a multiple of a page; `range.end` is within the mapping.
    fn advise(&self, range: Range<usize>, advice: Advice) -> io::Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // SAFETY: the range lies within the mapping, and neither advice changes what is read from a shared mapping.
        #[expect(unsafe_code, reason = "advice on a range of our own mapping")]
        unsafe {
            let start = self.start.add(range.start);
            madvise(start.as_ptr().cast(), range.len(), advice)?;
        }
        Ok(())
    }

    /// Copies the bytes from `at` on into `target` and says how many there were.
    pub fn copy(&self, at: usize, target: &mut [u8]) -> usize {
        let at = at.min(self.length);
        let count = target.len().min(self.length - at);
        // SAFETY: `count` bytes from `at` lie within the mapping; `target` is ours alone and so no part of it.
        #[expect(unsafe_code, reason = "mapped bytes are copied, never referred to")]
        unsafe {
            ptr::copy_nonoverlapping(self.start.add(at).as_ptr(), target.as_mut_ptr(), count);
        }
        count
    }

    /// The sum of the bytes in `range`, words in `endian` order, as far as they are in the file.
    #[must_use]
    pub fn sum(&self, range: Range<usize>, endian: Endian) -> Fletcher4 {
        let end = range.end.min(self.length);
        let length = end.saturating_sub(range.start);
        let whole = length / STRIDE * STRIDE;
        let mut lanes = Lanes::default();
        self.sum_cells(range.start..end, whole.max(STRIDE), endian, |cell| lanes = *cell);
        let mut sum = lanes.sum();
        let mut rest = [0; STRIDE];
        let rest = rest.get_mut(..length - whole).unwrap_or_default();
        self.copy(range.start.saturating_add(whole), rest);
        sum.update(rest, endian);
        sum
    }

    /// Sums the whole cells of `cell` bytes (a multiple of [`STRIDE`]) in `range`, words in `endian` order, and shows
    /// `note` the sum from the start of `range` to the end of each.
    pub fn sum_cells(&self, range: Range<usize>, cell: usize, endian: Endian, mut note: impl FnMut(&Lanes)) {
        let length = range.end.min(self.length).saturating_sub(range.start);
        let cell = (cell / STRIDE).max(1);
        let cells = length / STRIDE / cell;
        let mut lanes = Lanes::default();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the processor has AVX2, and the cells lie within the mapping.
            #[expect(
                unsafe_code,
                reason = "mapped bytes are loaded into registers, never referred to"
            )]
            unsafe {
                if cells > 0 {
                    wide(self.start.add(range.start), cells, cell, endian, note);
                }
            }
            return;
        }
        let mut at = range.start;
        for _ in 0..cells {
            let mut left = cell * STRIDE;
            while left > 0 {
                let mut copied = [0; COPIED];
                let copied = &mut copied[..left.min(COPIED)];
                self.copy(at, copied);
                lanes.update(copied.as_chunks().0, endian);
                at += copied.len();
                left -= copied.len();
            }
            note(&lanes);
        }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing that it lends outlives it.
        #[expect(unsafe_code, reason = "the mapping ends with its owner")]
        let result = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        debug_assert!(result.is_ok(), "a mapping that was made can be undone");
    }
}

/// Sums `cells` cells of `cell` strides each.
///
/// # Safety
/// The processor must have AVX2, and the cells be readable from `start` on.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[expect(
    unsafe_code,
    reason = "mapped bytes are loaded into registers, never referred to"
)]
unsafe fn wide(start: NonNull<u8>, cells: usize, cell: usize, endian: Endian, mut note: impl FnMut(&Lanes)) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_loadu_si128, _mm_prefetch};

    let start: *const u8 = start.as_ptr();
    let mut lanes = Lanes::default();
    for number in 0..cells {
        let strides = number * cell..(number + 1) * cell;
        let words = strides.map(|stride| {
            let at = stride * STRIDE;
            if at.is_multiple_of(LINE) {
                // SAFETY: asking for bytes that are not there does nothing.
                #[allow(unused_unsafe, reason = "newer releases of Rust call it safe")]
                unsafe {
                    _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at + PREFETCH).cast());
                }
            }
            // SAFETY: the stride lies within the cells; the load need not be aligned.
            unsafe { _mm_loadu_si128(start.add(at).cast()) }
        });
        lanes = crate::checksum::fletcher4::avx2::run(lanes, words, endian);
        note(&lanes);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn mapped(bytes: &[u8]) -> (File, MappedFile) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let map = MappedFile::new(&file).unwrap();
        (file, map)
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut word: u32 = 1;
        std::iter::repeat_with(|| {
            word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (word >> 24) as u8
        })
        .take(length)
        .collect()
    }

    #[test]
    fn sums_are_those_of_the_bytes() {
        let bytes = noise(300_000);
        let (_file, map) = mapped(&bytes);
        assert_eq!(map.length(), bytes.len());
        for endian in [Endian::Little, Endian::Big] {
            for range in [
                0..300_000,
                0..0,
                4..8,
                20..1000,
                65_536..131_072,
                299_996..300_000,
                299_000..400_000,
            ] {
                let end = range.end.min(bytes.len());
                let expected = Fletcher4::of(&bytes[range.start..end], endian);
                assert_eq!(map.sum(range.clone(), endian), expected, "{range:?} {endian:?}");
            }
        }
    }

    #[test]
    fn cells_are_summed_from_the_start_of_the_range() {
        let bytes = noise(70_000);
        let (_file, map) = mapped(&bytes);
        for cell in [16, 2048, 20_000] {
            let mut ends = Vec::new();
            map.sum_cells(40..65_000, cell, Endian::Little, |lanes| ends.push(lanes.sum()));
            let expected: Vec<Fletcher4> = (1..=64_960 / cell)
                .map(|count| Fletcher4::of(&bytes[40..40 + count * cell], Endian::Little))
                .collect();
            assert_eq!(ends, expected, "{cell}");
        }
    }

    #[test]
    fn bytes_are_copied_as_far_as_there_are_any() {
        let (_file, map) = mapped(b"0123456789");
        let mut target = [0; 4];
        assert_eq!(map.copy(2, &mut target), 4);
        assert_eq!(&target, b"2345");
        assert_eq!(map.copy(8, &mut target), 2);
        assert_eq!(&target, b"8945");
        assert_eq!(map.copy(10, &mut target), 0);
        assert_eq!(map.copy(usize::MAX, &mut target), 0);
    }

    #[test]
    fn what_was_released_is_there_again_when_asked_for() {
        let bytes = noise(200_000);
        let (_file, map) = mapped(&bytes);
        map.fetch(0..usize::MAX).unwrap();
        map.release(0..usize::MAX);
        map.release(70_000..10_000_000);
        assert_eq!(
            map.sum(0..200_000, Endian::Little),
            Fletcher4::of(&bytes, Endian::Little)
        );
    }

    #[test]
    fn bytes_that_the_file_lost_cannot_be_fetched() {
        let (file, map) = mapped(&noise(300_000));
        file.set_len(100_000).unwrap();
        map.fetch(0..65_536).unwrap();
        // The first page of these is there, and those around the next one are not.
        map.fetch(65_536..131_072).unwrap_err();
        map.fetch(196_608..300_000).unwrap_err();
    }

    #[test]
    fn an_empty_file_has_nothing_to_map() {
        MappedFile::new(&tempfile::tempfile().unwrap()).unwrap_err();
    }
}
