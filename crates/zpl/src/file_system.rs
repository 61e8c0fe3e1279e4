//! A file system: an object set with a master node.

use crate::attributes::{Attributes, Registry};
use zferry_zpool::dmu::{Object, ObjectSet, ObjectSetType};
use zferry_zpool::spa::{BlockPointer, BlockReader};
use zferry_zpool::{Error, ObjectNumber, zap};

/// The object with the names under which everything else is found.
const MASTER_NODE: ObjectNumber = ObjectNumber(1);

/// A file system, or a snapshot of one.
#[derive(Debug)]
pub struct FileSystem<'a> {
    pub(crate) reader: &'a BlockReader,
    set: ObjectSet,
    registry: Registry,
    /// Its uppermost directory.
    pub(crate) root: ObjectNumber,
}

impl<'a> FileSystem<'a> {
    /// Opens the file system whose object set `root` leads to; `None` where it is none, but a volume.
    ///
    /// Without the key of an encrypted one, `reader` finds no names in it.
    ///
    /// # Errors
    /// Where what leads to the files cannot be read, or makes no sense.
    pub fn open(reader: &'a BlockReader, root: &BlockPointer) -> Result<Option<Self>, Error> {
        let set = ObjectSet::read(reader, root)?;
        if set.set_type != ObjectSetType::ZFS {
            return Ok(None);
        }
        let master = set.object(reader, MASTER_NODE)?;
        let number = |name: &str| zap::lookup_u64(reader, &master, name);
        let root = number("ROOT")?.ok_or_else(|| Error::Missing("the file system's root".to_owned()))?;
        let registry = match number("SA_ATTRS")? {
            Some(table) => Registry::read(reader, &set, ObjectNumber(table))?,
            None => Registry::default(),
        };
        Ok(Some(Self {
            reader,
            set,
            registry,
            root: ObjectNumber(root),
        }))
    }

    /// What the attributes of a file say of its place; `None` where the object is no file.
    ///
    /// # Errors
    /// Where there is no such object, it cannot be read or makes no sense.
    pub fn attributes(&self, number: ObjectNumber) -> Result<Option<Attributes>, Error> {
        self.registry.attributes(self.reader, &self.object(number)?.dnode)
    }

    pub(crate) fn object(&self, number: ObjectNumber) -> Result<Object, Error> {
        self.set.object(self.reader, number)
    }
}
