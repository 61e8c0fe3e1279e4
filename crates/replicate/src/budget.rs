//! A bound on how much is in memory between the threads of a pipeline.

use std::sync::{Condvar, Mutex, PoisonError};

/// How many bytes may be in flight. One piece is always let through, however large.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: u64,
    closed: bool,
}

impl Budget {
    /// A budget of so many bytes.
    pub(crate) const fn new(limit: u64) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                bytes: 0,
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Waits until `bytes` more may be in flight. False where the other side has given up.
    pub(crate) fn acquire(&self, bytes: u64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.closed && state.bytes > 0 && state.bytes.saturating_add(bytes) > self.limit {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.bytes = state.bytes.saturating_add(bytes);
        !state.closed
    }

    /// So many bytes are in flight no more.
    pub(crate) fn release(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bytes = state.bytes.saturating_sub(bytes);
        self.changed.notify_one();
    }

    /// Lets whoever waits know that nobody takes anything any more.
    pub(crate) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.changed.notify_all();
    }
}
