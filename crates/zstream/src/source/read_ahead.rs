//! A file, read and summed on several threads.
//!
//! A sum over a piece of a stream does not depend on what came before the piece. So each thread reads every n-th chunk
//! of the file and, while the chunk is still in its processor's cache, sums it, and notes the sum at the end of every
//! cell. Whoever walks the records then touches little but the headers: the sum over the cells within a payload is the
//! difference of two that were noted, and only the part cells at its two ends are summed again.
//!
//! ```text
//! chunk      │           thread 1            │           thread 2            │           thread 1
//! cell       ├───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼───────┼──
//! records    ┌─┬────────────────┬─┬────────────────┬─┬─────┬─┬────────────────┬─┬───────────
//!            └─┴────────────────┴─┴────────────────┴─┴─────┴─┴────────────────┴─┴───────────
//! ```

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

use super::Source;
use crate::fletcher::Fletcher4;
use crate::record::{Begin, RECORD_SIZE};

/// What a thread reads at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// How often a sum is noted, in bytes. Divides [`STEP`].
const CELL: usize = 2 << 10;

/// A payload of at least this many bytes is summed by what was noted; for less that is not worth it.
const WORTH_NOTED: usize = 2 * CELL;

/// How much of a chunk is read before it is summed, so that it is still in the cache. Divides [`CHUNK`].
const STEP: usize = 128 << 10;

/// How many chunks a thread may be ahead.
const AHEAD: usize = 2;

/// A piece of the file.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// The sum of the chunk's first n cells, for each n.
    sums: Vec<Fletcher4>,
}

/// One thread's end of the line.
#[derive(Debug)]
struct Worker {
    filled: Receiver<io::Result<Chunk>>,
    emptied: SyncSender<Chunk>,
}

/// A source over a file that several threads read. It takes about 3 MiB for each thread.
#[derive(Debug)]
pub struct ReadAhead {
    workers: Vec<Worker>,
    turn: usize,
    endian: Endian,
    chunk: Chunk,
    /// Where in `chunk` the bytes ahead begin.
    at: usize,
    /// Bytes that are shown in a row although they lie in several chunks; before those of `chunk`.
    joint: Vec<u8>,
    joint_at: usize,
    ended: bool,
}

impl ReadAhead {
    /// A source over the stream that begins at byte `start` of `file`. What is summed ahead are words in the order of
    /// that stream; where another one follows in the other order, they are summed again.
    ///
    /// # Errors
    /// What reading the first record says, or starting a thread.
    pub fn new(file: File, start: u64, threads: NonZeroUsize) -> io::Result<Self> {
        let mut first = [0; RECORD_SIZE];
        read_fully_at(&file, &mut first, start)?;
        let endian = Begin::endian_of(&first).unwrap_or(Endian::OURS);
        let file = Arc::new(file);
        let stride = u64_from_usize(threads.get()).saturating_mul(u64_from_usize(CHUNK));
        let mut workers = Vec::with_capacity(threads.get());
        let mut offset = start;
        for _ in 0..threads.get() {
            workers.push(Worker::start(Arc::clone(&file), offset, stride, endian)?);
            offset = offset.saturating_add(u64_from_usize(CHUNK));
        }
        Ok(Self {
            workers,
            turn: 0,
            endian,
            chunk: Chunk::default(),
            at: 0,
            joint: Vec::new(),
            joint_at: 0,
            ended: false,
        })
    }

    /// Goes on to the next chunk; `false` at the end of the file.
    fn next_chunk(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let Some(worker) = self.workers.get(self.turn) else {
            return Ok(false);
        };
        let next = match worker.filled.recv() {
            Ok(next) => next?,
            // The thread has stopped at the end of the file.
            Err(_) => Chunk::default(),
        };
        self.ended = next.bytes.len() < CHUNK;
        let used = std::mem::replace(&mut self.chunk, next);
        self.at = 0;
        // The buffer goes back to the thread whose it was: the one before.
        let count = self.workers.len();
        let before = self.turn.checked_sub(1).unwrap_or(count.saturating_sub(1));
        if let Some(worker) = self.workers.get(before)
            && !used.bytes.is_empty()
        {
            // It may have stopped.
            let _ = worker.emptied.try_send(used);
        }
        self.turn = self.turn.saturating_add(1);
        if self.turn >= count {
            self.turn = 0;
        }
        Ok(!self.chunk.bytes.is_empty())
    }

    fn ahead(&self) -> &[u8] {
        self.chunk.bytes.get(self.at..).unwrap_or_default()
    }

    fn in_joint(&self) -> bool {
        self.joint_at < self.joint.len()
    }

    /// Adds up to `limit` bytes ahead to `sum` and says how many; none at the end of the file.
    fn sum_some(&mut self, limit: usize, sum: &mut Fletcher4) -> io::Result<usize> {
        let ready = if self.in_joint() {
            self.joint.get(self.joint_at..).unwrap_or_default()
        } else {
            if self.ahead().is_empty() && !self.next_chunk()? {
                return Ok(0);
            }
            if sum.endian() == self.endian && limit >= WORTH_NOTED {
                if let Some(cells) = self.chunk.cells(self.at, limit) {
                    sum.append(&cells);
                    return Ok(usize_from_u64(cells.length()));
                }
                let to_next_cell = CELL.saturating_sub(self.at % CELL);
                let ahead = self.ahead();
                ahead.get(..to_next_cell).unwrap_or(ahead)
            } else {
                self.ahead()
            }
        };
        let ready = ready.get(..limit).unwrap_or(ready);
        sum.update(ready);
        Ok(ready.len())
    }
}

impl Source for ReadAhead {
    fn window(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if !self.in_joint() {
            while self.ahead().is_empty() && self.next_chunk()? {}
            if self.ahead().len() >= wanted {
                return Ok(self.ahead());
            }
        }
        self.joint.drain(..self.joint_at.min(self.joint.len()));
        self.joint_at = 0;
        while self.joint.len() < wanted {
            let missing = wanted.saturating_sub(self.joint.len());
            let ahead = self.chunk.bytes.get(self.at..).unwrap_or_default();
            let take = missing.min(ahead.len());
            self.joint
                .extend_from_slice(ahead.get(..take).unwrap_or_default());
            self.at = self.at.saturating_add(take);
            if take < missing && !self.next_chunk()? {
                break;
            }
        }
        Ok(&self.joint)
    }

    fn consume(&mut self, count: usize) {
        if self.in_joint() {
            self.joint_at = self.joint_at.saturating_add(count).min(self.joint.len());
        } else {
            self.at = self.at.saturating_add(count).min(self.chunk.bytes.len());
        }
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

/// A thread: reads its chunks until the file ends or nobody wants them any more.
fn run(
    file: &File,
    mut offset: u64,
    stride: u64,
    endian: Endian,
    filled: &SyncSender<io::Result<Chunk>>,
    emptied: &Receiver<Chunk>,
) {
    loop {
        let mut chunk = emptied.try_recv().unwrap_or_default();
        let result = chunk.fill(file, offset, endian).map(|()| chunk);
        let last = !matches!(&result, Ok(chunk) if chunk.bytes.len() == CHUNK);
        if filled.send(result).is_err() || last {
            return;
        }
        offset = offset.saturating_add(stride);
    }
}

impl Worker {
    fn start(file: Arc<File>, offset: u64, stride: u64, endian: Endian) -> io::Result<Self> {
        let (filled_end, filled) = sync_channel(AHEAD);
        let (emptied, emptied_end) = sync_channel(AHEAD);
        thread::Builder::new()
            .name("read-ahead".to_owned())
            .spawn(move || run(&file, offset, stride, endian, &filled_end, &emptied_end))?;
        Ok(Self { filled, emptied })
    }
}

impl Chunk {
    /// The sum of the whole cells among the `limit` bytes from `at` on, if a cell begins there and there is one.
    fn cells(&self, at: usize, limit: usize) -> Option<Fletcher4> {
        let first = at / CELL;
        let last = first
            .saturating_add(limit / CELL)
            .min(self.sums.len().saturating_sub(1));
        if !at.is_multiple_of(CELL) || last <= first {
            return None;
        }
        Some(self.sums.get(last)?.behind(self.sums.get(first)?))
    }

    /// Reads the chunk at `offset` and notes the sums at the ends of its cells.
    fn fill(&mut self, file: &File, offset: u64, endian: Endian) -> io::Result<()> {
        self.bytes.resize(CHUNK, 0);
        let mut sum = Fletcher4::new(endian);
        self.sums.clear();
        self.sums.push(sum);
        let mut length: usize = 0;
        for step in self.bytes.chunks_mut(STEP) {
            let at = offset.saturating_add(u64_from_usize(length));
            let count = read_fully_at(file, step, at)?;
            for cell in step.get(..count).unwrap_or_default().chunks_exact(CELL) {
                sum.update(cell);
                self.sums.push(sum);
            }
            length = length.saturating_add(count);
            if count < step.len() {
                break;
            }
        }
        self.bytes.truncate(length);
        Ok(())
    }
}

/// Reads until `buffer` is full or the file ends.
fn read_fully_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut length: usize = 0;
    while let Some(room) = buffer.get_mut(length..).filter(|room| !room.is_empty()) {
        match read_at(file, room, offset.saturating_add(u64_from_usize(length))) {
            Ok(0) => break,
            Ok(count) => length = length.saturating_add(count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}
