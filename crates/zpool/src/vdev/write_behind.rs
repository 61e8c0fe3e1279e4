//! Writes a file while whoever writes goes on, past the system's memory where that can be had.
//!
//! Left to itself, the system copies what is written into its own memory, keeps it there for half a minute, and then a
//! flush of a gigabyte takes seconds in which nothing else is done. Nobody reads soon what a receive writes, so that
//! memory, and the work of filling it, is better saved. What follows on disk what was written just before is gathered
//! into a [`Run`]; a thread of its own writes runs in their order, without a copy. What is too little in a row goes by
//! way of the system's memory after all, and so does everything where a file cannot be written in the other way; then the
//! thread flushes after every [`STEP`].
//!
//! A fault that the thread meets is told by whatever is asked for next, up to the next flush.

use super::run::Run;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use zferry_wire::u64_from_usize;

/// How many runs there are in memory at a time: one that is gathered, one that is written, and others between.
const RUNS: usize = 4;

/// As long as no more was written than this, no thread is worth its while.
const WORTH_A_THREAD: u64 = 2 << 20;

/// A run of fewer bytes is written by way of the system's memory, which waits for no disk.
const WORTH_WAITING: usize = 256 << 10;

/// How much is written by way of the system's memory before it is flushed, in bytes.
const STEP: u64 = 32 << 20;

/// A file that a thread writes.
#[derive(Debug)]
pub(super) struct WriteBehind(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is gathered.
    open: Option<Run>,
    /// What the thread has to write. The first is being written.
    queue: VecDeque<Arc<Run>>,
    /// Memory for more.
    spare: Vec<Run>,
    /// How many bytes were ever gathered.
    gathered: u64,
    /// How many bytes are in the system's memory that may not yet be on disk.
    unflushed: u64,
    /// Whether the thread has to flush, or does just now.
    wants_flush: bool,
    /// The file once more, as it is written past the system's memory, until the thread takes it.
    direct: Option<File>,
    /// `None` as long as there is too little to write, and where no thread can be had.
    thread: Option<JoinHandle<()>>,
    is_closed: bool,
    fault: Option<io::Error>,
}

impl WriteBehind {
    /// For `file`, which is open for reading and writing, and was found at `path`.
    pub(super) fn new(file: File, path: &Path) -> Self {
        let state = State {
            direct: open_direct(path, &file).ok().flatten(),
            ..State::default()
        };
        Self(Arc::new(Shared {
            file,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }))
    }

    /// Has `bytes` written at `offset`.
    ///
    /// # Errors
    /// What went wrong with what was written before.
    pub(super) fn write(&self, mut bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        if let Some(fault) = &state.fault {
            return Err(again(fault));
        }
        let mut at = offset;
        while !bytes.is_empty() {
            if state
                .open
                .as_ref()
                .is_some_and(|run| run.end() != at || run.is_full())
            {
                state = self.hand_over(state)?;
            }
            let mut run = match state.open.take() {
                Some(run) => run,
                None => self.begin(&mut state, at),
            };
            bytes = run.append(bytes);
            at = run.end();
            state.open = Some(run);
        }
        Ok(())
    }

    /// Fills `buffer` from `offset` on, with what was written last.
    ///
    /// # Errors
    /// What reading says, or what went wrong with what was written before.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.0.lock();
        loop {
            let open = state.open.iter();
            let mut newest_first = open.chain(state.queue.iter().rev().map(|run| &**run));
            let Some(run) = newest_first.find(|run| run.touches(offset, buffer.len())) else {
                break;
            };
            if run.read(buffer, offset) {
                return Ok(());
            }
            state = self.settle(state)?;
        }
        drop(state);
        self.0.file.read_exact_at(buffer, offset)
    }

    /// The file, in which not all that was written need be yet.
    pub(super) fn as_file(&self) -> &File {
        &self.0.file
    }

    /// Returns when all that was written is in the file, though not yet safe.
    ///
    /// # Errors
    /// What went wrong, which is told only once.
    pub(super) fn drain(&self) -> io::Result<&File> {
        let mut state = self.settle(self.0.lock())?;
        state.fault.take().map_or(Ok(&self.0.file), Err)
    }

    /// Returns when all that was written is safe.
    ///
    /// # Errors
    /// What went wrong, which is told only once.
    pub(super) fn flush(&self) -> io::Result<()> {
        let drained = self.drain().map(drop);
        // A fault of the one says nothing of the other, and both must be without.
        let flushed = self.0.file.sync_data();
        drained.and(flushed)
    }

    /// A run for what goes to `start`.
    fn begin(&self, state: &mut State, start: u64) -> Run {
        let mut run = state.spare.pop().unwrap_or_else(Run::new);
        run.begin(start);
        run
    }

    /// Hands over what is gathered, and returns when there is room for more.
    fn hand_over<'a>(&'a self, mut state: MutexGuard<'a, State>) -> io::Result<MutexGuard<'a, State>> {
        let Some(run) = state.open.take() else {
            return Ok(state);
        };
        state.gathered = state.gathered.saturating_add(u64_from_usize(run.bytes().len()));
        if state.thread.is_none() && state.gathered >= WORTH_A_THREAD {
            let shared = Arc::clone(&self.0);
            let direct = state.direct.take();
            let thread = Builder::new().name("write-behind".to_owned());
            state.thread = thread.spawn(move || shared.work(direct)).ok();
        }
        let len = run.bytes().len();
        let waits = state.queue.iter().any(|other| other.touches(run.start(), len));
        if state.thread.is_none() || len < WORTH_WAITING && !waits {
            let written = self.0.file.write_all_at(run.bytes(), run.start());
            state.spare.push(run);
            self.0.count_unflushed(&mut state, len);
            return written.map(|()| state);
        }
        state.queue.push_back(Arc::new(run));
        self.0.changed.notify_all();
        while state.queue.len() >= RUNS {
            state = self.0.wait(state);
        }
        Ok(state)
    }

    /// Hands over what is gathered, and returns when nothing is left to write.
    fn settle<'a>(&'a self, state: MutexGuard<'a, State>) -> io::Result<MutexGuard<'a, State>> {
        let mut state = self.hand_over(state)?;
        // A flush that goes on may take the news of a fault away from the one that follows.
        while !state.queue.is_empty() || state.wants_flush {
            state = self.0.wait(state);
        }
        Ok(state)
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        // Whoever wants to know of faults flushes.
        let _ = self.drain();
        let mut state = self.0.lock();
        state.is_closed = true;
        let thread = state.thread.take();
        drop(state);
        self.0.changed.notify_all();
        if let Some(thread) = thread {
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Nothing here is left half done by a thread that panics.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `len` bytes more are in the system's memory, and has them flushed when there are many.
    fn count_unflushed(&self, state: &mut State, len: usize) {
        state.unflushed = state.unflushed.saturating_add(u64_from_usize(len));
        if state.unflushed >= STEP && state.thread.is_some() {
            state.unflushed = 0;
            state.wants_flush = true;
            self.changed.notify_all();
        }
    }

    /// The thread: writes runs as they come, past the system's memory with `direct`.
    fn work(&self, mut direct: Option<File>) {
        let mut state = self.lock();
        while !state.is_closed {
            if state.wants_flush {
                drop(state);
                let flushed = self.file.sync_data();
                state = self.lock();
                state.wants_flush = false;
                if let Err(error) = flushed {
                    state.fault.get_or_insert(error);
                }
                self.changed.notify_all();
            } else if let Some(run) = state.queue.front().map(Arc::clone) {
                drop(state);
                let written = self.write(&mut direct, &run);
                state = self.lock();
                state.queue.pop_front();
                match written {
                    Ok(buffered) => self.count_unflushed(&mut state, buffered),
                    Err(error) => {
                        state.fault.get_or_insert(error);
                    }
                }
                if let Ok(run) = Arc::try_unwrap(run) {
                    state.spare.push(run);
                }
                self.changed.notify_all();
            } else {
                state = self.wait(state);
            }
        }
    }

    /// Writes a run, and says how much of it is in the system's memory now.
    fn write(&self, direct: &mut Option<File>, run: &Run) -> io::Result<usize> {
        let bytes = run.bytes();
        if bytes.len() >= WORTH_WAITING
            && let Some(file) = direct
        {
            let (head, sectors, tail, at) = run.sectors();
            if file.write_all_at(sectors, at).is_ok() {
                self.file.write_all_at(head, run.start())?;
                let end = at.saturating_add(u64_from_usize(sectors.len()));
                self.file.write_all_at(tail, end)?;
                return Ok(head.len().saturating_add(tail.len()));
            }
            // Not every file can be written so that can be opened so. A real fault comes again.
            *direct = None;
        }
        self.file.write_all_at(bytes, run.start())?;
        Ok(bytes.len())
    }
}

/// The same fault, to be told more than once.
fn again(fault: &io::Error) -> io::Error {
    fault
        .raw_os_error()
        .map_or_else(|| fault.kind().into(), io::Error::from_raw_os_error)
}

/// Opens a file again so that writes pass the system's memory by, where the system and the file can do that.
#[cfg(target_os = "linux")]
fn open_direct(path: &Path, file: &File) -> io::Result<Option<File>> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

    let direct = std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(OFlags::DIRECT.bits().cast_signed())
        .open(path)?;
    let (ours, found) = (file.metadata()?, direct.metadata()?);
    let is_same = (ours.dev(), ours.ino()) == (found.dev(), found.ino());
    Ok(is_same.then_some(direct))
}

#[cfg(not(target_os = "linux"))]
fn open_direct(_path: &Path, _file: &File) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that is asked of a file, of one that can be written in both ways.
    fn with_file(test: impl Fn(&WriteBehind)) {
        // In memory, and where the code is, which is a disk as a rule.
        for folder in [std::env::temp_dir(), env!("CARGO_MANIFEST_DIR").into()] {
            let file = tempfile::NamedTempFile::new_in(folder).unwrap();
            file.as_file().set_len(64 << 20).unwrap();
            let behind = WriteBehind::new(file.reopen().unwrap(), file.path());
            test(&behind);
            behind.flush().unwrap();
        }
    }

    fn pattern(length: usize, seed: usize) -> Vec<u8> {
        (0..length).map(|at| ((at + seed) % 253) as u8).collect()
    }

    #[test]
    fn what_was_written_can_be_read_at_once_and_afterwards() {
        with_file(|behind| {
            let bytes = pattern(9 << 20, 0);
            // Blocks of odd sizes, in rows and with gaps between.
            let mut at = 0;
            for (number, size) in [512, 130_560, 4096, 1_500_000, 70_000]
                .into_iter()
                .cycle()
                .take(25)
                .enumerate()
            {
                let Some(block) = bytes.get(at..at + size) else {
                    break;
                };
                behind.write(block, at as u64).unwrap();
                let mut found = vec![0; size];
                behind.read(&mut found, at as u64).unwrap();
                assert!(found == block, "block {number} at {at}");
                at += size;
                at += usize::from(number % 7 == 6) * 1024;
            }
            let mut all = vec![0; at];
            behind.flush().unwrap();
            behind.read(&mut all, 0).unwrap();
            behind.drain().unwrap().read_exact_at(&mut all[..512], 0).unwrap();
            assert!(all[..400_000] == bytes[..400_000]);
        });
    }

    #[test]
    fn the_last_word_counts() {
        with_file(|behind| {
            behind.write(&pattern(8 << 20, 0), 0).unwrap();
            for seed in 1..5 {
                behind.write(&pattern(700, seed), (5 << 20) + 100).unwrap();
                behind
                    .write(&pattern(600_000, seed + 1), (5 << 20) + 300)
                    .unwrap();
            }
            // Partly in several runs, partly in the file.
            let mut found = vec![0; 1 << 20];
            behind.read(&mut found, 5 << 20).unwrap();
            let expected = [
                &pattern(8 << 20, 0)[5 << 20..(5 << 20) + 100],
                &pattern(200, 4),
                &pattern(600_000, 5),
                &pattern(8 << 20, 0)[(5 << 20) + 600_300..6 << 20],
            ]
            .concat();
            assert!(found == expected);
        });
    }

    #[test]
    fn a_fault_is_told_by_the_next_write_and_the_next_flush() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Open for reading only, so that every write fails.
        let behind = WriteBehind::new(File::open(file.path()).unwrap(), file.path());
        behind.0.lock().direct = None;
        behind.0.lock().gathered = WORTH_A_THREAD;
        behind.write(&[1; WORTH_WAITING], 0).unwrap();
        behind.write(&[1; WORTH_WAITING], 1 << 20).unwrap();
        let mut found = [0; 4096];
        behind.read(&mut found, 1 << 20).unwrap();
        assert_eq!(found, [1; 4096]);
        drop(behind.settle(behind.0.lock()));
        behind.write(&[1; 512], 0).unwrap_err();
        behind.flush().unwrap_err();
        behind.flush().unwrap();
    }
}
