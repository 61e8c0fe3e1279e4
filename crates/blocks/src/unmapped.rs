//! What stands in for `mapped.rs` where files are not mapped: opening always fails, so everything else cannot happen.

use std::fs::File;
use std::io;
use std::ops::Range;

use zferry_wire::Endian;

use crate::checksum::fletcher4::{Fletcher4, Lanes};

/// A file in the process's memory, of which there are none on this system.
#[derive(Debug)]
pub enum MappedFile {}

impl MappedFile {
    /// Maps `file`, elsewhere.
    ///
    /// # Errors
    /// Always.
    pub fn new(_file: &File) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn length(&self) -> usize {
        match *self {}
    }

    /// Sees to it that the bytes in `range` can be read.
    ///
    /// # Errors
    /// If they cannot.
    pub fn fetch(&self, _range: Range<usize>) -> io::Result<()> {
        match *self {}
    }

    /// Tells the system that the bytes in `range` are not looked at again soon.
    pub fn release(&self, _range: Range<usize>) {
        match *self {}
    }

    /// Copies the bytes from `at` on into `target` and says how many there were.
    pub fn copy(&self, _at: usize, _target: &mut [u8]) -> usize {
        match *self {}
    }

    /// The sum of the bytes in `range`.
    #[must_use]
    pub fn sum(&self, _range: Range<usize>, _endian: Endian) -> Fletcher4 {
        match *self {}
    }

    /// Sums the whole cells of `cell` bytes in `range`, and shows `note` the sum to the end of each.
    pub fn sum_cells(&self, _range: Range<usize>, _cell: usize, _endian: Endian, _note: impl FnMut(&Lanes)) {
        match *self {}
    }
}
