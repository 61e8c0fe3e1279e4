//! Where a block lies on a dRAID vdev.
//!
//! ```text
//! columns     0   1   2   3   4   5   6      a row: 16 MiB of each child. 7 children, one of them spare: 6 in use;
//! row 0      |  group 0  | group 1   | spare  groups of 3 (2 data, 1 parity) fill the rows one after another, and may go
//! row 1      |  group 2  | group 3   | spare  on in the next row. After `groups` groups the rows are full, and the
//!                                             columns become other children by the next permutation.
//! ```
//!
//! A group is filled before the next one is begun: sector s of a group is in its column s mod width. A block takes whole
//! rows of sectors of its group, the first columns are parity; where the group ends it goes on in the next one.

use super::super::config::DraidConfig;
use super::super::label::DATA_OFFSET;
use super::super::raidz::CHILDREN_MAX;
use super::super::stripe::{Column, Stripe};
use super::permutation::Permutations;
use crate::Corrupt;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// What each child has of a row, in bytes.
const ROW_BYTES: u64 = 16 << 20;

/// The numbers from which a dRAID vdev's layout follows.
#[derive(Debug)]
pub(super) struct Geometry {
    ashift: u32,
    parity: u64,
    data: u64,
    spares: u64,
    /// After how many groups the permutation changes.
    groups: u64,
    children: u64,
    permutations: Permutations,
}

/// What of a block lies in one group.
#[derive(Clone, Copy)]
struct Part {
    /// Where it begins in the vdev.
    offset: u64,
    /// Where it begins in the block, and its length, in bytes.
    at: u64,
    len: u64,
}

impl Geometry {
    pub(super) fn new(config: &DraidConfig, ashift: u32, children: usize) -> Result<Self, Corrupt> {
        let wrong = || {
            Corrupt::new(format!(
                "dRAID{} of {} data columns, {children} children, {} spares and {} groups",
                config.parity, config.data, config.spares, config.groups
            ))
        };
        let permutations = Permutations::new(children)?;
        let parity = u64::from(config.parity);
        let in_use = u64_from_usize(children)
            .checked_sub(config.spares)
            .ok_or_else(wrong)?;
        let width = config.data.checked_add(parity).ok_or_else(wrong)?;
        let fills_rows = width
            .checked_mul(config.groups)
            .and_then(|columns| columns.checked_rem(in_use));
        let groups_max = u64_from_usize(CHILDREN_MAX);
        if config.data == 0
            || width > in_use
            || !(1..=groups_max).contains(&config.groups)
            || fills_rows != Some(0)
        {
            return Err(wrong());
        }
        Ok(Self {
            ashift,
            parity,
            data: config.data,
            spares: config.spares,
            groups: config.groups,
            children: u64_from_usize(children),
            permutations,
        })
    }

    /// How many columns a group has.
    const fn width(&self) -> u64 {
        self.data.saturating_add(self.parity)
    }

    const fn group_bytes(&self) -> u64 {
        self.width().saturating_mul(ROW_BYTES)
    }

    /// How many columns of a row are in use.
    const fn in_use(&self) -> u64 {
        self.children.saturating_sub(self.spares)
    }

    /// How many rows lie under one permutation.
    fn rows_of_permutation(&self) -> u64 {
        let columns = self.width().saturating_mul(self.groups);
        columns.checked_div(self.in_use()).unwrap_or(1).max(1)
    }

    /// Where a block of `len` bytes lies.
    pub(super) fn stripe(&self, offset: u64, len: usize) -> Result<Stripe, String> {
        let bytes = u64_from_usize(len);
        let sector = 1_u64 << self.ashift.min(63);
        let row = self.width() << self.ashift;
        if !offset.is_multiple_of(row) || !bytes.is_multiple_of(sector) || bytes == 0 {
            return Err(format!("{len} bytes at {offset} are no whole rows of sectors"));
        }
        let mut columns = Vec::new();
        let mut part = Part {
            offset,
            at: 0,
            len: bytes,
        };
        // A block is never larger than a row of one group is high: it meets two groups at most.
        for _ in 0..2 {
            let group = part.offset.checked_div(self.group_bytes()).unwrap_or(0);
            let end = group.saturating_add(1).saturating_mul(self.group_bytes());
            let rows = end
                .saturating_sub(part.offset)
                .checked_div(self.width())
                .unwrap_or(0);
            let room = rows.saturating_mul(self.data);
            part.len = bytes.saturating_sub(part.at).min(room);
            self.push_columns(group, part, &mut columns)?;
            part.at = part.at.saturating_add(part.len);
            part.offset = end;
            if part.at == bytes {
                return Ok(Stripe {
                    columns,
                    width: usize_from_u64(self.width()),
                    parity: usize_from_u64(self.parity),
                    ashift: self.ashift,
                    children: usize_from_u64(self.children),
                    children_at_first: usize_from_u64(self.children),
                });
            }
        }
        Err(format!("{len} bytes at {offset} lie in more than two groups"))
    }

    /// The columns of what lies in one group.
    fn push_columns(&self, group: u64, part: Part, columns: &mut Vec<Column>) -> Result<(), String> {
        let wrong = || format!("no such offset: {}", part.offset);
        let permutation = group.checked_div(self.groups).ok_or_else(wrong)?;
        let group_in_permutation = group.checked_rem(self.groups).ok_or_else(wrong)?;
        let first_column = group_in_permutation.saturating_mul(self.width());
        let row_in_permutation = first_column.checked_div(self.in_use()).ok_or_else(wrong)?;
        let first_column = first_column.checked_rem(self.in_use()).ok_or_else(wrong)?;
        let row = permutation
            .checked_mul(self.rows_of_permutation())
            .and_then(|row| row.checked_add(row_in_permutation))
            .ok_or_else(wrong)?;
        let in_row = part
            .offset
            .checked_rem(self.group_bytes())
            .and_then(|within| within.checked_div(self.width()))
            .ok_or_else(wrong)?;
        let start = row
            .checked_mul(ROW_BYTES)
            .and_then(|start| start.checked_add(in_row)?.checked_add(DATA_OFFSET))
            .ok_or_else(wrong)?;

        let sectors = part.len >> self.ashift;
        let full_rows = sectors.checked_div(self.data).ok_or_else(wrong)?;
        let rest = sectors.checked_rem(self.data).ok_or_else(wrong)?;
        let longer = if rest == 0 {
            0
        } else {
            rest.saturating_add(self.parity)
        };
        let mut at = part.at;
        for index in 0..self.width() {
            let mut column = first_column.saturating_add(index);
            let mut place = start;
            if column >= self.in_use() {
                // What does not fit in the row goes on in the next.
                column = column.saturating_sub(self.in_use());
                place = place.saturating_add(ROW_BYTES);
            }
            let len = full_rows.saturating_add(u64::from(index < longer)) << self.ashift;
            let is_data = index >= self.parity;
            columns.push(Column {
                child: self.permutations.child(permutation, usize_from_u64(column)),
                place,
                len: usize_from_u64(len),
                at: if is_data { usize_from_u64(at) } else { 0 },
            });
            if is_data {
                at = at.saturating_add(len);
            }
        }
        Ok(())
    }

    /// The child that has what a distributed spare has at a place, in bytes from the start of a device.
    pub(super) fn child_of_spare(&self, spare: u64, place: u64) -> Option<usize> {
        let slice = self.rows_of_permutation().saturating_mul(ROW_BYTES);
        let permutation = place.checked_sub(DATA_OFFSET)?.checked_div(slice)?;
        if spare >= self.spares {
            return None;
        }
        let column = self.children.checked_sub(1)?.checked_sub(spare)?;
        Some(self.permutations.child(permutation, usize_from_u64(column)))
    }

    /// How many distributed spares there are.
    pub(super) const fn spares(&self) -> u64 {
        self.spares
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::stripe::tests::{Memory, block, reads_back};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn config(parity: u8, data: u64, spares: u64, children: usize) -> DraidConfig {
        let width = data + u64::from(parity);
        let in_use = children as u64 - spares;
        // As `zpool create` chooses it: the fewest groups that fill rows.
        let groups = (1..)
            .find(|groups| (width * groups).is_multiple_of(in_use))
            .unwrap();
        DraidConfig {
            parity,
            data,
            spares,
            groups,
        }
    }

    #[test]
    fn what_no_draid_can_be_is_refused() {
        let good = config(2, 4, 1, 9);
        let is_good = |config: DraidConfig, children| Geometry::new(&config, 12, children).is_ok();
        assert!(is_good(good, 9));
        assert!(!is_good(good, 1) && !is_good(good, 256) && !is_good(good, 6));
        assert!(!is_good(DraidConfig { data: 0, ..good }, 9));
        assert!(!is_good(
            DraidConfig {
                data: u64::MAX,
                ..good
            },
            9
        ));
        assert!(!is_good(DraidConfig { spares: 4, ..good }, 9));
        assert!(!is_good(DraidConfig { spares: 10, ..good }, 9));
        assert!(!is_good(DraidConfig { groups: 0, ..good }, 9));
        assert!(!is_good(DraidConfig { groups: 3, ..good }, 9));
        assert!(!is_good(
            DraidConfig {
                groups: u64::MAX,
                ..good
            },
            9
        ));
    }

    #[test]
    fn addresses_that_no_block_has_are_refused() {
        let geometry = Geometry::new(&config(1, 2, 0, 4), 12, 4).unwrap();
        let row = 3 << 12;
        for (offset, len) in [(4096, 4096), (row, 0), (row, 100), (u64::MAX / row * row, 4096)] {
            assert!(geometry.stripe(offset, len).is_err(), "{len} at {offset}");
        }
        assert!(geometry.stripe(row, 1 << 30).is_err());
        assert!(geometry.stripe(row, 4096).is_ok());
    }

    fn case() -> impl Strategy<Value = (DraidConfig, usize, u64, usize, Vec<usize>)> {
        (1..=3_u8, 1..6_u64, 0..3_u64, 0..6_usize).prop_flat_map(|(parity, data, spares, more)| {
            let children = usize::from(parity) + data as usize + spares as usize + more;
            let bad = prop::sample::subsequence((0..children).collect::<Vec<_>>(), usize::from(parity));
            let config = config(parity, data, spares, children);
            (Just(config), Just(children), 0..1_u64 << 44, 1..60_usize, bad)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        #[test]
        fn what_is_gone_or_wrong_is_made_up_for((config, children, offset, len, bad) in case()) {
            let geometry = Geometry::new(&config, 9, children).unwrap();
            let row = geometry.width() << 9;
            let group = geometry.group_bytes();
            // Anywhere, and where a group ends within the block.
            let before_end = (offset / group + 1) * group - row * (offset % 3 + 1);
            for offset in [offset / row * row, before_end] {
                let stripe = geometry.stripe(offset, len * 512).unwrap();
                for row in stripe.columns.chunks(stripe.width) {
                    let children: BTreeSet<usize> = row.iter().map(|column| column.child).collect();
                    prop_assert_eq!(children.len(), stripe.width);
                    // Room for spares is never written.
                    for spare in 0..config.spares {
                        let place = row[0].place;
                        let spare = geometry.child_of_spare(spare, place).unwrap();
                        let hit = row.iter().find(|column| column.child == spare);
                        prop_assert!(hit.is_none_or(|column| column.place != place));
                    }
                }
                let block = block(len * 512);
                let mut memory = Memory::default();
                memory.write(&stripe, &block);
                for gone in 0..=bad.len() {
                    memory.gone = bad[..gone].iter().copied().collect();
                    memory.noisy = bad[gone..].iter().copied().collect();
                    prop_assert!(reads_back(&stripe, &memory, &block), "{:?}, {} of them gone", bad, gone);
                }
            }
        }
    }
}
