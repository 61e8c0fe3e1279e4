//! Raidz: blocks over all children, with one to three columns of parity.
//!
//! The vdev's address space counts sectors across the children: sector s is on child s mod w, at s div w. A block takes
//! consecutive sectors, its columns are the children, from the one where it begins; the first ones are parity.
//!
//! ```text
//! child      0    1    2    3    4
//! row 0      P    D₀   D₂   D₄   D₆     a block of 8 sectors at 0, parity 1: P sums each row, and the columns
//! row 1      P'   D₁   D₃   D₅   D₇     are read as D₀D₁, D₂D₃, …
//! row 2      P    D₀   D₁   –    …      the next block, of 2 sectors, is padded to a multiple of parity + 1 sectors
//! ```
//!
//! With single parity, blocks at offsets with bit 20 set have their first two columns exchanged.
//!
//! When a disk is added, sectors are moved so that sector s is on child s mod (w+1): a block that was written before
//! keeps its shape, w columns wide, but its rows now begin on different children. Its birth tells how wide it is:
//! `raidz_expand_txgs` has the first transaction group of each new width.

use super::config::RaidzConfig;
use super::label::DATA_OFFSET;
use super::slot::{Leaf, Slot, read_device};
use super::stripe::{Children, Column, Stripe};
use super::uberblock::Reflow;
use crate::{Corrupt, Txg};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How many children a raidz or dRAID vdev may have.
pub(super) const CHILDREN_MAX: usize = 255;
/// Blocks of single parity at offsets with this bit have their first two columns exchanged.
const EXCHANGE_BIT: u64 = 1 << 20;
/// Where a vdev that grows keeps what has moved while old and new places overlap, before the data.
const SCRATCH_BYTES: u64 = 7 << 19;

/// A raidz vdev.
#[derive(Debug)]
pub(super) struct Raidz {
    geometry: Geometry,
    children: Vec<Slot>,
}

/// The numbers from which a raidz vdev's layout follows.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    ashift: u32,
    parity: u64,
    /// How many children there are.
    children: u64,
    /// How many there were when the vdev was made.
    children_at_first: u64,
    /// From which transaction group on blocks are how wide, oldest first.
    widths: Vec<(Txg, u64)>,
    /// How far a disk that is being added is in use.
    reflow: Option<Reflow>,
}

impl Raidz {
    pub(super) fn new(
        config: &RaidzConfig,
        ashift: u32,
        children: Vec<Slot>,
        reflow: Reflow,
    ) -> Result<Self, Corrupt> {
        let geometry = Geometry::new(config, ashift, children.len(), reflow)?;
        Ok(Self { geometry, children })
    }

    /// Where a block of `len` bytes lies that was born in `birth`.
    pub(super) fn stripe(&self, offset: u64, len: usize, birth: Txg) -> Result<Stripe, String> {
        self.geometry.stripe(offset, len, birth)
    }
}

impl Children for Raidz {
    fn read(&self, child: usize, place: u64, buffer: &mut [u8], version: usize) -> Result<(), String> {
        let slot = self.children.get(child).ok_or("no such child")?;
        read_slot(slot, place, buffer, version)
    }

    fn versions(&self) -> usize {
        versions(&self.children)
    }
}

/// Reads from the first leaf that can be read; `version` tells which is asked first.
pub(super) fn read_slot(slot: &Slot, place: u64, buffer: &mut [u8], version: usize) -> Result<(), String> {
    let leaves = slot.leaves();
    let turn = version.checked_rem(leaves.len()).unwrap_or(0);
    let (head, tail) = leaves.split_at_checked(turn).unwrap_or_default();
    let mut failures = Vec::new();
    for leaf in tail.iter().chain(head) {
        let failure = match leaf {
            Leaf::Device { disk, .. } => match read_device(&**disk, place, buffer) {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            },
            Leaf::Missing { name } => format!("{name} is missing"),
            Leaf::DistributedSpare(_) => "a distributed spare outside of dRAID".to_owned(),
        };
        failures.push(failure);
    }
    Err(failures.join(", "))
}

/// Of how many leaves the child has most that has most.
pub(super) fn versions(children: &[Slot]) -> usize {
    children.iter().map(|slot| slot.leaves().len()).max().unwrap_or(1)
}

impl Geometry {
    pub(super) fn new(
        config: &RaidzConfig,
        ashift: u32,
        children: usize,
        reflow: Reflow,
    ) -> Result<Self, Corrupt> {
        let parity = u64::from(config.parity);
        let expanding = u64::from(config.is_expanding);
        let expansions = u64_from_usize(config.expand_txgs.len()).saturating_add(expanding);
        let width = u64_from_usize(children);
        let children_at_first = width.checked_sub(expansions).filter(|first| *first > parity);
        let (Some(children_at_first), true) = (children_at_first, children <= CHILDREN_MAX) else {
            return Err(Corrupt::new(format!(
                "raidz{parity} of {children} children after {expansions} expansions"
            )));
        };
        let grown = children_at_first.saturating_add(1)..;
        let mut widths: Vec<(Txg, u64)> = config.expand_txgs.iter().copied().map(Txg).zip(grown).collect();
        widths.sort_unstable();
        Ok(Self {
            ashift,
            parity,
            children: width,
            children_at_first,
            widths,
            reflow: config.is_expanding.then_some(reflow),
        })
    }

    /// How many columns a block has at most that was born in `birth`.
    fn width_at(&self, birth: Txg) -> u64 {
        let earlier = self.widths.iter().rev().find(|(since, _)| *since <= birth);
        earlier.map_or(self.children_at_first, |(_, width)| *width)
    }

    pub(super) fn stripe(&self, offset: u64, len: usize, birth: Txg) -> Result<Stripe, String> {
        let sector = 1_u64 << self.ashift.min(63);
        let bytes = u64_from_usize(len);
        let is_whole = offset.is_multiple_of(sector) && bytes.is_multiple_of(sector);
        if !is_whole || bytes == 0 || offset.checked_add(bytes).is_none() {
            return Err(format!("{len} bytes at {offset} are no whole sectors"));
        }
        let block = BlockShape {
            first: offset >> self.ashift,
            sectors: bytes >> self.ashift,
            width: self.width_at(birth),
            parity: self.parity,
        };
        let mut stripe = if block.width == self.children {
            self.plain(block)
        } else {
            self.expanded(block)
        };
        if self.parity == 1 && offset & EXCHANGE_BIT != 0 {
            for row in stripe.columns.chunks_exact_mut(stripe.width.max(2)) {
                if let [first, second, ..] = row {
                    std::mem::swap(&mut first.child, &mut second.child);
                    std::mem::swap(&mut first.place, &mut second.place);
                }
            }
        }
        Ok(stripe)
    }

    fn new_stripe(&self, columns: Vec<Column>, width: u64) -> Stripe {
        Stripe {
            columns,
            width: usize_from_u64(width),
            parity: usize_from_u64(self.parity),
            ashift: self.ashift,
            children: usize_from_u64(self.children),
            children_at_first: usize_from_u64(self.children_at_first),
        }
    }

    /// A block as wide as the vdev: one row, each column the sectors of one child.
    fn plain(&self, block: BlockShape) -> Stripe {
        let columns = block.columns();
        let mut at = 0_usize;
        let column = |index: u64| {
            let (child, place) = self.locate(block.first.saturating_add(index), self.children, false);
            let len = usize_from_u64(block.column_sectors(index) << self.ashift);
            let start = at;
            if index >= self.parity {
                at = at.saturating_add(len);
            }
            Column {
                child,
                place,
                len,
                at: if index >= self.parity { start } else { 0 },
            }
        };
        self.new_stripe((0..columns).map(column).collect(), columns)
    }

    /// A block that was written when the vdev was narrower, or is being moved: a column of one sector for each.
    fn expanded(&self, block: BlockShape) -> Stripe {
        let columns = block.columns();
        let rows = block.rows();
        let row_columns = (0..rows).flat_map(|row| (0..columns).map(move |index| (row, index)));
        let column = |(row, index): (u64, u64)| {
            let row_first = block.first.saturating_add(row.saturating_mul(block.width));
            let (children, is_in_scratch) = self.children_of_row(row_first, columns);
            let (child, place) = self.locate(row_first.saturating_add(index), children, is_in_scratch);
            let is_there = row < block.column_sectors(index);
            Column {
                child,
                place,
                len: if is_there { 1 << self.ashift } else { 0 },
                at: match index.checked_sub(self.parity) {
                    Some(_) if is_there => {
                        usize_from_u64(block.sectors_before(index).saturating_add(row) << self.ashift)
                    }
                    _ => 0,
                },
            }
        };
        self.new_stripe(row_columns.map(column).collect(), columns)
    }

    /// Over how many children a row lies that begins with a sector, and whether it is in the scratch area.
    fn children_of_row(&self, first: u64, columns: u64) -> (u64, bool) {
        match self.reflow {
            None => (self.children, false),
            Some(reflow) if first.saturating_add(columns) > reflow.offset >> self.ashift => {
                (self.children.saturating_sub(1), false)
            }
            Some(reflow) => (self.children, reflow.is_in_scratch),
        }
    }

    /// The child of a sector, and where on the child's device it is, in bytes from its start.
    fn locate(&self, sector: u64, children: u64, is_in_scratch: bool) -> (usize, u64) {
        let child = sector.checked_rem(children).unwrap_or(0);
        let offset = sector.checked_div(children).unwrap_or(0) << self.ashift;
        let data = if is_in_scratch {
            DATA_OFFSET.saturating_sub(SCRATCH_BYTES)
        } else {
            DATA_OFFSET
        };
        (usize_from_u64(child), offset.saturating_add(data))
    }
}

/// A block's size and width, in sectors.
#[derive(Clone, Copy)]
struct BlockShape {
    first: u64,
    sectors: u64,
    width: u64,
    parity: u64,
}

impl BlockShape {
    /// How many data columns there are at most; never 0, which [`Geometry::new`] has seen to.
    fn data_width(self) -> u64 {
        self.width.saturating_sub(self.parity).max(1)
    }

    /// How many sectors every column has.
    fn full_rows(self) -> u64 {
        self.sectors.checked_div(self.data_width()).unwrap_or(0)
    }

    /// How many columns, parity included, have one sector more; 0 where all are equally long.
    fn longer_columns(self) -> u64 {
        match self.sectors.checked_rem(self.data_width()) {
            None | Some(0) => 0,
            Some(rest) => rest.saturating_add(self.parity),
        }
    }

    /// How many columns the block has.
    fn columns(self) -> u64 {
        if self.full_rows() == 0 {
            self.longer_columns()
        } else {
            self.width
        }
    }

    /// How many sectors the longest column has.
    fn rows(self) -> u64 {
        self.full_rows()
            .saturating_add(u64::from(self.longer_columns() > 0))
    }

    /// How many sectors a column has.
    fn column_sectors(self, index: u64) -> u64 {
        self.full_rows()
            .saturating_add(u64::from(index < self.longer_columns()))
    }

    /// How many sectors of the block lie in the data columns before one.
    fn sectors_before(self, index: u64) -> u64 {
        let before = index.saturating_sub(self.parity);
        let longer = self.longer_columns().saturating_sub(self.parity).min(before);
        before.saturating_mul(self.full_rows()).saturating_add(longer)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stripe::tests::{Memory, block, reads_back};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn geometry(parity: u8, children: usize, expand_txgs: Vec<u64>) -> Geometry {
        let config = RaidzConfig {
            parity,
            expand_txgs,
            is_expanding: false,
        };
        Geometry::new(&config, 9, children, Reflow::default()).unwrap()
    }

    /// For each sector of a block, the child and the place that has it.
    fn sectors(stripe: &Stripe) -> BTreeMap<usize, (usize, u64)> {
        let mut sectors = BTreeMap::new();
        for row in stripe.columns.chunks(stripe.width) {
            for column in &row[stripe.parity..] {
                for sector in 0..column.len / 512 {
                    let place = column.place + 512 * sector as u64;
                    assert_eq!(
                        sectors.insert(column.at / 512 + sector, (column.child, place)),
                        None
                    );
                }
            }
        }
        sectors
    }

    #[test]
    fn blocks_lie_as_in_the_picture() {
        let geometry = geometry(1, 5, vec![]);
        let at = |child, row: u64| (child, DATA_OFFSET + 512 * row);
        let stripe = geometry.stripe(0, 8 * 512, Txg(9)).unwrap();
        let expected = [(1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (3, 1), (4, 0), (4, 1)];
        let found: Vec<_> = sectors(&stripe).into_values().collect();
        assert_eq!(found, expected.map(|(child, row)| at(child, row)));
        // It took ten sectors: the next one begins a row.
        let stripe = geometry.stripe(10 * 512, 2 * 512, Txg(9)).unwrap();
        assert_eq!(stripe.columns.len(), 3);
        let found: Vec<_> = sectors(&stripe).into_values().collect();
        assert_eq!(found, [at(1, 2), at(2, 2)]);
        // In the second megabyte the first two columns are exchanged.
        let exchanged = geometry.stripe((1 << 20) + 512 * 4, 512, Txg(9)).unwrap();
        assert_eq!((exchanged.columns[0].child, exchanged.columns[1].child), (3, 2));
    }

    #[test]
    fn what_no_raidz_can_be_is_refused() {
        let new = |parity, children, expansions| {
            let config = RaidzConfig {
                parity,
                expand_txgs: vec![1; expansions],
                is_expanding: false,
            };
            Geometry::new(&config, 9, children, Reflow::default()).is_ok()
        };
        assert!(new(3, 4, 0) && new(1, 255, 0) && new(1, 5, 3));
        assert!(!new(3, 3, 0) && !new(1, 256, 0) && !new(1, 5, 4) && !new(1, 0, 0) && !new(1, 3, 9));
        let geometry = geometry(1, 3, vec![]);
        for (offset, len) in [(1, 512), (512, 513), (512, 0), (u64::MAX - 511, 512)] {
            assert!(geometry.stripe(offset, len, Txg(1)).is_err(), "{len} at {offset}");
        }
    }

    #[test]
    fn width_follows_birth() {
        let geometry = geometry(2, 6, vec![100, 200]);
        let widths = [99, 100, 199, 200, u64::MAX].map(|txg| geometry.width_at(Txg(txg)));
        assert_eq!(widths, [4, 5, 5, 6, 6]);
    }

    fn subset(children: usize, count: usize) -> impl Strategy<Value = Vec<usize>> {
        prop::sample::subsequence((0..children).collect::<Vec<_>>(), count)
    }

    /// Parity, children at first, expansions, offset and size in sectors.
    fn shape() -> impl Strategy<Value = (u8, usize, usize, u64, usize)> {
        (1..=3_u8).prop_flat_map(|parity| {
            let least = usize::from(parity) + 1;
            (
                Just(parity),
                least..least + 7,
                0..3_usize,
                0..9000_u64,
                1..70_usize,
            )
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_column_of_rows_is_a_row_of_columns((parity, children, _, offset, len) in shape()) {
            let geometry = geometry(parity, children, vec![]);
            let block = BlockShape {
                first: offset,
                sectors: len as u64,
                width: children as u64,
                parity: u64::from(parity),
            };
            prop_assert_eq!(sectors(&geometry.plain(block)), sectors(&geometry.expanded(block)));
        }

        #[test]
        fn what_is_gone_or_wrong_is_made_up_for(
            ((parity, children, expansions, offset, len), bad, gone) in shape().prop_flat_map(|shape| {
                let (parity, children, expansions, ..) = shape;
                let now = children + expansions;
                (Just(shape), subset(now, usize::from(parity)), 0..=usize::from(parity))
            }),
        ) {
            let now = children + expansions;
            let geometry = geometry(parity, now, vec![10; expansions]);
            let stripe = geometry.stripe(offset * 512, len * 512, Txg(5)).unwrap();
            let block = block(len * 512);
            let mut memory = Memory::default();
            memory.write(&stripe, &block);
            prop_assert!(reads_back(&stripe, &memory, &block));
            memory.gone.extend(&bad[..gone]);
            memory.noisy.extend(&bad[gone..]);
            prop_assert!(reads_back(&stripe, &memory, &block), "{bad:?}, {gone} of them gone");
        }

        #[test]
        fn a_disk_that_was_wrong_before_the_vdev_grew_is_found(
            (parity, children, _, offset, len) in shape(), victim in any::<prop::sample::Index>(),
        ) {
            let geometry = geometry(parity, children + 1, vec![10]);
            let stripe = geometry.stripe(offset * 512, len * 512, Txg(5)).unwrap();
            let block = block(len * 512);
            let mut memory = Memory::default();
            memory.write(&stripe, &block);
            let victim = children + 1 + victim.index(children);
            for column in stripe.columns.iter().filter(|column| stripe.is_suspect(victim, column)) {
                memory.spoil(column);
            }
            prop_assert!(reads_back(&stripe, &memory, &block));
        }
    }
}
