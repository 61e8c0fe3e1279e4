//! Making a pool: everything that its first transaction group has to hold.

use super::config::{metaslab_shift, room, top_spaces, tree_of};
use super::{DatasetId, Known, PoolWriter, meta_policies};
use crate::dmu::{ObjectSetType, ObjectSpec, ObjectType, OpenSet, Policies};
use crate::dsl::DatasetPhys;
use crate::spa::{Allocator, BlockPointer, BlockReader, BlockWriter, Feature};
use crate::vdev::{
    Label, LabelState, Reflow, Uberblock, VdevTree, WritableDisk, WriteTree, clear_labels, data_bytes,
};
use crate::zap::ZapValue;
use crate::{Environment, Error, ObjectNumber, OpenOptions, Pool, Txg};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use zferry_blocks::checksum::{Salt, Summer};
use zferry_nvlist::{NvList, Value};
use zferry_wire::{Endian, u64_from_usize};

/// The first transaction group of a pool, and the one that what is older than it was born in.
const FIRST: Txg = Txg(4);
const ORIGIN: Txg = Txg(1);
const OBJECT_ARRAY: ObjectType = ObjectType(2);
const PACKED_LIST_SIZE: ObjectType = ObjectType(4);
const SPACE_MAP_HEADER: ObjectType = ObjectType(7);
const SPACE_MAP: ObjectType = ObjectType(8);
const OTN_ZAP_METADATA: ObjectType = ObjectType(0xc4);
pub(super) const SPACE_MAP_HEADER_BYTES: usize = 320;
/// The least size of a sector, as a power of two, where nothing else is asked for.
const ASHIFT: u32 = 12;

/// A top-level vdev of a pool to be made.
#[derive(Clone, Debug)]
pub struct TopLayout {
    /// Its disks; of several, each holds the same.
    pub disks: Vec<Arc<dyn WritableDisk>>,
}

/// What a pool is to lie on: its top-level vdevs, among which everything is spread.
#[derive(Clone, Debug)]
pub struct PoolLayout {
    /// The vdevs.
    pub tops: Vec<TopLayout>,
}

/// What a pool is to be.
#[derive(Clone, Debug)]
pub struct CreateOptions {
    /// Its name.
    pub name: String,
    /// The size of a sector as a power of two, 9–16; 12 where nothing is said.
    pub ashift: Option<u32>,
    /// The features that are enabled.
    pub features: BTreeSet<Feature>,
    /// Properties of the root dataset.
    pub properties: Vec<(String, ZapValue)>,
    /// Properties of the pool.
    pub pool_properties: Vec<(String, ZapValue)>,
}

impl CreateOptions {
    /// A pool of this name, with the features that every stream of today can be received into, and that OpenZFS 2.1 to
    /// 2.4 import.
    #[must_use]
    pub fn new(name: &str) -> Self {
        use Feature as F;
        let features = [
            F::AsyncDestroy,
            F::EmptyBpobj,
            F::Lz4Compress,
            F::SpacemapHistogram,
            F::EnabledTxg,
            F::HoleBirth,
            F::ExtensibleDataset,
            F::EmbeddedData,
            F::Bookmarks,
            F::FilesystemLimits,
            F::LargeBlocks,
            F::LargeDnode,
            F::Sha512,
            F::Skein,
            F::EdonR,
            F::UserObjAccounting,
            F::Encryption,
            F::ProjectQuota,
            F::SpacemapV2,
            F::ResilverDefer,
            F::BookmarkV2,
            F::RedactionBookmarks,
            F::RedactedDatasets,
            F::BookmarkWritten,
            F::ZstdCompress,
            F::ZilSaXattr,
            F::Blake3,
            F::RedactionListSpill,
            F::LongName,
            F::LargeMicrozap,
        ];
        Self {
            name: name.to_owned(),
            ashift: None,
            features: BTreeSet::from(features),
            properties: Vec::new(),
            pool_properties: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        if let Err(why) = crate::dsl::check_pool_name(&self.name) {
            return Err(Error::Invalid(format!("'{}': {why}", self.name)));
        }
        if self.ashift.is_some_and(|ashift| !(9..=16).contains(&ashift)) {
            return Err(Error::Invalid("ashift must be 9 to 16".to_owned()));
        }
        for feature in &self.features {
            let needs = feature.description().needs;
            if let Some(missing) = needs.iter().find(|needed| !self.features.contains(needed)) {
                return Err(Error::Invalid(format!("feature {feature} needs {missing}")));
            }
        }
        for needed in [Feature::SpacemapHistogram, Feature::ExtensibleDataset] {
            if !self.features.contains(&needed) {
                return Err(Error::FeatureDisabled(needed));
            }
        }
        Ok(())
    }
}

/// The guids of a vdev and its leaves.
struct Guids {
    top: u64,
    leaves: Vec<u64>,
}

impl PoolWriter {
    /// Makes a pool and opens it. What the disks held before is lost.
    ///
    /// # Errors
    /// [`Error::Invalid`] where it cannot be as it is asked for; [`Error::Io`] where the disks cannot be written.
    pub fn create(
        layout: &PoolLayout,
        options: &CreateOptions,
        environment: Environment,
    ) -> Result<Self, Error> {
        options.check()?;
        let mut environment = environment;
        let pool_guid = environment.guid();
        let guids: Vec<Guids> = layout
            .tops
            .iter()
            .map(|top| Guids {
                top: environment.guid(),
                leaves: top.disks.iter().map(|_| environment.guid()).collect(),
            })
            .collect();
        let salt = Salt(std::array::from_fn(|_| {
            environment.guid().to_le_bytes().first().copied().unwrap_or(0)
        }));
        let config = first_config(layout, options, pool_guid, &guids)?;
        let by_guid = disks_by_guid(layout, &guids);
        for disk in by_guid.values() {
            clear_labels(&**disk)?;
        }
        let vdevs = tree_of(&config, &by_guid)?;
        let mut writer = Self::unborn(config, vdevs, salt, environment)?;
        writer.make_directory(options, salt)?;
        writer.make_datasets(options)?;
        writer.make_space_maps()?;
        writer.is_config_dirty = true;
        writer.commit()?;
        Ok(writer)
    }

    /// A writer over a pool that has nothing yet.
    fn unborn(config: NvList, vdevs: WriteTree, salt: Salt, environment: Environment) -> Result<Self, Error> {
        let spaces = top_spaces(&config)?;
        let allocator = Allocator::new(&spaces, room(&spaces));
        let tree = VdevTree::for_writer(&config, &vdevs)?;
        let cache = OpenOptions::default().cache_bytes;
        let reader = Arc::new(BlockReader::new(tree, Summer::new(Some(salt)), cache));
        let io = BlockWriter::new(Arc::clone(&reader), vdevs, allocator, FIRST);
        let policies: Policies = meta_policies(&io, true);
        let mos = OpenSet::create(ObjectSetType::META, policies, true, Txg(0));
        let none = ObjectNumber(0);
        let known = Known {
            root_dir: none,
            mos_dir: none,
            free_dir: none,
            origin_dir: none,
            origin_snapshot: none,
            config: none,
            free_list: none,
            features_for_read: none,
            features_for_write: none,
        };
        let label = Label {
            config: config.clone(),
            older_configs: Vec::new(),
            uberblocks: Vec::new(),
        };
        let uberblock = Uberblock {
            version: 5000,
            txg: Txg(0),
            guid_sum: 0,
            timestamp: 0,
            root: BlockPointer::default(),
            checkpoint_txg: Txg(0),
            reflow: Reflow::default(),
            endian: Endian::Little,
        };
        Ok(Self {
            io,
            mos,
            sets: BTreeMap::new(),
            pool: Pool::unborn(reader, config.clone(), label, uberblock),
            environment,
            config,
            state: LabelState::EXPORTED,
            is_config_dirty: true,
            is_failed: false,
            is_uncertain: false,
            known,
            keys: super::keys::Keys::default(),
            destroys: super::DESTROYS,
        })
    }

    /// The object directory, the tables of features, and the lists that every pool has.
    fn make_directory(&mut self, options: &CreateOptions, salt: Salt) -> Result<(), Error> {
        let directory = self.new_table(ObjectType::OBJECT_DIRECTORY)?;
        if directory != ObjectNumber(1) {
            return Err(Error::Invalid(
                "the object directory is not the first object".to_owned(),
            ));
        }
        let spec =
            ObjectSpec::new(ObjectType::PACKED_NVLIST, 16 << 10).with_bonus(PACKED_LIST_SIZE, vec![0; 8]);
        self.known.config = self.new_object(&spec)?;
        let deferred = self.new_list()?;
        self.known.free_list = self.new_list()?;
        self.known.features_for_read = self.new_table(OTN_ZAP_METADATA)?;
        self.known.features_for_write = self.new_table(OTN_ZAP_METADATA)?;
        let descriptions = self.new_table(OTN_ZAP_METADATA)?;
        let enabled = self.new_table(OTN_ZAP_METADATA)?;
        let entries = [
            ("config", self.known.config),
            ("sync_bplist", deferred),
            ("free_bpobj", self.known.free_list),
            ("features_for_read", self.known.features_for_read),
            ("features_for_write", self.known.features_for_write),
            ("feature_descriptions", descriptions),
            ("feature_enabled_txg", enabled),
        ];
        for (name, number) in entries {
            self.table_put(directory, name, number.0)?;
        }
        self.table_put(directory, "deflate", 1)?;
        self.table_put(directory, "creation_version", 5000)?;
        self.table_put_value(directory, "org.illumos:checksum_salt", &ZapValue::bytes(&salt.0))?;
        self.enable_features(&options.features, descriptions, enabled)?;
        if !options.pool_properties.is_empty() {
            let table = self.new_table(ObjectType(31))?;
            self.table_put(directory, "pool_props", table.0)?;
            for (name, value) in &options.pool_properties {
                self.table_put_value(table, name, value)?;
            }
        }
        Ok(())
    }

    fn enable_features(
        &mut self,
        features: &BTreeSet<Feature>,
        descriptions: ObjectNumber,
        enabled: ObjectNumber,
    ) -> Result<(), Error> {
        let since = u64_from_usize(features.len()).saturating_sub(1);
        let mut in_label = NvList::new();
        for feature in features {
            let description = feature.description();
            let table = if description.write_only {
                self.known.features_for_write
            } else {
                self.known.features_for_read
            };
            let count = match feature {
                Feature::EnabledTxg => since,
                _ => u64::from(description.active_when_enabled),
            };
            self.table_put(table, feature.guid(), count)?;
            self.table_put_value(descriptions, feature.guid(), &ZapValue::text(feature.name()))?;
            if *feature != Feature::EnabledTxg {
                self.table_put(enabled, feature.guid(), self.io.txg.0)?;
            }
            if description.in_label && description.active_when_enabled {
                in_label.insert(feature.guid(), Value::Boolean);
            }
        }
        self.config.insert("features_for_read", Value::NvList(in_label));
        Ok(())
    }

    /// The directories and datasets that every pool has, and the root file system.
    fn make_datasets(&mut self, options: &CreateOptions) -> Result<(), Error> {
        let root = self.new_dir(None)?;
        self.known.root_dir = root;
        self.table_put(ObjectNumber(1), "root_dataset", root.0)?;
        self.known.mos_dir = self.new_dir(Some((root, "$MOS")))?;
        self.known.free_dir = self.new_dir(Some((root, "$FREE")))?;
        self.known.origin_dir = self.new_dir(Some((root, "$ORIGIN")))?;
        self.known.origin_snapshot = self.make_origin()?;
        let id = self.new_first_head(root, ORIGIN)?;
        let properties: Vec<(&str, ZapValue)> = options
            .properties
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        self.begin_set(id, ObjectSetType::ZFS)?;
        self.set_at_creation(id, &properties)?;
        self.fill_file_system(id, &properties)
    }

    /// `$ORIGIN` and its snapshot, which every first dataset comes from.
    fn make_origin(&mut self) -> Result<ObjectNumber, Error> {
        let dir = self.known.origin_dir;
        let mut head = self.new_head(dir, ORIGIN)?;
        let fsid_guid = self.environment.guid() >> 8;
        let snapshot = DatasetPhys {
            snapshots: None,
            num_children: 1,
            deadlist: Some(self.new_deadlist(&[])?),
            fsid_guid,
            guid: self.environment.guid(),
            ..head.clone()
        };
        let number = self.new_dataset_object(&snapshot)?;
        head.prev_snapshot = Some(number);
        head.prev_snapshot_txg = ORIGIN;
        head.deadlist = Some(self.new_deadlist(&[Txg(0)])?);
        let head_number = self.new_dataset_object(&head)?;
        let snapshot = DatasetPhys {
            next_snapshot: Some(head_number),
            ..snapshot
        };
        self.put_dataset(number, &snapshot)?;
        if let Some(table) = head.snapshots {
            self.table_put(table, "$ORIGIN", number.0)?;
        }
        let mut phys = self.dir(dir)?;
        phys.head = Some(head_number);
        self.put_dir(dir, &phys)?;
        Ok(number)
    }

    /// A space map for each metaslab, the tables of the vdevs, and the configuration that leads to them.
    fn make_space_maps(&mut self) -> Result<(), Error> {
        let tree = self.config.list("vdev_tree").cloned().unwrap_or_default();
        let tops = tree.lists("children").unwrap_or_default().to_vec();
        let all = self.new_table(OTN_ZAP_METADATA)?;
        self.table_put(ObjectNumber(1), "com.delphix:vdev_zap_map", all.0)?;
        let mut changed = Vec::new();
        for (vdev, top) in tops.iter().enumerate() {
            let array = self.make_space_maps_of(vdev)?;
            let mut list = NvList::new();
            for (name, value) in top.iter() {
                match value {
                    Value::NvListArray(children) if name == "children" => {
                        let mut leaves = Vec::new();
                        for child in children {
                            let mut leaf = child.clone();
                            self.add_vdev_table(&mut leaf, "com.delphix:vdev_zap_leaf", all)?;
                            leaves.push(leaf);
                        }
                        list.insert(name, Value::NvListArray(leaves));
                    }
                    _ if name == "metaslab_array" => {
                        list.insert(name, array.0);
                    }
                    _ => {
                        list.insert(name, value.clone());
                    }
                }
            }
            if top.lists("children").is_none() {
                self.add_vdev_table(&mut list, "com.delphix:vdev_zap_leaf", all)?;
            }
            self.add_vdev_table(&mut list, "com.delphix:vdev_zap_top", all)?;
            changed.push(list);
        }
        let mut root = NvList::new();
        for (name, value) in tree.iter() {
            if name != "children" {
                root.insert(name, value.clone());
            }
        }
        root.insert("children", Value::NvListArray(changed));
        let features = self.config.list("features_for_read").cloned().unwrap_or_default();
        self.config.remove("features_for_read");
        self.config.insert("vdev_tree", Value::NvList(root));
        self.config
            .insert("com.delphix:has_per_vdev_zaps", Value::Boolean);
        self.config.insert("features_for_read", Value::NvList(features));
        Ok(())
    }

    fn add_vdev_table(&mut self, vdev: &mut NvList, name: &str, all: ObjectNumber) -> Result<(), Error> {
        let table = self.new_table(OTN_ZAP_METADATA)?;
        vdev.insert(name, table.0);
        self.set_add(all, table)
    }

    /// An empty space map.
    pub(super) fn new_space_map(&mut self, ashift: u32) -> Result<ObjectNumber, Error> {
        let block_bytes = 1_u32.checked_shl(ashift.max(ASHIFT)).unwrap_or(4096);
        let spec = ObjectSpec {
            indirect_shift: 14,
            ..ObjectSpec::new(SPACE_MAP, block_bytes)
        };
        let number = self.new_object(&spec.with_bonus(SPACE_MAP_HEADER, vec![0; SPACE_MAP_HEADER_BYTES]))?;
        self.put_bonus(number, &number.0.to_le_bytes())?;
        Ok(number)
    }

    fn make_space_maps_of(&mut self, vdev: usize) -> Result<ObjectNumber, Error> {
        let missing = || Error::Invalid("a vdev that is not there".to_owned());
        let top = self.io.allocator.tops.get(vdev).ok_or_else(missing)?;
        let (count, ashift) = (top.metaslabs.len(), top.ashift);
        let mut numbers = Vec::new();
        for index in 0..count {
            let number = self.new_space_map(ashift)?;
            numbers.push(number.0);
            let top = self.io.allocator.tops.get_mut(vdev).ok_or_else(missing)?;
            if let Some(metaslab) = top.metaslabs.get_mut(index) {
                metaslab.map = Some(number);
            }
        }
        self.count_feature(Feature::SpacemapHistogram, i64::try_from(count).unwrap_or(0))?;
        let array = self.new_object(&ObjectSpec::new(OBJECT_ARRAY, 4096))?;
        for (id, part) in (0_u64..).zip(numbers.chunks(512)) {
            let mut block: Vec<u8> = part.iter().flat_map(|number| number.to_le_bytes()).collect();
            block.resize(4096, 0);
            self.mos.with_object(&mut self.io, array, |object, _| {
                object.grow(id)?;
                object.put_block(id, block);
                Ok(())
            })?;
        }
        Ok(array)
    }

    /// The root file system.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn root(&mut self) -> Result<DatasetId, Error> {
        let name = self.pool_name().to_owned();
        self.find(&name)
    }
}

fn disks_by_guid(layout: &PoolLayout, guids: &[Guids]) -> BTreeMap<u64, Arc<dyn WritableDisk>> {
    let mut disks = BTreeMap::new();
    for (top, guids) in layout.tops.iter().zip(guids) {
        for (disk, guid) in top.disks.iter().zip(&guids.leaves) {
            disks.insert(*guid, Arc::clone(disk));
        }
    }
    disks
}

/// The configuration as far as it is known before anything is written.
fn first_config(
    layout: &PoolLayout,
    options: &CreateOptions,
    pool_guid: u64,
    guids: &[Guids],
) -> Result<NvList, Error> {
    let ashift = options.ashift.unwrap_or(ASHIFT);
    let mut tops = Vec::new();
    for ((id, top), guids) in (0_u64..).zip(&layout.tops).zip(guids) {
        tops.push(top_config(top, id, guids, ashift)?);
    }
    if tops.is_empty() {
        return Err(Error::Invalid("a pool needs a file or device".to_owned()));
    }
    let count = super::config::count(&tops);
    let mut root = NvList::new();
    root.insert("type", "root");
    root.insert("id", 0_u64);
    root.insert("guid", pool_guid);
    root.insert("create_txg", FIRST.0);
    root.insert("children", Value::NvListArray(tops));
    let mut config = NvList::new();
    config.insert("version", 5000_u64);
    config.insert("name", options.name.as_str());
    config.insert("pool_guid", pool_guid);
    config.insert("errata", 0_u64);
    config.insert("vdev_children", count);
    config.insert("vdev_tree", Value::NvList(root));
    Ok(config)
}

fn top_config(top: &TopLayout, id: u64, guids: &Guids, ashift: u32) -> Result<NvList, Error> {
    /// The least size of a disk, in bytes.
    const SIZE_MIN: u64 = 64 << 20;
    let sizes = top.disks.iter().map(|disk| disk.size());
    if let Some(small) = top.disks.iter().find(|disk| disk.size() < SIZE_MIN) {
        let name = small.name();
        return Err(Error::Invalid(format!(
            "{name}: a disk of a pool has at least 64 MiB"
        )));
    }
    let asize = sizes.map(data_bytes).min().unwrap_or(0);
    let leaf = |list: &mut NvList, disk: &Arc<dyn WritableDisk>, id: u64, guid: u64| {
        list.insert("type", if disk.is_device() { "disk" } else { "file" });
        list.insert("id", id);
        list.insert("guid", guid);
        list.insert("path", disk.name());
        if disk.is_device() {
            list.insert("whole_disk", 0_u64);
        }
    };
    let mut list = NvList::new();
    match (top.disks.as_slice(), guids.leaves.as_slice()) {
        ([disk], [guid]) => leaf(&mut list, disk, id, *guid),
        _ => {
            list.insert("type", "mirror");
            list.insert("id", id);
            list.insert("guid", guids.top);
        }
    }
    list.insert("metaslab_array", 0_u64);
    list.insert("metaslab_shift", u64::from(metaslab_shift(asize)));
    list.insert("ashift", u64::from(ashift));
    list.insert("asize", asize);
    list.insert("is_log", 0_u64);
    list.insert("create_txg", FIRST.0);
    if top.disks.len() > 1 {
        let mut leaves = Vec::new();
        for ((id, disk), guid) in (0_u64..).zip(&top.disks).zip(&guids.leaves) {
            let mut child = NvList::new();
            leaf(&mut child, disk, id, *guid);
            child.insert("create_txg", FIRST.0);
            leaves.push(child);
        }
        list.insert("children", Value::NvListArray(leaves));
    }
    Ok(list)
}
