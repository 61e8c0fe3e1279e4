//! A pool, opened for reading.

use crate::dmu::{Object, ObjectSet};
use crate::spa::{BlockPointer, BlockReader, check_readable, read_mappings};
use crate::vdev::{Disk, Label, Uberblock, VdevNodes, VdevStatus, VdevTree};
use crate::zap;
use crate::{CandidateDevice, Corrupt, Error, ObjectNumber, PoolCandidate, Unsupported};
use std::sync::Arc;
use zferry_blocks::checksum::{Salt, Summer};
use zferry_nvlist::{Limits, NvList, Value};

/// How a pool is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// How many bytes of metadata are kept in memory.
    pub cache_bytes: u64,
    /// Whether a pool is opened although whole top-level vdevs are missing, so that what lies on the others can be
    /// read.
    pub is_incomplete_allowed: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 32 << 20,
            is_incomplete_allowed: false,
        }
    }
}

/// A pool, opened for reading at one transaction group.
#[derive(Debug)]
pub struct Pool {
    label: Label,
    config: NvList,
    uberblock: Uberblock,
    vdevs: Vec<VdevStatus>,
    reader: Arc<BlockReader>,
    meta: ObjectSet,
    directory: Object,
}

/// The first version with feature flags; before it, versions up to 28 were counted.
const VERSION_FEATURES: u64 = 5000;
const VERSION_COUNTED_MAX: u64 = 28;
/// No configuration is larger than this, in bytes, or has more pairs: a vdev takes about twenty.
const CONFIG_BYTES_MAX: u64 = 16 << 20;
const CONFIG_LIMITS: Limits = Limits {
    bytes: 16 << 20,
    pairs: 1 << 17,
    depth: Limits::DEPTH,
};

impl Pool {
    /// Opens the pool that lies on `disk`, at its newest uberblock. Its other devices, if it has any, count as missing.
    ///
    /// # Errors
    /// As [`Self::open_disks`].
    pub fn open(disk: Arc<dyn Disk>, options: &OpenOptions) -> Result<Self, Error> {
        Self::open_disks(vec![disk], options)
    }

    /// A pool that has nothing yet, to be made.
    pub(crate) fn unborn(
        reader: Arc<BlockReader>,
        config: NvList,
        label: Label,
        uberblock: Uberblock,
    ) -> Self {
        let meta = ObjectSet::empty();
        let directory = meta.meta_dnode.clone();
        Self {
            label,
            config,
            uberblock,
            vdevs: Vec::new(),
            reader,
            meta,
            directory,
        }
    }

    /// Opens the pool that lies on `disks`, at its newest uberblock. Disks without labels are passed over as long as
    /// others have some.
    ///
    /// # Errors
    /// [`Error::NoLabel`] where no disk has a label, [`Error::SeveralPools`] where they belong to different pools, and
    /// as [`PoolCandidate::open`].
    pub fn open_disks(disks: Vec<Arc<dyn Disk>>, options: &OpenOptions) -> Result<Self, Error> {
        let mut devices = Vec::new();
        let mut failure = None;
        for disk in disks {
            match CandidateDevice::read(disk) {
                Ok(device) => devices.push(device),
                Err(error) => failure = Some(error),
            }
        }
        let found = PoolCandidate::of_devices(devices);
        match found.pools.as_slice() {
            [] => Err(found
                .failures
                .into_iter()
                .next()
                .or(failure)
                .unwrap_or(Error::NoLabel {
                    disk: "hot spares and caches alone".to_owned(),
                })),
            [candidate] => candidate.open(options),
            several => {
                let name = |pool: &PoolCandidate| format!("'{}' (guid {})", pool.name(), pool.guid());
                Err(Error::SeveralPools(several.iter().map(name).collect()))
            }
        }
    }

    /// The pool's name.
    ///
    /// # Errors
    /// [`Corrupt`] where its configuration has none.
    pub fn name(&self) -> Result<&str, Error> {
        let name = self.config.str("name").or_else(|| self.label.pool_name());
        name.ok_or_else(|| Corrupt::new("the pool's configuration has no name").into())
    }

    /// The pool's guid.
    #[must_use]
    pub fn guid(&self) -> u64 {
        self.config
            .u64("pool_guid")
            .or_else(|| self.label.pool_guid())
            .unwrap_or(0)
    }

    /// The pool's version: 1–28, or 5000 with feature flags.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.uberblock.version
    }

    /// The configuration that the pool itself holds, which is the trusted one.
    #[must_use]
    pub const fn config(&self) -> &NvList {
        &self.config
    }

    /// The label that led here.
    #[must_use]
    pub const fn label(&self) -> &Label {
        &self.label
    }

    /// The uberblock at which the pool was opened.
    #[must_use]
    pub const fn uberblock(&self) -> &Uberblock {
        &self.uberblock
    }

    /// The state of the pool and of each of its vdevs, each before its children: the pool itself comes first.
    #[must_use]
    pub fn vdevs(&self) -> &[VdevStatus] {
        &self.vdevs
    }

    /// The configurations of the pool's hot spares, those that stand in for other devices among them.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn spares(&self) -> Result<Vec<NvList>, Error> {
        self.auxiliary("spares")
    }

    /// The configurations of the devices that cache the pool's data.
    ///
    /// # Errors
    /// Where the list cannot be read.
    pub fn caches(&self) -> Result<Vec<NvList>, Error> {
        self.auxiliary("l2cache")
    }

    /// The devices of which the object of this name has a list, which the list calls the same.
    fn auxiliary(&self, name: &str) -> Result<Vec<NvList>, Error> {
        let number = zap::lookup_u64(&self.reader, &self.directory, name)?;
        let Some(number) = number.filter(|number| *number != 0) else {
            return Ok(Vec::new());
        };
        let list = read_packed(&self.reader, &self.meta_object(ObjectNumber(number))?)?;
        Ok(list.lists(name).unwrap_or_default().to_vec())
    }

    /// Whether a feature is in use: its count is above zero.
    ///
    /// # Errors
    /// Where the feature tables cannot be read.
    pub fn is_feature_active(&self, guid: &str) -> Result<bool, Error> {
        if self.version() != VERSION_FEATURES {
            return Ok(false);
        }
        for table in ["features_for_read", "features_for_write"] {
            let table = self.directory_object(table)?;
            if let Some(count) = zap::lookup_u64(&self.reader, &table, guid)? {
                return Ok(count > 0);
            }
        }
        Ok(false)
    }

    /// What reads the pool's blocks.
    #[must_use]
    pub fn reader(&self) -> &BlockReader {
        &self.reader
    }

    /// The same, for whoever outlives this view of the pool.
    pub(crate) fn shared_reader(&self) -> Arc<BlockReader> {
        Arc::clone(&self.reader)
    }

    /// The same pool as a later uberblock has it.
    pub(crate) fn at(&self, uberblock: Uberblock, config: NvList) -> Result<Self, Error> {
        let meta = ObjectSet::read(&self.reader, &uberblock.root)?;
        let directory = meta.object(&self.reader, ObjectNumber(1))?;
        Ok(Self {
            label: self.label.clone(),
            config,
            uberblock,
            vdevs: self.vdevs.clone(),
            reader: self.shared_reader(),
            meta,
            directory,
        })
    }

    /// The meta object set: the pool's own metadata.
    #[must_use]
    pub const fn meta(&self) -> &ObjectSet {
        &self.meta
    }

    /// Opens an object of the meta object set.
    ///
    /// # Errors
    /// As [`ObjectSet::object`].
    pub fn meta_object(&self, number: ObjectNumber) -> Result<Object, Error> {
        self.meta.object(&self.reader, number)
    }

    /// What the object directory says of a name: the number of an object, or a value.
    ///
    /// # Errors
    /// As [`zap::lookup`].
    pub fn directory_entry(&self, name: &str) -> Result<Option<zap::ZapValue>, Error> {
        zap::lookup(&self.reader, &self.directory, name)
    }

    /// Everything that the object directory says.
    ///
    /// # Errors
    /// As [`zap::entries`].
    pub fn directory_entries(&self) -> Result<Vec<zap::ZapEntry>, Error> {
        zap::entries(&self.reader, &self.directory)
    }

    /// The meta object that the object directory names.
    ///
    /// # Errors
    /// [`Error::Missing`] where it has no such entry; and as [`Self::meta_object`].
    pub fn directory_object(&self, name: &str) -> Result<Object, Error> {
        directory_object(&self.reader, &self.meta, &self.directory, name)
    }
}

/// Opens a pool at one of its uberblocks: by what the labels know as far as the pool's own configuration, and from there
/// on by that.
pub(crate) fn open_candidate(
    candidate: &PoolCandidate,
    uberblock: &Uberblock,
    options: &OpenOptions,
) -> Result<Pool, Error> {
    let version = uberblock.version;
    if version == 0 || (version > VERSION_COUNTED_MAX && version != VERSION_FEATURES) {
        return Err(Unsupported::PoolVersion(version).into());
    }
    if let Some(features) = candidate.config().list("features_for_read") {
        check_readable(features.iter().map(|(name, _)| name))?;
    }
    let devices = candidate.disks();
    let vdevs = VdevTree::build(candidate.nodes(), &devices, uberblock.reflow)?;
    let mut reader = BlockReader::new(vdevs, Summer::new(None), options.cache_bytes);
    let bootstrap = read_trusted(&reader, &uberblock.root).map_err(|error| {
        // Where devices are missing, that is the reason.
        candidate.lacks(candidate.vdevs()).err().unwrap_or(error)
    })?;
    let (meta, directory, config) = bootstrap;

    let nodes = match config.list("vdev_tree") {
        Some(tree) => VdevNodes::decode(tree)?,
        None => candidate.nodes().clone(),
    };
    let vdevs = candidate.status_of(&nodes);
    if !options.is_incomplete_allowed {
        candidate.lacks(&vdevs)?;
    }
    reader.set_vdevs(VdevTree::build(&nodes, &devices, uberblock.reflow)?);
    read_mappings(&reader, &meta, &nodes)?;
    let config = with_classes(config, &reader, &meta);
    let vdevs = match config.list("vdev_tree") {
        Some(tree) => candidate.status_of(&VdevNodes::decode(tree)?),
        None => vdevs,
    };
    check_features(&reader, &meta, &directory)?;
    if let Some(salt) = zap::lookup(&reader, &directory, "org.illumos:checksum_salt")? {
        let salt = salt.as_bytes().and_then(|bytes| bytes.try_into().ok());
        let salt = salt.ok_or_else(|| Corrupt::new("the pool's checksum salt is not 32 bytes long"))?;
        reader.set_summer(Summer::new(Some(Salt(salt))));
    }
    Ok(Pool {
        label: candidate.label().clone(),
        config,
        uberblock: uberblock.clone(),
        vdevs,
        reader: Arc::new(reader),
        meta,
        directory,
    })
}

/// The configuration that the pool itself holds, as `root` leads to it.
pub(crate) fn read_config_of(vdevs: VdevTree, root: &BlockPointer) -> Result<NvList, Error> {
    let cache_bytes = OpenOptions::default().cache_bytes;
    let reader = BlockReader::new(vdevs, Summer::new(None), cache_bytes);
    read_trusted(&reader, root).map(|(_, _, config)| config)
}

/// The meta object set, its directory, and the configuration that the pool itself holds.
fn read_trusted(reader: &BlockReader, root: &BlockPointer) -> Result<(ObjectSet, Object, NvList), Error> {
    let meta = ObjectSet::read(reader, root)?;
    let directory = meta.object(reader, ObjectNumber(1))?;
    let config = read_config(reader, &meta, &directory)?;
    Ok((meta, directory, config))
}

fn directory_object(
    reader: &BlockReader,
    meta: &ObjectSet,
    directory: &Object,
    name: &str,
) -> Result<Object, Error> {
    let number = zap::lookup_u64(reader, directory, name)?;
    let number = number.ok_or_else(|| Error::Missing(format!("'{name}' in the object directory")))?;
    meta.object(reader, ObjectNumber(number))
}

fn read_config(reader: &BlockReader, meta: &ObjectSet, directory: &Object) -> Result<NvList, Error> {
    let object = directory_object(reader, meta, directory, "config")?;
    read_packed(reader, &object)
}

/// The configuration with what the tables of top-level vdevs say of their use: configurations leave it to them.
fn with_classes(mut config: NvList, reader: &BlockReader, meta: &ObjectSet) -> NvList {
    let class_of = |top: &NvList| {
        let table = top.u64("com.delphix:vdev_zap_top").filter(|table| *table != 0)?;
        let table = meta.object(reader, ObjectNumber(table)).ok()?;
        let class = zap::lookup(reader, &table, "org.zfsonlinux:allocation_bias").ok()??;
        // Of the intent log, configurations speak themselves.
        class.as_str().filter(|class| class != "log")
    };
    let Some(mut tree) = config.list("vdev_tree").cloned() else {
        return config;
    };
    let mut tops = tree.lists("children").unwrap_or_default().to_vec();
    let mut is_changed = false;
    for top in &mut tops {
        if let Some(class) = class_of(top).filter(|_| !top.contains("alloc_bias")) {
            top.insert("alloc_bias", class.as_str());
            is_changed = true;
        }
    }
    if is_changed {
        tree.insert("children", Value::NvListArray(tops));
        config.insert("vdev_tree", tree);
    }
    config
}

/// The list in an object that has nothing else.
fn read_packed(reader: &BlockReader, object: &Object) -> Result<NvList, Error> {
    let size = zferry_wire::Reader::new(object.dnode.bonus(), object.dnode.endian).u64()?;
    let packed = object.content(reader, size, CONFIG_BYTES_MAX)?;
    let (list, _) = NvList::decode(&packed, &CONFIG_LIMITS)
        .map_err(|error| Corrupt::new(format!("the pool's configuration: {error}")))?;
    Ok(list)
}

/// Refuses a pool with active features that are not known. Pools of counted versions have no feature tables.
fn check_features(reader: &BlockReader, meta: &ObjectSet, directory: &Object) -> Result<(), Error> {
    if zap::lookup(reader, directory, "features_for_read")?.is_none() {
        return Ok(());
    }
    let table = directory_object(reader, meta, directory, "features_for_read")?;
    let entries = zap::entries(reader, &table)?;
    let active = entries
        .iter()
        .filter(|entry| entry.value.as_u64().is_some_and(|count| count > 0));
    let names: Vec<String> = active.map(zap::ZapEntry::name_lossy).collect();
    check_readable(names.iter().map(String::as_str))?;
    Ok(())
}
