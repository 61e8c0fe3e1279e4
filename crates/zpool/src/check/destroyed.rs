//! Trees of destroyed datasets that are freed little by little (`bptree`).
//!
//! ```text
//! word  field          the bonus buffer
//!    0  bt_begin       the first tree that is left
//!    1  bt_end         the tree behind the last
//!    2  bt_bytes       what is left to free: allocated,
//!    3  bt_comp        compressed
//!    4  bt_uncomp      and uncompressed
//!
//! offset  field        an entry, 168 bytes; the entries follow one another from the object's beginning
//!      0  be_bp        the root of the tree
//!    128  be_birth_txg what was born up to this group belongs to a snapshot, and stays
//!    136  be_zb        where to go on: object set, object, level, block; zeros: nothing was freed yet
//! ```
//!
//! A block is freed after those below it, in the order of objects and their blocks; the block where to go on has not been
//! freed. What has been freed may be overwritten already, so nothing of it may be read.

use super::Measure;
use super::claims::Claims;
use super::finding::{Findings, Spot};
use super::tally::Tally;
use super::tree_diff::{Changes, Sides, Where, compare};
use crate::dmu::Dnode;
use crate::dsl::Sizes;
use crate::spa::BlockPointer;
use crate::{BlockId, Corrupt, Error, ObjectNumber, Place, Pool, Txg};
use zferry_wire::{Endian, Reader};

const ENTRY_BYTES: u64 = 168;
/// No more bytes of entries than these are looked at.
const ENTRIES_BYTES_MAX: u64 = 64 << 20;
/// How many objects a block of dnodes has.
const DNODES_PER_BLOCK: u64 = 32;

/// Claims what is left of destroyed datasets.
pub(super) struct Destroyed<'c, 'a, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) measure: &'c Measure,
    pub(super) claims: &'c mut Claims<'a>,
    pub(super) findings: &'c mut Findings<'o>,
    /// How many blocks the walk may still come by.
    pub(super) blocks_left: u64,
}

/// An entry.
#[derive(Clone, Copy, Debug)]
struct Tree {
    root: BlockPointer,
    after: Txg,
    resume: Option<Bookmark>,
}

/// Where a walk stopped.
#[derive(Clone, Copy, Debug)]
struct Bookmark {
    object: ObjectNumber,
    /// Minus one: the root.
    level: i64,
    block: u64,
}

impl Tree {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let root = BlockPointer::read(reader)?;
        let [after, set, object, level, block] = reader.u64s()?;
        let is_begun = [set, object, level, block] != [0; 4];
        let bookmark = Bookmark {
            object: ObjectNumber(object),
            level: level.cast_signed(),
            block,
        };
        Ok(Self {
            root,
            after: Txg(after),
            resume: is_begun.then_some(bookmark),
        })
    }
}

/// A place in the order in which blocks are freed: the last object that is freed with it or before it; whether it is a
/// block of objects, or the root; where it ends in its object; its level.
type Turn = (u64, u8, u64, i64);

/// When a block is freed. The shift is that of blocks below one pointer of its object.
fn turn(object: ObjectNumber, level: i64, block: u64, shift: u32) -> Turn {
    let Ok(levels) = u32::try_from(level) else {
        return (u64::MAX, 2, 0, 0);
    };
    if block == BlockId::SPILL.0 {
        return (object.0, 0, u64::MAX, 0);
    }
    let factor = 1_u64
        .checked_shl(shift.saturating_mul(levels))
        .unwrap_or(u64::MAX);
    let end = block.saturating_add(1).saturating_mul(factor);
    if object == ObjectNumber(0) {
        (
            end.saturating_mul(DNODES_PER_BLOCK).saturating_sub(1),
            1,
            0,
            level,
        )
    } else {
        (object.0, 0, end, level)
    }
}

impl Destroyed<'_, '_, '_> {
    /// Claims all. Returns what is left, where all could be read.
    pub(super) fn run(mut self, number: ObjectNumber) -> Option<Tally> {
        let walked = self.trees(number);
        walked.unwrap_or_else(|error| {
            self.findings.unreadable(Spot::meta(number), &error);
            None
        })
    }

    fn trees(&mut self, number: ObjectNumber) -> Result<Option<Tally>, Error> {
        let object = self.pool.meta_object(number)?;
        let [begin, end, used, compressed, uncompressed] =
            Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
        let bytes = end.checked_mul(ENTRY_BYTES);
        let bytes = bytes.ok_or_else(|| Corrupt::new(format!("{end} trees in object {number}")))?;
        let content = object.content(self.pool.reader(), bytes, ENTRIES_BYTES_MAX)?;
        let mut reader = Reader::new(&content, Endian::OURS);
        if object.dnode.endian != Endian::OURS {
            reader = Reader::new(&content, object.dnode.endian);
        }
        let mut left = Some(Tally::default());
        for index in 0..end {
            let tree = Tree::read(&mut reader)?;
            if index >= begin {
                let tally = self.tree(number, &tree);
                left = left.zip(tally).map(|(left, tally)| left.plus(tally));
            }
        }
        if let (Some(left), true) = (left, self.claims.is_first_pass) {
            let found = Sizes {
                used,
                compressed,
                uncompressed,
            };
            let spot = || Spot::meta(number);
            self.findings
                .compare(spot, "bt_bytes", found.used, left.sizes.used);
            self.findings
                .compare(spot, "bt_comp", found.compressed, left.sizes.compressed);
            self.findings
                .compare(spot, "bt_uncomp", found.uncompressed, left.sizes.uncompressed);
        }
        Ok(left)
    }

    /// Claims what is left of one tree.
    fn tree(&mut self, number: ObjectNumber, tree: &Tree) -> Option<Tally> {
        let roots = Sides {
            earlier: BlockPointer::default(),
            later: tree.root,
        };
        let mut left = Left {
            walk: self,
            number,
            tree,
            meta_shift: 0,
            tally: Some(Tally::default()),
        };
        let reader = left.walk.pool.reader();
        compare(reader, roots, &mut left);
        left.tally
    }
}

/// What is left of one tree.
struct Left<'w, 'c, 'a, 'o> {
    walk: &'w mut Destroyed<'c, 'a, 'o>,
    number: ObjectNumber,
    tree: &'w Tree,
    meta_shift: u32,
    tally: Option<Tally>,
}

impl Left<'_, '_, '_, '_> {
    /// Whether a block has not been freed.
    fn is_left(&mut self, place: Place, shift: u32) -> bool {
        if place.object == ObjectNumber(0) {
            self.meta_shift = shift;
        }
        let Some(resume) = self.tree.resume else {
            return true;
        };
        let resume_shift = if resume.object == ObjectNumber(0) {
            self.meta_shift
        } else {
            shift
        };
        let here = turn(place.object, i64::from(place.level), place.block.0, shift);
        here >= turn(resume.object, resume.level, resume.block, resume_shift)
    }
}

impl Changes for Left<'_, '_, '_, '_> {
    fn is_wanted(&mut self, place: Place, pointer: &BlockPointer, shift: u32) -> bool {
        pointer.logical_birth() > self.tree.after && self.is_left(place, shift)
    }

    fn born(&mut self, _place: Where, pointer: &BlockPointer) {
        let Destroyed {
            claims,
            findings,
            measure,
            blocks_left,
            ..
        } = &mut *self.walk;
        *blocks_left = blocks_left.saturating_sub(1);
        claims.claim(&|| Spot::meta(self.number), pointer, findings);
        if let Some(tally) = &mut self.tally {
            tally.add(pointer, measure);
        }
    }

    fn gone(&mut self, _place: Where, _pointer: &BlockPointer) {}

    fn below(&mut self, _place: Where, _pointer: &BlockPointer, _fill: u64, _birth: Txg) {}

    fn object(&mut self, _number: ObjectNumber, _earlier: Option<&Dnode>, _later: Option<&Dnode>) {}

    fn problem(&mut self, _is_later: bool, _place: Where, error: Error) {
        self.tally = None;
        self.walk.findings.unreadable(Spot::meta(self.number), &error);
    }

    fn is_over(&self) -> bool {
        self.walk.blocks_left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_freed_after_those_below_them() {
        let data = |object: u64, level: i64, block: u64| turn(ObjectNumber(object), level, block, 10);
        let order = [
            data(7, 0, 0),
            data(7, 0, 1023),
            data(7, 1, 0),
            data(7, 0, 1024),
            data(7, 1, 1),
            data(7, 2, 0),
            data(7, 0, BlockId::SPILL.0),
            data(31, 0, 0),
            data(0, 0, 0),
            data(32, 0, 0),
            data(0, 0, 1),
            data(0, 0, 1023),
            data(0, 1, 0),
            data(u64::MAX - 2, 0, 0),
            data(u64::MAX, 0, 0),
            data(0, -1, 0),
        ];
        assert!(order.is_sorted_by(|a, b| a < b));
    }
}
