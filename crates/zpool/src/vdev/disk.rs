//! What a pool is read from: anything with a size and bytes at offsets.

use crate::Error;
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
}
