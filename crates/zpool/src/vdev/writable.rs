//! What a pool is written to: a disk that also takes bytes, gives space back, and says when all of it is safe.
//!
//! A reader has only a [`Disk`], so that it cannot write by mistake.

use super::Disk;
use super::readers;
use super::write_behind::WriteBehind;
use crate::{Error, Txg};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// A disk that can be written.
pub trait WritableDisk: Disk {
    /// Writes `bytes` from `offset` on. What is written can be read at once, but is safe only after [`Self::flush`].
    ///
    /// # Errors
    /// Whatever the store says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when everything written so far will outlive a loss of power.
    ///
    /// # Errors
    /// Whatever the store says. Nothing that was written since the last flush can be relied on then.
    fn flush(&self) -> io::Result<()>;

    /// Gives the space of a range back to whoever keeps the disk. What is read there afterwards is of no meaning; a
    /// store that cannot do it does nothing.
    ///
    /// # Errors
    /// Whatever the store says.
    fn punch(&self, offset: u64, len: u64) -> io::Result<()>;

    /// The oldest transaction group whose space a reader holds, in this process or another; none where nobody does.
    ///
    /// # Errors
    /// Whatever the store says.
    fn oldest_held(&self) -> io::Result<Option<Txg>> {
        Ok(None)
    }

    /// Whether it is a device, which the label calls a `disk`, or a plain file.
    fn is_device(&self) -> bool {
        false
    }
}

/// A plain file or a block device that is open for writing, and locked so that nobody else is.
#[derive(Debug)]
pub struct WritableFile {
    name: String,
    file: WriteBehind,
    size: u64,
    is_device: bool,
}

impl WritableFile {
    /// Opens a block device that nothing else in the system uses: neither a mount, nor another pool, nor a volume manager.
    fn open_device(path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Of a device that exists, this asks for sole use.
        options.custom_flags(OFlags::EXCL.bits().cast_signed());
        options.open(path)
    }

    /// Opens a file or block device for writing and locks it.
    ///
    /// # Errors
    /// [`Error::Busy`] where another process has it open for writing; [`Error::Io`] where it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::with(path, OpenOptions::new().read(true).write(true), None)
    }

    /// Makes a sparse file of `size` bytes, or takes the file or device that is there already: an empty file grows to
    /// `size`, and what has a size keeps it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn create(path: &Path, size: u64) -> Result<Self, Error> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        Self::with(path, &options, Some(size))
    }

    fn with(path: &Path, options: &OpenOptions, size: Option<u64>) -> Result<Self, Error> {
        let name = path.display().to_string();
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::ResourceBusy => Error::Busy(name.clone()),
            _ => Error::io(name.clone(), source),
        };
        let is_device = path
            .metadata()
            .is_ok_and(|found| found.file_type().is_block_device());
        let opened = if is_device {
            Self::open_device(path)
        } else {
            options.open(path)
        };
        let mut file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::Busy(name)),
            Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
        }
        let file_type = file.metadata().map_err(failed)?.file_type();
        let mut end = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if let Some(size) = size
            && file_type.is_file()
            && end == 0
        {
            file.set_len(size).map_err(failed)?;
            end = size;
        }
        Ok(Self {
            name,
            file: WriteBehind::new(file, path),
            size: end,
            is_device: file_type.is_block_device(),
        })
    }
}

impl Disk for WritableFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read(buffer, offset)
    }
}

impl WritableDisk for WritableFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write(bytes, offset)
    }

    fn flush(&self) -> io::Result<()> {
        self.file.flush()
    }

    fn punch(&self, offset: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match fallocate(self.file.drain()?, flags, offset, len) {
            // Not every file system can; then the space stays taken, and nothing is wrong.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Ok(()),
            other => Ok(other?),
        }
    }

    fn oldest_held(&self) -> io::Result<Option<Txg>> {
        readers::oldest(self.file.as_file())
    }

    fn is_device(&self) -> bool {
        self.is_device
    }
}
