//! Records on their way from the stream to the pool, some of which worker threads make ready meanwhile.
//!
//! The payloads of a batch lie in one piece of memory, and what they are compressed to in another; both are used again
//! for later batches.

use super::ReceiveError;
use super::payload::to_our_order;
use super::raw::sealed_block;
use std::ops::Range;
use std::sync::Arc;
use zferry_blocks::compress::Compression;
use zferry_wire::{Endian, u64_from_usize};
use zferry_zpool::dmu::ObjectType;
use zferry_zpool::spa::{BlockPolicy, Draft, PreparedBlock, Room};
use zferry_zstream::record::{CompressionType, Record};
use zferry_zstream::source::Payloads;

/// Records that follow one another, as they came.
#[derive(Debug, Default)]
pub(super) struct Batch {
    items: Vec<Item<Range<usize>>>,
    pub(super) payloads: Payloads,
}

/// Records that follow one another, as far as they could be made ready.
#[derive(Debug)]
pub(super) struct ReadyBatch {
    pub(super) items: Vec<Item<Body>>,
    memory: Arc<Vec<u8>>,
    room: Arc<Vec<u8>>,
}

/// A record and what follows it.
#[derive(Debug)]
pub(super) struct Item<B> {
    /// Where in the stream the record begins, in bytes.
    pub(super) position: u64,
    /// Where its payload ends, in bytes.
    pub(super) end: u64,
    pub(super) record: Record,
    /// What follows it: where in its batch's memory, or what it is.
    pub(super) body: B,
    /// How a block is made ready. What has none is made ready when it is its turn.
    pub(super) recipe: Option<Recipe>,
}

/// What follows a record.
#[derive(Debug)]
pub(super) enum Body {
    /// As it came.
    Bytes(Vec<u8>),
    /// A block that only lacks its place.
    Ready(PreparedBlock),
}

/// How a block is made ready.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) policy: Arc<BlockPolicy>,
    /// The type that its pointer states.
    pub(super) object_type: ObjectType,
    /// Whether its sender has sealed it.
    pub(super) is_raw: bool,
}

impl Batch {
    /// An empty one, in memory that was used before.
    pub(super) const fn new(memory: Vec<u8>) -> Self {
        Self {
            items: Vec::new(),
            payloads: Payloads::new(memory),
        }
    }

    /// Appends a record.
    pub(super) fn push(&mut self, item: Item<Range<usize>>) {
        self.items.push(item);
    }

    /// How many records there are.
    pub(super) const fn records(&self) -> usize {
        self.items.len()
    }

    /// How many bytes their payloads have.
    pub(super) fn bytes(&self) -> u64 {
        u64_from_usize(self.payloads.len())
    }

    /// The records, and the memory that their payloads are in.
    pub(super) fn into_parts(self) -> (Vec<Item<Range<usize>>>, Vec<u8>) {
        (self.items, self.payloads.into_memory())
    }

    /// Makes ready what can be, in `room`: the work of a worker thread.
    pub(super) fn make_ready(self, stream: Endian, room: Vec<u8>) -> Result<ReadyBatch, ReceiveError> {
        let Self { items, payloads } = self;
        let mut memory = payloads.into_memory();
        let mut room = Room::new(room);
        let mut drafts = Vec::with_capacity(items.len());
        for item in &items {
            let place = item.body.clone();
            drafts.push(match &item.recipe {
                Some(recipe) => Some(recipe.draft(&item.record, &mut memory, place, stream, &mut room)?),
                None => None,
            });
        }
        let (memory, room) = (Arc::new(memory), Arc::new(room.into_memory()));
        let ready = items.into_iter().zip(drafts).map(|(item, draft)| Item {
            position: item.position,
            end: item.end,
            record: item.record,
            body: match draft {
                Some(draft) => Body::Ready(draft.finish(&memory, &room)),
                None => Body::Bytes(memory.get(item.body).unwrap_or_default().to_vec()),
            },
            recipe: None,
        });
        Ok(ReadyBatch {
            items: ready.collect(),
            memory,
            room,
        })
    }
}

impl ReadyBatch {
    /// The memory that the batch was in, of the payloads and of what they were compressed to, to be used again.
    /// `None` for what something still needs.
    pub(super) fn into_memory(self) -> [Option<Vec<u8>>; 2] {
        let Self { items, memory, room } = self;
        drop(items);
        [memory, room].map(|memory| Arc::try_unwrap(memory).ok())
    }
}

impl Recipe {
    /// Makes the block of a WRITE or SPILL ready, whose payload lies at `place` in `memory`.
    fn draft(
        &self,
        record: &Record,
        memory: &mut [u8],
        place: Range<usize>,
        stream: Endian,
        room: &mut Room,
    ) -> Result<Draft, ReceiveError> {
        if self.is_raw {
            let sealed = sealed_block(record, self.object_type, stream).ok_or(ReceiveError::Internal)?;
            return Ok(self.policy.draft_sealed(&sealed, memory, place)?);
        }
        let content_type = match record {
            Record::Write(write) => {
                if write.compression != CompressionType::NONE
                    && let Some(compression) = Compression::from_id(write.compression.0)
                {
                    let size = write.logical_size;
                    let draft = self.policy.draft_compressed(
                        self.object_type,
                        size,
                        compression,
                        memory,
                        place,
                        room,
                    );
                    return Ok(draft?);
                }
                super::payload::object_type(write.object_type)
            }
            Record::Spill(spill) => super::payload::object_type(spill.object_type),
            _ => ObjectType::NONE,
        };
        if let Some(content) = memory.get_mut(place.clone()) {
            to_our_order(content, content_type, stream);
        }
        Ok(self.policy.draft(self.object_type, memory, place, room)?)
    }

    /// Makes the block of a WRITE or SPILL ready by itself.
    pub(super) fn block(
        &self,
        record: &Record,
        mut payload: Vec<u8>,
        stream: Endian,
    ) -> Result<PreparedBlock, ReceiveError> {
        let mut room = Room::default();
        let all = 0..payload.len();
        let draft = self.draft(record, &mut payload, all, stream, &mut room)?;
        Ok(draft.finish(&Arc::new(payload), &Arc::new(room.into_memory())))
    }
}
