//! Searching files and folders for pools.

use crate::vdev::FileDisk;
use crate::{CandidateDevice, Error, PoolCandidate};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was found.
#[derive(Debug, Default)]
pub struct Discovery {
    /// The pools, by name and then by guid.
    pub pools: Vec<PoolCandidate>,
    /// Devices whose labels name no pool: hot spares and caches. Pools know theirs by guid.
    pub strays: Vec<CandidateDevice>,
    /// Why files that were named belong to no pool, and pools whose labels make no sense.
    pub failures: Vec<Error>,
}

/// Finds the pools that lie in files, block devices and folders of such. A folder is searched one level deep; what in
/// it cannot be opened, or holds no pool, is passed over. So are hot spares and caches.
///
/// # Errors
/// [`Error::Io`] where what was named cannot be opened or searched.
pub fn discover(paths: &[PathBuf]) -> Result<Discovery, Error> {
    let mut seen = BTreeSet::new();
    let mut devices = Vec::new();
    let mut failures = Vec::new();
    for path in paths {
        let metadata = fs::metadata(path).map_err(|source| io_error(path, source))?;
        if !metadata.is_dir() {
            if is_new(&mut seen, path) {
                match CandidateDevice::read(Arc::new(FileDisk::open(path)?)) {
                    Ok(device) => devices.push(device),
                    Err(failure) => failures.push(failure),
                }
            }
            continue;
        }
        for member in members(path)? {
            if !is_new(&mut seen, &member) {
                continue;
            }
            match FileDisk::open(&member).and_then(|disk| CandidateDevice::read(Arc::new(disk))) {
                Ok(device) => devices.push(device),
                Err(error) => tracing::debug!(%error, "passed over"),
            }
        }
    }
    let mut found = PoolCandidate::of_devices(devices);
    failures.append(&mut found.failures);
    Ok(Discovery { failures, ..found })
}

/// Finds pools in files and devices whose labels hold no configuration any more, so that [`discover`] does not find
/// them: each of `files` that `found` does not know is looked at.
pub fn salvage(files: &[PathBuf], found: &mut Discovery) {
    let known: BTreeSet<String> = found
        .pools
        .iter()
        .flat_map(|pool| pool.devices().values())
        .map(|device| device.disk.name().to_owned())
        .collect();
    for path in files {
        let name = path.display().to_string();
        if known.contains(&name) {
            continue;
        }
        match FileDisk::open(path).and_then(|disk| PoolCandidate::without_labels(Arc::new(disk))) {
            Ok(pool) => {
                let is_its_own =
                    |failure: &Error| matches!(failure, Error::NoLabel { disk } if *disk == name);
                found.failures.retain(|failure| !is_its_own(failure));
                found.pools.push(pool);
            }
            Err(error) => tracing::debug!(%error, "cannot be salvaged"),
        }
    }
}

/// The files and block devices in a folder, by name: where pools may lie.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be searched.
pub fn members(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut members = Vec::new();
    for entry in fs::read_dir(folder).map_err(|source| io_error(folder, source))? {
        let path = entry.map_err(|source| io_error(folder, source))?.path();
        // Symbolic links are followed: udev's folders consist of them.
        let kind = fs::metadata(&path).map(|metadata| metadata.file_type());
        if kind.is_ok_and(|kind| kind.is_file() || kind.is_block_device()) {
            members.push(path);
        }
    }
    members.sort();
    Ok(members)
}

/// Whether a file was not met before under another name.
fn is_new(seen: &mut BTreeSet<PathBuf>, path: &Path) -> bool {
    seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()))
}

fn io_error(path: &Path, source: std::io::Error) -> Error {
    Error::io(path.display().to_string(), source)
}
