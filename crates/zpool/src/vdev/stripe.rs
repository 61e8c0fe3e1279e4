//! A block that is spread over columns with parity: where its columns are, and how it is put together when some of them
//! are gone or wrong.
//!
//! A stripe has rows; a row has parity columns and, behind them, data columns, each a range of one child. What is lost
//! of a row follows from its parity alone. Raidz writes a block in one row; a raidz vdev that has grown, in rows of one
//! sector a column; dRAID, in one row or two.

use super::label::DATA_OFFSET;
use super::parity::{PARITY_MAX, Recovery};
use std::ops::Range;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How many guesses are made at most which columns of a block are wrong.
const GUESSES_MAX: usize = 1 << 16;

/// What a stripe's columns are read from.
pub(super) trait Children {
    /// Fills `buffer` from a child, from `place` on, in bytes from the start of a device.
    ///
    /// Where a child is made of several devices that ought to be equal, `version` tells which of them is asked first.
    fn read(&self, child: usize, place: u64, buffer: &mut [u8], version: usize) -> Result<(), String>;

    /// How many versions there may be of a child's bytes.
    fn versions(&self) -> usize;
}

/// A column of a row: what one child has of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Column {
    /// The child.
    pub child: usize,
    /// Where it begins, in bytes from the start of a device.
    pub place: u64,
    /// Its length in bytes. Shorter columns count as filled up with zeros.
    pub len: usize,
    /// Where a data column lies in the block.
    pub at: usize,
}

impl Column {
    const fn range(&self) -> Range<usize> {
        self.at..self.at.saturating_add(self.len)
    }
}

/// Where a block lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stripe {
    /// The columns of all rows.
    pub columns: Vec<Column>,
    /// How many columns a row has.
    pub width: usize,
    /// How many of a row's columns are parity: the first ones.
    pub parity: usize,
    /// The size of a sector, as a power of two.
    pub ashift: u32,
    /// How many children the vdev has.
    pub children: usize,
    /// How many it had when it was made.
    pub children_at_first: usize,
}

/// The parity and the data columns of a row, with the number of the row's first column in the stripe.
struct Row<'s> {
    first: usize,
    parity: &'s [Column],
    data: &'s [Column],
}

/// All columns of a stripe in memory.
struct Loaded {
    bytes: Vec<u8>,
    /// For each column, where it is in `bytes`; `None` where it could not be read.
    ranges: Vec<Option<Range<usize>>>,
}

impl Loaded {
    fn column(&self, index: usize) -> Option<&[u8]> {
        self.bytes.get(self.ranges.get(index)?.clone()?)
    }
}

impl Stripe {
    fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let width = self.width.max(1);
        let rows = self.columns.chunks_exact(width).enumerate();
        rows.filter_map(move |(row, columns)| {
            let (parity, data) = columns.split_at_checked(self.parity)?;
            let first = row.saturating_mul(width);
            Some(Row { first, parity, data })
        })
    }

    /// Reads the block into `block`, in every way that there is, until `accept` says that it is right. What was wrong
    /// is added to `failures`.
    pub(super) fn read(
        &self,
        children: &dyn Children,
        block: &mut [u8],
        accept: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
        failures: &mut Vec<String>,
    ) -> bool {
        // Many short columns are better read in long runs, parity and all.
        if self.columns.len() <= self.width.saturating_mul(2) {
            if let Err(failure) = self.read_data(children, block) {
                failures.push(failure);
                return false;
            }
            match accept(block) {
                Ok(()) => return true,
                Err(failure) => failures.push(failure),
            }
        }
        (0..children.versions().max(1))
            .any(|version| self.read_guessing(children, version, block, accept, failures))
    }

    /// Reads the data columns where they belong, and makes up for those that cannot be read.
    fn read_data(&self, children: &dyn Children, block: &mut [u8]) -> Result<(), String> {
        for row in self.rows() {
            let mut failures = Vec::new();
            let mut lost = Vec::new();
            for (number, column) in row.data.iter().enumerate() {
                let Some(bytes) = block.get_mut(column.range()) else {
                    return Err("the block is shorter than its columns".to_owned());
                };
                if column.len == 0 {
                    continue;
                }
                if let Err(failure) = children.read(column.child, column.place, bytes, 0) {
                    failures.push(failure);
                    lost.push(number);
                }
            }
            let mut parity = Vec::new();
            for (number, column) in row.parity.iter().enumerate() {
                if parity.len() == lost.len() {
                    break;
                }
                let mut bytes = vec![0; column.len];
                match children.read(column.child, column.place, &mut bytes, 0) {
                    Ok(()) => parity.push((number, bytes)),
                    Err(failure) => failures.push(failure),
                }
            }
            let parity: Vec<(usize, &[u8])> = parity
                .iter()
                .map(|(number, bytes)| (*number, bytes.as_slice()))
                .collect();
            if !recover(block, row.data, &lost, &parity) {
                return Err(too_many(&failures, self.parity));
            }
        }
        Ok(())
    }

    /// Reads all columns, and guesses which of them are wrong: none, then each, then each two, as far as parity
    /// reaches.
    fn read_guessing(
        &self,
        children: &dyn Children,
        version: usize,
        block: &mut [u8],
        accept: &mut dyn FnMut(&mut [u8]) -> Result<(), String>,
        failures: &mut Vec<String>,
    ) -> bool {
        let mut unread = Vec::new();
        let loaded = self.load(children, version, &mut unread);
        if !self.assemble(&loaded, &[], block) {
            failures.push(too_many(&unread, self.parity));
            return false;
        }
        match accept(block) {
            Ok(()) => return true,
            Err(failure) => failures.push(failure),
        }
        let suspects = self.suspects();
        let mut guesses = 0_usize;
        for count in 1..=self.parity {
            let mut guess: Vec<usize> = (0..count).collect();
            while let Some(chosen) = choose(&suspects, &guess) {
                guesses = guesses.saturating_add(1);
                if guesses > GUESSES_MAX {
                    return false;
                }
                if self.assemble(&loaded, &chosen, block) && accept(block).is_ok() {
                    tracing::debug!(?chosen, "made up for wrong columns of a block");
                    return true;
                }
                if !advance(&mut guess, suspects.len()) {
                    break;
                }
            }
        }
        failures.push(format!(
            "with any {} columns taken for wrong it is still wrong",
            self.parity
        ));
        false
    }

    /// Reads all columns, neighbours on one child together.
    fn load(&self, children: &dyn Children, version: usize, failures: &mut Vec<String>) -> Loaded {
        let mut order: Vec<(usize, &Column)> = self.columns.iter().enumerate().collect();
        order.retain(|(_, column)| column.len > 0);
        order.sort_by_key(|(_, column)| (column.child, column.place));
        let total = order
            .iter()
            .fold(0, |sum: usize, (_, column)| sum.saturating_add(column.len));
        let mut bytes = vec![0; total];
        let mut ranges = vec![None; self.columns.len()];
        let mut start = 0_usize;
        let neighbours = |(_, a): &(usize, &Column), (_, b): &(usize, &Column)| {
            a.child == b.child && a.place.checked_add(u64_from_usize(a.len)) == Some(b.place)
        };
        for run in order.chunk_by(neighbours) {
            let read = run.first().and_then(|(_, first)| {
                let len = run
                    .iter()
                    .fold(0, |sum: usize, (_, column)| sum.saturating_add(column.len));
                let bytes = bytes.get_mut(start..start.saturating_add(len))?;
                children.read(first.child, first.place, bytes, version).ok()
            });
            for (index, column) in run {
                let range = start..start.saturating_add(column.len);
                // Where the run cannot be read as a whole, some of its columns may still be.
                let outcome = match (read, bytes.get_mut(range.clone())) {
                    (Some(()), _) => Ok(()),
                    (None, Some(bytes)) => children.read(column.child, column.place, bytes, version),
                    (None, None) => Err("no room".to_owned()),
                };
                start = range.end;
                match (outcome, ranges.get_mut(*index)) {
                    (Ok(()), Some(slot)) => *slot = Some(range),
                    (Err(failure), _) => failures.push(failure),
                    (Ok(()), None) => {}
                }
            }
        }
        failures.dedup();
        Loaded { bytes, ranges }
    }

    /// Puts the block together from columns in memory without those of the children `wrong`. `false` where that is more
    /// than parity can make up for.
    fn assemble(&self, loaded: &Loaded, wrong: &[usize], block: &mut [u8]) -> bool {
        let is_sound = |column: &Column| !wrong.iter().any(|suspect| self.is_suspect(*suspect, column));
        for row in self.rows() {
            let mut lost = Vec::new();
            let data_first = row.first.saturating_add(row.parity.len());
            for ((number, column), index) in row.data.iter().enumerate().zip(data_first..) {
                if column.len == 0 {
                    continue;
                }
                let source = loaded.column(index).filter(|_| is_sound(column));
                match (source, block.get_mut(column.range())) {
                    (Some(source), Some(target)) => target.copy_from_slice(source),
                    (None, _) => lost.push(number),
                    (Some(_), None) => return false,
                }
            }
            let parity: Vec<(usize, &[u8])> = (row.parity.iter().enumerate().zip(row.first..))
                .filter(|((_, column), _)| is_sound(column))
                .filter_map(|((number, _), index)| Some((number, loaded.column(index)?)))
                .take(lost.len())
                .collect();
            if !recover(block, row.data, &lost, &parity) {
                return false;
            }
        }
        true
    }

    /// The children that may have been wrong, now or before the vdev grew, whose columns this stripe has.
    fn suspects(&self) -> Vec<usize> {
        let widths = self.children_at_first.clamp(1, self.children.max(1))..=self.children;
        let all = widths.fold(0, usize::saturating_add);
        let is_met = |suspect: &usize| {
            let mut read = self.columns.iter().filter(|column| column.len > 0);
            read.any(|column| self.is_suspect(*suspect, column))
        };
        (0..all).filter(is_met).collect()
    }

    /// Whether a column came from a child. Numbers above those of today's children are the children that there were
    /// before the last expansion, then those before the one before: what a disk had wrong then has since moved to other
    /// disks.
    pub(super) fn is_suspect(&self, mut suspect: usize, column: &Column) -> bool {
        let sector = column.place.saturating_sub(DATA_OFFSET) >> self.ashift.min(63);
        let sector = usize_from_u64(sector)
            .saturating_mul(self.children)
            .saturating_add(column.child);
        let mut width = self.children;
        while width >= self.children_at_first && width > 0 {
            if suspect < width {
                return sector.checked_rem(width) == Some(suspect);
            }
            suspect = suspect.saturating_sub(width);
            width = width.saturating_sub(1);
        }
        false
    }
}

/// Computes the data columns of a row that are lost, in their place in the block. `false` where the parity columns at
/// hand do not suffice.
fn recover(block: &mut [u8], data: &[Column], lost: &[usize], parity: &[(usize, &[u8])]) -> bool {
    if lost.is_empty() {
        return true;
    }
    let (numbers, bytes): (Vec<usize>, Vec<&[u8]>) = parity.iter().copied().unzip();
    let Some(recovery) = Recovery::new(data.len(), lost, &numbers) else {
        return false;
    };
    let columns: Vec<&[u8]> = data
        .iter()
        .map(|column| block.get(column.range()).unwrap_or_default())
        .collect();
    for (number, bytes) in recovery.solve(&columns, &bytes) {
        let target = data.get(number).and_then(|column| block.get_mut(column.range()));
        match target.and_then(|target| Some((bytes.get(..target.len())?, target))) {
            Some((bytes, target)) => target.copy_from_slice(bytes),
            None => return false,
        }
    }
    true
}

/// The suspects with the numbers in `guess`; `None` where there are not as many.
fn choose(suspects: &[usize], guess: &[usize]) -> Option<Vec<usize>> {
    guess.iter().map(|index| suspects.get(*index).copied()).collect()
}

/// The next choice of as many numbers below `count`, in rising order. `false` after the last.
fn advance(guess: &mut [usize], count: usize) -> bool {
    let len = guess.len();
    for index in (0..len).rev() {
        let last = count.saturating_sub(len.saturating_sub(index));
        let Some(number) = guess.get(index).copied().filter(|number| *number < last) else {
            continue;
        };
        for (element, next) in guess.iter_mut().skip(index).zip(number.saturating_add(1)..) {
            *element = next;
        }
        return true;
    }
    false
}

fn too_many(failures: &[String], parity: usize) -> String {
    debug_assert!(parity <= PARITY_MAX);
    format!(
        "more columns are gone than the parity of {parity} makes up for: {}",
        failures.join(", ")
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::parity::encode;
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Children in memory, by sectors of 512 bytes. What was never written reads as 0x77.
    #[derive(Clone, Default)]
    pub(crate) struct Memory {
        sectors: BTreeMap<(usize, u64), Vec<u8>>,
        pub(crate) gone: BTreeSet<usize>,
        pub(crate) noisy: BTreeSet<usize>,
    }

    const SECTOR: u64 = 512;

    impl Memory {
        /// Writes a block where a stripe says, with its parity.
        pub(crate) fn write(&mut self, stripe: &Stripe, block: &[u8]) {
            for row in stripe.rows() {
                let data: Vec<&[u8]> = row.data.iter().map(|column| &block[column.range()]).collect();
                for (number, column) in row.parity.iter().enumerate() {
                    let mut sum = vec![0; column.len];
                    encode(data.iter().copied(), number, &mut sum);
                    self.put(column, &sum);
                }
                for (column, bytes) in row.data.iter().zip(data) {
                    self.put(column, bytes);
                }
            }
        }

        /// Changes what a column has.
        pub(crate) fn spoil(&mut self, column: &Column) {
            if let Some(sector) = self.sectors.get_mut(&(column.child, column.place)) {
                sector[7] ^= 0x55;
            }
        }

        fn put(&mut self, column: &Column, bytes: &[u8]) {
            let places = (column.place..).step_by(SECTOR as usize);
            for (sector, place) in bytes.chunks(SECTOR as usize).zip(places) {
                let before = self.sectors.insert((column.child, place), sector.to_vec());
                assert_eq!(before, None, "{column:?} overlaps another column");
            }
        }
    }

    impl Children for Memory {
        fn read(&self, child: usize, place: u64, buffer: &mut [u8], _: usize) -> Result<(), String> {
            if self.gone.contains(&child) {
                return Err(format!("child {child} is missing"));
            }
            for (sector, place) in buffer
                .chunks_mut(SECTOR as usize)
                .zip((place..).step_by(SECTOR as usize))
            {
                match self.sectors.get(&(child, place)) {
                    Some(bytes) => sector.copy_from_slice(bytes),
                    None => sector.fill(0x77),
                }
                if self.noisy.contains(&child) {
                    sector[0] ^= 1;
                }
            }
            Ok(())
        }

        fn versions(&self) -> usize {
            1
        }
    }

    /// A block in which no two bytes near each other are equal.
    pub(crate) fn block(len: usize) -> Vec<u8> {
        (0..len)
            .map(|index| (index % 251) as u8 ^ (index / 509) as u8)
            .collect()
    }

    /// Reads a block back from children, and says whether it came out right.
    pub(crate) fn reads_back(stripe: &Stripe, memory: &Memory, block: &[u8]) -> bool {
        let mut read = vec![0xee; block.len()];
        let mut accept = |bytes: &mut [u8]| {
            if bytes == block {
                Ok(())
            } else {
                // Whoever looks may change what is wrong.
                bytes.fill(0x11);
                Err("wrong".to_owned())
            }
        };
        let mut failures = Vec::new();
        let is_read = stripe.read(memory, &mut read, &mut accept, &mut failures);
        assert_eq!(is_read, read == block);
        assert!(is_read || !failures.is_empty());
        is_read
    }

    #[test]
    fn every_choice_comes_once() {
        let mut guess = vec![0, 1, 2];
        let mut seen = vec![guess.clone()];
        while advance(&mut guess, 6) {
            seen.push(guess.clone());
        }
        assert_eq!(seen.len(), 20);
        assert_eq!(seen.last().unwrap(), &[3, 4, 5]);
        assert!(seen.is_sorted());
        assert!(!advance(&mut [0, 1], 2));
    }
}
