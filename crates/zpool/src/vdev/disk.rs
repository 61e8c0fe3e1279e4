//! What a pool is read from: anything with a size and bytes at offsets.

use super::readers;
use crate::{Error, Txg};
use std::fmt::Debug;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A store of bytes that holds one leaf vdev.
pub trait Disk: Debug + Send + Sync {
    /// What people call it: a path.
    fn name(&self) -> &str;

    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Fills `buffer` from `offset` on, in bytes from the start of the device.
    ///
    /// # Errors
    /// Whatever the store says; `UnexpectedEof` where it ends before the buffer is full.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Asks whoever writes to this disk, in whatever process, not to take the space again that the pool had in use
    /// when transaction group `txg` was committed: until [`Self::release`], or until this disk is closed. Where nobody
    /// else can have the disk, or others cannot be asked, it does nothing.
    ///
    /// # Errors
    /// Whatever the store says.
    fn hold(&self, _txg: Txg) -> io::Result<()> {
        Ok(())
    }

    /// Takes [`Self::hold`] back.
    ///
    /// # Errors
    /// Whatever the store says.
    fn release(&self, _txg: Txg) -> io::Result<()> {
        Ok(())
    }
}

/// A plain file or a block device.
#[derive(Debug)]
pub struct FileDisk {
    name: String,
    file: File,
    size: u64,
}

impl FileDisk {
    /// Opens a file or block device for reading.
    ///
    /// # Errors
    /// [`Error::Io`] where it cannot be opened or its size cannot be told.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let mut file = File::open(path).map_err(|source| Error::io(name.clone(), source))?;
        // A block device has no length in its metadata; its end can be sought.
        let size = file
            .seek(SeekFrom::End(0))
            .map_err(|source| Error::io(name.clone(), source))?;
        Ok(Self { name, file, size })
    }
}

impl Disk for FileDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn hold(&self, txg: Txg) -> io::Result<()> {
        readers::hold(&self.file, txg)
    }

    fn release(&self, txg: Txg) -> io::Result<()> {
        readers::release(&self.file, txg)
    }
}
