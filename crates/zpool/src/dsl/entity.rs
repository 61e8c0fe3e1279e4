//! What a name can lead to: a file system, a volume, a snapshot or a bookmark.

use super::names::{EntityName, Part};
use super::property::DatasetTypes;
use super::{Bookmark, Dataset, DslDir, DslPool};
use crate::dmu::ObjectSetType;
use crate::{Corrupt, Error, Txg};
use std::sync::Arc;

/// What a name leads to.
#[derive(Clone, Debug)]
pub struct Entity {
    /// What it is.
    pub kind: EntityKind,
    /// What it, or what it is a snapshot or bookmark of, is: a file system or a volume.
    pub head_type: DatasetTypes,
}

/// What a name leads to, a dataset or not.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "where there are many, nearly all are datasets"
)]
pub enum EntityKind {
    /// A file system, a volume or a snapshot.
    Dataset(Dataset),
    /// A bookmark.
    Bookmark(Bookmark),
}

impl Entity {
    /// Its full name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.kind {
            EntityKind::Dataset(dataset) => &dataset.name,
            EntityKind::Bookmark(bookmark) => &bookmark.name,
        }
    }

    /// The directory that it belongs to.
    #[must_use]
    pub fn dir(&self) -> &Arc<DslDir> {
        match &self.kind {
            EntityKind::Dataset(dataset) => &dataset.dir,
            EntityKind::Bookmark(bookmark) => &bookmark.dir,
        }
    }

    /// What it is: one of the four kinds.
    #[must_use]
    pub fn types(&self) -> DatasetTypes {
        match &self.kind {
            EntityKind::Dataset(dataset) if dataset.is_snapshot() => DatasetTypes::SNAPSHOT,
            EntityKind::Dataset(_) => self.head_type,
            EntityKind::Bookmark(_) => DatasetTypes::BOOKMARK,
        }
    }

    /// The transaction group in which it was made; of a bookmark, that of the snapshot.
    #[must_use]
    pub const fn creation_txg(&self) -> Txg {
        match &self.kind {
            EntityKind::Dataset(dataset) => dataset.phys.creation_txg,
            EntityKind::Bookmark(bookmark) => bookmark.creation_txg,
        }
    }

    /// The dataset, where it is one.
    #[must_use]
    pub const fn dataset(&self) -> Option<&Dataset> {
        match &self.kind {
            EntityKind::Dataset(dataset) => Some(dataset),
            EntityKind::Bookmark(_) => None,
        }
    }
}

impl DslPool<'_> {
    /// What a name leads to; `None` where it leads nowhere.
    ///
    /// # Errors
    /// Where something on the way cannot be read.
    pub fn entity(&self, name: &str) -> Result<Option<Entity>, Error> {
        let parts = EntityName::new(name);
        if let Part::Bookmark(_) = parts.part {
            let Some(bookmark) = self.bookmark(name)? else {
                return Ok(None);
            };
            let Some(head) = self.head(&bookmark.dir)? else {
                return Ok(None);
            };
            let head_type = self.head_type(&head)?;
            return Ok(Some(Entity {
                kind: EntityKind::Bookmark(bookmark),
                head_type,
            }));
        }
        let dataset = self.dataset(name)?;
        dataset.map(|dataset| self.entity_of(dataset)).transpose()
    }

    /// A dataset with its kind.
    ///
    /// # Errors
    /// As [`Self::head_type`].
    pub fn entity_of(&self, dataset: Dataset) -> Result<Entity, Error> {
        let head_type = self.head_type(&dataset)?;
        Ok(Entity {
            kind: EntityKind::Dataset(dataset),
            head_type,
        })
    }

    /// Whether a dataset is a file system or a volume, or a snapshot of either.
    ///
    /// # Errors
    /// Where its object set cannot be read, or is for something else.
    pub fn head_type(&self, dataset: &Dataset) -> Result<DatasetTypes, Error> {
        let set = self.object_set(dataset)?;
        match set.map(|set| set.set_type) {
            Some(ObjectSetType::ZFS) => Ok(DatasetTypes::FILESYSTEM),
            Some(ObjectSetType::ZVOL) => Ok(DatasetTypes::VOLUME),
            other => {
                let found = other.map_or_else(
                    || "nothing".to_owned(),
                    |other| format!("an object set of type {}", other.0),
                );
                Err(Corrupt::new(format!(
                    "'{}' is {found}, no file system and no volume",
                    dataset.name
                ))
                .into())
            }
        }
    }
}
