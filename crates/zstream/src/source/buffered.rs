//! One buffer in front of anything that can be read.

use std::io::{self, Read};

use super::Source;

/// What is asked of the input at a time, in bytes: small enough that what was read is still in the processor's cache
/// when it is summed.
const CHUNK: usize = 512 << 10;

/// What is asked for first.
const FIRST_CHUNK: usize = 16 << 10;

/// A source over a reader. It reads ahead, so what lies behind the stream may be lost to others.
#[derive(Debug)]
pub struct Buffered<R> {
    input: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    input_ended: bool,
}

impl<R: Read> Buffered<R> {
    /// A source over `input`, which needs no buffer of its own.
    pub const fn new(input: R) -> Self {
        Self {
            input,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            input_ended: false,
        }
    }

    const fn ready(&self) -> usize {
        self.end.saturating_sub(self.start)
    }

    /// Makes room behind what is ready, so that `wanted` bytes can lie in a row or the buffer has grown once more.
    fn make_room(&mut self, wanted: usize) {
        let behind = self.buffer.len().saturating_sub(self.start);
        if self.start > 0 && (behind < wanted || self.end == self.buffer.len()) {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end = self.ready();
            self.start = 0;
        }
        if self.end == self.buffer.len() {
            // Only when everything that was asked for has come is more asked for.
            let grown = self
                .buffer
                .len()
                .saturating_mul(2)
                .clamp(FIRST_CHUNK, wanted.max(CHUNK));
            self.buffer.resize(grown, 0);
        }
    }

    fn read_more(&mut self) -> io::Result<()> {
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        match self.input.read(room) {
            Ok(0) => self.input_ended = true,
            Ok(count) => self.end = self.end.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

impl<R: Read> Source for Buffered<R> {
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.ready() < wanted && !self.input_ended {
            self.make_room(wanted);
            self.read_more()?;
        }
        Ok(self.buffer.get(self.start..self.end).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }
}
