//! Which pools there are: in the files and folders that `-d` or `ZFERRY_PATH` name.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zferry_zpool::vdev::{Disk, FileDisk, read_labels};
use zferry_zpool::{Error, OpenOptions, Pool};

use crate::error::CommandError;

/// Where pools are looked for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Paths {
    /// Look for pools in this file or device, or in the files of this folder (may be given several times)
    #[arg(short = 'd', value_name = "PATH", env = "ZFERRY_PATH", value_delimiter = ':')]
    paths: Vec<PathBuf>,
}

/// An open pool.
#[derive(Debug)]
pub(crate) struct OpenPool {
    pub(crate) pool: Pool,
    name: String,
    /// The file or device that it was found in.
    path: PathBuf,
    /// The size of that, in bytes.
    size: u64,
}

impl OpenPool {
    /// The pool's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The file or device that it was found in, where that is all of it.
    pub(crate) fn only_leaf(&self) -> Option<&Path> {
        let tree = self.pool.config().list("vdev_tree")?;
        let [top] = tree.lists("children")? else {
            return None;
        };
        top.lists("children").is_none().then_some(&*self.path)
    }

    /// The size of that file or device in whole labels, in bytes.
    pub(crate) fn device_size(&self) -> Option<u64> {
        /// The size of a label, in bytes.
        const LABEL: u64 = 256 << 10;
        self.only_leaf()?;
        Some(self.size.saturating_sub(self.size % LABEL))
    }
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
        let name = dataset.split(['/', '@', '#']).next().unwrap_or_default();
        if let Some(hint) = self.hint() {
            return Err(missing(dataset).hint(hint));
        }
        for (_, disk) in self.disks()? {
            // What is no pool is no error: a folder may hold anything.
            if read_labels(&disk).is_ok_and(|label| label.pool_name() == Some(name)) {
                let open = Pool::open(Arc::new(disk), &OpenOptions::default());
                return open
                    .map_err(|error| CommandError::failed(format_args!("cannot open '{name}': {error}")));
            }
        }
        Err(missing(dataset).hint(format_args!(
            "None of the places given with -d holds a pool '{name}'."
        )))
    }

    /// Opens the pools of these datasets; without any, every pool that is found.
    pub(crate) fn open(&self, datasets: &[String]) -> Result<Pools, CommandError> {
        let wanted: Vec<&str> = datasets
            .iter()
            .map(|name| name.split(['/', '@', '#']).next().unwrap_or_default())
            .collect();
        let mut pools = Pools::default();
        let mut found: HashMap<String, PathBuf> = HashMap::new();
        for (path, disk) in self.disks()? {
            let label = match read_labels(&disk) {
                Ok(label) => label,
                // In a folder, other files are no error.
                Err(_) if !self.paths.contains(&path) => continue,
                Err(error) => {
                    pools.failures.push(error.to_string());
                    continue;
                }
            };
            let name = label.pool_name().unwrap_or_default().to_owned();
            if !wanted.is_empty() && !wanted.contains(&&*name) {
                continue;
            }
            if let Some(other) = found.get(&name) {
                let (path, other) = (path.display(), other.display());
                pools.failures.push(format!(
                    "{path}: passed over, for {other} holds a pool '{name}' too"
                ));
                continue;
            }
            found.insert(name.clone(), path.clone());
            let size = disk.size();
            match Pool::open(Arc::new(disk), &OpenOptions::default()) {
                Ok(pool) => pools.pools.push(OpenPool {
                    pool,
                    name,
                    path,
                    size,
                }),
                Err(error) => pools.failures.push(format!("cannot open '{name}': {error}")),
            }
        }
        pools.pools.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pools)
    }

    /// Every file in which a pool is looked for.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, CommandError> {
        let mut files = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                files.extend(files_of(path)?);
            } else {
                files.push(path.clone());
            }
        }
        Ok(files)
    }

    /// What to do where no place to look for pools is known.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let hint = "No pool is known: say which files it lies in with -d PATH before the subcommand.";
        self.paths.is_empty().then_some(hint)
    }

    fn disks(&self) -> Result<Vec<(PathBuf, FileDisk)>, CommandError> {
        let mut disks = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                let files = files_of(path)?.into_iter();
                disks.extend(files.filter_map(|file| Some((file.clone(), FileDisk::open(&file).ok()?))));
            } else {
                let disk = FileDisk::open(path);
                disks.push((path.clone(), disk.map_err(|error| cannot_open(path, &error))?));
            }
        }
        Ok(disks)
    }
}

/// What zfs says of a dataset that is not there.
pub(crate) fn missing(dataset: &str) -> CommandError {
    CommandError::failed(format_args!("cannot open '{dataset}': dataset does not exist"))
}

fn cannot_open(path: &Path, error: &Error) -> CommandError {
    CommandError::failed(format_args!("cannot open '{}': {error}", path.display()))
}

/// The files of a folder, in the order of their names.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let entries = fs::read_dir(folder).map_err(|source| cannot_open(folder, &Error::io("folder", source)))?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| is_file_or_device(path))
        .collect();
    files.sort_unstable();
    Ok(files)
}

/// Whether a path leads to what can hold a pool: opening anything else, such as a pipe, might wait for ever.
fn is_file_or_device(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() || metadata.file_type().is_block_device())
}
