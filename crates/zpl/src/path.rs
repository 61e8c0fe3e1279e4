//! From an object to its path: up from directory to directory, in each of which its name is looked for.
//!
//! A value in a directory is the number of an object, in its lower 48 bits, and the type of the file, in the upper four.

use crate::FileSystem;
use zferry_zpool::dmu::ObjectType;
use zferry_zpool::{Corrupt, Error, ObjectNumber, zap};

/// How many directories deep a file may lie, and how long its path may be, in bytes.
const DEPTH_MAX: usize = 4096;
const PATH_BYTES_MAX: usize = 1 << 20;
/// The part of a directory's value that is the number of an object.
const OBJECT_MASK: u64 = (1 << 48) - 1;
/// What OpenZFS writes for the directory of a file's extended attributes, which has no name.
const XATTR_DIRECTORY: &[u8] = b"<xattrdir>";

impl FileSystem<'_> {
    /// The path of a file inside the file system, from its root's `/` on: bytes, for names need be no text. `None` where
    /// the object is no file, or has no name any more. Of several names, it is one.
    ///
    /// # Errors
    /// Where what leads to it cannot be read, or makes no sense.
    pub fn path_of(&self, number: ObjectNumber) -> Result<Option<Vec<u8>>, Error> {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut room = PATH_BYTES_MAX;
        let mut number = number;
        while number != self.root {
            let Some(attributes) = self.attributes(number)? else {
                return Ok(None);
            };
            let name = if attributes.is_xattr_directory() {
                XATTR_DIRECTORY.to_vec()
            } else {
                match self.name_in(attributes.parent, number)? {
                    Some(name) => name,
                    None => return Ok(None),
                }
            };
            let needed = name.len().saturating_add(1);
            room = room.checked_sub(needed).ok_or_else(endless)?;
            names.push(name);
            if names.len() > DEPTH_MAX {
                return Err(endless().into());
            }
            number = attributes.parent;
        }
        if names.is_empty() {
            return Ok(Some(b"/".to_vec()));
        }
        let path = names.iter().rev().flat_map(|name| [&b"/"[..], name]);
        Ok(Some(path.flatten().copied().collect()))
    }

    /// The name that a directory has for an object.
    fn name_in(&self, directory: ObjectNumber, number: ObjectNumber) -> Result<Option<Vec<u8>>, Error> {
        let directory = self.object(directory)?;
        if directory.dnode.object_type != ObjectType::DIRECTORY_CONTENTS {
            return Ok(None);
        }
        let mut name = None;
        let looked = zap::for_each(self.reader, &directory, &mut |entry| {
            let value = entry.value.as_u64();
            if name.is_none() && value.is_some_and(|value| value & OBJECT_MASK == number.0) {
                name = Some(entry.name);
            }
            Ok(())
        });
        // A directory that cannot be read to its end may have had the name before.
        match (name, looked) {
            (Some(name), _) => Ok(Some(name)),
            (None, looked) => looked.map(|()| None),
        }
    }
}

fn endless() -> Corrupt {
    Corrupt::new("directories lie in one another without end")
}
