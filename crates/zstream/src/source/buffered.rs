//! One buffer in front of anything that can be read.

use std::io::{self, IoSliceMut, Read};

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
    /// How much is read ahead at most, in bytes.
    chunk: usize,
}

impl<R: Read> Buffered<R> {
    /// A source over `input`, which needs no buffer of its own.
    pub const fn new(input: R) -> Self {
        Self::with_chunk(input, CHUNK)
    }

    /// The same for whoever has payloads read into their own memory: it reads little ahead, since what is ahead has to be
    /// copied there.
    pub const fn for_filling(input: R) -> Self {
        Self::with_chunk(input, FIRST_CHUNK)
    }

    const fn with_chunk(input: R, chunk: usize) -> Self {
        Self {
            input,
            chunk,
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
                .clamp(FIRST_CHUNK, wanted.max(self.chunk));
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

    fn fill(&mut self, target: &mut [u8]) -> io::Result<usize> {
        let ready = self.buffer.get(self.start..self.end).unwrap_or_default();
        let mut filled = ready.len().min(target.len());
        if let (Some(target), Some(ready)) = (target.get_mut(..filled), ready.get(..filled)) {
            target.copy_from_slice(ready);
        }
        self.consume(filled);
        while !self.input_ended
            && let Some(room) = target.get_mut(filled..).filter(|room| !room.is_empty())
        {
            // All that was buffered is gone. What comes next is read along, so that it takes no call of its own.
            let wanted = room.len();
            let ahead = self.buffer.len().min(self.chunk);
            let ahead = self.buffer.get_mut(..ahead).unwrap_or_default();
            let mut both = [IoSliceMut::new(room), IoSliceMut::new(ahead)];
            match self.input.read_vectored(&mut both) {
                Ok(0) => self.input_ended = true,
                Ok(count) => {
                    filled = filled.saturating_add(count.min(wanted));
                    self.end = count.saturating_sub(wanted);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives at most so many bytes at a time, and is interrupted in between.
    struct Reluctant<'a>(&'a [u8], usize, bool);

    impl Read for Reluctant<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.2 = !self.2;
            if self.2 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = buffer.len().min(self.1);
            self.0.read(&mut buffer[..most])
        }
    }

    fn everything<R: Read>(mut source: Buffered<R>, length: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for size in [4, 1, 70_000, 3, 16 << 10, 0, 200_000].into_iter().cycle() {
            let head = source.window(size % 400).unwrap();
            let head = head[..head.len().min(size % 400)].to_vec();
            source.consume(head.len());
            all.extend(head);
            let mut target = vec![0; size];
            let filled = source.fill(&mut target).unwrap();
            all.extend(&target[..filled]);
            if filled < size {
                break;
            }
        }
        assert_eq!(all.len(), length);
        all
    }

    #[test]
    fn what_is_put_elsewhere_comes_in_its_place() {
        let bytes: Vec<u8> = (0..3_000_000).map(|at: u32| (at % 251) as u8).collect();
        assert!(everything(Buffered::new(bytes.as_slice()), bytes.len()) == bytes);
        assert!(everything(Buffered::for_filling(bytes.as_slice()), bytes.len()) == bytes);
        for most in [1, 700, 100_000] {
            let part = &bytes[..most * 30];
            let reluctant = Reluctant(part, most, false);
            assert!(everything(Buffered::for_filling(reluctant), part.len()) == part);
        }
    }
}
