//! From the names of a snapshot and of what it is sent from to what a send needs of them.

use super::{DatasetFeature, From, Source};
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
    /// their full names.
    ///
    /// # Errors
    /// Where one of them does not exist, or `from` is no earlier state of `to`.
    pub fn find(dsl: &DslPool<'_>, to: &str, from: Option<&str>) -> Result<Self, ResolveError> {
        let to = dsl
            .dataset(to)?
            .ok_or_else(|| ResolveError::Missing(to.to_owned()))?;
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
            from: from.as_ref().map(|from| from.identity(&to)),
            resume: None,
        };
        Ok(Self { source, to, from })
    }

    /// The full name of the snapshot (or of the file system or volume) that is sent.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.to.name
    }

    /// The full name of the snapshot or bookmark that it is sent from.
    #[must_use]
    pub fn from_name(&self) -> Option<&str> {
        self.from.as_ref().map(|from| match from {
            Earlier::Snapshot(snapshot) => snapshot.name.as_str(),
            Earlier::Bookmark(bookmark) => bookmark.name.as_str(),
        })
    }
}

impl Earlier {
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
            if !dsl.descends_from(to, &bookmark.dir, bookmark.creation_txg)? {
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
