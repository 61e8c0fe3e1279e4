//! What an open transaction group has done to the space of an object set.

use crate::spa::{BlockPointer, BlockWriter, Feature};
use crate::{Error, Txg};
use std::collections::{BTreeMap, BTreeSet};
use zferry_blocks::checksum::ChecksumAlgorithm;
use zferry_blocks::compress::Compression;

/// Blocks above this size need a feature, in bytes.
const OLD_BLOCK_MAX: u64 = 128 << 10;

/// The change of an object set's space, in bytes; and what died that a snapshot still needs.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Blocks born later are nobody else's.
    pub(crate) prev_snapshot_txg: Txg,
    pub(crate) referenced: i64,
    pub(crate) compressed: i64,
    pub(crate) uncompressed: i64,
    /// The part of `referenced` that nobody else has.
    pub(crate) unique: i64,
    /// What died and belongs to the newest snapshot.
    pub(crate) dead: Vec<BlockPointer>,
    /// What died of what there was in these groups: their bookmarks tell it. Allocated, compressed, uncompressed.
    pub(crate) watched: BTreeMap<Txg, [i64; 3]>,
    /// What must be known to read the blocks.
    pub(crate) features: BTreeSet<Feature>,
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// The sizes of a block as they count: allocated, compressed, uncompressed.
pub(crate) fn sizes(pointer: &BlockPointer) -> [i64; 3] {
    [
        signed(pointer.allocated()),
        signed(pointer.counted_physical_size()),
        signed(pointer.uncompressed_size()),
    ]
}

fn has_space(pointer: &BlockPointer) -> bool {
    !pointer.is_hole() && !pointer.is_redacted()
}

impl Ledger {
    pub(crate) fn new(prev_snapshot_txg: Txg) -> Self {
        Self {
            prev_snapshot_txg,
            ..Self::default()
        }
    }

    /// A ledger to go on with, in which nothing has happened.
    pub(crate) fn next(&self) -> Self {
        Self {
            watched: self.watched.keys().map(|txg| (*txg, [0; 3])).collect(),
            ..Self::new(self.prev_snapshot_txg)
        }
    }

    /// Whether nothing has happened.
    pub(crate) fn is_empty(&self) -> bool {
        self.referenced == 0
            && self.compressed == 0
            && self.uncompressed == 0
            && self.unique == 0
            && self.dead.is_empty()
            && self.features.is_empty()
            && self.watched.values().all(|sizes| *sizes == [0; 3])
    }

    /// A block was written.
    pub(crate) fn born(&mut self, pointer: &BlockPointer) {
        if !has_space(pointer) {
            return;
        }
        let [allocated, compressed, uncompressed] = sizes(pointer);
        self.referenced = self.referenced.saturating_add(allocated);
        self.compressed = self.compressed.saturating_add(compressed);
        self.uncompressed = self.uncompressed.saturating_add(uncompressed);
        self.unique = self.unique.saturating_add(allocated);
        self.note_features(pointer);
    }

    fn note_features(&mut self, pointer: &BlockPointer) {
        if pointer.logical_size() > OLD_BLOCK_MAX {
            self.features.insert(Feature::LargeBlocks);
        }
        if Compression::from_id(pointer.compression()) == Some(Compression::Zstd) {
            self.features.insert(Feature::ZstdCompress);
        }
        if pointer.is_embedded() {
            return;
        }
        let feature = match ChecksumAlgorithm::from_id(pointer.checksum_type()) {
            Some(ChecksumAlgorithm::Sha512) => Feature::Sha512,
            Some(ChecksumAlgorithm::Skein) => Feature::Skein,
            Some(ChecksumAlgorithm::EdonR) => Feature::EdonR,
            Some(ChecksumAlgorithm::Blake3) => Feature::Blake3,
            _ => return,
        };
        self.features.insert(feature);
    }

    /// A block is no longer led to: its space is given back, or left to the snapshot that still has it.
    pub(crate) fn kill(&mut self, pointer: &BlockPointer, io: &mut BlockWriter) -> Result<(), Error> {
        if !has_space(pointer) {
            return Ok(());
        }
        let [allocated, compressed, uncompressed] = sizes(pointer);
        self.referenced = self.referenced.saturating_sub(allocated);
        self.compressed = self.compressed.saturating_sub(compressed);
        self.uncompressed = self.uncompressed.saturating_sub(uncompressed);
        for watched in self.watched.range_mut(pointer.logical_birth()..) {
            for (sum, size) in watched.1.iter_mut().zip(sizes(pointer)) {
                *sum = sum.saturating_add(size);
            }
        }
        if pointer.logical_birth() > self.prev_snapshot_txg {
            self.unique = self.unique.saturating_sub(allocated);
            io.free(pointer)
        } else {
            self.dead.push(*pointer);
            Ok(())
        }
    }
}
