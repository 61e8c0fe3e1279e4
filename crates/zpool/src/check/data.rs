//! Reading every block of data and comparing its checksum, with several threads.
//!
//! Metadata is read by the walk itself. What is read here is kept nowhere: a thread holds one block at a time.

use super::finding::{Findings, Spot};
use crate::spa::{BlockPointer, BlockReader};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use zferry_wire::usize_from_u64;

/// How many blocks are read together.
const BATCH: usize = 512;
/// No block is larger, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// Blocks that wait to be read.
pub(super) struct DataCheck<'c> {
    reader: &'c BlockReader,
    threads: usize,
    waiting: Vec<(Spot, BlockPointer)>,
}

impl<'c> DataCheck<'c> {
    pub(super) fn new(reader: &'c BlockReader, threads: usize) -> Self {
        Self {
            reader,
            threads: threads.max(1),
            waiting: Vec::new(),
        }
    }

    /// Has a block read sooner or later.
    pub(super) fn add(&mut self, spot: Spot, pointer: &BlockPointer, findings: &mut Findings<'_>) {
        if pointer.is_hole() || pointer.is_embedded() {
            return;
        }
        self.waiting.push((spot, *pointer));
        if self.waiting.len() >= BATCH {
            self.finish(findings);
        }
    }

    /// Reads what waits.
    pub(super) fn finish(&mut self, findings: &mut Findings<'_>) {
        let waiting = std::mem::take(&mut self.waiting);
        let next = Mutex::new(waiting.iter());
        let reader = self.reader;
        let mut bad: Vec<(Spot, crate::Error)> = thread::scope(|scope| {
            let work = || {
                let mut bad = Vec::new();
                let mut buffer = Vec::new();
                loop {
                    let taken = next.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((spot, pointer)) = taken else { return bad };
                    if let Err(error) = read(reader, pointer, &mut buffer) {
                        bad.push((spot.clone(), error));
                    }
                }
            };
            let threads: Vec<_> = (0..self.threads.min(waiting.len()))
                .map(|_| scope.spawn(work))
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap_or_default())
                .collect()
        });
        bad.sort_by_key(|(spot, _)| spot.to_string());
        for (spot, error) in bad {
            findings.unreadable(spot, &error);
        }
    }
}

fn read(reader: &BlockReader, pointer: &BlockPointer, buffer: &mut Vec<u8>) -> Result<(), crate::Error> {
    let size = pointer.physical_size().min(BLOCK_BYTES_MAX);
    buffer.resize(usize_from_u64(size), 0);
    reader.read_stored(pointer, buffer)
}
