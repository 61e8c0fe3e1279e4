//! The difference between two object sets, the later of which grew out of the earlier: which blocks were born, and
//! which are gone.
//!
//! Both trees are walked side by side. Where both have the same pointer at the same place of the same object, nothing
//! below differs and the walk passes on: it costs what changed. A tree that has grown by a level is laid beside the
//! lower one so that blocks of the same level and number meet.
//!
//! Walked against nothing, an object set shows all its blocks.

use crate::dmu::{Dnode, ObjectType, SLOT_BYTES};
use crate::spa::{Block, BlockPointer, BlockReader};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Place, Txg};
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_wire::{u64_from_usize, usize_from_u64};

/// Where a block lies in its object set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// The block of the object set itself.
    Root,
    /// A block of an object.
    Block(Place),
}

/// The objects of an object set that stand in its own block: the meta-dnode, and who uses how much.
const SPECIAL: [(usize, ObjectNumber); 4] = [
    (0, ObjectNumber(0)),
    (1024, USER_USED),
    (1536, GROUP_USED),
    (2048, PROJECT_USED),
];
/// The numbers by which ZFS calls the objects that count space: minus one and so on.
pub(crate) const USER_USED: ObjectNumber = ObjectNumber(u64::MAX);
pub(crate) const GROUP_USED: ObjectNumber = ObjectNumber(u64::MAX - 1);
pub(crate) const PROJECT_USED: ObjectNumber = ObjectNumber(u64::MAX - 2);

/// Gets what differs.
pub(crate) trait Changes {
    /// A block that only the later set has.
    fn born(&mut self, place: Where, pointer: &BlockPointer);
    /// A block that only the earlier set has.
    fn gone(&mut self, place: Where, pointer: &BlockPointer);
    /// What lies directly below a block that only the later set has: the sum of the fills, and the latest birth.
    fn below(&mut self, place: Where, pointer: &BlockPointer, fill: u64, birth: Txg);
    /// An object that differs, after its blocks.
    fn object(&mut self, number: ObjectNumber, earlier: Option<&Dnode>, later: Option<&Dnode>);
    /// Something that could not be read, of the later set (`true`) or the earlier.
    fn problem(&mut self, is_later: bool, place: Where, error: Error);
    /// Whether a block of the later set, and what is below it, is to be looked at. The shift says how many blocks lie below
    /// one pointer of its object.
    fn is_wanted(&mut self, _place: Place, _pointer: &BlockPointer, _shift: u32) -> bool {
        true
    }
    /// Whether to stop here.
    fn is_over(&self) -> bool {
        false
    }
}

/// Both sides of something.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sides<T> {
    pub(crate) earlier: T,
    pub(crate) later: T,
}

impl<T> Sides<T> {
    fn map<U>(self, mut to: impl FnMut(bool, T) -> U) -> Sides<U> {
        Sides {
            earlier: to(false, self.earlier),
            later: to(true, self.later),
        }
    }
}

/// What stands at one place of a tree.
#[derive(Clone, Copy, Debug)]
enum Node {
    /// Nothing, or a hole.
    Nothing,
    /// A block.
    Block(BlockPointer),
    /// Nothing yet: the tree is lower than the other, and its top lies below here.
    Above,
}

/// What stands below one place of a tree.
#[derive(Clone, Debug)]
enum Row {
    Nothing,
    Indirect(Arc<Block>),
    Top(Vec<BlockPointer>),
    Above,
}

impl Row {
    fn node(&self, index: usize) -> Node {
        let pointer = match self {
            Self::Nothing => None,
            Self::Above => return if index == 0 { Node::Above } else { Node::Nothing },
            Self::Top(pointers) => pointers.get(index).copied(),
            Self::Indirect(block) => BlockPointer::nth_of_block(&block.bytes, index, block.endian),
        };
        match pointer {
            Some(pointer) if !pointer.is_hole() => Node::Block(pointer),
            _ => Node::Nothing,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Above => 1,
            Self::Top(pointers) => pointers.len(),
            Self::Indirect(block) => block.bytes.len() / BlockPointer::BYTES,
        }
    }
}

/// One step on the way down both trees.
struct Frame {
    rows: Sides<Row>,
    /// The level of the row.
    level: u8,
    /// The number of its first block.
    first: u64,
    next: usize,
}

/// Gets the data blocks of a tree that differ.
type Leaf<'l> = dyn FnMut(BlockId, Sides<Option<BlockPointer>>, &mut dyn Changes) + 'l;

/// Compares the object sets that two pointers lead to, of which the earlier may be a hole.
pub(crate) fn compare(reader: &BlockReader, roots: Sides<BlockPointer>, changes: &mut dyn Changes) {
    if roots.earlier == roots.later {
        return;
    }
    let sets = roots.map(|is_later, root| {
        if root.is_hole() {
            return None;
        }
        if is_later {
            changes.born(Where::Root, &root);
        } else {
            changes.gone(Where::Root, &root);
        }
        match reader.read_cached(&root) {
            Ok(block) => Some(block),
            Err(error) => {
                changes.problem(is_later, Where::Root, error);
                None
            }
        }
    });
    let specials = SPECIAL.map(|(offset, number)| {
        let dnodes = Sides {
            earlier: sets.earlier.as_ref(),
            later: sets.later.as_ref(),
        };
        let dnodes = dnodes.map(|is_later, block| {
            let block = block?;
            let bytes = block
                .bytes
                .get(offset..)
                .filter(|bytes| bytes.len() >= SLOT_BYTES)?;
            decode(bytes, block, is_later, number, changes)
        });
        (number, dnodes)
    });
    if sets.later.is_some() {
        let meta = &specials.first().and_then(|(_, dnodes)| dnodes.later.clone());
        let fill = meta
            .iter()
            .flat_map(|dnode| &dnode.pointers)
            .map(BlockPointer::fill);
        let births = specials
            .iter()
            .filter_map(|(_, dnodes)| dnodes.later.as_ref())
            .map(latest_birth);
        let (fill, birth) = (fill.fold(0, u64::wrapping_add), births.max().unwrap_or_default());
        changes.below(Where::Root, &roots.later, fill, birth);
    }
    for (number, dnodes) in &specials {
        let dnodes = Sides {
            earlier: dnodes.earlier.as_ref(),
            later: dnodes.later.as_ref(),
        };
        if *number == ObjectNumber(0) {
            let per_block = dnodes
                .later
                .or(dnodes.earlier)
                .map_or(0, Dnode::slots_per_data_block);
            compare_object(reader, *number, dnodes, changes, &mut |id, pointers, changes| {
                let first = id.0.saturating_mul(per_block);
                compare_dnode_blocks(reader, id, first, pointers, changes);
            });
        } else {
            compare_object(reader, *number, dnodes, changes, &mut |_, _, _| {});
        }
    }
}

fn decode(
    bytes: &[u8],
    block: &Block,
    is_later: bool,
    number: ObjectNumber,
    changes: &mut dyn Changes,
) -> Option<Dnode> {
    if Dnode::is_free(bytes) {
        return None;
    }
    match Dnode::decode(bytes, block.endian) {
        Ok(dnode) => Some(dnode),
        Err(error) => {
            let place = Place {
                object: number,
                level: 0,
                block: BlockId(0),
            };
            changes.problem(is_later, Where::Block(place), error.into());
            None
        }
    }
}

/// The latest birth of what a dnode points to. Holes have births too.
fn latest_birth(dnode: &Dnode) -> Txg {
    let pointers = dnode.pointers.iter().chain(&dnode.spill);
    pointers
        .map(BlockPointer::logical_birth)
        .max()
        .unwrap_or_default()
}

/// Compares two states of one object, of which either may be missing.
fn compare_object(
    reader: &BlockReader,
    number: ObjectNumber,
    dnodes: Sides<Option<&Dnode>>,
    changes: &mut dyn Changes,
    leaf: &mut Leaf<'_>,
) {
    let shift = |dnode: Option<&Dnode>| dnode.map(|dnode| dnode.indirect_shift);
    let (earlier, later) = (shift(dnodes.earlier), shift(dnodes.later));
    if earlier.is_some() && later.is_some() && earlier != later {
        // Blocks of different objects under one number: none can be the same.
        compare_trees(
            reader,
            number,
            Sides {
                later: None,
                ..dnodes
            },
            changes,
            leaf,
        );
        compare_trees(
            reader,
            number,
            Sides {
                earlier: None,
                ..dnodes
            },
            changes,
            leaf,
        );
    } else {
        compare_trees(reader, number, dnodes, changes, leaf);
    }
    let spills = dnodes.map(|_, dnode| {
        dnode
            .and_then(|dnode| dnode.spill)
            .filter(|spill| !spill.is_hole())
    });
    if spills.earlier != spills.later {
        let place = Place {
            object: number,
            level: 0,
            block: BlockId::SPILL,
        };
        if let Some(spill) = spills.earlier {
            changes.gone(Where::Block(place), &spill);
        }
        if let (Some(spill), Some(dnode)) = (spills.later, dnodes.later)
            && changes.is_wanted(place, &spill, dnode.pointers_per_block_shift())
        {
            changes.born(Where::Block(place), &spill);
        }
    }
    if dnodes.earlier.is_some() || dnodes.later.is_some() {
        changes.object(number, dnodes.earlier, dnodes.later);
    }
}

fn compare_trees(
    reader: &BlockReader,
    number: ObjectNumber,
    dnodes: Sides<Option<&Dnode>>,
    changes: &mut dyn Changes,
    leaf: &mut Leaf<'_>,
) {
    let levels = |dnode: Option<&Dnode>| dnode.map_or(0, |dnode| dnode.levels);
    let top = levels(dnodes.earlier).max(levels(dnodes.later));
    let Some(level) = top.checked_sub(1) else { return };
    let mut walk = Walk {
        reader,
        number,
        dnodes,
        changes,
        leaf,
    };
    let rows = dnodes.map(|_, dnode| Walk::row_above(dnode, level));
    let mut stack = vec![Frame {
        rows,
        level,
        first: 0,
        next: 0,
    }];
    while let Some(frame) = stack.last_mut() {
        let index = frame.next;
        if index >= frame.rows.earlier.len().max(frame.rows.later.len()) || walk.changes.is_over() {
            stack.pop();
            continue;
        }
        frame.next = index.saturating_add(1);
        let nodes = Sides {
            earlier: frame.rows.earlier.node(index),
            later: frame.rows.later.node(index),
        };
        let id = BlockId(frame.first.saturating_add(u64_from_usize(index)));
        let level = frame.level;
        stack.extend(walk.step(nodes, level, id));
    }
}

/// The walk through two states of one object.
struct Walk<'a, 'l> {
    reader: &'a BlockReader,
    number: ObjectNumber,
    dnodes: Sides<Option<&'a Dnode>>,
    changes: &'a mut dyn Changes,
    leaf: &'a mut Leaf<'l>,
}

impl Walk<'_, '_> {
    /// What a tree has at `level`, which is at or above its top.
    fn row_above(dnode: Option<&Dnode>, level: u8) -> Row {
        match dnode {
            Some(dnode) if dnode.levels == level.saturating_add(1) => Row::Top(dnode.pointers.clone()),
            Some(_) => Row::Above,
            None => Row::Nothing,
        }
    }

    /// Compares what stands at one place, and says where to go on below.
    fn step(&mut self, nodes: Sides<Node>, level: u8, id: BlockId) -> Option<Frame> {
        if let (Node::Block(earlier), Node::Block(later)) = (&nodes.earlier, &nodes.later)
            && earlier == later
        {
            return None;
        }
        let place = Place {
            object: self.number,
            level,
            block: id,
        };
        if let (Node::Block(later), Some(dnode)) = (&nodes.later, self.dnodes.later)
            && !self
                .changes
                .is_wanted(place, later, dnode.pointers_per_block_shift())
        {
            return None;
        }
        let place = Where::Block(place);
        if let Node::Block(pointer) = &nodes.earlier {
            self.changes.gone(place, pointer);
        }
        if let Node::Block(pointer) = &nodes.later {
            self.changes.born(place, pointer);
        }
        if level == 0 {
            let pointers = nodes.map(|_, node| match node {
                Node::Block(pointer) => Some(pointer),
                Node::Nothing | Node::Above => None,
            });
            if pointers.earlier.is_some() || pointers.later.is_some() {
                (self.leaf)(id, pointers, self.changes);
            }
            return None;
        }
        let below = level.saturating_sub(1);
        let dnodes = self.dnodes;
        let rows = Sides {
            earlier: self.row(nodes.earlier, dnodes.earlier, false, below, place),
            later: self.row(nodes.later, dnodes.later, true, below, place),
        };
        let shift = dnodes.later.or(dnodes.earlier)?.pointers_per_block_shift();
        let first = id.0.checked_shl(shift).filter(|first| first >> shift == id.0);
        let Some(first) = first else {
            let error = Corrupt::new(format!("block {id} of level {level} lies past any object's end"));
            self.changes.problem(true, place, error.into());
            return None;
        };
        let is_empty = rows.earlier.len() == 0 && rows.later.len() == 0;
        (!is_empty).then_some(Frame {
            rows,
            level: below,
            first,
            next: 0,
        })
    }

    /// What lies below a node of one of the trees, at `level`.
    fn row(&mut self, node: Node, dnode: Option<&Dnode>, is_later: bool, level: u8, place: Where) -> Row {
        let pointer = match node {
            Node::Nothing => return Row::Nothing,
            Node::Above => return Self::row_above(dnode, level),
            Node::Block(pointer) if pointer.is_redacted() => return Row::Nothing,
            Node::Block(pointer) => pointer,
        };
        let size = dnode.map_or(0, |dnode| 1_u64 << dnode.indirect_shift.min(63));
        let block = if pointer.level() != level.saturating_add(1) || pointer.logical_size() != size {
            let due = format!("level {} and {size} bytes are due", level.saturating_add(1));
            Err(Corrupt::new(format!("{pointer} where {due}")).into())
        } else {
            self.reader.read_cached(&pointer)
        };
        match block {
            Ok(block) => {
                if is_later {
                    let pointers = BlockPointer::iter_block(&block.bytes, block.endian);
                    let (fill, birth) = pointers.fold((0_u64, Txg(0)), |(fill, birth), child| {
                        let filled = if child.is_hole() { 0 } else { child.fill() };
                        (fill.wrapping_add(filled), birth.max(child.logical_birth()))
                    });
                    self.changes.below(place, &pointer, fill, birth);
                }
                Row::Indirect(block)
            }
            Err(error) => {
                self.changes.problem(is_later, place, error);
                Row::Nothing
            }
        }
    }
}

/// The dnodes of a block, by their first slot.
type Slots<'b> = BTreeMap<u64, &'b [u8]>;

fn compare_dnode_blocks(
    reader: &BlockReader,
    id: BlockId,
    first: u64,
    pointers: Sides<Option<BlockPointer>>,
    changes: &mut dyn Changes,
) {
    let place = Where::Block(Place {
        object: ObjectNumber(0),
        level: 0,
        block: id,
    });
    let blocks = pointers.map(|is_later, pointer| {
        let pointer = pointer?;
        let block = if pointer.object_type() == ObjectType::DNODE && pointer.level() == 0 {
            reader.read_cached(&pointer)
        } else {
            Err(Corrupt::new(format!("{pointer} where a block of dnodes is due")).into())
        };
        match block {
            Ok(block) => Some((pointer, block)),
            Err(error) => {
                changes.problem(is_later, place, error);
                None
            }
        }
    });
    let same_order = match (&blocks.earlier, &blocks.later) {
        (Some((_, earlier)), Some((_, later))) => earlier.endian == later.endian,
        _ => false,
    };
    let slots = Sides {
        earlier: blocks.earlier.as_ref(),
        later: blocks.later.as_ref(),
    };
    let slots = slots.map(
        |is_later, block| match block.map(|(_, block)| slots_of(&block.bytes)) {
            None => Slots::new(),
            Some(Ok(slots)) => slots,
            Some(Err(error)) => {
                changes.problem(is_later, place, error.into());
                Slots::new()
            }
        },
    );
    let mut numbers: Vec<u64> = slots.earlier.keys().chain(slots.later.keys()).copied().collect();
    numbers.sort_unstable();
    numbers.dedup();
    let (mut fill, mut birth) = (0_u64, Txg(0));
    for slot in numbers {
        let number = ObjectNumber(first.saturating_add(slot));
        let bytes = (slots.earlier.get(&slot), slots.later.get(&slot));
        if bytes.1.is_some() {
            fill = fill.saturating_add(1);
        }
        let decoded = |bytes: Option<&&[u8]>,
                       block: &Option<(BlockPointer, Arc<Block>)>,
                       is_later,
                       changes: &mut dyn Changes| {
            let (_, block) = block.as_ref()?;
            decode(bytes?, block, is_later, number, changes)
        };
        let later = decoded(bytes.1, &blocks.later, true, changes);
        birth = birth.max(later.as_ref().map(latest_birth).unwrap_or_default());
        // The number of the meta-dnode itself: no object can have it.
        if number == ObjectNumber(0) || (same_order && bytes.0 == bytes.1) || changes.is_over() {
            continue;
        }
        let earlier = decoded(bytes.0, &blocks.earlier, false, changes);
        let dnodes = Sides {
            earlier: earlier.as_ref(),
            later: later.as_ref(),
        };
        compare_object(reader, number, dnodes, changes, &mut |_, _, _| {});
    }
    if let Some((pointer, _)) = &blocks.later {
        changes.below(place, pointer, fill, birth);
    }
}

/// The allocated dnodes of a block.
fn slots_of(bytes: &[u8]) -> Result<Slots<'_>, Corrupt> {
    let mut slots = Slots::new();
    let mut slot = 0_u64;
    while let Some(rest) = bytes
        .get(usize_from_u64(slot).saturating_mul(SLOT_BYTES)..)
        .filter(|rest| !rest.is_empty())
    {
        if Dnode::is_free(rest) {
            slot = slot.saturating_add(1);
            continue;
        }
        let taken = Dnode::slots(rest)?;
        let dnode = rest.get(..taken.saturating_mul(SLOT_BYTES));
        let dnode = dnode.ok_or_else(|| Corrupt::new(format!("dnode of {taken} slots in slot {slot}")))?;
        slots.insert(slot, dnode);
        slot = slot.saturating_add(u64_from_usize(taken));
    }
    Ok(slots)
}
