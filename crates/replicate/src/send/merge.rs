//! What the walk comes by, merged with what is redacted.
//!
//! Three sources are put in one order, that of the stream: the list of what is to be left out (`--redact`), the walk,
//! and the list of what was left out of the stream that the receiver has already (`-i` from a redaction bookmark). Where
//! they overlap, the first of the three decides, and the others go on behind:
//!
//! ```text
//! left out now        │   ├────────┤              REDACT, unless it was left out before: then nothing
//! walk                │ ├────┤  ├─┤ ├──┤          WRITE, FREE
//! left out before     │          ├────────┤       WRITE, FREE of what is there now
//! ```

use super::plan::Plan;
use super::recorder::range_of;
use super::walk::{Ending, Layout};
use std::cmp::Ordering;
use zferry_zpool::dmu::{Object, ObjectSet, ResumeAt, Stop, Traversal, Visit};
use zferry_zpool::dsl::{Redacted, RedactedBlocks, RedactionList};
use zferry_zpool::spa::BlockReader;
use zferry_zpool::{BlockId, Error, ObjectNumber, Txg};

/// The sources, in the order in which they decide.
const REDACT: usize = 0;
const WALK: usize = 1;
const BEFORE: usize = 2;

/// How many objects OpenZFS counts for one block of dnodes.
const SLOTS: u64 = 32;

/// What a source has next.
#[derive(Clone, Copy, Debug)]
struct Span {
    object: ObjectNumber,
    class: Class,
    /// The first block.
    start: u64,
    /// Behind the last; 0 where that is no number any more.
    end: u64,
    /// The size of a block in bytes, in lists.
    block_bytes: u64,
}

/// What comes first where two begin at the same object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    DnodeBlock,
    Object,
    Blocks,
}

impl Span {
    /// Where it begins, in the order of the stream.
    const fn key(&self) -> (u64, Class, u64) {
        if self.object.0 == 0 {
            (self.start.wrapping_mul(SLOTS), self.class, 0)
        } else {
            (self.object.0, self.class, self.start)
        }
    }

    fn of(visit: &Visit<'_>) -> Option<Self> {
        let (object, class, start, end) = match *visit {
            Visit::DnodeBlock { first, slots, .. } => {
                let id = first.0.checked_div(slots).unwrap_or(0);
                (ObjectNumber(0), Class::DnodeBlock, id, id.wrapping_add(1))
            }
            Visit::FreeSlot(number) => (number, Class::Object, 0, 0),
            Visit::Object { object, .. } => (object.number, Class::Object, 0, 0),
            Visit::Block { object, id, .. } => (object.number, Class::Blocks, id.0, id.0.wrapping_add(1)),
            Visit::Spill { object, .. } => {
                let id = BlockId::SPILL.0;
                (object.number, Class::Blocks, id, id.wrapping_add(1))
            }
            Visit::Hole { object, level, id } => {
                let (start, span) = range_of(&object.dnode, level, id)?;
                let end = start.checked_add(span).unwrap_or(0);
                (object.number, Class::Blocks, start, end)
            }
            Visit::Lost { .. } => return None,
        };
        Some(Self {
            object,
            class,
            start,
            end,
            block_bytes: 0,
        })
    }
}

impl From<RedactedBlocks> for Span {
    fn from(blocks: RedactedBlocks) -> Self {
        Self {
            object: blocks.object,
            class: Class::Blocks,
            start: blocks.first.0,
            end: blocks.first.0.saturating_add(blocks.count),
            block_bytes: blocks.block_bytes,
        }
    }
}

/// A list, and how far it has been read.
struct List<'a> {
    blocks: Redacted<'a>,
    resume: Option<ResumeAt>,
}

impl List<'_> {
    /// What is next in the list, from where the send goes on.
    fn next(&mut self) -> Result<Option<Span>, Error> {
        loop {
            let Some(blocks) = self.blocks.next().transpose()? else {
                return Ok(None);
            };
            let mut span = Span::from(blocks);
            let Some(resume) = self.resume else {
                return Ok(Some(span));
            };
            match span.object.cmp(&resume.object) {
                Ordering::Less => {}
                Ordering::Equal if span.end <= resume.block.0 => {}
                Ordering::Equal => {
                    span.start = span.start.max(resume.block.0);
                    return Ok(Some(span));
                }
                Ordering::Greater => return Ok(Some(span)),
            }
        }
    }
}

/// What ends the walk through one object early.
enum OneObject {
    /// The range is at its end.
    Done,
    Ended(Ending),
}

/// Puts the three sources together.
pub(super) struct Merger<'a> {
    reader: &'a BlockReader,
    set: &'a ObjectSet,
    lists: [Option<List<'a>>; 3],
    front: [Option<Span>; 3],
    /// The object that was looked up last for what was left out before; `None`: there is none of this number any more.
    object: Option<(ObjectNumber, Option<Object>)>,
}

impl<'a> Merger<'a> {
    /// Merges with the list of what is to be left out, and with that of what was left out before; `None` where there
    /// are neither.
    pub(super) fn new(plan: &'a Plan<'a>) -> Result<Option<Self>, Error> {
        let (redact, before) = (&plan.source.redact, &plan.source.redacted_before);
        if redact.is_none() && before.is_none() {
            return Ok(None);
        }
        let list = |list: &'a Option<RedactionList>| {
            // The pool's own metadata is not encrypted, whatever the dataset is.
            list.as_ref().map(|list| List {
                blocks: list.blocks(plan.pool.reader()),
                resume: plan.resume,
            })
        };
        let mut merger = Self {
            reader: plan.reader(),
            set: &plan.set,
            lists: [list(redact), None, list(before)],
            front: [None; 3],
            object: None,
        };
        merger.advance(REDACT)?;
        merger.advance(BEFORE)?;
        Ok(Some(merger))
    }

    /// Adds the records of what the walk came by, and of all in the lists that comes before.
    pub(super) fn visit(&mut self, visit: &Visit<'_>, layout: &mut Layout<'_>) -> Result<(), Stop<Ending>> {
        self.set_front(WALK, Span::of(visit));
        while self.front(WALK).is_some() {
            self.step(Some(visit), layout)?;
        }
        Ok(())
    }

    /// Adds the records of what is left in the lists when the walk has ended.
    pub(super) fn finish(&mut self, layout: &mut Layout<'_>) -> Result<(), Stop<Ending>> {
        while self.front.iter().any(Option::is_some) {
            self.step(None, layout)?;
        }
        Ok(())
    }

    fn front(&self, source: usize) -> Option<Span> {
        self.front.get(source).copied().flatten()
    }

    fn set_front(&mut self, source: usize, span: Option<Span>) {
        if let Some(front) = self.front.get_mut(source) {
            *front = span;
        }
    }

    fn advance(&mut self, source: usize) -> Result<(), Error> {
        let next = match self.lists.get_mut(source) {
            Some(Some(list)) => list.next()?,
            _ => None,
        };
        self.set_front(source, next);
        Ok(())
    }

    /// Takes the piece that comes first, and makes records of it.
    fn step(&mut self, visit: Option<&Visit<'_>>, layout: &mut Layout<'_>) -> Result<(), Stop<Ending>> {
        let Some((source, piece, overlaps)) = self.next()? else {
            return Ok(());
        };
        match (source, visit) {
            (REDACT, _) if overlaps.contains(&BEFORE) => Ok(()),
            (REDACT, _) => {
                let offset = piece.start.wrapping_mul(piece.block_bytes);
                let count = piece.end.wrapping_sub(piece.start);
                let length = count.wrapping_mul(piece.block_bytes);
                layout.redact(piece.object, offset, length).map_err(Stop::Visitor)
            }
            (WALK, Some(Visit::Hole { object, .. })) if object.number != ObjectNumber(0) => {
                if !object.dnode.object_type.is_metadata() && piece.start > object.dnode.max_block.0 {
                    return Ok(());
                }
                let freed = layout.free_blocks(object, piece.start, piece.end);
                freed.map_err(Stop::Visitor)
            }
            (WALK, Some(visit)) => layout.visit(visit).map_err(Stop::Visitor),
            _ => self.was_redacted(piece, layout),
        }
    }

    /// The piece that comes first, its source, and the sources that have the same piece.
    fn next(&mut self) -> Result<Option<(usize, Span, Vec<usize>)>, Error> {
        let present = self.front.iter().enumerate();
        let present = present.filter_map(|(source, span)| Some((source, (*span)?)));
        // Of several that begin at the same place, the first decides.
        let Some((source, first)) = present.clone().min_by_key(|(_, span)| span.key()) else {
            return Ok(None);
        };
        let others: Vec<(usize, Span)> = present.filter(|(other, _)| *other != source).collect();
        let mut end = first.end;
        let mut overlaps = Vec::new();
        if first.class == Class::Blocks {
            for (other, span) in others {
                let same_start = span.key() == first.key();
                if same_start {
                    overlaps.push(other);
                }
                if span.object > first.object || span.object == ObjectNumber(0) {
                    continue;
                }
                if end > span.start && !same_start {
                    end = span.start;
                } else if end > span.end {
                    end = span.end;
                }
            }
        }
        for other in overlaps.iter().copied().chain([source]) {
            match self.front(other) {
                Some(span) if span.end != end => self.set_front(other, Some(Span { start: end, ..span })),
                _ => self.advance(other)?,
            }
        }
        Ok(Some((source, Span { end, ..first }, overlaps)))
    }

    /// Sends what is there now of blocks that were left out before.
    fn was_redacted(&mut self, piece: Span, layout: &mut Layout<'_>) -> Result<(), Stop<Ending>> {
        let known = self.object.take().filter(|(number, _)| *number == piece.object);
        let (number, object) = match known {
            Some(known) => known,
            None => (piece.object, find(self.set, self.reader, piece.object)?),
        };
        if let Some(object) = &object {
            self.send_again(object, piece, layout)?;
        }
        self.object = Some((number, object));
        Ok(())
    }

    fn send_again(&self, object: &Object, piece: Span, layout: &mut Layout<'_>) -> Result<(), Stop<Ending>> {
        let end = piece.end.min(last_sent_again(object));
        if piece.start >= end {
            return Ok(());
        }
        let traversal = Traversal {
            reader: self.reader,
            since: Txg(0),
            resume: Some(ResumeAt {
                object: object.number,
                block: BlockId(piece.start),
            }),
            ahead: &(),
            // What is to be sent again and what is not cannot be told without it.
            skips_damage: false,
        };
        let walked = traversal.run_object(self.set, object, &mut |visit| {
            let Some(span) = Span::of(&visit) else {
                return Ok(());
            };
            if span.start >= end {
                return Err(OneObject::Done);
            }
            match visit {
                Visit::Hole { .. } => {
                    let until = if span.end == 0 { end } else { span.end.min(end) };
                    layout.free_blocks(object, span.start.max(piece.start), until)
                }
                visit => layout.visit(&visit),
            }
            .map_err(OneObject::Ended)
        });
        match walked {
            Ok(()) | Err(Stop::Visitor(OneObject::Done)) => Ok(()),
            Err(Stop::Visitor(OneObject::Ended(end))) => Err(Stop::Visitor(end)),
            Err(Stop::Pool(error)) => Err(Stop::Pool(error)),
        }
    }
}

fn find(set: &ObjectSet, reader: &BlockReader, number: ObjectNumber) -> Result<Option<Object>, Error> {
    match set.object(reader, number) {
        Ok(object) => Ok(Some(object)),
        Err(Error::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Behind the last block that is sent again where it was left out before.
const fn last_sent_again(object: &Object) -> u64 {
    object.dnode.max_block.0
}
