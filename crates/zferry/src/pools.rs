//! Which pools there are: in the files and folders that `-d` or `ZFERRY_PATH` name.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::fmt::Display;
use std::path::PathBuf;

use zferry_zpool::dsl::EntityName;
use zferry_zpool::vdev::Uberblock;
use zferry_zpool::{
    CandidateDevice, Discovery, Error, OpenOptions, Pool, PoolCandidate, discover, members, salvage,
};

use crate::error::CommandError;
use crate::moment::Moment;
use crate::output::warn;

/// Where pools are looked for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Paths {
    /// Look for pools in this file or device, or in the files of this folder (may be given several times; without it,
    /// the places in ZFERRY_PATH count, with ':' between them)
    #[arg(short = 'd', value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Look at pools as they were at this transaction group or time, if it is not long ago: a number, or a time such
    /// as 2026-01-31 or '2026-01-31 12:00:00'
    #[arg(short = 'T', value_name = "TXG|TIME")]
    at: Option<Moment>,
    /// Open pools whose newest state or whose labels are damaged, from what remains
    #[arg(long)]
    salvage: bool,
    /// Where another process writes to the pool and this command is to write, too, wait until the other is done
    #[arg(long)]
    wait: bool,
}

/// An open pool.
#[derive(Debug)]
pub(crate) struct OpenPool {
    pub(crate) pool: Pool,
    name: String,
    /// The devices that were found, by guid: those of the pool, and those that belong to none that they name.
    devices: BTreeMap<u64, FoundDevice>,
}

/// A device that was found.
#[derive(Clone, Debug)]
pub(crate) struct FoundDevice {
    /// Where.
    pub(crate) path: PathBuf,
    /// Its size, in bytes.
    pub(crate) size: u64,
}

impl OpenPool {
    /// The pool's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The devices that were found, by guid.
    pub(crate) const fn devices(&self) -> &BTreeMap<u64, FoundDevice> {
        &self.devices
    }
}

/// The devices that were found for a pool, by guid: its own, and those that belong to no pool that they name.
pub(crate) fn found_devices(pool: &PoolCandidate, strays: &[CandidateDevice]) -> BTreeMap<u64, FoundDevice> {
    let strays = strays
        .iter()
        .filter_map(|device| Some((device.label.guid()?, device)));
    let own = pool.devices().iter().map(|(guid, device)| (*guid, device));
    let found = |(guid, device): (u64, &CandidateDevice)| {
        let path = PathBuf::from(device.disk.name());
        let path = std::path::absolute(&path).unwrap_or(path);
        let size = device.disk.size();
        (guid, FoundDevice { path, size })
    };
    strays.chain(own).map(found).collect()
}

/// Open pools.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pools: Vec<OpenPool>,
    /// What was found and could not be opened: sentences.
    pub(crate) failures: Vec<String>,
}

impl Pools {
    /// The pools, sorted by name.
    pub(crate) fn iter(&self) -> std::slice::Iter<'_, OpenPool> {
        self.pools.iter()
    }
}

impl Paths {
    /// Opens the pool of a dataset.
    pub(crate) fn open_pool_of(&self, dataset: &str) -> Result<Pool, CommandError> {
        let name = EntityName::new(dataset).pool();
        if let Some(hint) = self.hint() {
            return Err(missing(dataset).hint(hint));
        }
        let found = self.find()?;
        let mut called = found.pools.iter().filter(|pool| pool.name() == name);
        let Some(pool) = called.next() else {
            return Err(missing(dataset).hint(format_args!(
                "None of the places given with -d holds a pool '{name}'."
            )));
        };
        if let Some(other) = called.next() {
            let (one, other) = (pool.guid(), other.guid());
            return Err(CommandError::failed(format_args!(
                "cannot open '{name}': more than one matching pool"
            ))
            .hint(format_args!(
                "Name with -d the files of one alone: there is {one}, and {other}."
            )));
        }
        self.open_found(pool)
            .map_err(|error| CommandError::failed(unopened(name, &error)))
    }

    /// Opens the pools of these datasets; without any, every pool that is found.
    pub(crate) fn open(&self, datasets: &[String]) -> Result<Pools, CommandError> {
        let wanted: Vec<&str> = datasets.iter().map(|name| EntityName::new(name).pool()).collect();
        let mut pools = Pools::default();
        let found = self.find()?;
        pools.failures.extend(found.failures.iter().map(Error::to_string));
        let mut opened: HashMap<&str, u64> = HashMap::new();
        for candidate in &found.pools {
            let name = candidate.name();
            if !wanted.is_empty() && !wanted.contains(&name) {
                continue;
            }
            if let Some(other) = opened.insert(name, candidate.guid()) {
                opened.insert(name, other);
                let guid = candidate.guid();
                pools.failures.push(format!(
                    "cannot open '{name}' with guid {guid}: another pool has this name, with guid {other}"
                ));
                continue;
            }
            match self.open_found(candidate) {
                Ok(pool) => pools.pools.push(OpenPool {
                    pool,
                    name: name.to_owned(),
                    devices: found_devices(candidate, &found.strays),
                }),
                Err(error) => pools.failures.push(unopened(name, &error)),
            }
        }
        pools.pools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pools)
    }

    /// Whether to wait for others who write.
    pub(crate) const fn waits(&self) -> bool {
        self.wait
    }

    /// Every file in which a pool is looked for.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, CommandError> {
        let mut files = Vec::new();
        for path in &self.places() {
            if path.is_dir() {
                let members = members(path);
                let members =
                    members.map_err(|error| CommandError::failed(format_args!("cannot open {error}")));
                files.extend(members?);
            } else {
                files.push(path.clone());
            }
        }
        Ok(files)
    }

    /// What to do where no place to look for pools is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let hint = "No pool is known: say which files it lies in with -d PATH before the subcommand.";
        self.places().is_empty().then_some(hint)
    }

    /// The places that were named. Only those of the environment are taken apart at colons, which names of devices have.
    fn places(&self) -> Vec<PathBuf> {
        if !self.paths.is_empty() {
            return self.paths.clone();
        }
        let listed = env::var_os("ZFERRY_PATH").unwrap_or_default();
        let places = env::split_paths(&listed);
        places.filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// What lies in these places.
    pub(crate) fn find(&self) -> Result<Discovery, CommandError> {
        let mut found = discover(&self.places())
            .map_err(|error| CommandError::failed(format_args!("cannot open {error}")))?;
        if self.salvage {
            salvage(&self.files()?, &mut found);
        }
        Ok(found)
    }

    /// Opens a pool as the command line asks: as it is, as it was, or as far as it can be opened.
    fn open_found(&self, candidate: &PoolCandidate) -> Result<Pool, Error> {
        let options = OpenOptions::default();
        let is_wanted = |uberblock: &Uberblock| self.at.is_none_or(|at| at.is_since(uberblock));
        match (self.salvage, self.at) {
            (true, _) => {}
            (false, Some(_)) => return candidate.open_last(is_wanted, &options),
            (false, None) => return candidate.open(&options),
        }
        candidate.open_any(is_wanted, &options, |uberblock, error| {
            warn(format_args!(
                "'{}' is passed over as it was at transaction group {}: {error}",
                candidate.name(),
                uberblock.txg
            ));
        })
    }
}

/// What zfs says of a dataset that is not there.
pub(crate) fn missing(dataset: &str) -> CommandError {
    CommandError::failed(format_args!("cannot open '{dataset}': dataset does not exist"))
}

/// What zfs says of what cannot be opened, and why.
pub(crate) fn cannot_open(name: &str, why: impl Display) -> CommandError {
    CommandError::failed(format_args!("cannot open '{name}': {why}"))
}

/// What zpool says of a pool that is not there.
pub(crate) fn missing_pool(name: &str) -> CommandError {
    CommandError::failed(format_args!("cannot open '{name}': no such pool"))
}

/// Why a pool cannot be opened, as a sentence.
fn unopened(name: &str, error: &Error) -> String {
    match error {
        // It says itself what cannot be opened.
        Error::MissingDevices(missing) => missing.to_string(),
        error => format!("cannot open '{name}': {error}"),
    }
}
