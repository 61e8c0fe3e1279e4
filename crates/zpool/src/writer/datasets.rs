//! Making datasets and snapshots.

use super::counts::COUNT_OF_SNAPSHOTS;
use super::file_system;
use super::{DatasetId, NewEncryption, PoolWriter};
use crate::dmu::{ObjectSetType, ObjectSpec, ObjectType, OpenSet, Policies, metadata_policy};
use crate::dsl::{DatasetFlags, DatasetPhys, DirFlags, DirPhys, UsedBreakdown};
use crate::spa::{BlockPointer, BlockPolicy, Feature};
use crate::zap::{ZapValue, write as zap};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeSet;
use zferry_blocks::checksum::ChecksumAlgorithm;
use zferry_blocks::compress::{Compression, CompressionLevel};

const CHILD_MAP: ObjectType = ObjectType(13);
const SNAPSHOT_MAP: ObjectType = ObjectType(14);
pub(super) const PROPERTIES: ObjectType = ObjectType(15);
const NEXT_CLONES: ObjectType = ObjectType(37);
const CLONES: ObjectType = ObjectType(52);
/// A file system's guid in the system has so many bits.
const FSID_BITS: u32 = 56;

/// What a dataset begins as.
#[derive(Clone, Debug)]
pub struct BeginOptions {
    /// What its object set is for.
    pub set_type: ObjectSetType,
    /// Features that it is to be marked with from the beginning.
    pub features: BTreeSet<Feature>,
    /// Whether names in it are compared without regard to case.
    pub is_case_insensitive: bool,
    /// How it is encrypted.
    pub encryption: NewEncryption,
}

impl PoolWriter {
    pub(super) fn new_dir(&mut self, parent: Option<(ObjectNumber, &str)>) -> Result<ObjectNumber, Error> {
        let spec = ObjectSpec::new(ObjectType::DSL_DIR, 512)
            .with_bonus(ObjectType::DSL_DIR, vec![0; DirPhys::BYTES]);
        let number = self.new_object(&spec)?;
        if let Some((parent, component)) = parent {
            let children = self.dir(parent)?.children;
            let children =
                children.ok_or_else(|| Corrupt::new(format!("directory {parent} can have no children")))?;
            self.table_put(children, component, number.0)?;
        }
        let properties = self.new_table(PROPERTIES)?;
        let children = self.new_table(CHILD_MAP)?;
        let phys = DirPhys {
            creation_time: self.environment.now().seconds,
            head: None,
            parent: parent.map(|(parent, _)| parent),
            origin: None,
            children: Some(children),
            used: 0,
            compressed: 0,
            uncompressed: 0,
            quota: 0,
            reserved: 0,
            properties: Some(properties),
            delegations: None,
            flags: DirFlags::USED_BREAKDOWN,
            used_by: UsedBreakdown::default(),
            clones: None,
        };
        self.put_dir(number, &phys)?;
        if let Some((parent, _)) = parent {
            self.count_new(number, parent)?;
        }
        Ok(number)
    }

    pub(super) fn new_dataset_object(&mut self, phys: &DatasetPhys) -> Result<ObjectNumber, Error> {
        let spec =
            ObjectSpec::new(ObjectType::DSL_DATASET, 512).with_bonus(ObjectType::DSL_DATASET, phys.encode());
        self.new_object(&spec)
    }

    /// A table of snapshots. Names are looked for by the hash of their upper case.
    pub(super) fn new_snapshot_table(&mut self) -> Result<ObjectNumber, Error> {
        let salt = self.environment.guid();
        let spec = ObjectSpec::new(SNAPSHOT_MAP, 512);
        zap::create(&mut self.mos, &mut self.io, &spec, zap::NORMALIZE_UPPER, salt)
    }

    /// A head as it begins, with nothing in it.
    pub(super) fn new_head(&mut self, dir: ObjectNumber, creation_txg: Txg) -> Result<DatasetPhys, Error> {
        let snapshots = self.new_snapshot_table()?;
        let fsid_guid = self.environment.guid() >> 64_u32.saturating_sub(FSID_BITS);
        let guid = self.environment.guid();
        Ok(DatasetPhys {
            dir,
            prev_snapshot: None,
            prev_snapshot_txg: Txg(0),
            next_snapshot: None,
            snapshots: Some(snapshots),
            num_children: 0,
            creation_time: self.environment.now().seconds,
            creation_txg,
            deadlist: None,
            referenced: 0,
            compressed: 0,
            uncompressed: 0,
            unique: 0,
            fsid_guid,
            guid,
            flags: DatasetFlags::UNIQUE_ACCURATE,
            root: BlockPointer::default(),
            next_clones: None,
            properties: None,
            holds: None,
        })
    }

    /// Gives a directory a head that comes from `$ORIGIN@$ORIGIN`, as every first dataset does.
    pub(super) fn new_first_head(
        &mut self,
        dir: ObjectNumber,
        creation_txg: Txg,
    ) -> Result<DatasetId, Error> {
        let mut phys = self.new_head(dir, creation_txg)?;
        phys.deadlist = Some(self.new_deadlist(&[Txg(0)])?);
        self.hang_on(phys, self.known.origin_snapshot)
    }

    /// Makes a head whose history begins with a snapshot of another directory, with all links between the two.
    pub(super) fn hang_on(
        &mut self,
        mut phys: DatasetPhys,
        origin: ObjectNumber,
    ) -> Result<DatasetId, Error> {
        let mut origin_phys = self.dataset(origin)?;
        let dir = phys.dir;
        phys.prev_snapshot = Some(origin);
        phys.prev_snapshot_txg = origin_phys.creation_txg;
        let number = self.new_dataset_object(&phys)?;

        let next_clones = match origin_phys.next_clones {
            Some(table) => table,
            None => self.new_table(NEXT_CLONES)?,
        };
        origin_phys.next_clones = Some(next_clones);
        origin_phys.num_children = origin_phys.num_children.saturating_add(1);
        self.put_dataset(origin, &origin_phys)?;
        self.set_add(next_clones, number)?;

        let clones = self.clones_of_dir(origin_phys.dir)?;
        self.set_add(clones, number)?;
        let mut dir_phys = self.dir(dir)?;
        dir_phys.head = Some(number);
        dir_phys.origin = Some(origin);
        self.put_dir(dir, &dir_phys)?;
        Ok(DatasetId(number))
    }

    /// The table of the clones of a directory's snapshots, made where it is missing.
    pub(super) fn clones_of_dir(&mut self, dir: ObjectNumber) -> Result<ObjectNumber, Error> {
        let mut phys = self.dir(dir)?;
        if let Some(table) = phys.clones {
            return Ok(table);
        }
        let table = self.new_table(CLONES)?;
        phys.clones = Some(table);
        self.put_dir(dir, &phys)?;
        Ok(table)
    }

    /// The directory of this name, which must be there.
    pub(super) fn existing_dir(&mut self, name: &str) -> Result<ObjectNumber, Error> {
        let missing = || Error::Missing(format!("dataset '{name}'"));
        self.find_dir(name)?.ok_or_else(missing)
    }

    /// The directory of this name as the open group has it; `None` where there is none.
    pub(super) fn find_dir(&mut self, name: &str) -> Result<Option<ObjectNumber>, Error> {
        let mut components = name.split('/');
        if components.next() != Some(self.pool_name()) {
            return Ok(None);
        }
        let mut dir = self.known.root_dir;
        for component in components {
            let Some(children) = self.dir(dir)?.children else {
                return Ok(None);
            };
            match self.table_get(children, component)? {
                Some(child) => dir = ObjectNumber(child),
                None => return Ok(None),
            }
        }
        Ok(Some(dir))
    }

    pub(super) fn pool_name(&self) -> &str {
        self.config.str("name").unwrap_or_default()
    }

    /// Every head in the tree, with the name of its directory, parents before their children.
    pub(super) fn heads(&mut self) -> Result<Vec<(String, DatasetId)>, Error> {
        let mut heads = Vec::new();
        let mut seen = BTreeSet::new();
        let mut waiting = vec![(self.pool_name().to_owned(), self.known.root_dir)];
        while let Some((name, dir)) = waiting.pop() {
            if !seen.insert(dir) {
                return Err(Corrupt::new(format!("directory {dir} is in itself")).into());
            }
            let phys = self.dir(dir)?;
            if let Some(children) = phys.children {
                for entry in self.table_all(children)? {
                    let child = entry.value.as_u64().map(ObjectNumber);
                    waiting.extend(child.map(|child| (format!("{name}/{}", entry.name_lossy()), child)));
                }
            }
            heads.extend(phys.head.map(|head| (name, DatasetId(head))));
        }
        Ok(heads)
    }

    /// The head of the file system or volume of this name, as the open group has it.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none.
    pub fn find(&mut self, name: &str) -> Result<DatasetId, Error> {
        let missing = || Error::Missing(format!("dataset '{name}'"));
        let dir = self.find_dir(name)?.ok_or_else(missing)?;
        let head = self.dir(dir)?.head.ok_or_else(missing)?;
        Ok(DatasetId(head))
    }

    /// Makes a head at `name`, marked as inconsistent, with an empty object set: to be filled and then finished. While
    /// the mark stands, the next who opens the pool for writing removes it.
    ///
    /// # Errors
    /// [`Error::Exists`], or [`Error::Missing`] where the parent is not there.
    pub fn begin_dataset(&mut self, name: &str, options: &BeginOptions) -> Result<DatasetId, Error> {
        let dir = self.new_dir_at(name)?;
        self.begin_in(dir, options)
    }

    /// A directory for a new file system or volume.
    pub(super) fn new_dir_at(&mut self, name: &str) -> Result<ObjectNumber, Error> {
        if let Err(why) = crate::dsl::check_entity_name(name) {
            return Err(Error::Invalid(format!("'{name}': {why}")));
        }
        if self.find_dir(name)?.is_some() {
            return Err(Error::Exists(format!("dataset '{name}'")));
        }
        let (parent, component) = name
            .rsplit_once('/')
            .ok_or_else(|| Error::Exists(format!("dataset '{name}'")))?;
        let parent_dir = self.existing_dir(parent)?;
        self.new_dir(Some((parent_dir, component)))
    }

    /// A first head in a new directory, marked as inconsistent.
    pub(super) fn begin_in(&mut self, dir: ObjectNumber, options: &BeginOptions) -> Result<DatasetId, Error> {
        let id = self.new_first_head(dir, self.io.txg)?;
        let mut phys = self.dataset(id.0)?;
        phys.flags |= DatasetFlags::INCONSISTENT;
        phys.flags
            .set(DatasetFlags::CASE_INSENSITIVE, options.is_case_insensitive);
        self.put_dataset(id.0, &phys)?;
        self.use_features(id.0, &options.features)?;
        self.encrypt_new(id, dir, &options.encryption)?;
        self.begin_set(id, options.set_type)?;
        Ok(id)
    }

    /// Gives a dataset its empty object set.
    pub(super) fn begin_set(&mut self, id: DatasetId, set_type: ObjectSetType) -> Result<(), Error> {
        let prev = self.dataset(id.0)?.prev_snapshot_txg;
        let policies = self.policies(id)?;
        let mut set = OpenSet::create(set_type, policies, false, prev);
        self.unlock(id, &mut set)?;
        self.sets.insert(id.0, set);
        Ok(())
    }

    /// How the blocks of a dataset are stored, by its properties as the open group has them.
    ///
    /// # Errors
    /// Where the properties cannot be read.
    pub fn policies(&mut self, id: DatasetId) -> Result<Policies, Error> {
        let dir = self.dataset(id.0)?.dir;
        // What is encrypted does not lie in pointers.
        let embeds = self.feature_count(Feature::EmbeddedData)? > 0 && self.key_of(dir)?.is_none();
        let (compression, level) = compression_of(self.inherited(dir, "compression")?);
        let checksum = match self.inherited(dir, "checksum")?.map(|id| id & 0xff) {
            Some(number) => u8::try_from(number)
                .ok()
                .and_then(ChecksumAlgorithm::from_id)
                .unwrap_or(ChecksumAlgorithm::Fletcher4),
            None => ChecksumAlgorithm::Fletcher4,
        };
        let copies = self.inherited(dir, "copies")?.unwrap_or(1).clamp(1, 3);
        let copies = usize::try_from(copies).unwrap_or(1);
        let redundant = self.inherited(dir, "redundant_metadata")?.unwrap_or(0);
        let summer = self.io.reader.summer().clone();
        let unit = self.io.allocator.unit();
        // `none` and `some` keep no second copy of what is not critical.
        let more = usize::from(redundant < 2);
        let mut metadata = metadata_policy(unit, embeds, copies.saturating_add(more).min(3), summer.clone());
        if checksum.is_metadata_strong() && !checksum.is_embedded() {
            metadata.checksum = checksum;
        }
        let data = BlockPolicy {
            compression,
            level,
            checksum,
            embeds,
            allocation_unit: unit,
            copies,
            summer,
        };
        Ok(Policies { metadata, data })
    }

    /// The number of a property that children take over, as it was set nearest above.
    pub(super) fn inherited(&mut self, dir: ObjectNumber, name: &str) -> Result<Option<u64>, Error> {
        let mut next = Some(dir);
        while let Some(dir) = next {
            let phys = self.dir(dir)?;
            if let Some(table) = phys.properties {
                if let Some(value) = self.table_get(table, name)? {
                    return Ok(Some(value));
                }
                let is_skipped = self.table_get_value(table, &format!("{name}$inherit"))?.is_some();
                if !is_skipped && let Some(value) = self.table_get(table, &format!("{name}$recvd"))? {
                    return Ok(Some(value));
                }
            }
            next = phys.parent;
        }
        Ok(None)
    }

    /// How blocks of an object of a dataset are stored: what [`BlockPolicy::prepare`] needs on worker threads.
    ///
    /// `checksum` and `compression` are those of the object's dnode; 0 inherits.
    ///
    /// # Errors
    /// Where the dataset's properties cannot be read.
    pub fn block_policy(
        &mut self,
        id: DatasetId,
        object_type: ObjectType,
        checksum: u8,
        compression: u8,
    ) -> Result<BlockPolicy, Error> {
        let policies = match self.sets.get(&id.0) {
            Some(set) => set.policies.clone(),
            None => self.policies(id)?,
        };
        Ok(policies.for_object(object_type, checksum, compression))
    }

    /// Makes an empty file system that can be mounted.
    ///
    /// # Errors
    /// As [`Self::begin_dataset`]; [`Unsupported::Encrypted`](crate::Unsupported::Encrypted) below an encrypted one whose key is
    /// not loaded.
    pub fn create_file_system(
        &mut self,
        name: &str,
        properties: &[(&str, ZapValue)],
    ) -> Result<DatasetId, Error> {
        self.create_encrypted_file_system(name, properties, NewEncryption::Inherited)
    }

    /// The same with an encryption of its own.
    ///
    /// # Errors
    /// As [`Self::create_file_system`]; [`Error::Invalid`] where that cannot be.
    pub fn create_encrypted_file_system(
        &mut self,
        name: &str,
        properties: &[(&str, ZapValue)],
        encryption: NewEncryption,
    ) -> Result<DatasetId, Error> {
        let options = BeginOptions {
            set_type: ObjectSetType::ZFS,
            features: BTreeSet::new(),
            is_case_insensitive: false,
            encryption,
        };
        let id = self.begin_dataset(name, &options)?;
        self.set_at_creation(id, properties)?;
        self.fill_file_system(id, properties)?;
        self.mark_consistent(id)?;
        Ok(id)
    }

    /// Makes a volume of `size` bytes in blocks of `block_bytes`.
    ///
    /// # Errors
    /// As [`Self::create_file_system`].
    pub fn create_volume(
        &mut self,
        name: &str,
        size: u64,
        block_bytes: u32,
        properties: &[(&str, ZapValue)],
        encryption: NewEncryption,
    ) -> Result<DatasetId, Error> {
        let options = BeginOptions {
            set_type: ObjectSetType::ZVOL,
            features: BTreeSet::new(),
            is_case_insensitive: false,
            encryption,
        };
        let id = self.begin_dataset(name, &options)?;
        self.set_at_creation(id, properties)?;
        let salt = self.environment.guid();
        if let Some(set) = self.sets.get_mut(&id.0) {
            file_system::fill_volume(set, &mut self.io, size, block_bytes, salt)?;
        }
        self.mark_consistent(id)?;
        Ok(id)
    }

    pub(super) fn set_at_creation(
        &mut self,
        id: DatasetId,
        properties: &[(&str, ZapValue)],
    ) -> Result<(), Error> {
        let dir = self.dataset(id.0)?.dir;
        let table = self.dir(dir)?.properties;
        let Some(table) = table else { return Ok(()) };
        for (name, value) in properties {
            self.put_property(dir, table, name, value)?;
        }
        let policies = self.policies(id)?;
        if let Some(set) = self.sets.get_mut(&id.0) {
            set.policies = policies;
        }
        Ok(())
    }

    pub(super) fn fill_file_system(
        &mut self,
        id: DatasetId,
        properties: &[(&str, ZapValue)],
    ) -> Result<(), Error> {
        let chosen = |name: &str| {
            let found = properties.iter().find(|(property, _)| *property == name);
            found.and_then(|(_, value)| value.as_u64()).unwrap_or(0)
        };
        let features = file_system::Choices {
            normalization: chosen("normalization"),
            utf8_only: chosen("utf8only"),
            case_sensitivity: chosen("casesensitivity"),
        };
        if let Some(set) = self.sets.get_mut(&id.0) {
            file_system::fill(set, &mut self.io, &mut self.environment, &features)?;
        }
        Ok(())
    }

    /// Takes the mark off that a dataset is half made.
    pub(super) fn mark_consistent(&mut self, id: DatasetId) -> Result<(), Error> {
        let mut phys = self.dataset(id.0)?;
        phys.flags.remove(DatasetFlags::INCONSISTENT);
        self.put_dataset(id.0, &phys)
    }

    /// Takes a snapshot of a head with these properties of its own. Everything that the open group did to the head is in
    /// it; the head can be written again in the next group.
    fn snapshot_head(
        &mut self,
        id: DatasetId,
        name: &str,
        guid: u64,
        creation_time: u64,
    ) -> Result<ObjectNumber, Error> {
        self.write_datasets()?;
        let txg = self.io.txg;
        let mut head = self.dataset(id.0)?;
        if head.prev_snapshot_txg >= txg {
            return Err(Error::Invalid(
                "a head can have one snapshot in a transaction group".to_owned(),
            ));
        }
        let snapshots = head
            .snapshots
            .ok_or_else(|| Corrupt::new(format!("dataset {} can have no snapshots", id.0)))?;
        if self.table_get(snapshots, name)?.is_some() {
            return Err(Error::Exists(format!("snapshot '{name}'")));
        }
        self.forget_livelist(head.dir)?;
        let fsid_guid = self.environment.guid() >> 64_u32.saturating_sub(FSID_BITS);
        let snapshot = DatasetPhys {
            next_snapshot: Some(id.0),
            snapshots: None,
            num_children: 1,
            creation_time,
            creation_txg: txg,
            unique: 0,
            fsid_guid,
            guid,
            next_clones: None,
            properties: None,
            holds: None,
            ..head.clone()
        };
        let number = self.new_dataset_object(&snapshot)?;
        self.copy_features(id.0, number)?;
        if self.key_of(head.dir)?.is_some() {
            let ivset = self.environment.guid();
            self.set_ivset_guid(number, ivset)?;
        }

        if let Some(prev) = head.prev_snapshot {
            let mut prev_phys = self.dataset(prev)?;
            if prev_phys.next_snapshot == Some(id.0) {
                prev_phys.next_snapshot = Some(number);
                self.put_dataset(prev, &prev_phys)?;
            } else if let Some(clones) = prev_phys.next_clones {
                self.set_remove(clones, id.0)?;
                self.set_add(clones, number)?;
            }
        }
        let old = head
            .deadlist
            .ok_or_else(|| Corrupt::new(format!("dataset {} has no deadlist", id.0)))?;
        let mut keys: Vec<Txg> = self.deadlist_lists(old)?.into_keys().collect();
        keys.push(head.prev_snapshot_txg);
        keys.extend(self.bookmark_keys(id, head.prev_snapshot_txg)?);
        head.deadlist = Some(self.new_deadlist(&keys)?);
        head.prev_snapshot = Some(number);
        head.prev_snapshot_txg = txg;
        head.unique = 0;
        head.flags |= DatasetFlags::UNIQUE_ACCURATE;
        let dir = head.dir;
        self.put_dataset(id.0, &head)?;
        self.keep_ref_reservation(dir)?;
        self.table_put(snapshots, name, number.0)?;
        self.count_above(dir, COUNT_OF_SNAPSHOTS, 1)?;
        if let Some(set) = self.sets.get_mut(&id.0) {
            set.ledger.prev_snapshot_txg = txg;
            set.ledger.watched.clear();
        }
        Ok(number)
    }

    /// Takes a snapshot; returns its object.
    ///
    /// # Errors
    /// [`Error::Exists`]; [`Error::Missing`] where the dataset is not there; [`Error::Invalid`] where it has a snapshot
    /// of this group already.
    pub fn snapshot(&mut self, dataset: &str, name: &str) -> Result<ObjectNumber, Error> {
        let full = format!("{dataset}@{name}");
        if let Err(why) = crate::dsl::check_entity_name(&full) {
            return Err(Error::Invalid(format!("'{full}': {why}")));
        }
        let id = self.find(dataset)?;
        let guid = self.environment.guid();
        let now = self.environment.now().seconds;
        self.snapshot_head(id, name, guid, now)
    }

    /// Ends what [`Self::begin_dataset`] began: takes the snapshot with the guid and the time of creation that its
    /// source has, and the mark off both.
    ///
    /// # Errors
    /// As [`Self::snapshot`].
    pub fn finish_dataset(
        &mut self,
        id: DatasetId,
        snapshot: &str,
        guid: u64,
        creation_time: u64,
    ) -> Result<ObjectNumber, Error> {
        self.write_datasets()?;
        self.mark_consistent(id)?;
        self.snapshot_head(id, snapshot, guid, creation_time)
    }

    /// Opens the object set of a dataset for change.
    pub(super) fn open_set(&mut self, id: DatasetId) -> Result<(), Error> {
        if self.sets.contains_key(&id.0) {
            return Ok(());
        }
        let phys = self.dataset(id.0)?;
        if phys.num_children != 0 {
            return Err(Error::Invalid("snapshots do not change".to_owned()));
        }
        if phys.prev_snapshot_txg >= self.io.txg {
            return Err(Error::Invalid(
                "a head is not written in the group of its newest snapshot".to_owned(),
            ));
        }
        self.forget_livelist(phys.dir)?;
        let policies = self.policies(id)?;
        let mut set = OpenSet::open(&self.io, phys.root, policies, phys.prev_snapshot_txg)?;
        self.unlock(id, &mut set)?;
        self.sets.insert(id.0, set);
        self.watch_bookmarks(id)
    }
}

/// What the number of the property `compression` means: a function, and for zstd a level.
fn compression_of(value: Option<u64>) -> (Compression, CompressionLevel) {
    // Where nothing is set, OpenZFS compresses since 2.2; what `on` stands for.
    let value = value.unwrap_or(1);
    let level = u8::try_from((value >> 7) & 0xff)
        .ok()
        .and_then(CompressionLevel::from_id);
    let function = match u8::try_from(value & 0x7f).unwrap_or(1) {
        0 | 1 => Compression::ON,
        id => Compression::from_id(id).unwrap_or(Compression::ON),
    };
    (function, level.unwrap_or_default())
}
