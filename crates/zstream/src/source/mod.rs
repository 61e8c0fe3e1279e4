//! Where a stream's bytes come from.
//!
//! Records are read in place: a source shows a window on the bytes ahead and moves on when told to. [`Buffered`] makes
//! one of anything that can be read; [`ReadAhead`] reads and sums a file on several threads.

mod buffered;
mod payloads;
mod read_ahead;

use std::io;

pub use buffered::Buffered;
pub use payloads::Payloads;
pub use read_ahead::ReadAhead;

use zferry_wire::{u64_from_usize, usize_from_u64};

use crate::fletcher::Fletcher4;

/// Bytes ahead, which can be looked at before they are consumed.
pub trait Source {
    /// Shows the bytes ahead: at least `wanted` of them, or all that are left where the input ends before that. Memory
    /// is taken only for what really arrives.
    ///
    /// # Errors
    /// What reading says.
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]>;

    /// Moves on by `count` bytes, all of which the last window showed.
    fn consume(&mut self, count: usize);

    /// Moves on by the bytes that fill `target`, which are put there. Says how many there really were.
    ///
    /// # Errors
    /// What reading says.
    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let mut filled: usize = 0;
        while let Some(room) = target.get_mut(filled..).filter(|room| !room.is_empty()) {
            let window = self.window(1)?;
            let take = window.len().min(room.len());
            if take == 0 {
                break;
            }
            if let (Some(room), Some(ready)) = (room.get_mut(..take), window.get(..take)) {
                room.copy_from_slice(ready);
            }
            self.consume(take);
            filled = filled.saturating_add(take);
        }
        Ok(filled)
    }

    /// Moves on by `count` bytes. Says how many there really were.
    ///
    /// # Errors
    /// What reading says.
    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let take = self.window(1)?.len().min(usize_from_u64(left));
            if take == 0 {
                break;
            }
            self.consume(take);
            left = left.saturating_sub(u64_from_usize(take));
        }
        Ok(count.saturating_sub(left))
    }

    /// Moves on by `count` bytes, a multiple of 4, and adds them to `sum`. Says how many bytes there really were.
    ///
    /// # Errors
    /// What reading says.
    fn pass(&mut self, count: u64, sum: &mut Fletcher4) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let window = self.window(4)?;
            let ready = window.get(..usize_from_u64(left)).unwrap_or(window);
            // Half a word at the end waits for its other half, unless the input ends there.
            let take = if ready.len() < 4 {
                ready.len()
            } else {
                ready.len() & !3
            };
            if take == 0 {
                break;
            }
            sum.update(ready.get(..take).unwrap_or_default());
            self.consume(take);
            left = left.saturating_sub(u64_from_usize(take));
        }
        Ok(count.saturating_sub(left))
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        (**self).window(wanted)
    }

    fn consume(&mut self, count: usize) {
        (**self).consume(count);
    }

    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        (**self).fill(target)
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        (**self).skip(count)
    }

    fn pass(&mut self, count: u64, sum: &mut Fletcher4) -> io::Result<u64> {
        (**self).pass(count, sum)
    }
}
