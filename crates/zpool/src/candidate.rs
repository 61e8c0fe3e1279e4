//! A pool as its labels tell of it, before it is opened: which devices were found, which are missing, in what state it
//! would be.
//!
//! A label knows the pool's name and guid, how many top-level vdevs there are, and the one that its device belongs to.
//! What the labels of all devices know makes a tree that suffices to read the pool's own configuration, which then is
//! trusted instead.

use crate::pool::open_candidate;
use crate::spa::{ScanFunction, ScanState};
use crate::vdev::{
    Devices, Disk, Label, LabelState, MissingDevices, ShortVdev, TopSource, Uberblock, VdevKind, VdevNodes,
    VdevState, VdevStatus, has_newer_uberblock, read_labels, short_vdevs, status_of,
};
use crate::{Corrupt, Discovery, Error, OpenOptions, Pool, Txg, Unsupported};
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_nvlist::NvList;

/// A device with labels of a pool.
#[derive(Clone, Debug)]
pub struct CandidateDevice {
    /// The device.
    pub disk: Arc<dyn Disk>,
    /// What its labels say.
    pub label: Label,
}

impl CandidateDevice {
    /// Reads the labels of a device.
    ///
    /// # Errors
    /// [`Error::NoLabel`] where it has none.
    pub fn read(disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let label = read_labels(&*disk)?;
        Ok(Self { disk, label })
    }

    /// How new its labels are.
    fn age_key(&self) -> (Txg, u64) {
        self.label
            .uberblocks
            .first()
            .map_or((Txg(0), 0), Uberblock::age_key)
    }
}

/// A pool that may be opened.
#[derive(Clone, Debug)]
pub struct PoolCandidate {
    guid: u64,
    /// The configuration with the highest transaction group that the newest uberblock has made valid.
    config: NvList,
    /// The label that configuration comes from.
    label: Label,
    devices: BTreeMap<u64, CandidateDevice>,
    uberblocks: Vec<Uberblock>,
    nodes: VdevNodes,
    vdevs: Vec<VdevStatus>,
}

/// So often a pool that changes meanwhile is tried to be opened.
const TRIES_MAX: usize = 1000;
/// No pool has more top-level vdevs than this.
const TOPS_MAX: usize = 1 << 15;

impl PoolCandidate {
    /// Finds the pools that devices belong to.
    #[must_use]
    pub fn of_devices(devices: Vec<CandidateDevice>) -> Discovery {
        let mut pools: BTreeMap<u64, Vec<CandidateDevice>> = BTreeMap::new();
        let mut found = Discovery::default();
        for device in devices {
            match device.label.pool_guid() {
                Some(guid) => pools.entry(guid).or_default().push(device),
                None => found.strays.push(device),
            }
        }
        for (guid, devices) in pools {
            match Self::of_pool(guid, devices) {
                Ok(pool) => found.pools.push(pool),
                Err(failure) => found.failures.push(failure),
            }
        }
        found
            .pools
            .sort_by(|a, b| (a.name(), a.guid).cmp(&(b.name(), b.guid)));
        found
    }

    fn of_pool(guid: u64, all: Vec<CandidateDevice>) -> Result<Self, Error> {
        let mut uberblocks: Vec<Uberblock> = all
            .iter()
            .flat_map(|device| device.label.uberblocks.iter().cloned())
            .collect();
        uberblocks.sort_by_key(|uberblock| std::cmp::Reverse(uberblock.age_key()));
        uberblocks.dedup_by_key(|uberblock| uberblock.age_key());
        let newest = uberblocks
            .first()
            .map_or(Txg(u64::MAX), |uberblock| uberblock.txg);

        let mut configs: Vec<(&NvList, &Label)> = all
            .iter()
            .map(|device| (device.label.config_at(newest), &device.label))
            .collect();
        configs.sort_by_key(|(config, _)| std::cmp::Reverse(config.u64("txg").unwrap_or(0)));
        let Some((config, label)) = configs.first() else {
            return Err(Corrupt::new("a pool without devices").into());
        };
        let nodes = bootstrap_tree(guid, configs.iter().map(|(config, _)| *config))?;
        let (config, label) = ((*config).clone(), (*label).clone());

        // Of several devices with one guid, one is a copy: the newer one counts, then the one that was given first.
        let mut devices: BTreeMap<u64, CandidateDevice> = BTreeMap::new();
        for device in all {
            let Some(guid) = device.label.guid() else { continue };
            match devices.get(&guid) {
                Some(other) if other.age_key() >= device.age_key() => {}
                _ => drop(devices.insert(guid, device)),
            }
        }
        let mut candidate = Self {
            guid,
            config,
            label,
            devices,
            uberblocks,
            nodes,
            vdevs: Vec::new(),
        };
        candidate.vdevs = candidate.status_of(&candidate.nodes);
        Ok(candidate)
    }

    /// The pool's name; empty where the labels have none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.config.str("name").unwrap_or_default()
    }

    /// The pool's guid, which tells pools of one name apart.
    #[must_use]
    pub const fn guid(&self) -> u64 {
        self.guid
    }

    /// Whether people mean this pool by a word: its name, or its guid in decimal digits.
    #[must_use]
    pub fn is_called(&self, word: &str) -> bool {
        self.name() == word || word.parse() == Ok(self.guid)
    }

    /// What the labels say the pool's fate is: in use, exported or destroyed.
    #[must_use]
    pub fn label_state(&self) -> LabelState {
        LabelState(self.config.u64("state").unwrap_or(0))
    }

    /// The pool's version: 1–28, or 5000 with feature flags.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.config.u64("version").unwrap_or(0)
    }

    /// The host that used the pool last: its number, and its name where the labels have one.
    #[must_use]
    pub fn host(&self) -> Option<(u64, Option<&str>)> {
        Some((self.config.u64("hostid")?, self.config.str("hostname")))
    }

    /// What somebody wrote about the pool.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.config.str("comment")
    }

    /// The configuration in the labels.
    #[must_use]
    pub const fn config(&self) -> &NvList {
        &self.config
    }

    /// The devices that were found, by guid.
    #[must_use]
    pub const fn devices(&self) -> &BTreeMap<u64, CandidateDevice> {
        &self.devices
    }

    /// The state of the pool and of each vdev that the labels know, each before its children: the pool itself comes
    /// first. The pool's own configuration may know more: [`Pool::vdevs`].
    #[must_use]
    pub fn vdevs(&self) -> &[VdevStatus] {
        &self.vdevs
    }

    /// The pool's state.
    #[must_use]
    pub fn state(&self) -> VdevState {
        self.vdevs.first().map_or(VdevState::Unavail, |root| root.state)
    }

    /// The top-level vdevs that cannot be read as far as the labels tell. Those that were removed have no labels and
    /// count as missing here; whether the pool opens, only opening it tells.
    #[must_use]
    pub fn missing(&self) -> Vec<ShortVdev> {
        short_vdevs(&self.vdevs)
    }

    /// Every uberblock that was found on any device, the newest first.
    #[must_use]
    pub fn uberblocks(&self) -> &[Uberblock] {
        &self.uberblocks
    }

    /// Opens the pool at its newest uberblock. As long as it is open, the space of that state is not taken again by who
    /// writes to it meanwhile.
    ///
    /// # Errors
    /// [`Error::Busy`] where it changes so fast that none of its states can be held;
    /// [`Error::MissingDevices`] where too many devices are missing; [`Error::Unsupported`] where the pool uses what
    /// zferry does not know; others where what leads to its metadata is damaged.
    pub fn open(&self, options: &OpenOptions) -> Result<Pool, Error> {
        let mut again = None;
        for _ in 0..TRIES_MAX {
            let candidate = again.as_ref().unwrap_or(self);
            let newest = candidate.newest()?;
            candidate.hold(newest.txg)?;
            // A commit that came before the hold may have freed what this state needs, and the next take it.
            if !candidate.has_newer(newest) {
                return open_candidate(candidate, newest, options);
            }
            candidate.release(newest.txg)?;
            again = Some(candidate.read_again()?);
        }
        Err(Error::Busy(self.name().to_owned()))
    }

    /// The newest uberblock.
    fn newest(&self) -> Result<&Uberblock, Error> {
        self.uberblocks.first().ok_or_else(|| {
            let device = self.devices.values().next();
            Error::NoUberblock {
                disk: device.map_or_else(String::new, |device| device.disk.name().to_owned()),
            }
        })
    }

    /// Whether the pool has a newer state by now.
    fn has_newer(&self, uberblock: &Uberblock) -> bool {
        let age = uberblock.age_key();
        let mut devices = self.devices.values();
        devices.any(|device| has_newer_uberblock(&*device.disk, &device.label, age))
    }

    /// The same pool as its labels tell of it by now.
    fn read_again(&self) -> Result<Self, Error> {
        let devices = self.devices.values();
        let devices = devices.filter_map(|device| CandidateDevice::read(Arc::clone(&device.disk)).ok());
        let found = Self::of_devices(devices.collect());
        let mut pools = found.pools.into_iter();
        let same = pools.find(|pool| pool.guid == self.guid);
        same.ok_or_else(|| Corrupt::new("the pool's labels went away").into())
    }

    fn hold(&self, txg: Txg) -> Result<(), Error> {
        self.devices.values().try_for_each(|device| {
            let held = device.disk.hold(txg);
            held.map_err(|source| Error::io(device.disk.name(), source))
        })
    }

    fn release(&self, txg: Txg) -> Result<(), Error> {
        self.devices.values().try_for_each(|device| {
            let released = device.disk.release(txg);
            released.map_err(|source| Error::io(device.disk.name(), source))
        })
    }

    /// Opens the pool at one of its uberblocks. What it needs is not taken again from now on; of an older state, some may
    /// have been taken already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_at(&self, uberblock: &Uberblock, options: &OpenOptions) -> Result<Pool, Error> {
        self.hold(uberblock.txg)?;
        open_candidate(self, uberblock, options)
    }

    /// Finds out in what condition the pool is, by opening it as far as that goes.
    #[must_use]
    pub fn survey(&self, options: &OpenOptions) -> Survey {
        let options = OpenOptions {
            is_incomplete_allowed: true,
            ..options.clone()
        };
        match self.open(&options) {
            Ok(pool) => Survey {
                condition: pool.condition(),
                vdevs: pool.vdevs().to_vec(),
                pool: Some(pool),
            },
            Err(error) => Survey {
                condition: match error {
                    Error::MissingDevices(missing) => Condition::DevicesMissing(missing.vdevs),
                    Error::Unsupported(Unsupported::PoolVersion(version)) => Condition::VersionNewer(version),
                    Error::Unsupported(Unsupported::Features(features)) => {
                        Condition::FeaturesUnsupported(features)
                    }
                    error => Condition::Damaged(error),
                },
                vdevs: self.vdevs.clone(),
                pool: None,
            },
        }
    }

    /// The label with the newest configuration.
    pub(crate) const fn label(&self) -> &Label {
        &self.label
    }

    /// The tree of vdevs that the labels know.
    pub(crate) const fn nodes(&self) -> &VdevNodes {
        &self.nodes
    }

    /// The devices, as a tree is built from them.
    pub(crate) fn disks(&self) -> Devices {
        let disks = self.devices.iter();
        disks
            .map(|(guid, device)| (*guid, Arc::clone(&device.disk)))
            .collect()
    }

    /// The state of each vdev of a tree, given the devices that were found.
    pub(crate) fn status_of(&self, nodes: &VdevNodes) -> Vec<VdevStatus> {
        let names = self.devices.iter();
        let names = names.map(|(guid, device)| (*guid, device.disk.name().to_owned()));
        status_of(nodes, self.name(), &names.collect())
    }

    /// An error for what a tree lacks, if it lacks anything.
    pub(crate) fn lacks(&self, vdevs: &[VdevStatus]) -> Result<(), Error> {
        let short = short_vdevs(vdevs);
        if short.is_empty() {
            return Ok(());
        }
        Err(Error::MissingDevices(Box::new(MissingDevices {
            pool: self.name().to_owned(),
            vdevs: short,
        })))
    }
}

/// What a pool is like that was found.
#[derive(Debug)]
pub struct Survey {
    /// What to say about it.
    pub condition: Condition,
    /// The state of the pool and of each of its vdevs, each before its children: the pool itself comes first.
    pub vdevs: Vec<VdevStatus>,
    /// The pool, where what leads to its metadata can be read.
    pub pool: Option<Pool>,
}

/// In what condition a pool is, as `zpool` tells conditions apart. The worst one counts.
#[derive(Debug)]
#[non_exhaustive]
pub enum Condition {
    /// All devices are well.
    Healthy,
    /// Devices are being filled with what others have.
    Resilvering,
    /// An administrator took devices offline.
    DevicesOffline,
    /// Devices were pulled out.
    DevicesRemoved,
    /// Devices are faulty.
    DevicesFaulted,
    /// Devices are missing; the top-level vdevs that cannot be read for that, of which there may be none.
    DevicesMissing(Vec<ShortVdev>),
    /// The pool has a version that is not known.
    VersionNewer(u64),
    /// The pool uses features that are not known.
    FeaturesUnsupported(Vec<String>),
    /// What leads to the pool's metadata cannot be read.
    Damaged(Error),
}

impl Pool {
    /// In what condition the pool's devices are.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let scan = self.scan().ok().flatten();
        let is_resilvering = scan
            .is_some_and(|scan| scan.function == ScanFunction::RESILVER && scan.state == ScanState::SCANNING);
        if is_resilvering {
            return Condition::Resilvering;
        }
        condition_of(self.vdevs())
    }
}

/// The condition that follows from the states of vdevs.
fn condition_of(vdevs: &[VdevStatus]) -> Condition {
    let short = short_vdevs(vdevs);
    // What is being replaced is being taken care of.
    let mut replacing = None;
    let mut states = Vec::new();
    for vdev in vdevs {
        if replacing.is_some_and(|depth| vdev.depth <= depth) {
            replacing = None;
        }
        if replacing.is_none() && vdev.node.kind == VdevKind::Replacing {
            replacing = Some(vdev.depth);
        }
        if replacing.is_none() && vdev.node.is_leaf() {
            states.push(vdev.state);
        }
    }
    if !short.is_empty() {
        Condition::DevicesMissing(short)
    } else if states.contains(&VdevState::Faulted) {
        Condition::DevicesFaulted
    } else if states.contains(&VdevState::Unavail) {
        Condition::DevicesMissing(short)
    } else if states.contains(&VdevState::Offline) {
        Condition::DevicesOffline
    } else if states.contains(&VdevState::Removed) {
        Condition::DevicesRemoved
    } else {
        Condition::Healthy
    }
}

/// The tree that labels make together. `configs` are their configurations, the newest first.
fn bootstrap_tree<'a>(
    guid: u64,
    configs: impl Iterator<Item = &'a NvList> + Clone,
) -> Result<VdevNodes, Corrupt> {
    let tops = configs.clone().filter_map(|config| config.list("vdev_tree"));
    let place = |top: &NvList| usize::try_from(top.u64("id").unwrap_or(0)).unwrap_or(usize::MAX);
    let newest = configs.clone().next();
    // Pools of versions before 19 do not say how many top-level vdevs there are.
    let count = match newest.and_then(|config| config.u64("vdev_children")) {
        Some(count) => usize::try_from(count).unwrap_or(usize::MAX),
        None => tops
            .clone()
            .map(|top| place(top).saturating_add(1))
            .max()
            .unwrap_or(0),
    };
    if count > TOPS_MAX {
        return Err(Corrupt::new(format!("a pool of {count} top-level vdevs")));
    }
    let mut sources: Vec<TopSource<'a>> = Vec::new();
    sources.resize_with(count, || TopSource::Unknown);
    for top in tops {
        if let Some(source @ TopSource::Unknown) = sources.get_mut(place(top)) {
            *source = TopSource::Known(top);
        }
    }
    let holes = newest
        .and_then(|config| config.u64s("hole_array"))
        .unwrap_or_default();
    for hole in holes {
        let hole = usize::try_from(*hole).ok().and_then(|hole| sources.get_mut(hole));
        if let Some(source) = hole {
            *source = TopSource::Hole;
        }
    }
    VdevNodes::of_tops(guid, &sources)
}
