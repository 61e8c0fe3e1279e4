//! Chunks are made by whichever thread has time, and handed out in their order.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use zferry_wire::{Endian, u64_from_usize};

use super::chunk::{CHUNK, Chunk, Input};

/// Chunks in the making.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) input: Input,
    /// Where in the file the first chunk begins, in bytes.
    start: u64,
    endian: Endian,
    /// How many chunks may be made before the first of them is taken.
    ahead: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// How many chunks somebody makes or has made.
    claimed: u64,
    /// How many have been taken.
    taken: u64,
    made: BTreeMap<u64, io::Result<Chunk>>,
    /// Chunks whose memory can be used again.
    spare: Vec<Chunk>,
    /// No further chunk is wanted: the file has ended, reading failed, or nobody is left to take any.
    closed: bool,
}

impl Line {
    pub(super) fn new(input: Input, start: u64, endian: Endian, ahead: u64) -> Self {
        Self {
            input,
            start,
            endian,
            ahead,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Makes chunks as long as any are wanted.
    pub(super) fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            state = match state.claim(self.ahead) {
                Some(number) => self.make(state, number),
                None => self.wait(state),
            };
        }
    }

    /// Takes the next chunk, which is shorter than [`CHUNK`] at the end of the file, and makes it, or one behind it,
    /// where nobody else has. Not to be called behind the end, nor after an error. `used` is no longer needed.
    pub(super) fn take(&self, used: Chunk) -> io::Result<Chunk> {
        let mut state = self.lock();
        state.spare.push(used);
        loop {
            let next = state.taken;
            if let Some(chunk) = state.made.remove(&next) {
                state.taken = next.saturating_add(1);
                self.changed.notify_all();
                return chunk;
            }
            state = match state.claim(self.ahead) {
                Some(number) => self.make(state, number),
                None if state.claimed <= next => return Ok(Chunk::default()),
                None => self.wait(state),
            };
        }
    }

    /// Lets the threads end.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn make<'a>(&'a self, mut state: MutexGuard<'a, State>, number: u64) -> MutexGuard<'a, State> {
        let mut chunk = state.spare.pop().unwrap_or_default();
        drop(state);
        let offset = number
            .saturating_mul(u64_from_usize(CHUNK))
            .saturating_add(self.start);
        let made = chunk.fill(&self.input, offset, self.endian).map(|()| chunk);
        let mut state = self.lock();
        state.closed |= !matches!(&made, Ok(chunk) if chunk.length() == CHUNK);
        state.made.insert(number, made);
        self.changed.notify_all();
        state
    }

    /// Nothing here is left half done by a thread that panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The number of a chunk that is to be made next, if any is.
    fn claim(&mut self, ahead: u64) -> Option<u64> {
        if self.closed || self.claimed >= self.taken.saturating_add(ahead) {
            return None;
        }
        let number = self.claimed;
        self.claimed = number.saturating_add(1);
        Some(number)
    }
}
