//! Which pools there are: in the files and folders that `-d` or `ZFERRY_PATH` name.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use zferry_zpool::vdev::{FileDisk, read_labels};
use zferry_zpool::{Error, OpenOptions, Pool};

use crate::error::CommandError;

/// Where pools are looked for.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Paths {
    /// Look for pools in this file or device, or in the files of this folder (may be given several times)
    #[arg(short = 'd', value_name = "PATH", env = "ZFERRY_PATH", value_delimiter = ':')]
    paths: Vec<PathBuf>,
}

impl Paths {
    /// Opens the pool of a dataset.
    pub(crate) fn open_pool_of(&self, dataset: &str) -> Result<Pool, CommandError> {
        let name = dataset.split(['/', '@', '#']).next().unwrap_or_default();
        if self.paths.is_empty() {
            return Err(missing(dataset)
                .hint("No pool is known: say which files it lies in with -d PATH before the subcommand."));
        }
        for disk in self.disks()? {
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

    fn disks(&self) -> Result<Vec<FileDisk>, CommandError> {
        let mut disks = Vec::new();
        for path in &self.paths {
            if path.is_dir() {
                disks.extend(
                    files_of(path)?
                        .iter()
                        .filter_map(|file| FileDisk::open(file).ok()),
                );
            } else {
                let disk = FileDisk::open(path);
                disks.push(disk.map_err(|error| cannot_open(path, &error))?);
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
        .filter(|path| !path.is_dir())
        .collect();
    files.sort_unstable();
    Ok(files)
}
