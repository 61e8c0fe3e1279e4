//! The value of any property of anything that has a name, as OpenZFS computes it.

use super::entity::EntityKind;
use super::property::{DatasetTypes, Found, Kind, Property, Source, Value};
use super::{Bookmark, BookmarkFlags, Dataset, DatasetFlags, DirFlags, DslPool, Entity};
use crate::dmu::{ObjectSet, ObjectSetType};
use crate::zap;
use crate::{Error, ObjectNumber};

/// In a file system, the object that names its parts; in a volume, its content.
const FIRST_OBJECT: ObjectNumber = ObjectNumber(1);
/// In a volume, its size.
const VOLUME_PROPERTIES: ObjectNumber = ObjectNumber(2);
/// The version of file systems that do not say theirs.
const ZPL_VERSION: u64 = 5;
/// `keystatus`: a key is needed, and is not loaded.
const KEY_UNAVAILABLE: u64 = 1;

/// What is known of a property before it is held against its default.
enum Known {
    /// Nothing: it may have been set, or have a default.
    Nothing,
    /// It has no value.
    Absent,
    /// It was computed.
    Computed(Value),
}

impl From<u64> for Known {
    fn from(number: u64) -> Self {
        Self::Computed(Value::Number(number))
    }
}

impl From<String> for Known {
    fn from(text: String) -> Self {
        Self::Computed(Value::Text(text))
    }
}

impl<T> From<Option<T>> for Known
where
    Self: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::from)
    }
}

impl DslPool<'_> {
    /// The value of a property, and where it comes from; `None` where it has none. Of `receive_resume_token`, only
    /// [`Self::resume_state`] tells; `mountpoint` is the one that was set, which may be that of an ancestor.
    ///
    /// # Errors
    /// Where what it is computed from cannot be read.
    pub fn property(&self, entity: &Entity, property: Property) -> Result<Option<Found>, Error> {
        let description = property.description();
        if !description.applies_to(entity.types()) {
            return Ok(None);
        }
        let is_text = matches!(description.kind, Kind::Text { .. });
        // A snapshot has no numbers that its head could not have, but for those that only snapshots have.
        let is_foreign = entity.types() == DatasetTypes::SNAPSHOT
            && description.types != DatasetTypes::SNAPSHOT
            && !description.applies_to(entity.head_type);
        if is_foreign && !is_text {
            return Ok(None);
        }
        let known = match (property, &entity.kind) {
            (Property::Name, _) => entity.name().to_owned().into(),
            (Property::Type, _) => type_name(entity.types()).to_owned().into(),
            (_, EntityKind::Dataset(dataset)) => self.known(entity, dataset, property)?,
            (_, EntityKind::Bookmark(bookmark)) => self.known_of_bookmark(bookmark, property)?,
        };
        match known {
            Known::Absent => Ok(None),
            Known::Computed(value) => {
                let mut found = computed(property, value);
                // What counts is kept beside what was set, which still tells who set it.
                if let Some(dataset) = entity.dataset().filter(|_| !description.is_read_only())
                    && let Some(set) = self.setting(dataset, property)?
                {
                    found.source = set.source;
                }
                Ok(Some(found))
            }
            Known::Nothing => match &entity.kind {
                EntityKind::Dataset(dataset) => self.set_or_default(dataset, property),
                EntityKind::Bookmark(_) => Ok(default(property)),
            },
        }
    }

    fn set_or_default(&self, dataset: &Dataset, property: Property) -> Result<Option<Found>, Error> {
        Ok(self.setting(dataset, property)?.or_else(|| default(property)))
    }

    fn known(&self, entity: &Entity, dataset: &Dataset, property: Property) -> Result<Known, Error> {
        let phys = &dataset.phys;
        Ok(match property {
            Property::Creation => phys.creation_time.into(),
            Property::CreateTxg => phys.creation_txg.0.into(),
            Property::Guid => phys.guid.into(),
            Property::ObjsetId => dataset.number.0.into(),
            Property::Referenced => phys.referenced.into(),
            Property::LogicalReferenced => phys.uncompressed.into(),
            Property::RefCompressRatio => ratio(phys.uncompressed, phys.compressed).into(),
            Property::Unique => phys.unique.into(),
            Property::Inconsistent => u64::from(phys.flags.contains(DatasetFlags::INCONSISTENT)).into(),
            Property::Written => self.written(dataset)?.into(),
            Property::Redacted => u64::from(self.redaction_snapshots(dataset)?.is_some()).into(),
            Property::RedactSnaps => self
                .redaction_snapshots(dataset)?
                .map(|guids| list(&guids))
                .into(),
            Property::UserAccounting => {
                u64::from(self.object_set(dataset)?.as_ref().is_some_and(Self::counts_users)).into()
            }
            Property::Version | Property::Normalization | Property::Utf8Only | Property::CaseSensitivity => {
                self.zpl_property(entity, dataset, property)?.into()
            }
            Property::VolSize | Property::VolBlockSize => self.volume_property(dataset, property)?,
            Property::Mounted => 0.into(),
            Property::Encryption
            | Property::KeyStatus
            | Property::KeyFormat
            | Property::KeyGuid
            | Property::Pbkdf2Iters
            | Property::Pbkdf2Salt
            | Property::IvsetGuid
            | Property::EncryptionRoot => self.crypt_property(dataset, property)?,
            _ if dataset.is_snapshot() => self.known_of_snapshot(dataset, property)?,
            _ => self.known_of_head(dataset, property)?,
        })
    }

    fn known_of_snapshot(&self, snapshot: &Dataset, property: Property) -> Result<Known, Error> {
        let phys = &snapshot.phys;
        Ok(match property {
            Property::Used => phys.unique.into(),
            Property::CompressRatio => ratio(phys.uncompressed, phys.compressed).into(),
            Property::NumClones => phys.num_children.saturating_sub(1).into(),
            Property::UserRefs => u64::try_from(self.holds(snapshot)?.len())
                .unwrap_or(u64::MAX)
                .into(),
            Property::DeferDestroy => u64::from(phys.flags.contains(DatasetFlags::DEFER_DESTROY)).into(),
            Property::Clones => {
                let clones = self.clones(snapshot)?;
                (!clones.is_empty()).then(|| clones.join(",")).into()
            }
            _ => Known::Nothing,
        })
    }

    fn known_of_head(&self, head: &Dataset, property: Property) -> Result<Known, Error> {
        let dir = &head.dir.phys;
        let breakdown = |space: u64| {
            dir.flags
                .contains(DirFlags::USED_BREAKDOWN)
                .then_some(space)
                .into()
        };
        Ok(match property {
            Property::Used => dir.used.into(),
            Property::Available => self.available(head)?.into(),
            Property::CompressRatio => ratio(dir.uncompressed, dir.compressed).into(),
            Property::LogicalUsed => dir.uncompressed.into(),
            Property::Quota => dir.quota.into(),
            Property::Reservation => dir.reserved.into(),
            Property::RefQuota | Property::RefReservation => self.own_number(head, property)?.into(),
            Property::UsedBySnapshots => breakdown(dir.used_by.snapshots),
            Property::UsedByDataset => breakdown(dir.used_by.head),
            Property::UsedByRefReservation => breakdown(dir.used_by.ref_reservation),
            Property::UsedByChildren => breakdown(
                dir.used_by
                    .children
                    .saturating_add(dir.used_by.child_reservations),
            ),
            Property::FilesystemCount => self
                .filesystem_count(&head.dir)?
                .map_or(Known::Nothing, Known::from),
            Property::SnapshotCount => self
                .snapshot_count(&head.dir)?
                .map_or(Known::Nothing, Known::from),
            Property::SnapshotsChanged => self
                .snapshots_changed(&head.dir)?
                .filter(|seconds| *seconds != 0)
                .into(),
            Property::Origin => self.origin(&head.dir)?.map(|origin| origin.name).into(),
            Property::PrevSnap => self.prev_snapshot(head)?.into(),
            Property::ReceiveResumeToken => Known::Absent,
            _ => Known::Nothing,
        })
    }

    fn known_of_bookmark(&self, bookmark: &Bookmark, property: Property) -> Result<Known, Error> {
        let sizes_known = bookmark.flags.contains(BookmarkFlags::HAS_FREED_BEFORE_NEXT);
        Ok(match property {
            Property::Guid => bookmark.guid.into(),
            Property::CreateTxg => bookmark.creation_txg.0.into(),
            Property::Creation => bookmark.creation_time.into(),
            Property::IvsetGuid => bookmark.ivset_guid.into(),
            Property::Referenced => sizes_known.then_some(bookmark.referenced).into(),
            Property::LogicalReferenced => sizes_known.then_some(bookmark.uncompressed).into(),
            Property::RedactSnaps => self
                .bookmark_redaction_snapshots(bookmark)?
                .map(|guids| list(&guids))
                .into(),
            _ => Known::Nothing,
        })
    }

    /// The names of a snapshot's clones, in the order in which ZFS walks through their table.
    ///
    /// # Errors
    /// Where a clone's name cannot be found.
    pub fn clones(&self, snapshot: &Dataset) -> Result<Vec<String>, Error> {
        let numbers = self.numbers_in(snapshot.phys.next_clones)?;
        numbers
            .iter()
            .map(|(_, number)| Ok(self.dataset_at(*number)?.dir.name.clone()))
            .collect()
    }

    /// The name of the newest snapshot of a head.
    fn prev_snapshot(&self, head: &Dataset) -> Result<Option<String>, Error> {
        let Some(number) = head.phys.prev_snapshot else {
            return Ok(None);
        };
        let object = self.pool().meta_object(number)?;
        if Some(super::DatasetPhys::decode(&object)?.dir) == self.origin_dir()? {
            return Ok(None);
        }
        Ok(Some(self.dataset_at(number)?.name))
    }

    /// What a file system's master node says. It is not read while the file system is half received.
    fn zpl_property(
        &self,
        entity: &Entity,
        dataset: &Dataset,
        property: Property,
    ) -> Result<Option<u64>, Error> {
        let is_readable = entity.head_type == DatasetTypes::FILESYSTEM
            && !dataset.phys.flags.contains(DatasetFlags::INCONSISTENT);
        let Some(set) = self.object_set(dataset)?.filter(|_| is_readable) else {
            return Ok(None);
        };
        let (key, default) = match property {
            Property::Version => ("VERSION", ZPL_VERSION),
            _ => (property.name(), 0),
        };
        let master = set.object(self.pool().reader(), FIRST_OBJECT)?;
        let value = zap::lookup_u64(self.pool().reader(), &master, key)?;
        Ok(Some(value.unwrap_or(default)))
    }

    fn volume_property(&self, dataset: &Dataset, property: Property) -> Result<Known, Error> {
        let is_consistent = !dataset.phys.flags.contains(DatasetFlags::INCONSISTENT);
        let is_volume = |set: &ObjectSet| set.set_type == ObjectSetType::ZVOL;
        let Some(set) = self
            .object_set(dataset)?
            .filter(is_volume)
            .filter(|_| is_consistent)
        else {
            return Ok(Known::Nothing);
        };
        let reader = self.pool().reader();
        Ok(match property {
            Property::VolSize => {
                let table = set.object(reader, VOLUME_PROPERTIES)?;
                zap::lookup_u64(reader, &table, "size")?.map_or(Known::Nothing, Known::from)
            }
            _ => set.object(reader, FIRST_OBJECT)?.dnode.data_bytes().into(),
        })
    }

    fn crypt_property(&self, dataset: &Dataset, property: Property) -> Result<Known, Error> {
        let Some(encryption) = self.encryption(&dataset.dir)? else {
            return Ok(Known::Nothing);
        };
        let known = |value: Option<u64>| value.map_or(Known::Nothing, Known::from);
        Ok(match property {
            Property::KeyStatus => KEY_UNAVAILABLE.into(),
            Property::Encryption => known(encryption.suite),
            Property::KeyFormat => known(encryption.key_format),
            Property::KeyGuid => known(encryption.key_guid),
            Property::Pbkdf2Iters => known(encryption.pbkdf2_iterations),
            Property::Pbkdf2Salt => known(encryption.pbkdf2_salt),
            Property::IvsetGuid => known(
                self.dataset_entry(dataset, "com.datto:ivset_guid")?
                    .and_then(|value| value.as_u64()),
            ),
            _ => match encryption.root {
                Some(root) => self.dir_at(root)?.name.clone().into(),
                None => Known::Nothing,
            },
        })
    }
}

/// A computed value, with the source that OpenZFS shows for it.
fn computed(property: Property, value: Value) -> Found {
    let description = property.description();
    let can_be_default = !description.is_read_only() || description.is_set_once();
    let is_default = can_be_default && value.number() == Some(description.default_number());
    let source = match property {
        // The ZPL's own properties are asked for apart.
        Property::Version | Property::Normalization | Property::Utf8Only | Property::CaseSensitivity => {
            Source::None
        }
        _ if is_default => Source::Default,
        Property::Quota
        | Property::RefQuota
        | Property::Reservation
        | Property::RefReservation
        | Property::VolSize
        | Property::FilesystemCount
        | Property::SnapshotCount => Source::Local,
        _ => Source::None,
    };
    Found { value, source }
}

/// A property that was never set. What is computed, or a text without a default, then has no value.
fn default(property: Property) -> Option<Found> {
    let description = property.description();
    let value = match description.kind {
        Kind::Text { default } => Value::Text(default?.to_owned()),
        // How many there are is "none" where nobody counts.
        Kind::Number { default } | Kind::Index { default, .. } => {
            let counts = matches!(property, Property::FilesystemCount | Property::SnapshotCount);
            if description.is_read_only() && !description.is_set_once() && !counts {
                return None;
            }
            Value::Number(default)
        }
    };
    Some(Found {
        value,
        source: Source::Default,
    })
}

const fn type_name(types: DatasetTypes) -> &'static str {
    match types {
        DatasetTypes::VOLUME => "volume",
        DatasetTypes::SNAPSHOT => "snapshot",
        DatasetTypes::BOOKMARK => "bookmark",
        _ => "filesystem",
    }
}

/// A ratio in hundredths; 1.00 where there is nothing.
fn ratio(uncompressed: u64, compressed: u64) -> u64 {
    uncompressed
        .wrapping_mul(100)
        .checked_div(compressed)
        .unwrap_or(100)
}

/// Guids, as `redact_snaps` lists them.
fn list(guids: &[u64]) -> String {
    if guids.is_empty() {
        return "none".to_owned();
    }
    guids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
