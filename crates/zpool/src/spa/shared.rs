//! Memory that many blocks share, so that there is no taking and giving back of memory for each.

use std::ops::{Deref, Range};
use std::sync::Arc;

/// Room for more than this many bytes is given back after use: 16 MiB blocks are rare, and threads are many.
const KEPT_BYTES: usize = 2 << 20;

/// Bytes in memory that others may share. They do not change any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedBytes {
    memory: Arc<Vec<u8>>,
    place: Range<usize>,
}

impl SharedBytes {
    /// The part `place` of `memory`.
    pub(super) fn part(memory: &Arc<Vec<u8>>, place: Range<usize>) -> Self {
        Self {
            memory: Arc::clone(memory),
            place,
        }
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            place: 0..bytes.len(),
            memory: Arc::new(bytes),
        }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.memory.get(self.place.clone()).unwrap_or_default()
    }
}

/// Room that blocks are compressed into, one behind the other.
#[derive(Debug, Default)]
pub struct Room {
    /// Only ever grows, so that it is zeroed but once.
    memory: Vec<u8>,
    used: usize,
}

impl Room {
    /// Room in memory that was used before, or is empty.
    #[must_use]
    pub const fn new(memory: Vec<u8>) -> Self {
        Self { memory, used: 0 }
    }

    /// The memory, with all that was put there.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.memory
    }

    /// The next `bytes` bytes, whatever is in them.
    pub(super) fn offer(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.used.saturating_add(bytes);
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        self.memory.get_mut(self.used..end).unwrap_or_default()
    }

    /// Keeps the first `bytes` of what was offered, and says where they are.
    pub(super) const fn take(&mut self, bytes: usize) -> Range<usize> {
        let start = self.used;
        self.used = start.saturating_add(bytes);
        start..self.used
    }

    pub(super) fn get(&self, place: Range<usize>) -> &[u8] {
        self.memory.get(place).unwrap_or_default()
    }

    /// Forgets all, and keeps the memory unless it is much.
    pub(super) fn clear(&mut self) {
        self.used = 0;
        if self.memory.len() > KEPT_BYTES {
            self.memory = Vec::new();
        }
    }
}
