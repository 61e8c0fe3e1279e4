//! Memory that payloads are read into, one behind the other, without another copy of them.

use std::ops::Range;

/// Payloads in one piece of memory.
#[derive(Debug, Default)]
pub struct Payloads {
    /// Only ever grows, so that it is zeroed but once.
    memory: Vec<u8>,
    used: usize,
}

impl Payloads {
    /// None yet, in memory that was used before, or is empty.
    #[must_use]
    pub const fn new(memory: Vec<u8>) -> Self {
        Self { memory, used: 0 }
    }

    /// The memory, with all that was read into it and more.
    #[must_use]
    pub fn into_memory(self) -> Vec<u8> {
        self.memory
    }

    /// How many bytes have been read into it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.used
    }

    /// Whether nothing has been read.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Room for the next `bytes` bytes, whatever is in them.
    pub(crate) fn offer(&mut self, bytes: usize) -> &mut [u8] {
        let end = self.used.saturating_add(bytes);
        if self.memory.len() < end {
            self.memory.resize(end, 0);
        }
        self.memory.get_mut(self.used..end).unwrap_or_default()
    }

    /// Keeps the first `bytes` of what was offered, and says where they are.
    pub(crate) const fn keep(&mut self, bytes: usize) -> Range<usize> {
        let start = self.used;
        self.used = start.saturating_add(bytes);
        start..self.used
    }
}
