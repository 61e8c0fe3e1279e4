//! What is sent, and from where on.

use super::{DatasetFeature, ResumePoint, Saved, SourceEncryption};
use std::collections::BTreeMap;
use zferry_zpool::dsl::RedactionList;
use zferry_zpool::spa::{BlockPointer, BlockReader};
use zferry_zpool::{Pool, Txg};

/// A snapshot to be sent.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its full name, `pool/fs@snap`. A file system or volume that is no snapshot is sent as `pool/fs@--head--`.
    pub name: String,
    /// Its guid.
    pub guid: u64,
    /// When it was taken: seconds since 1970.
    pub creation_time: u64,
    /// Whether names in the file system are compared without regard to case.
    pub is_case_insensitive: bool,
    /// Where its object set is.
    pub root: BlockPointer,
    /// The features that its blocks use, with the numbers that some carry.
    pub features: BTreeMap<DatasetFeature, Vec<u64>>,
    /// How it is encrypted, if it is.
    pub encryption: Option<SourceEncryption>,
    /// What the receiver has already; `None` for a full stream.
    pub from: Option<From>,
    /// What is to be left out.
    pub redact: Option<RedactionList>,
    /// What was left out of the stream that the receiver has, where that is known from a bookmark.
    pub redacted_before: Option<RedactionList>,
    /// The guids of the snapshots for whose sake things were left out of what the receiver has.
    pub redacted_for: Option<Vec<u64>>,
    /// For what an interrupted receive brought: what it is sent as.
    pub saved: Option<Saved>,
    /// Where to go on, if a part of the stream has arrived already.
    pub resume: Option<ResumePoint>,
}

impl Source {
    /// What reads the snapshot's blocks with its key; `None` where it is not encrypted, or the key not loaded.
    #[must_use]
    pub fn keyed_reader(&self, pool: &Pool) -> Option<BlockReader> {
        let key = self.encryption.as_ref()?.key.clone()?;
        Some(pool.reader().with_key(key))
    }
}

/// What the receiver of an incremental stream has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// The guid of the snapshot.
    pub guid: u64,
    /// The transaction group in which it was taken.
    pub txg: Txg,
    /// Whether it is of another dataset, of which this one is a clone.
    pub is_origin: bool,
}
