//! A disk in memory that forgets, as real ones do: for tests of what a crash leaves behind.
//!
//! Everything written can be read at once, but only a flush makes it safe. [`SimulatedDisk::crash`] makes the disk that
//! a loss of power leaves: what was flushed, and of what was written since, whatever the seed chooses. Each write may
//! have arrived whole, in part (torn at a sector), or not at all, in any order.

use super::{Disk, WritableDisk};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// The unit in which a write may be torn, in bytes.
const SECTOR: usize = 512;
/// The unit in which memory is taken, in bytes.
const PAGE: usize = 64 << 10;

/// Bytes at offsets; what was never written is zero.
#[derive(Clone, Debug, Default)]
struct Sparse {
    pages: BTreeMap<u64, Vec<u8>>,
}

impl Sparse {
    fn each(offset: u64, len: usize, mut part: impl FnMut(u64, usize, std::ops::Range<usize>)) {
        let mut done = 0_usize;
        while done < len {
            let at = offset.saturating_add(u64_from_usize(done));
            let page = at.checked_div(u64_from_usize(PAGE)).unwrap_or(0);
            let within = usize_from_u64(at.checked_rem(u64_from_usize(PAGE)).unwrap_or(0));
            let count = PAGE.saturating_sub(within).min(len.saturating_sub(done));
            part(page, within, done..done.saturating_add(count));
            done = done.saturating_add(count);
        }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) {
        Self::each(offset, buffer.len(), |page, within, range| {
            let count = range.len();
            let Some(target) = buffer.get_mut(range) else {
                return;
            };
            match self.pages.get(&page) {
                Some(bytes) => {
                    if let Some(source) = bytes.get(within..within.saturating_add(count)) {
                        target.copy_from_slice(source);
                    }
                }
                None => target.fill(0),
            }
        });
    }

    fn write(&mut self, bytes: &[u8], offset: u64) {
        Self::each(offset, bytes.len(), |page, within, range| {
            let count = range.len();
            let target = self.pages.entry(page).or_insert_with(|| vec![0; PAGE]);
            if let (Some(target), Some(source)) = (
                target.get_mut(within..within.saturating_add(count)),
                bytes.get(range),
            ) {
                target.copy_from_slice(source);
            }
        });
    }
}

#[derive(Debug, Default)]
struct State {
    /// What would be read now.
    now: Sparse,
    /// What is safe.
    safe: Sparse,
    /// What was written since the last flush, in order.
    pending: Vec<(u64, Vec<u8>)>,
    /// How many operations are left before nothing more arrives, where that is limited.
    left: Option<u64>,
    operations: u64,
}

/// A disk that forgets what was not flushed.
#[derive(Debug)]
pub struct SimulatedDisk {
    name: String,
    size: u64,
    state: Mutex<State>,
}

impl SimulatedDisk {
    /// An empty disk of `size` bytes.
    #[must_use]
    pub fn new(name: &str, size: u64) -> Self {
        Self {
            name: name.to_owned(),
            size,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many writes and flushes there have been.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// After so many more writes and flushes, every one fails.
    pub fn fail_after(&self, operations: u64) {
        self.state().left = Some(operations);
    }

    /// The disk as a loss of power at this moment leaves it: what was flushed, and what `seed` chooses of the rest.
    #[must_use]
    pub fn crash(&self, seed: u64) -> Self {
        let state = self.state();
        let mut now = state.safe.clone();
        let mut random = seed | 1;
        let mut next = || {
            // xorshift: any sequence will do, as long as the same seed makes the same one
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let mut arrived: Vec<(u64, &(u64, Vec<u8>))> =
            state.pending.iter().map(|write| (next(), write)).collect();
        if next() & 1 == 0 {
            arrived.sort_unstable_by_key(|(key, _)| *key);
        }
        for (_, (offset, bytes)) in arrived {
            let sectors = u64_from_usize(bytes.len().div_ceil(SECTOR));
            let kept = match next() & 3 {
                0 => 0,
                1 => next().checked_rem(sectors.max(1)).unwrap_or(0),
                _ => sectors,
            };
            let count = usize_from_u64(kept).saturating_mul(SECTOR).min(bytes.len());
            now.write(bytes.get(..count).unwrap_or_default(), *offset);
        }
        Self {
            name: self.name.clone(),
            size: self.size,
            state: Mutex::new(State {
                safe: now.clone(),
                now,
                ..State::default()
            }),
        }
    }

    /// The disk's bytes, page by page: where each begins, and what it holds. Pages that are not named are zero.
    #[must_use]
    pub fn pages(&self) -> Vec<(u64, Vec<u8>)> {
        let state = self.state();
        let pages = state.now.pages.iter();
        pages
            .map(|(page, bytes)| (page.saturating_mul(u64_from_usize(PAGE)), bytes.clone()))
            .collect()
    }

    fn count(state: &mut State) -> io::Result<()> {
        if let Some(left) = &mut state.left {
            match left.checked_sub(1) {
                Some(less) => *left = less,
                None => return Err(io::Error::other("the simulated disk has failed")),
            }
        }
        state.operations = state.operations.saturating_add(1);
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.saturating_add(u64_from_usize(buffer.len()));
        if end > self.size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.state().now.read(buffer, offset);
        Ok(())
    }
}

impl WritableDisk for SimulatedDisk {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.state();
        Self::count(&mut state)?;
        state.now.write(bytes, offset);
        state.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut state = self.state();
        Self::count(&mut state)?;
        for (offset, bytes) in std::mem::take(&mut state.pending) {
            state.safe.write(&bytes, offset);
        }
        Ok(())
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        // What was punched may read as anything: garbage shows whoever still needs it.
        let len = usize_from_u64(len.min(1 << 20));
        self.write_at(&vec![0xdb; len], offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_flushed_survives_and_the_rest_may_not() {
        let disk = SimulatedDisk::new("disk", 1 << 20);
        disk.write_at(&[1; 4096], 70_000).unwrap();
        disk.flush().unwrap();
        disk.write_at(&[2; 4096], 70_000).unwrap();
        let (mut lost, mut torn, mut kept) = (0, 0, 0);
        for seed in 0..100 {
            let mut bytes = [0; 4096];
            disk.crash(seed * 7919).read_at(&mut bytes, 70_000).unwrap();
            let new = bytes.iter().filter(|byte| **byte == 2).count();
            assert!(bytes.iter().all(|byte| *byte == 1 || *byte == 2) && new % SECTOR == 0);
            match new {
                0 => lost += 1,
                4096 => kept += 1,
                _ => torn += 1,
            }
        }
        assert!(lost > 5 && torn > 5 && kept > 5, "{lost} {torn} {kept}");
    }

    #[test]
    fn a_disk_that_fails_takes_nothing_more() {
        let disk = SimulatedDisk::new("disk", 1 << 20);
        disk.fail_after(1);
        disk.write_at(&[1; 512], 0).unwrap();
        assert!(disk.flush().is_err() && disk.write_at(&[2; 512], 0).is_err());
        assert_eq!(disk.operations(), 1);
    }
}
