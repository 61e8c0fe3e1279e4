//! Has the system write a file out while more is being written, so that a flush at the end has little left to wait for.
//!
//! Left to itself, the system keeps what was written in memory for half a minute, and then a flush of a gigabyte takes
//! seconds in which nothing else is done. So a thread of its own flushes whenever another step has been written. A fault
//! that it meets is told by the next flush that is asked for, since the system tells of a fault only once.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{Builder, JoinHandle};
use zferry_wire::u64_from_usize;

/// How much is written before it is flushed behind the writer, in bytes.
const STEP: u64 = 32 << 20;

/// A file and the thread that flushes it, once there is enough to flush.
#[derive(Debug, Default)]
pub(super) struct WriteBehind {
    /// How many bytes were written since the thread was last woken.
    written: AtomicU64,
    /// `None` where no thread can be had: then all waits for the flush.
    flusher: OnceLock<Option<Flusher>>,
}

#[derive(Debug)]
struct Flusher {
    wake: Option<SyncSender<()>>,
    fault: Arc<Mutex<Option<io::Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl WriteBehind {
    /// Notes that `count` bytes more of `file` were written.
    pub(super) fn note(&self, file: &File, count: usize) {
        let count = u64_from_usize(count);
        let before = self.written.fetch_add(count, Ordering::Relaxed);
        if before.saturating_add(count) < STEP {
            return;
        }
        self.written.store(0, Ordering::Relaxed);
        if let Some(flusher) = self.flusher.get_or_init(|| Flusher::start(file).ok()) {
            flusher.wake();
        }
    }

    /// What went wrong behind the writer, if anything has.
    ///
    /// # Errors
    /// Just that.
    pub(super) fn check(&self) -> io::Result<()> {
        let fault = self.flusher.get().and_then(Option::as_ref).and_then(|flusher| {
            let mut fault = flusher.fault.lock().unwrap_or_else(PoisonError::into_inner);
            fault.take()
        });
        fault.map_or(Ok(()), Err)
    }
}

impl Flusher {
    fn start(file: &File) -> io::Result<Self> {
        let file = file.try_clone()?;
        let (wake, woken) = sync_channel(1);
        let fault = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&fault);
        let thread = Builder::new().name("write-behind".to_owned()).spawn(move || {
            while woken.recv().is_ok() {
                if let Err(error) = file.sync_data() {
                    *noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                }
            }
        })?;
        Ok(Self {
            wake: Some(wake),
            fault,
            thread: Some(thread),
        })
    }

    /// Has what is written by now flushed. Where that was asked for already and has not begun, once is enough.
    fn wake(&self) {
        if let Some(wake) = &self.wake {
            match wake.try_send(()) {
                Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
            }
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has ended as well.
            let _ = thread.join();
        }
    }
}
