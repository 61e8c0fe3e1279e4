//! Walking an object set in the order of its objects and blocks, and passing over all that is older than a
//! transaction group.
//!
//! A block pointer's birth is never older than that of anything below it, so one comparison passes over a whole
//! subtree; what an incremental send costs is what changed.
//!
//! The order, which is that of a stream: blocks of dnodes ascending; in each, its objects ascending; of each, the
//! blocks of its tree ascending, and then its spill block. A hole is visited once, at the height where it is.

use super::allowance::Allowance;
use super::{Dnode, Object, ObjectSet, ObjectType, SLOT_BYTES};
use crate::error::Place;
use crate::spa::{Block, BlockPointer, BlockReader};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use std::sync::Arc;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How many of the blocks that will be needed soon are asked for ahead of time.
const READ_AHEAD_BLOCKS: usize = 32;

/// Something that reads blocks into the cache before they are needed.
pub trait ReadAhead {
    /// Will be needed soon: an indirect block or a block of dnodes.
    fn read_ahead(&self, pointer: &BlockPointer);
}

/// Reads nothing ahead.
impl ReadAhead for () {
    fn read_ahead(&self, _: &BlockPointer) {}
}

/// What a walk comes by.
#[derive(Debug)]
pub enum Visit<'a> {
    /// A block of dnodes, before its objects.
    DnodeBlock {
        /// The number of its first slot.
        first: ObjectNumber,
        /// How many slots it has.
        slots: u64,
        /// Where it is.
        pointer: &'a BlockPointer,
    },
    /// A slot without an object.
    FreeSlot(ObjectNumber),
    /// An object, before its blocks.
    Object {
        /// The object.
        object: &'a Object,
        /// The block of dnodes that it stands in.
        pointer: &'a BlockPointer,
    },
    /// A data block of an object.
    Block {
        /// The object.
        object: &'a Object,
        /// The number of the block.
        id: BlockId,
        /// Where it is.
        pointer: &'a BlockPointer,
    },
    /// The spill block of an object; a hole where it was removed.
    Spill {
        /// The object.
        object: &'a Object,
        /// Where it is.
        pointer: &'a BlockPointer,
    },
    /// A range without blocks, of an object or (in object 0) of the dnodes themselves.
    Hole {
        /// The object.
        object: &'a Object,
        /// The height of the pointer that says so.
        level: u8,
        /// Its number at that height.
        id: BlockId,
    },
    /// A block that leads to others and cannot be read, in a walk that [skips](Traversal::skips_damage) such.
    Lost {
        /// The object to which all below it belongs, or object 0, of which the dnodes are the content.
        object: &'a Object,
        /// The block.
        place: Place,
        /// Why it cannot be read.
        error: Error,
    },
}

/// Where a walk goes on that was interrupted: all before is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumeAt {
    /// The first object.
    pub object: ObjectNumber,
    /// The first block of its data. The object itself is visited again.
    pub block: BlockId,
}

/// A walk through an object set.
pub struct Traversal<'a> {
    /// Reads the blocks.
    pub reader: &'a BlockReader,
    /// Only what was born after this transaction group is visited.
    pub since: Txg,
    /// Where to begin, if not at the beginning.
    pub resume: Option<ResumeAt>,
    /// Reads blocks into the cache before they are needed.
    pub ahead: &'a dyn ReadAhead,
    /// Whether it goes on behind a block that cannot be read: the visitor is told what is [lost](Visit::Lost).
    pub skips_damage: bool,
}

/// One indirect block on the way down.
struct Frame {
    block: Arc<Block>,
    /// The level of its children.
    level: u8,
    /// The number of its first child, at the child's level.
    first_child: u64,
    next: usize,
    ahead: usize,
}

/// What ended a walk: the visitor's own reason, or what stood in the way.
#[derive(Debug)]
pub enum Stop<E> {
    /// A block could not be read, or made no sense.
    Pool(Error),
    /// The visitor's reason.
    Visitor(E),
}

impl<E> From<Error> for Stop<E> {
    fn from(error: Error) -> Self {
        Self::Pool(error)
    }
}

type Result<T, E> = std::result::Result<T, Stop<E>>;

/// Gets what a walk comes by.
type Visitor<'a, E> = dyn FnMut(Visit<'_>) -> std::result::Result<(), E> + 'a;

/// Gets the data blocks of one tree, and the visitor to pass what it makes of them to.
type Leaf<'a, E> = dyn FnMut(&BlockPointer, BlockId, &mut Visitor<'_, E>) -> Result<(), E> + 'a;

impl<'a> Traversal<'a> {
    /// A walk through everything, up to what cannot be read.
    #[must_use]
    pub const fn new(reader: &'a BlockReader) -> Self {
        Self {
            reader,
            since: Txg(0),
            resume: None,
            ahead: &(),
            skips_damage: false,
        }
    }

    /// Walks the object set that `root` leads to and calls `visit` with all that was born after [`Self::since`].
    ///
    /// # Errors
    /// [`Stop::Visitor`] with what `visit` returned; [`Stop::Pool`] where a block of metadata cannot be read, with
    /// its place.
    pub fn run<E>(&self, root: &BlockPointer, visit: &mut Visitor<'_, E>) -> Result<(), E> {
        if root.is_hole() || !self.is_new(root)? {
            return Ok(());
        }
        let set = ObjectSet::read(self.reader, root)?;
        let meta = &set.meta_dnode;
        if meta.dnode.is_unallocated() {
            return Ok(());
        }
        self.read_ahead(&meta.dnode.pointers);
        let walk = Walk {
            traversal: self,
            is_encrypted: set.is_encrypted,
            allowance: Allowance::of_pool(self.reader),
        };
        walk.tree(meta, visit, &mut |pointer, id, visit| {
            walk.dnodes(&set, pointer, id, visit)
        })
    }

    /// Walks the blocks and holes of one object of `set` that were born after [`Self::since`], but not its spill block.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_object<E>(
        &self,
        set: &ObjectSet,
        object: &Object,
        visit: &mut Visitor<'_, E>,
    ) -> Result<(), E> {
        let walk = Walk {
            traversal: self,
            is_encrypted: set.is_encrypted,
            allowance: Allowance::of_pool(self.reader),
        };
        walk.tree(object, visit, &mut |pointer, id, visit| {
            visit(Visit::Block { object, id, pointer }).map_err(Stop::Visitor)
        })
    }

    /// Whether all that the pointer with this place leads to lies before the point where the walk goes on.
    fn is_done(&self, object: &Object, level: u8, id: u64) -> bool {
        let Some(resume) = self.resume else { return false };
        let shift = object
            .dnode
            .pointers_per_block_shift()
            .saturating_mul(u32::from(level));
        // What ends behind all numbers is not done.
        let end = id.checked_add(1).and_then(|next| {
            let end = next.checked_shl(shift)?;
            (end >> shift == next).then_some(end)
        });
        let Some(end) = end else { return false };
        if object.number == ObjectNumber(0) {
            let slots = object.dnode.slots_per_data_block();
            end.checked_mul(slots).is_some_and(|end| end <= resume.object.0)
        } else {
            object.number == resume.object && end <= resume.block.0
        }
    }

    /// Whether a pointer leads to anything new. A hole without a birth may be of any age, so it counts as new.
    fn is_new(&self, pointer: &BlockPointer) -> std::result::Result<bool, Error> {
        let birth = pointer.logical_birth();
        if birth == Txg(0) && !pointer.is_hole() && !pointer.is_redacted() {
            return Err(Corrupt::new(format!("block without a birth: {pointer}")).into());
        }
        Ok(birth == Txg(0) || birth > self.since)
    }

    fn read_ahead(&self, pointers: &[BlockPointer]) {
        for pointer in pointers {
            let leads_on = pointer.level() > 0 || pointer.object_type() == ObjectType::DNODE;
            let stored = !pointer.is_hole() && !pointer.is_embedded();
            if leads_on && stored && pointer.logical_birth() > self.since {
                self.ahead.read_ahead(pointer);
            }
        }
    }
}

/// A walk that is under way.
struct Walk<'a> {
    traversal: &'a Traversal<'a>,
    is_encrypted: bool,
    allowance: Allowance,
}

impl Walk<'_> {
    /// Whether a pointer leads to anything new.
    fn is_new(&self, pointer: &BlockPointer) -> std::result::Result<bool, Error> {
        // In an encrypted dataset every block is at least authenticated. One that is not was put there by somebody else.
        if self.is_encrypted && !pointer.is_hole() && !pointer.uses_crypt() {
            let finding = format!("{pointer} is not encrypted, in a dataset that is");
            return Err(Corrupt::new(finding).into());
        }
        self.traversal.is_new(pointer)
    }

    /// Tells the visitor of what cannot be read, if the walk is to go on.
    fn lost<E>(
        &self,
        object: &Object,
        place: Place,
        error: Error,
        visit: &mut Visitor<'_, E>,
    ) -> Result<(), E> {
        if self.traversal.skips_damage && error.is_damage() {
            visit(Visit::Lost { object, place, error }).map_err(Stop::Visitor)
        } else {
            Err(error.at(place).into())
        }
    }

    /// Reads an indirect block, of which each is come by once.
    fn indirect(
        &self,
        object: &Object,
        pointer: &BlockPointer,
        level: u8,
    ) -> std::result::Result<Arc<Block>, Error> {
        object.check_indirect(pointer, level.saturating_sub(1))?;
        self.traversal.reader.read_cached(pointer)
    }

    /// Walks the tree of one object; `leaf` gets each data block that there is.
    fn tree<E>(&self, object: &Object, visit: &mut Visitor<'_, E>, leaf: &mut Leaf<'_, E>) -> Result<(), E> {
        let top = object.dnode.levels.saturating_sub(1);
        let mut stack: Vec<Frame> = Vec::new();
        for (index, root) in object.dnode.pointers.iter().enumerate() {
            self.step(object, root, top, u64_from_usize(index), &mut stack, visit, leaf)?;
            while let Some(frame) = stack.last_mut() {
                let Some(pointer) =
                    BlockPointer::nth_of_block(&frame.block.bytes, frame.next, frame.block.endian)
                else {
                    stack.pop();
                    continue;
                };
                self.read_children_ahead(frame, object);
                let level = frame.level;
                let id = frame.first_child.saturating_add(u64_from_usize(frame.next));
                frame.next = frame.next.saturating_add(1);
                self.step(object, &pointer, level, id, &mut stack, visit, leaf)?;
            }
        }
        Ok(())
    }

    /// Asks for the next children of an indirect block, a window ahead of the one that is visited.
    fn read_children_ahead(&self, frame: &mut Frame, object: &Object) {
        if frame.level == 0 && object.number != ObjectNumber(0) {
            return;
        }
        let end = frame.next.saturating_add(READ_AHEAD_BLOCKS);
        frame.ahead = frame.ahead.max(frame.next.saturating_add(1));
        while frame.ahead < end {
            let Some(child) = BlockPointer::nth_of_block(&frame.block.bytes, frame.ahead, frame.block.endian)
            else {
                return;
            };
            self.traversal.read_ahead(&[child]);
            frame.ahead = frame.ahead.saturating_add(1);
        }
    }

    /// Visits what one pointer leads to: nothing, a hole, a data block, or an indirect block to descend into.
    #[expect(
        clippy::too_many_arguments,
        reason = "the state of one walk, taken apart for the borrow checker"
    )]
    fn step<E>(
        &self,
        object: &Object,
        pointer: &BlockPointer,
        level: u8,
        id: u64,
        stack: &mut Vec<Frame>,
        visit: &mut Visitor<'_, E>,
        leaf: &mut Leaf<'_, E>,
    ) -> Result<(), E> {
        if self.traversal.is_done(object, level, id) {
            return Ok(());
        }
        let place = Place {
            object: object.number,
            level,
            block: BlockId(id),
        };
        match self.is_new(pointer) {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(error) => return self.lost(object, place, error, visit),
        }
        if pointer.is_hole() {
            return visit(Visit::Hole {
                object,
                level,
                id: BlockId(id),
            })
            .map_err(Stop::Visitor);
        }
        if level == 0 || pointer.is_redacted() {
            return leaf(pointer, BlockId(id), visit);
        }
        self.allowance
            .count(pointer)
            .map_err(|error| Error::from(error).at(place))?;
        let block = match self.indirect(object, pointer, level) {
            Ok(block) => block,
            Err(error) => return self.lost(object, place, error, visit),
        };
        let shift = object.dnode.pointers_per_block_shift();
        let first_child = id.checked_shl(shift).filter(|first| first >> shift == id);
        let first_child = first_child.ok_or_else(|| {
            Error::from(Corrupt::new(format!(
                "block {id} of level {level} lies past any object's end"
            )))
            .at(place)
        })?;
        stack.push(Frame {
            block,
            level: level.saturating_sub(1),
            first_child,
            next: 0,
            ahead: 0,
        });
        Ok(())
    }

    /// Walks the objects of one block of dnodes.
    fn dnodes<E>(
        &self,
        set: &ObjectSet,
        pointer: &BlockPointer,
        id: BlockId,
        visit: &mut Visitor<'_, E>,
    ) -> Result<(), E> {
        let place = Place {
            object: ObjectNumber(0),
            level: 0,
            block: id,
        };
        let slots = set.slots_per_block();
        let first = ObjectNumber(id.0.saturating_mul(slots));
        visit(Visit::DnodeBlock {
            first,
            slots,
            pointer,
        })
        .map_err(Stop::Visitor)?;
        self.allowance
            .count(pointer)
            .map_err(|error| Error::from(error).at(place))?;
        let objects = match self.objects_of(set, pointer, first) {
            Ok(objects) => objects,
            Err(error) => return self.lost(&set.meta_dnode, place, error, visit),
        };
        for (number, dnode) in objects {
            match dnode {
                // Slot 0 is the meta-dnode's own number: no object can have it.
                _ if number == ObjectNumber(0) => {}
                _ if self.traversal.resume.is_some_and(|resume| number < resume.object) => {}
                None => visit(Visit::FreeSlot(number)).map_err(Stop::Visitor)?,
                Some(dnode) => self.object(&Object { number, dnode }, pointer, visit)?,
            }
        }
        Ok(())
    }

    /// The objects of one block of dnodes and its free slots, all of them before any is visited.
    fn objects_of(
        &self,
        set: &ObjectSet,
        pointer: &BlockPointer,
        first: ObjectNumber,
    ) -> std::result::Result<Vec<(ObjectNumber, Option<Dnode>)>, Error> {
        if pointer.object_type() != ObjectType::DNODE
            || pointer.logical_size() != set.meta_dnode.dnode.data_bytes()
        {
            return Err(Corrupt::new(format!("{pointer} where a block of dnodes is due")).into());
        }
        let block = self.traversal.reader.read_cached(pointer)?;
        let mut objects = Vec::new();
        let mut slot = 0_u64;
        while slot < set.slots_per_block() {
            let bytes = block
                .bytes
                .get(usize_from_u64(slot).saturating_mul(SLOT_BYTES)..)
                .unwrap_or_default();
            let number = ObjectNumber(first.0.saturating_add(slot));
            let place = |error: Corrupt| {
                Error::from(error).at(Place {
                    object: number,
                    level: 0,
                    block: BlockId(0),
                })
            };
            let dnode = if Dnode::is_free(bytes) {
                None
            } else {
                let dnode = Dnode::decode(bytes, block.endian).map_err(place)?;
                self.traversal.read_ahead(&dnode.pointers);
                Some(dnode)
            };
            slot = slot.saturating_add(u64_from_usize(Dnode::slots(bytes).map_err(place)?));
            objects.push((number, dnode));
        }
        Ok(objects)
    }

    fn object<E>(
        &self,
        object: &Object,
        pointer: &BlockPointer,
        visit: &mut Visitor<'_, E>,
    ) -> Result<(), E> {
        visit(Visit::Object { object, pointer }).map_err(Stop::Visitor)?;
        self.tree(object, visit, &mut |pointer, id, visit| {
            visit(Visit::Block { object, id, pointer }).map_err(Stop::Visitor)
        })?;
        if let Some(spill) = &object.dnode.spill {
            let place = Place {
                object: object.number,
                level: 0,
                block: BlockId::SPILL,
            };
            match self.is_new(spill) {
                Ok(false) => {}
                Ok(true) => visit(Visit::Spill {
                    object,
                    pointer: spill,
                })
                .map_err(Stop::Visitor)?,
                Err(error) => self.lost(object, place, error, visit)?,
            }
        }
        Ok(())
    }
}
