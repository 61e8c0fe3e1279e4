//! A piece of the file and the sums of its cells.

use std::fs::File;
use std::io;
use std::ops::Range;

use zferry_blocks::MappedFile;
use zferry_blocks::checksum::fletcher4::{Fletcher4 as Words, Lanes};
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

use crate::fletcher::Fletcher4;

/// The bytes of a chunk.
pub(super) const CHUNK: usize = 1 << 20;

/// How often a sum is noted, in bytes. Divides [`STEP`].
pub(super) const CELL: usize = 1 << 10;

/// How much of a chunk is read before it is summed, so that it is still in the cache. Divides [`CHUNK`].
const STEP: usize = 128 << 10;

/// What chunks are made from.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) file: File,
    pub(super) map: Option<MappedFile>,
}

/// A piece of the file.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    /// The sum of the chunk's first n cells, for each n.
    sums: Vec<Words>,
}

/// Where a piece of the file is.
#[derive(Debug)]
pub(super) enum Bytes {
    /// Here.
    Read(Vec<u8>),
    /// There in the mapped file.
    Mapped(Range<usize>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Read(Vec::new())
    }
}

impl Chunk {
    pub(super) const fn length(&self) -> usize {
        match &self.bytes {
            Bytes::Read(bytes) => bytes.len(),
            Bytes::Mapped(range) => range.end.saturating_sub(range.start),
        }
    }

    /// The sum of the whole cells among the `limit` bytes from `at` on, if a cell begins there and there is one.
    pub(super) fn cells(&self, at: usize, limit: usize, endian: Endian) -> Option<Fletcher4> {
        let first = at / CELL;
        let last = first
            .saturating_add(limit / CELL)
            .min(self.sums.len().saturating_sub(1));
        if !at.is_multiple_of(CELL) || last <= first {
            return None;
        }
        let sum = |cells: usize| -> Option<Fletcher4> {
            let length = u64_from_usize(cells).saturating_mul(u64_from_usize(CELL));
            Some(Fletcher4::known(endian, length, *self.sums.get(cells)?))
        };
        Some(sum(last)?.behind(&sum(first)?))
    }

    /// Makes this the chunk at `offset`, and notes the sums at the ends of its cells.
    pub(super) fn fill(&mut self, input: &Input, offset: u64, endian: Endian) -> io::Result<()> {
        self.sums.clear();
        self.sums.push(Words::default());
        match &input.map {
            Some(map) if self.fill_mapped(map, usize_from_u64(offset), endian) => Ok(()),
            _ => self.fill_read(&input.file, offset, endian),
        }
    }

    /// Sums the chunk where it is mapped, unless it cannot be had in that way.
    fn fill_mapped(&mut self, map: &MappedFile, offset: usize, endian: Endian) -> bool {
        let start = offset.min(map.length());
        let range = start..start.saturating_add(CHUNK).min(map.length());
        if map.fetch(range.clone()).is_err() {
            return false;
        }
        map.sum_cells(range.clone(), CELL, endian, |sum| self.sums.push(sum.sum()));
        self.bytes = Bytes::Mapped(range);
        true
    }

    /// Reads the chunk and sums it step by step.
    fn fill_read(&mut self, file: &File, offset: u64, endian: Endian) -> io::Result<()> {
        let mut bytes = match std::mem::take(&mut self.bytes) {
            Bytes::Read(bytes) => bytes,
            Bytes::Mapped(_) => Vec::new(),
        };
        bytes.resize(CHUNK, 0);
        let mut sum = Lanes::default();
        let mut length: usize = 0;
        for step in bytes.chunks_mut(STEP) {
            let at = offset.saturating_add(u64_from_usize(length));
            let count = read_fully_at(file, step, at)?;
            for cell in step.get(..count).unwrap_or_default().chunks_exact(CELL) {
                sum.update(cell.as_chunks().0, endian);
                self.sums.push(sum.sum());
            }
            length = length.saturating_add(count);
            if count < step.len() {
                break;
            }
        }
        bytes.truncate(length);
        self.bytes = Bytes::Read(bytes);
        Ok(())
    }
}

/// Reads until `buffer` is full or the file ends.
pub(super) fn read_fully_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
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
