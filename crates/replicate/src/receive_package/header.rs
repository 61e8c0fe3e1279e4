//! The list in front of a package, as it was written by `zfs send`: see `package/header.rs` and `package/gather.rs`, which
//! write it.

use std::collections::HashMap;
use zferry_nvlist::{NvList, Value};

/// What the header of a package tells. It may be large, so it is looked at where it is.
#[derive(Clone, Debug)]
pub struct PackageHeader<'l> {
    /// The incremental source, behind the `@`.
    pub from: Option<&'l str>,
    /// Whether what lies below the dataset is in the package, too.
    pub is_recursive: bool,
    /// Whether the streams are raw.
    pub is_raw: bool,
    datasets: Vec<SentDataset<'l>>,
    /// The guid of a snapshot → the dataset's place in the list, and the snapshot's name behind the `@`. Where several
    /// datasets have a snapshot, as copies of each other, it is that of the first.
    by_snapshot: HashMap<u64, (usize, &'l str)>,
}

/// A dataset of the package, as its sender had it.
#[derive(Clone, Copy, Debug)]
pub struct SentDataset<'l> {
    /// Its full name.
    pub name: &'l str,
    /// The guid of the incremental source in the dataset above, or of the snapshot that is sent; 0 at the top.
    pub parent_guid: u64,
    /// The guid of what it was cloned from; 0 for what is no clone.
    pub origin: u64,
    /// Whether its key is wrapped by a user's key of its own: those of others are by that of one above.
    pub is_encryption_root: bool,
    /// Its properties, where they were sent.
    pub properties: Option<&'l NvList>,
    list: &'l NvList,
}

/// Why a list is not that of a package.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Something that must be there is not, or is of another kind.
    #[error("the package's header lacks '{key}' where it tells of {place}")]
    Missing {
        /// What is not there.
        key: &'static str,
        /// Of what it should tell.
        place: String,
    },
}

impl<'l> PackageHeader<'l> {
    /// Takes the list apart.
    ///
    /// # Errors
    /// [`HeaderError`] where something in it is missing.
    pub fn decode(list: &'l NvList) -> Result<Self, HeaderError> {
        let sent = list.list("fss").ok_or_else(|| missing("fss", "the package"))?;
        let (mut datasets, mut by_snapshot) = (Vec::new(), HashMap::new());
        for (key, value) in sent {
            let Value::NvList(dataset) = value else {
                return Err(missing("name", key));
            };
            let place = datasets.len();
            for (snapshot, guid) in dataset.list("snaps").ok_or_else(|| missing("snaps", key))? {
                let Value::Uint64(guid) = guid else {
                    return Err(missing("guid", snapshot));
                };
                by_snapshot.entry(*guid).or_insert((place, snapshot));
            }
            datasets.push(SentDataset::decode(key, dataset)?);
        }
        Ok(Self {
            from: list.str("fromsnap"),
            is_recursive: !list.flag("not_recursive"),
            is_raw: list.flag("raw"),
            datasets,
            by_snapshot,
        })
    }

    /// The dataset that a snapshot belongs to, and the snapshot's name behind the `@`.
    #[must_use]
    pub fn find(&self, snapshot: u64) -> Option<(&SentDataset<'l>, &'l str)> {
        let (place, name) = self.by_snapshot.get(&snapshot)?;
        Some((self.datasets.get(*place)?, name))
    }
}

impl<'l> SentDataset<'l> {
    fn decode(key: &str, list: &'l NvList) -> Result<Self, HeaderError> {
        let parent_guid = list.u64("parentfromsnap");
        Ok(Self {
            name: list.str("name").ok_or_else(|| missing("name", key))?,
            parent_guid: parent_guid.ok_or_else(|| missing("parentfromsnap", key))?,
            origin: list.u64("origin").unwrap_or(0),
            is_encryption_root: list.flag("is_encroot"),
            properties: list.list("props"),
            list,
        })
    }

    /// What was set for a snapshot of it; `None` where nothing is told.
    #[must_use]
    pub fn snapshot_properties(&self, snapshot: &str) -> Option<&'l NvList> {
        self.list.list("snapprops")?.list(snapshot)
    }

    /// The tags that hold a snapshot of it.
    pub fn holds(&self, snapshot: &str) -> impl Iterator<Item = &'l str> + use<'l> {
        let holds = self.list.list("snapholds").and_then(|holds| holds.list(snapshot));
        holds.into_iter().flatten().map(|(tag, _)| tag)
    }
}

fn missing(key: &'static str, place: &str) -> HeaderError {
    HeaderError::Missing {
        key,
        place: format!("'{place}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(name: &str, snapshots: &[(&str, u64)]) -> NvList {
        let mut snaps = NvList::new();
        for (name, guid) in snapshots {
            snaps.insert(name, *guid);
        }
        let mut list = NvList::new();
        list.insert("name", name)
            .insert("parentfromsnap", 0_u64)
            .insert("snaps", snaps);
        list
    }

    fn package(datasets: Vec<NvList>) -> NvList {
        let mut sent = NvList::new();
        for (dataset, guid) in datasets.into_iter().zip(1_u64..) {
            sent.insert(format!("{guid:#x}"), dataset);
        }
        let mut list = NvList::new();
        list.insert("tosnap", "b").insert("fss", sent);
        list
    }

    #[test]
    fn snapshots_are_found_by_their_guids() {
        let list = package(vec![
            dataset("p/a", &[("a", 1), ("b", 2)]),
            dataset("p/copy", &[("a", 1), ("c", 3)]),
        ]);
        let header = PackageHeader::decode(&list).unwrap();
        assert!(header.is_recursive && !header.is_raw);
        let names = |guid| header.find(guid).map(|(dataset, name)| (dataset.name, name));
        assert_eq!(names(1), Some(("p/a", "a")));
        assert_eq!(names(3), Some(("p/copy", "c")));
        assert_eq!(names(4), None);
    }

    #[test]
    fn what_lacks_something_is_refused() {
        let mut nameless = dataset("p/a", &[]);
        nameless.remove("name");
        let without_snapshots = {
            let mut list = dataset("p/a", &[]);
            list.remove("snaps");
            list
        };
        let mut empty = NvList::new();
        empty.insert("tosnap", "b");
        for list in [package(vec![nameless]), package(vec![without_snapshots]), empty] {
            assert!(PackageHeader::decode(&list).is_err());
        }
    }
}
