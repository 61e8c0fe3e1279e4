//! Records on their way from the stream to the pool, some of which worker threads make ready meanwhile.

use super::ReceiveError;
use super::payload::to_our_order;
use std::sync::Arc;
use zferry_blocks::compress::Compression;
use zferry_wire::{Endian, u64_from_usize};
use zferry_zpool::dmu::ObjectType;
use zferry_zpool::spa::{BlockPolicy, PreparedBlock};
use zferry_zstream::record::{CompressionType, Record, Write};

/// Records that follow one another.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// How many bytes their payloads had.
    pub(super) bytes: u64,
}

/// A record and what follows it.
#[derive(Debug)]
pub(super) struct Item {
    /// Where in the stream the record begins, in bytes.
    pub(super) position: u64,
    pub(super) record: Record,
    pub(super) body: Body,
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
}

impl Batch {
    /// Appends a record.
    pub(super) fn push(&mut self, item: Item) {
        if let Body::Bytes(bytes) = &item.body {
            self.bytes = self.bytes.saturating_add(u64_from_usize(bytes.len()));
        }
        self.items.push(item);
    }

    /// Makes ready what can be: the work of a worker thread.
    pub(super) fn make_ready(&mut self, stream: Endian) -> Result<(), ReceiveError> {
        for item in &mut self.items {
            let Some(recipe) = item.recipe.take() else {
                continue;
            };
            if let Body::Bytes(bytes) = &mut item.body {
                let payload = std::mem::take(bytes);
                let block = recipe.block(&item.record, payload, stream)?;
                item.body = Body::Ready(block);
            }
        }
        Ok(())
    }
}

impl Recipe {
    /// Makes the block of a WRITE or SPILL ready.
    pub(super) fn block(
        &self,
        record: &Record,
        mut payload: Vec<u8>,
        stream: Endian,
    ) -> Result<PreparedBlock, ReceiveError> {
        let content_type = match record {
            Record::Write(write) => {
                if write.compression != CompressionType::NONE
                    && let Some(compression) = Compression::from_id(write.compression.0)
                {
                    return Ok(self.stored(write, compression, payload)?);
                }
                super::payload::object_type(write.object_type)
            }
            Record::Spill(spill) => super::payload::object_type(spill.object_type),
            _ => ObjectType::NONE,
        };
        to_our_order(&mut payload, content_type, stream);
        Ok(self.policy.prepare(self.object_type, payload)?)
    }

    /// A block that stays as it was compressed.
    fn stored(
        &self,
        write: &Write,
        compression: Compression,
        payload: Vec<u8>,
    ) -> Result<PreparedBlock, zferry_zpool::Error> {
        self.policy
            .prepare_compressed(self.object_type, write.logical_size, compression, payload)
    }
}
