//! From the names of a snapshot and of what it is sent from to what a send needs of them.

use super::{DatasetFeature, From, Source, SourceEncryption};
use std::collections::BTreeMap;
use zferry_zpool::dsl::{Bookmark, Dataset, DatasetFlags, DslPool, EntityName, Part};
use zferry_zpool::{Error, Txg};

/// Why what was named cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// There is no such dataset.
    #[error("'{0}' does not exist")]
    Missing(String),
    /// The incremental source is no snapshot, or no bookmark, that exists.
    #[error("incremental source ({0}) does not exist")]
    SourceMissing(String),
    /// The incremental source is not older than the snapshot, or no ancestor of it.
    #[error("not an earlier snapshot from the same fs")]
    NotEarlier,
    /// The incremental source names neither a snapshot nor a bookmark.
    #[error("'{0}' is neither a snapshot nor a bookmark")]
    NoSource(String),
    /// Only snapshots can be redacted.
    #[error("cannot do a redacted send to a filesystem")]
    RedactedHead,
    /// The bookmark has no list of what is to be left out.
    #[error("not a redaction bookmark")]
    NoRedactionBookmark,
    /// The bookmark's list was never finished.
    #[error("incomplete redaction bookmark provided")]
    IncompleteRedaction,
    /// The pool cannot be read.
    #[error(transparent)]
    Pool(#[from] Error),
}

/// A snapshot that is to be sent, and what it is sent from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What a send needs of both.
    pub source: Source,
    pub(super) to: Dataset,
    pub(super) from: Option<Earlier>,
}

/// An earlier state of a dataset.
#[derive(Clone, Debug)]
pub(super) enum Earlier {
    Snapshot(Box<Dataset>),
    Bookmark(Bookmark),
}

impl Resolved {
    /// Finds the snapshot `to` (or the file system or volume as it is) and the snapshot or bookmark `from`, both by
    /// their full names. If `to` is encrypted and is not to be sent raw, its key has to be loaded before.
    ///
    /// # Errors
    /// Where one of them does not exist, or `from` is no earlier state of `to`.
    pub fn find(dsl: &DslPool<'_>, to: &str, from: Option<&str>) -> Result<Self, ResolveError> {
        let to = dsl
            .dataset(to)?
            .ok_or_else(|| ResolveError::Missing(to.to_owned()))?;
        Self::of(dsl, to, from)
    }

    /// Finds what `to` is sent from.
    pub(super) fn of(dsl: &DslPool<'_>, to: Dataset, from: Option<&str>) -> Result<Self, ResolveError> {
        let from = from.map(|from| earlier(dsl, &to, from)).transpose()?;
        let name = if to.is_snapshot() {
            to.name.clone()
        } else {
            format!("{}@--head--", to.name)
        };
        let source = Source {
            name,
            guid: to.phys.guid,
            creation_time: to.phys.creation_time,
            is_case_insensitive: to.phys.flags.contains(DatasetFlags::CASE_INSENSITIVE),
            root: to.phys.root,
            features: features(dsl, &to)?,
            encryption: SourceEncryption::find(dsl, &to, from.as_ref())?,
            from: from.as_ref().map(|from| from.identity(&to)),
            saved: None,
            redact: None,
            redacted_before: None,
            redacted_for: None,
            resume: None,
        };
        let mut resolved = Self { source, to, from };
        resolved.find_redacted(dsl)?;
        Ok(resolved)
    }

    /// Finds out what was left out of the stream that the receiver has.
    fn find_redacted(&mut self, dsl: &DslPool<'_>) -> Result<(), Error> {
        match &self.from {
            None => {}
            Some(Earlier::Snapshot(snapshot)) => {
                self.source.redacted_for = dsl.redaction_snapshots(snapshot)?;
            }
            Some(Earlier::Bookmark(bookmark)) => {
                self.source.redacted_before = dsl.redaction_list(bookmark)?;
                let list = self.source.redacted_before.as_ref();
                self.source.redacted_for = list.map(|list| list.snapshots.clone());
            }
        }
        Ok(())
    }

    /// Leaves out what the redaction bookmark with this name lists, which is one of the snapshot's file system.
    ///
    /// # Errors
    /// Where there is none of the name, or it is no redaction bookmark, or was never finished.
    pub fn redact(&mut self, dsl: &DslPool<'_>, bookmark: &str) -> Result<(), ResolveError> {
        if !self.to.is_snapshot() {
            return Err(ResolveError::RedactedHead);
        }
        let name = format!("{}#{bookmark}", self.to.dir.name);
        let bookmark = dsl.bookmark(&name)?.ok_or(ResolveError::Missing(name))?;
        let list = dsl.redaction_list(&bookmark)?;
        let list = list.ok_or(ResolveError::NoRedactionBookmark)?;
        if !list.is_complete {
            return Err(ResolveError::IncompleteRedaction);
        }
        self.source.redact = Some(list);
        Ok(())
    }

    /// The full name of the snapshot (or of the file system or volume) that is sent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.to.name
    }

    /// The full name of the snapshot or bookmark that it is sent from.
    #[must_use]
    pub fn from_name(&self) -> Option<&str> {
        self.from.as_ref().map(Earlier::name)
    }
}

impl Earlier {
    pub(super) const fn name(&self) -> &str {
        match self {
            Self::Snapshot(snapshot) => snapshot.name.as_str(),
            Self::Bookmark(bookmark) => bookmark.name.as_str(),
        }
    }

    fn identity(&self, to: &Dataset) -> From {
        let (guid, txg, dir) = match self {
            Self::Snapshot(snapshot) => (snapshot.phys.guid, snapshot.phys.creation_txg, &snapshot.dir),
            Self::Bookmark(bookmark) => (bookmark.guid, bookmark.creation_txg, &bookmark.dir),
        };
        From {
            guid,
            txg,
            is_origin: dir.number != to.dir.number,
        }
    }
}

fn earlier(dsl: &DslPool<'_>, to: &Dataset, name: &str) -> Result<Earlier, ResolveError> {
    let missing = || ResolveError::SourceMissing(name.to_owned());
    match EntityName::new(name).part {
        Part::Snapshot(_) => {
            let snapshot = dsl.dataset(name)?.ok_or_else(missing)?;
            if !dsl.is_before(to, &snapshot)? {
                return Err(ResolveError::NotEarlier);
            }
            Ok(Earlier::Snapshot(Box::new(snapshot)))
        }
        Part::Bookmark(_) => {
            let bookmark = dsl.bookmark(name)?.ok_or_else(missing)?;
            // What was left out of a stream of the same snapshot can be sent later.
            let is_same = bookmark.redaction.is_some() && bookmark.guid == to.phys.guid;
            if !is_same && !dsl.descends_from(to, &bookmark.dir, bookmark.creation_txg)? {
                return Err(ResolveError::NotEarlier);
            }
            Ok(Earlier::Bookmark(bookmark))
        }
        Part::Head => Err(ResolveError::NoSource(name.to_owned())),
    }
}

/// The features that a dataset's blocks use, with the numbers that some carry.
fn features(dsl: &DslPool<'_>, dataset: &Dataset) -> Result<BTreeMap<DatasetFeature, Vec<u64>>, Error> {
    let mut features = BTreeMap::new();
    for feature in DatasetFeature::ALL {
        if let Some(value) = dsl.dataset_entry(dataset, feature.guid())? {
            features.insert(feature, value.as_u64s().unwrap_or_default());
        }
    }
    Ok(features)
}

impl Source {
    /// The transaction group after which what was written is sent.
    pub(super) fn since(&self) -> Txg {
        self.from.map_or(Txg(0), |from| from.txg)
    }
}
