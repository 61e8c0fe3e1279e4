//! A file, read and summed on several threads.
//!
//! A sum over a piece of a stream does not depend on what came before the piece. So several threads sum the chunks of
//! the file, and note the sum at the end of every cell. Whoever walks the records then touches little but the
//! headers: the sum over the cells within a payload is the difference of two that were noted, and only the part cells
//! at its two ends are summed again.
//!
//! Where the system can show the file in memory ([`Mapped`]), nothing is copied; elsewhere, and where a chunk cannot be
//! had in that way, it is read, and summed while it is still in the processor's cache.
//!
//! ```text
//! chunk      │           thread 1            │           thread 2            │           thread 2
//! cell       ├───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼──
//! records    ┌─┬────────────────┬─┬────────────────┬─┬─────┬─┬────────────────┬─┬───────────
//!            └─┴────────────────┴─┴────────────────┴─┴─────┴─┴────────────────┴─┴───────────
//! ```

mod chunk;
mod line;

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use zferry_blocks::MappedFile;
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

use super::Source;
use crate::fletcher::Fletcher4;
use crate::record::{Begin, RECORD_SIZE};
use chunk::{Bytes, CELL, CHUNK, Chunk, Input, read_fully_at};
use line::Line;

/// A payload of at least this many bytes is summed by what was noted; for less that is not worth it.
const WORTH_NOTED: usize = 2 * CELL;

/// How many chunks are made ahead of the thread that walks the records, for each thread. They are read into memory that
/// should stay in the cache.
const AHEAD_READ: u64 = 2;

/// The same, where there are only sums to keep.
const AHEAD_MAPPED: u64 = 8;

/// How much of a mapped file is left behind before it is given back to the system, in bytes.
const LEFT_BEHIND: usize = 64 << 20;

/// A source over a file that several threads read. One of them is the one that takes the
/// bytes: it makes chunks itself where it would have to wait. About 3 MiB of memory are taken for each thread.
#[derive(Debug)]
pub struct ReadAhead {
    line: Arc<Line>,
    /// The other threads. They end with this, for a file may be cut once nobody reads it.
    workers: Vec<JoinHandle<()>>,
    endian: Endian,
    chunk: Chunk,
    /// Where in `chunk` the bytes ahead begin.
    at: usize,
    /// Bytes that are shown in a row although they lie in several chunks, or are mapped; before those of `chunk`.
    joint: Vec<u8>,
    joint_at: usize,
    ended: bool,
    /// How much of the mapped file has been given back.
    released: usize,
}

impl ReadAhead {
    /// A source over the stream that begins at byte `start` of `file`. What is summed ahead are words in the order of
    /// that stream; where another one follows in the other order, they are summed again.
    ///
    /// What is appended to the file later is not seen. The file should not be cut meanwhile: where it is mapped, that
    /// may end the process.
    ///
    /// # Errors
    /// What reading the first record says, or starting a thread.
    pub fn new(file: File, start: u64, threads: NonZeroUsize) -> io::Result<Self> {
        // What cannot be mapped is read.
        let map = MappedFile::new(&file).ok();
        Self::over(Input { file, map }, start, threads)
    }

    /// As [`new`](Self::new), for a file that may be cut, or whose disk may fail, meanwhile: it is read, which takes
    /// longer than having it mapped.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn reading(file: File, start: u64, threads: NonZeroUsize) -> io::Result<Self> {
        Self::over(Input { file, map: None }, start, threads)
    }

    fn over(input: Input, start: u64, threads: NonZeroUsize) -> io::Result<Self> {
        let mut first = [0; RECORD_SIZE];
        read_fully_at(&input.file, &mut first, start)?;
        let endian = Begin::endian_of(&first).unwrap_or(Endian::OURS);
        let ahead = match input.map {
            Some(_) => AHEAD_MAPPED,
            None => AHEAD_READ,
        };
        let ahead = u64_from_usize(threads.get()).saturating_mul(ahead);
        let line = Arc::new(Line::new(input, start, endian, ahead));
        let mut source = Self {
            line,
            workers: Vec::new(),
            endian,
            chunk: Chunk::default(),
            at: 0,
            joint: Vec::new(),
            joint_at: 0,
            ended: false,
            released: 0,
        };
        for _ in 1..threads.get() {
            let line = Arc::clone(&source.line);
            let worker = thread::Builder::new()
                .name("read-ahead".to_owned())
                .spawn(move || line.work())?;
            source.workers.push(worker);
        }
        Ok(source)
    }

    /// Goes on to the next chunk; `false` at the end of the file.
    fn next_chunk(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let used = std::mem::take(&mut self.chunk);
        self.at = 0;
        self.release(&used);
        // Where it fails, there is no going on.
        self.ended = true;
        self.chunk = self.line.take(used)?;
        self.ended = self.chunk.length() < CHUNK;
        Ok(self.chunk.length() > 0)
    }

    /// Gives back what lies before the end of `used`, when there is enough of it.
    fn release(&mut self, used: &Chunk) {
        if let (Bytes::Mapped(range), Some(map)) = (&used.bytes, &self.line.input.map)
            && range.end.saturating_sub(self.released) >= LEFT_BEHIND
        {
            map.release(self.released..range.end);
            self.released = range.end;
        }
    }

    /// How many bytes of the chunk are ahead.
    fn ahead(&self) -> usize {
        self.chunk.length().saturating_sub(self.at)
    }

    /// The bytes ahead, as far as they lie in memory that can be shown.
    fn shown(&self) -> &[u8] {
        match &self.chunk.bytes {
            Bytes::Read(bytes) => bytes.get(self.at..).unwrap_or_default(),
            Bytes::Mapped(_) => &[],
        }
    }

    fn in_joint(&self) -> bool {
        self.joint_at < self.joint.len()
    }

    /// Moves up to `count` bytes of the chunk to those that are shown in a row, and says how many.
    fn join(&mut self, count: usize) -> usize {
        let take = count.min(self.ahead());
        match (&self.chunk.bytes, &self.line.input.map) {
            (Bytes::Read(bytes), _) => {
                let bytes = bytes.get(self.at..).unwrap_or_default();
                self.joint.extend_from_slice(bytes.get(..take).unwrap_or(bytes));
            }
            (Bytes::Mapped(range), Some(map)) => {
                let joined = self.joint.len();
                self.joint.resize(joined.saturating_add(take), 0);
                let target = self.joint.get_mut(joined..).unwrap_or_default();
                map.copy(range.start.saturating_add(self.at), target);
            }
            (Bytes::Mapped(_), None) => {}
        }
        self.at = self.at.saturating_add(take);
        take
    }

    /// Adds up to `limit` bytes ahead to `sum` and says how many; none at the end of the file.
    fn sum_some(&mut self, limit: usize, sum: &mut Fletcher4) -> io::Result<usize> {
        if self.in_joint() {
            let ready = self.joint.get(self.joint_at..).unwrap_or_default();
            let ready = ready.get(..limit).unwrap_or(ready);
            sum.update(ready);
            return Ok(ready.len());
        }
        if self.ahead() == 0 && !self.next_chunk()? {
            return Ok(0);
        }
        let mut take = limit.min(self.ahead());
        if sum.endian() == self.endian && limit >= WORTH_NOTED {
            if let Some(cells) = self.chunk.cells(self.at, limit, self.endian) {
                sum.append(&cells);
                return Ok(usize_from_u64(cells.length()));
            }
            take = take.min(CELL.saturating_sub(self.at % CELL));
        }
        match (&self.chunk.bytes, &self.line.input.map) {
            (Bytes::Read(bytes), _) => {
                let bytes = bytes.get(self.at..).unwrap_or_default();
                sum.update(bytes.get(..take).unwrap_or(bytes));
            }
            (Bytes::Mapped(range), Some(map)) => {
                let start = range.start.saturating_add(self.at);
                let part = map.sum(start..start.saturating_add(take), sum.endian());
                sum.append(&Fletcher4::known(sum.endian(), u64_from_usize(take), part));
            }
            (Bytes::Mapped(_), None) => {}
        }
        Ok(take)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.line.close();
        for worker in self.workers.drain(..) {
            // One that panicked has ended as well.
            let _ = worker.join();
        }
    }
}

impl Source for ReadAhead {
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if !self.in_joint() {
            while self.ahead() == 0 && self.next_chunk()? {}
            if !self.shown().is_empty() && self.shown().len() >= wanted {
                return Ok(self.shown());
            }
        }
        self.joint.drain(..self.joint_at.min(self.joint.len()));
        self.joint_at = 0;
        while self.joint.len() < wanted {
            let missing = wanted.saturating_sub(self.joint.len());
            if self.join(missing) < missing && !self.next_chunk()? {
                break;
            }
        }
        Ok(&self.joint)
    }

    fn consume(&mut self, count: usize) {
        if self.in_joint() {
            self.joint_at = self.joint_at.saturating_add(count).min(self.joint.len());
        } else {
            self.at = self.at.saturating_add(count).min(self.chunk.length());
        }
    }

    fn skip(&mut self, count: u64) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let ready = if self.in_joint() {
                self.joint.len().saturating_sub(self.joint_at)
            } else {
                if self.ahead() == 0 && !self.next_chunk()? {
                    break;
                }
                self.ahead()
            };
            let take = ready.min(usize_from_u64(left));
            self.consume(take);
            left = left.saturating_sub(u64_from_usize(take));
        }
        Ok(count.saturating_sub(left))
    }

    fn pass(&mut self, count: u64, sum: &mut Fletcher4) -> io::Result<u64> {
        let mut left = count;
        while left > 0 {
            let take = self.sum_some(usize_from_u64(left), sum)?;
            if take == 0 {
                break;
            }
            self.consume(take);
            left = left.saturating_sub(u64_from_usize(take));
        }
        Ok(count.saturating_sub(left))
    }
}
