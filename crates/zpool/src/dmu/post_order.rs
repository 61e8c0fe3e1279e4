//! Walking an object set so that each block comes after all below it: the order in which what was destroyed is freed.
//!
//! Objects come in the order of their numbers, in each its data in the order of blocks and then its spill block, and after
//! the objects of a block of dnodes that block. The root is last. The walk can stop before any data block or block of
//! dnodes and go on there; what it has passed is not read again, so it may be free, and overwritten.

use super::{Dnode, ObjectType, SLOT_BYTES};
use crate::spa::{BlockPointer, BlockReader};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// Where in the root the dnodes of objects without numbers are, with the numbers that stand for them, in their order:
/// what is used by projects, groups and users.
const ACCOUNTING: [(usize, u64); 3] = [(2048, u64::MAX - 2), (1536, u64::MAX - 1), (1024, u64::MAX)];

/// Where a walk goes on: the first block that is visited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// The object; 0 for a block of dnodes.
    pub(crate) object: ObjectNumber,
    /// Its block at level 0.
    pub(crate) block: u64,
}

/// Why a walk ended before the root was visited.
#[derive(Debug)]
pub(crate) enum Pause {
    /// It was to stop.
    Wanted(Stopped),
    /// A block below which there are others cannot be read. Nothing below it was visited.
    Unreadable(Stopped),
}

/// A place in the order: the last object that comes with it or before it; whether it is a block of dnodes; where it ends
/// in its object; its level.
type Turn = (u64, u8, u64, u8);

/// A block that is still to be visited.
#[derive(Clone, Copy, Debug)]
struct Step {
    pointer: BlockPointer,
    object: ObjectNumber,
    level: u8,
    block: u64,
    /// The number of pointers in one of its object's indirect blocks, as a power of two.
    shift: u32,
    /// Whether its object has a spill block, which is no place to stop before.
    has_spill: bool,
    is_root: bool,
    /// Whether what is below it has been visited.
    is_entered: bool,
}

/// Walks what was born after a group in the object set that a root leads to.
pub(crate) struct PostOrder<'a> {
    pub(crate) reader: &'a BlockReader,
    pub(crate) since: Txg,
    pub(crate) resume: Option<Stopped>,
    /// How many slots a block of dnodes has, and how many pointers an indirect block of theirs, as a power of two: known
    /// when the root was read.
    slots: u64,
    meta_shift: u32,
}

impl<'a> PostOrder<'a> {
    pub(crate) const fn new(reader: &'a BlockReader, since: Txg, resume: Option<Stopped>) -> Self {
        Self {
            reader,
            since,
            resume,
            slots: 32,
            meta_shift: 10,
        }
    }

    /// Calls `visit` with each block. Where `is_enough` says so, stops at the next place where it can go on.
    ///
    /// # Errors
    /// What `visit` returns.
    pub(crate) fn run(
        &mut self,
        root: &BlockPointer,
        is_enough: &dyn Fn(u64) -> bool,
        visit: &mut dyn FnMut(&BlockPointer) -> Result<(), Error>,
    ) -> Result<Option<Pause>, Error> {
        let mut visited = 0_u64;
        let mut waiting = vec![Step {
            pointer: *root,
            object: ObjectNumber(0),
            level: 0,
            block: 0,
            shift: 0,
            has_spill: false,
            is_root: true,
            is_entered: false,
        }];
        while let Some(mut step) = waiting.pop() {
            if step.pointer.is_hole() || step.pointer.logical_birth() <= self.since || self.is_done(&step) {
                continue;
            }
            if !step.is_entered {
                step.is_entered = true;
                let below = if self.is_resumed_at(&step) {
                    Ok(Vec::new())
                } else {
                    self.below(&step)
                };
                match below {
                    Ok(below) => {
                        waiting.push(step);
                        waiting.extend(below.into_iter().rev());
                    }
                    Err(_) => return Ok(Some(Pause::Unreadable(self.first_of(&step)))),
                }
                continue;
            }
            let may_stop = step.level == 0 && !step.is_root && !step.has_spill;
            if may_stop && is_enough(visited) {
                return Ok(Some(Pause::Wanted(self.first_of(&step))));
            }
            visit(&step.pointer)?;
            visited = visited.saturating_add(1);
        }
        Ok(None)
    }

    /// The first place at level 0 that a block covers.
    fn first_of(&self, step: &Step) -> Stopped {
        let shift = step.shift.saturating_mul(u32::from(step.level));
        Stopped {
            object: step.object,
            block: step.block.checked_shl(shift).unwrap_or(u64::MAX),
        }
    }

    fn turn(&self, object: ObjectNumber, level: u8, block: u64, shift: u32) -> Turn {
        if block == BlockId::SPILL.0 {
            return (object.0, 0, u64::MAX, 0);
        }
        let span = 1_u64.checked_shl(shift.saturating_mul(u32::from(level)));
        let end = block.saturating_add(1).saturating_mul(span.unwrap_or(u64::MAX));
        if object == ObjectNumber(0) {
            return (end.saturating_mul(self.slots).saturating_sub(1), 1, 0, level);
        }
        (object.0, 0, end, level)
    }

    /// Whether the walk has passed a block before.
    fn is_done(&self, step: &Step) -> bool {
        let Some(resume) = self.resume.filter(|_| !step.is_root) else {
            return false;
        };
        let here = self.turn(step.object, step.level, step.block, step.shift);
        here < self.turn(resume.object, 0, resume.block, self.meta_shift)
    }

    fn is_resumed_at(&self, step: &Step) -> bool {
        let here = Stopped {
            object: step.object,
            block: step.block,
        };
        !step.is_root && step.level == 0 && self.resume == Some(here)
    }

    /// What a block leads to, in order.
    fn below(&mut self, step: &Step) -> Result<Vec<Step>, Error> {
        if step.level == 0 && step.pointer.object_type() != ObjectType::DNODE && !step.is_root {
            return Ok(Vec::new());
        }
        let block = self.reader.read_cached(&step.pointer)?;
        if step.is_root {
            return self.of_root(&block.bytes, block.endian);
        }
        if step.level > 0 {
            let pointers = BlockPointer::iter_block(&block.bytes, block.endian);
            let first = step.block.checked_shl(step.shift).unwrap_or(u64::MAX);
            let level = step.level.saturating_sub(1);
            let child = |(at, pointer): (u64, BlockPointer)| {
                if !pointer.is_hole() && pointer.level() != level {
                    return Err(Corrupt::new(format!("{pointer} where level {level} is due")));
                }
                Ok(Step {
                    pointer,
                    level,
                    block: first.saturating_add(at),
                    is_entered: false,
                    ..*step
                })
            };
            return Ok((0_u64..).zip(pointers).map(child).collect::<Result<_, _>>()?);
        }
        let mut below = Vec::new();
        let first = step.block.saturating_mul(self.slots);
        let mut slot = 0_u64;
        while let Some(bytes) = block
            .bytes
            .get(usize_from_u64(slot).saturating_mul(SLOT_BYTES)..)
            .filter(|rest| !rest.is_empty())
        {
            if Dnode::is_free(bytes) {
                slot = slot.saturating_add(1);
                continue;
            }
            let dnode = Dnode::decode(bytes, block.endian)?;
            below.extend(of_object(ObjectNumber(first.saturating_add(slot)), &dnode));
            slot = slot.saturating_add(u64_from_usize(Dnode::slots(bytes)?));
        }
        Ok(below)
    }

    fn of_root(&mut self, bytes: &[u8], endian: zferry_wire::Endian) -> Result<Vec<Step>, Error> {
        let meta = Dnode::decode(bytes.get(..SLOT_BYTES).unwrap_or_default(), endian)?;
        self.slots = meta.slots_per_data_block().max(1);
        self.meta_shift = meta.pointers_per_block_shift();
        let mut below = of_object(ObjectNumber(0), &meta);
        for (at, number) in ACCOUNTING {
            let bytes = bytes.get(at..).unwrap_or_default();
            if !Dnode::is_free(bytes) {
                below.extend(of_object(ObjectNumber(number), &Dnode::decode(bytes, endian)?));
            }
        }
        Ok(below)
    }
}

/// The roots of an object's tree, and its spill block.
fn of_object(object: ObjectNumber, dnode: &Dnode) -> Vec<Step> {
    let step = |pointer, level, block| Step {
        pointer,
        object,
        level,
        block,
        shift: dnode.pointers_per_block_shift(),
        has_spill: dnode.spill.is_some(),
        is_root: false,
        is_entered: false,
    };
    let top = dnode.levels.saturating_sub(1);
    let trees = (0_u64..)
        .zip(&dnode.pointers)
        .map(|(at, pointer)| step(*pointer, top, at));
    let spill = dnode.spill.map(|pointer| step(pointer, 0, BlockId::SPILL.0));
    trees.chain(spill).collect()
}
