//! The parity of raidz and dRAID: sums over the field with 256 elements, whose polynomial is x⁸+x⁴+x³+x²+1.
//!
//! Of the data columns D₀ … Dₙ₋₁ of a row, parity column k is the sum of gₖⁿ⁻¹⁻ⁱ·Dᵢ, where g is 1, 2 and 4 for the
//! columns that are called P, Q and R; columns that are shorter count as filled up with zeros. Addition is exclusive or.
//! As many data columns as there are parity columns left can be told from the others: each parity column is an equation.

use std::array;

/// How many parity columns there can be.
pub(super) const PARITY_MAX: usize = 3;

/// Twice an element.
const fn double(element: u8) -> u8 {
    let carry = if element & 0x80 == 0 { 0 } else { 0x1d };
    (element << 1) ^ carry
}

/// Powers of two, and the exponent of each power.
struct Logarithms {
    powers: [u8; 255],
    exponents: [u8; 256],
}

const LOGARITHMS: Logarithms = Logarithms::new();

impl Logarithms {
    #[expect(
        clippy::indexing_slicing,
        clippy::as_conversions,
        clippy::arithmetic_side_effects,
        reason = "evaluated when compiling, where an index outside of its table is an error"
    )]
    const fn new() -> Self {
        let mut tables = Self {
            powers: [0; 255],
            exponents: [0; 256],
        };
        let mut power = 1;
        let mut exponent = 0;
        while exponent < 255 {
            tables.powers[exponent as usize] = power;
            tables.exponents[power as usize] = exponent;
            power = double(power);
            exponent += 1;
        }
        tables
    }

    /// Two to the power of `exponent`.
    fn power(exponent: usize) -> u8 {
        let exponent = exponent.checked_rem(LOGARITHMS.powers.len()).unwrap_or(0);
        LOGARITHMS.powers.get(exponent).copied().unwrap_or(0)
    }

    fn exponent(element: u8) -> usize {
        LOGARITHMS
            .exponents
            .get(usize::from(element))
            .copied()
            .map_or(0, usize::from)
    }
}

fn product(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    Logarithms::power(Logarithms::exponent(a).saturating_add(Logarithms::exponent(b)))
}

/// One divided by an element; 0 for 0, which has no inverse.
fn inverse(element: u8) -> u8 {
    if element == 0 {
        return 0;
    }
    Logarithms::power(255_usize.saturating_sub(Logarithms::exponent(element)))
}

/// Adds `other` to `sum`, as far as the shorter one reaches.
pub(super) fn add(sum: &mut [u8], other: &[u8]) {
    for (byte, other) in sum.iter_mut().zip(other) {
        *byte ^= other;
    }
}

/// Multiplies by the generator of parity column `parity`: 1, 2 or 4.
fn step(sum: &mut [u8], parity: usize) {
    for _ in 0..parity {
        for byte in sum.iter_mut() {
            *byte = double(*byte);
        }
    }
}

/// Adds `other` times `factor` to `sum`.
fn add_product(sum: &mut [u8], other: &[u8], factor: u8) {
    if factor == 1 {
        return add(sum, other);
    }
    let products: [u8; 256] = array::from_fn(|element| product(u8::try_from(element).unwrap_or(0), factor));
    for (byte, other) in sum.iter_mut().zip(other) {
        // An index of eight bits into a table of 256: there is nothing to check.
        *byte ^= products.get(usize::from(*other)).copied().unwrap_or(0);
    }
}

/// Computes parity column `parity` (0–2) of data columns, into `sum`, which is as long as the longest of them.
pub(super) fn encode<'a>(data: impl IntoIterator<Item = &'a [u8]>, parity: usize, sum: &mut [u8]) {
    sum.fill(0);
    for column in data {
        step(sum, parity);
        add(sum, column);
    }
}

/// How lost data columns follow from the others and the parity columns at hand.
pub(super) struct Recovery {
    /// For each lost column, how much each equation counts.
    factors: [[u8; PARITY_MAX]; PARITY_MAX],
    parities: Vec<usize>,
    lost: Vec<usize>,
}

impl Recovery {
    /// For a row of `data` columns, of which those with the numbers `lost` are not there. `parities` are the numbers of
    /// the parity columns at hand, as many as columns are lost.
    ///
    /// `None` where their number differs, or the equations say the same.
    pub(super) fn new(data: usize, lost: &[usize], parities: &[usize]) -> Option<Self> {
        let count = lost.len();
        if count != parities.len() || count > PARITY_MAX {
            return None;
        }
        // Each row: the factors of the lost columns in one parity column, and beside them the unit matrix, which
        // becomes the inverse.
        let mut rows = [[0_u8; PARITY_MAX * 2]; PARITY_MAX];
        for (index, (row, parity)) in rows.iter_mut().zip(parities).enumerate() {
            let (left, right) = row.split_at_mut(PARITY_MAX);
            for (factor, lost) in left.iter_mut().zip(lost) {
                let exponent = data.checked_sub(1)?.checked_sub(*lost)?;
                *factor = Logarithms::power(exponent.checked_mul(*parity)?);
            }
            *right.get_mut(index)? = 1;
        }
        eliminate(rows.get_mut(..count)?)?;
        let factors = rows.map(|row| row.last_chunk().copied().unwrap_or_default());
        Some(Self {
            factors,
            parities: parities.to_vec(),
            lost: lost.to_vec(),
        })
    }

    /// Computes the lost columns: each one's number and its bytes, as long as the parity.
    ///
    /// `data` are all data columns, of which those that are lost may hold anything. `parity` are the parity columns
    /// that [`Self::new`] named, in that order and all of one length.
    pub(super) fn solve(&self, data: &[&[u8]], parity: &[&[u8]]) -> Vec<(usize, Vec<u8>)> {
        let len = parity.first().map_or(0, |parity| parity.len());
        // What is left of each parity column without the columns that are there.
        let mut rests = Vec::with_capacity(parity.len());
        for (number, parity) in self.parities.iter().zip(parity) {
            let mut rest = vec![0; len];
            let there = data.iter().enumerate().map(
                |(column, bytes)| {
                    if self.lost.contains(&column) { &[] } else { *bytes }
                },
            );
            encode(there, *number, &mut rest);
            add(&mut rest, parity);
            rests.push(rest);
        }
        if self.parities == [0] {
            // One column and P: what is left of P is the column.
            return self.lost.iter().copied().zip(rests).collect();
        }
        let equations = self.lost.iter().copied().zip(&self.factors);
        equations
            .map(|(lost, factors)| {
                let mut column = vec![0; len];
                for (rest, factor) in rests.iter().zip(factors) {
                    add_product(&mut column, rest, *factor);
                }
                (lost, column)
            })
            .collect()
    }
}

/// Gauss and Jordan: makes the left square of the rows the unit matrix. `None` where it cannot be.
fn eliminate(rows: &mut [[u8; PARITY_MAX * 2]]) -> Option<()> {
    for column in 0..rows.len() {
        let pivot = (column..rows.len()).find(|row| element(rows, *row, column) != 0)?;
        rows.swap(column, pivot);
        let scale = inverse(element(rows, column, column));
        let row = rows.get_mut(column)?;
        for element in row.iter_mut() {
            *element = product(*element, scale);
        }
        let pivot = *row;
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row.get(column).copied().unwrap_or(0);
            if index != column {
                for (element, pivot) in row.iter_mut().zip(pivot) {
                    *element ^= product(pivot, factor);
                }
            }
        }
    }
    Some(())
}

fn element(rows: &[[u8; PARITY_MAX * 2]], row: usize, column: usize) -> u8 {
    rows.get(row)
        .and_then(|row| row.get(column))
        .copied()
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_field_is_a_field() {
        for a in 1..=255 {
            assert_eq!(product(a, inverse(a)), 1);
            assert_eq!(product(a, 2), double(a));
            assert_eq!(product(a, 4), double(double(a)));
        }
        assert_eq!(product(0x80, 2), 0x1d);
    }

    fn columns() -> impl Strategy<Value = (Vec<Vec<u8>>, Vec<bool>)> {
        (1..24_usize, 1..40_usize).prop_flat_map(|(count, len)| {
            let column =
                (len.saturating_sub(1)..=len).prop_flat_map(|len| prop::collection::vec(any::<u8>(), len));
            // The first column is never shorter than another.
            let rest = prop::collection::vec(column, count - 1);
            let first = prop::collection::vec(any::<u8>(), len);
            let columns = (first, rest).prop_map(|(first, rest)| [vec![first], rest].concat());
            (columns, prop::collection::vec(any::<bool>(), count + 3))
        })
    }

    proptest! {
        #[test]
        fn what_is_lost_follows_from_the_rest((data, wish) in columns()) {
            let len = data[0].len();
            let parity: Vec<Vec<u8>> = (0..3).map(|number| {
                let mut sum = vec![0xff; len];
                encode(data.iter().map(Vec::as_slice), number, &mut sum);
                sum
            }).collect();
            // Of what the case wishes to lose, as much as can be: data and parity columns, three in all.
            let lost_all: Vec<usize> = (0..wish.len()).filter(|column| wish[*column]).take(3).collect();
            let lost: Vec<usize> = lost_all.iter().copied().filter(|column| *column < data.len()).collect();
            let at_hand: Vec<usize> = (0..3).filter(|number| !lost_all.contains(&(number + data.len()))).collect();
            let at_hand = &at_hand[..lost.len()];

            let recovery = Recovery::new(data.len(), &lost, at_hand).unwrap();
            let mut rotten = data.clone();
            for column in &lost {
                rotten[*column].fill(0xa5);
            }
            let rotten: Vec<&[u8]> = rotten.iter().map(Vec::as_slice).collect();
            let parity: Vec<&[u8]> = at_hand.iter().map(|number| parity[*number].as_slice()).collect();
            let found = recovery.solve(&rotten, &parity);
            prop_assert_eq!(found.len(), lost.len());
            for (column, bytes) in found {
                let (whole, padding) = bytes.split_at(data[column].len());
                prop_assert_eq!(whole, data[column].as_slice());
                prop_assert!(padding.iter().all(|byte| *byte == 0));
            }
        }
    }

    #[test]
    fn any_three_of_255_columns_can_be_told() {
        for first in [0, 1, 100, 252] {
            for parities in [&[0][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
                let lost = &[first, 253, 254][3 - parities.len()..];
                assert!(Recovery::new(255, lost, parities).is_some());
            }
        }
        assert!(Recovery::new(4, &[0], &[]).is_none());
        assert!(Recovery::new(4, &[9], &[0]).is_none());
    }
}
