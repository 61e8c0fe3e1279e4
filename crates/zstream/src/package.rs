//! What a package says of itself: the list behind its BEGIN, and the streams that must come for it to be whole.

use std::collections::BTreeMap;

use zferry_nvlist::NvList;

use crate::flags::FeatureFlags;
use crate::record::Begin;

/// Why a package is not whole although each of its streams is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A stream does not go on where the one before it of the same dataset ended.
    #[error("the stream of {name} begins at snapshot {from:#x}, but the one before it ended at {last:#x}")]
    Gap {
        /// The snapshot that the stream leads to.
        name: String,
        /// The guid of its incremental source.
        from: u64,
        /// The guid that the dataset's previous stream led to.
        last: u64,
    },
    /// The first stream of a dataset builds on a snapshot that the package should hold but does not.
    #[error("the stream of {name} begins at snapshot {from:#x}, which nothing in the package leads to")]
    NoBeginning {
        /// The snapshot that the stream leads to.
        name: String,
        /// The guid of its incremental source.
        from: u64,
    },
    /// The package ends without the stream that its list promises.
    #[error("the package ends without a stream of {dataset}@{snapshot}, which its list promises")]
    Missing {
        /// The dataset.
        dataset: String,
        /// The snapshot's name behind the at sign.
        snapshot: String,
    },
}

/// A dataset that the list promises.
#[derive(Clone, Debug)]
struct Promise {
    /// The guid of the snapshot that the package leads to.
    to_guid: Option<u64>,
    /// The guid of the snapshot that the dataset is a clone of.
    origin: Option<u64>,
}

/// A package in the making: what its list promises, and how far each dataset has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    to_snapshot: String,
    /// A full replication package (`-R` without a source): every dataset begins in it.
    full: bool,
    /// It goes on with one that was cut, whose first streams the receiver has: what comes before the first stream here is
    /// not known.
    is_rest: bool,
    promises: BTreeMap<String, Promise>,
    reached: BTreeMap<String, u64>,
}

impl Package {
    /// The package that `list` describes; without one (`zfs send -I` alone) nothing is promised.
    pub(crate) fn new(list: Option<&NvList>) -> Self {
        let Some(list) = list else {
            return Self::default();
        };
        let to_snapshot = list.str("tosnap").unwrap_or_default().to_owned();
        let datasets = list.list("fss").into_iter().flat_map(NvList::iter);
        let promises = datasets
            .filter_map(|(_, value)| match value {
                zferry_nvlist::Value::NvList(dataset) => Some(dataset),
                _ => None,
            })
            .filter_map(|dataset| {
                let promise = Promise {
                    to_guid: dataset.list("snaps").and_then(|snaps| snaps.u64(&to_snapshot)),
                    origin: dataset.u64("origin"),
                };
                Some((dataset.str("name")?.to_owned(), promise))
            })
            .collect();
        Self {
            full: !list.contains("fromsnap") && !list.flag("not_recursive"),
            to_snapshot,
            is_rest: false,
            promises,
            reached: BTreeMap::new(),
        }
    }

    /// A stream of the package begins.
    pub(crate) fn begin(&mut self, begin: &Begin) -> Result<(), PackageError> {
        let name = begin.to_name.to_string();
        let dataset = name.split('@').next().unwrap_or_default();
        let from = begin.from_guid;
        let is_first = self.reached.is_empty();
        self.is_rest |= is_first && begin.features().contains(FeatureFlags::RESUMING);
        match self.reached.get(dataset) {
            Some(&last) if last != from => return Err(PackageError::Gap { name, from, last }),
            None if self.full && from != 0 && !self.is_rest => {
                let origin = self.promises.get(dataset).and_then(|promise| promise.origin);
                if origin != Some(from) {
                    return Err(PackageError::NoBeginning { name, from });
                }
            }
            _ => {}
        }
        self.reached.insert(dataset.to_owned(), begin.to_guid);
        Ok(())
    }

    /// The package ends.
    pub(crate) fn end(&self) -> Result<(), PackageError> {
        for (dataset, promise) in &self.promises {
            let reached = self.reached.get(dataset);
            let came_before = self.is_rest && reached.is_none();
            if promise.to_guid.is_some() && reached != promise.to_guid.as_ref() && !came_before {
                return Err(PackageError::Missing {
                    dataset: dataset.clone(),
                    snapshot: self.to_snapshot.clone(),
                });
            }
        }
        Ok(())
    }
}
