//! A file's attributes, as far as they are needed: in the order in which its bonus buffer holds them.
//!
//! ```text
//! since version 5 of file systems: system attributes, in bonus buffers and spill blocks
//!   offset  field
//!        0  sa_magic        u32   2f505a, in the byte order of all that follows
//!        4  sa_layout_info  u16   number of the layout, 10 bits | length of this header / 8, 6 bits
//!        6  sa_lengths      u16   of each attribute of the layout whose length varies; one at least
//!           the attributes of the layout, each at a multiple of eight bytes
//!
//!   SA_ATTRS of the master node leads to a table of two others:
//!     REGISTRY   name of an attribute → its number, bits 0–15 | how to swap it, 16–23 | its length, 24–39; 0: varies
//!     LAYOUTS    number of a layout, in decimal → numbers of attributes
//!
//! before: the znode, whose layout is in zferry_zpool::dmu's module byte_order
//! ```

use std::collections::HashMap;
use zferry_wire::{Endian, Reader};
use zferry_zpool::dmu::{Dnode, Object, ObjectSet, ObjectType};
use zferry_zpool::spa::BlockReader;
use zferry_zpool::{Corrupt, Error, ObjectNumber, zap};

const SA_MAGIC: u32 = 0x002f_505a;

/// Where the znode has its mode, its parent and its flags.
const ZNODE_MODE: usize = 72;
const ZNODE_PARENT: usize = 88;
const ZNODE_FLAGS: usize = 120;

/// What `st_mode` says of directories.
const FORMAT_MASK: u64 = 0o170_000;
const FORMAT_DIRECTORY: u64 = 0o040_000;
/// The flag of a directory that holds the extended attributes of its parent, or of a file in one.
const FLAG_XATTR: u64 = 1;

/// What a file's attributes say of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The directory that it is in: the one where it got its last name, if it has several. Of a directory of extended
    /// attributes, the file that has them.
    pub parent: ObjectNumber,
    /// Type and permissions, as in `st_mode`.
    pub mode: u64,
    /// ZFS's own flags of a file.
    pub flags: u64,
}

impl Attributes {
    /// Whether it is a directory.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        self.mode & FORMAT_MASK == FORMAT_DIRECTORY
    }

    /// Whether it is the directory with the extended attributes of its parent.
    #[must_use]
    pub const fn is_xattr_directory(&self) -> bool {
        self.is_directory() && self.flags & FLAG_XATTR != 0
    }
}

/// One attribute of a layout.
#[derive(Clone, Copy, Debug)]
struct Slot {
    number: u16,
    /// In bytes; `None` where the header says it.
    length: Option<usize>,
}

/// The attributes that a file system knows, and the orders in which they lie.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    layouts: HashMap<u16, Vec<Slot>>,
    parent: Option<u16>,
    mode: Option<u16>,
    flags: Option<u16>,
}

impl Registry {
    /// Reads what the object `master`, to which SA_ATTRS leads, says.
    pub(crate) fn read(reader: &BlockReader, set: &ObjectSet, master: ObjectNumber) -> Result<Self, Error> {
        let master = set.object(reader, master)?;
        let table = |name: &str| -> Result<Option<Object>, Error> {
            let number = zap::lookup_u64(reader, &master, name)?;
            number
                .map(|number| set.object(reader, ObjectNumber(number)))
                .transpose()
        };
        // A file system in which nothing was written has neither.
        let (Some(registry), Some(layouts)) = (table("REGISTRY")?, table("LAYOUTS")?) else {
            return Ok(Self::default());
        };
        let mut lengths = HashMap::new();
        let mut numbers = HashMap::new();
        for entry in zap::entries(reader, &registry)? {
            let word = entry.value.as_u64().unwrap_or(0);
            let number = low_16(word);
            lengths.insert(number, usize::from(low_16(word >> 24)));
            numbers.insert(entry.name, number);
        }
        let number = |name: &str| numbers.get(name.as_bytes()).copied();
        let mut known = Self {
            layouts: HashMap::new(),
            parent: number("ZPL_PARENT"),
            mode: number("ZPL_MODE"),
            flags: number("ZPL_FLAGS"),
        };
        for entry in zap::entries(reader, &layouts)? {
            let slots = entry.value.as_u16s().unwrap_or_default().into_iter();
            let slots = slots.map(|number| Slot {
                number,
                length: lengths.get(&number).copied().filter(|length| *length > 0),
            });
            if let Ok(number) = entry.name_lossy().parse() {
                known.layouts.insert(number, slots.collect());
            }
        }
        Ok(known)
    }

    /// What is known of a file from its bonus buffer, and from its spill block, in which attributes lie for which the
    /// former has no room; `None` where the object is no file.
    pub(crate) fn attributes(
        &self,
        reader: &BlockReader,
        dnode: &Dnode,
    ) -> Result<Option<Attributes>, Error> {
        let bonus = dnode.bonus.get(..usize::from(dnode.bonus_len));
        let bonus = bonus.unwrap_or(&dnode.bonus);
        if dnode.bonus_type == ObjectType::ZNODE {
            return Ok(Some(znode(bonus, dnode.endian)?));
        }
        if dnode.bonus_type != ObjectType::SYSTEM_ATTRIBUTES {
            return Ok(None);
        }
        let mut found = Found::default();
        self.collect(bonus, &mut found)?;
        if found.all().is_none()
            && let Some(spill) = &dnode.spill
        {
            self.collect(&reader.read_cached(spill)?.bytes, &mut found)?;
        }
        let missing = || Corrupt::new("system attributes without mode, flags or parent");
        Ok(Some(found.all().ok_or_else(missing)?))
    }

    fn collect(&self, bytes: &[u8], found: &mut Found) -> Result<(), Corrupt> {
        let endian = match Reader::new(bytes, Endian::Little).u32()? {
            SA_MAGIC => Endian::Little,
            magic if magic.swap_bytes() == SA_MAGIC => Endian::Big,
            magic => return Err(Corrupt::new(format!("system attributes with magic {magic:x}"))),
        };
        let mut header = Reader::new(bytes, endian);
        header.skip(4)?;
        let info = header.u16()?;
        let (layout, header_len) = (info & 0x3ff, usize::from(info >> 10).saturating_mul(8));
        let slots = self.layouts.get(&layout);
        let slots = slots
            .ok_or_else(|| Corrupt::new(format!("system attributes of layout {layout}, which is none")))?;
        let mut values = Reader::new(bytes, endian);
        values.skip(header_len)?;
        for slot in slots {
            let length = match slot.length {
                Some(length) => length,
                None => usize::from(header.u16()?),
            };
            // The last one may end where the buffer does.
            let padded = length.next_multiple_of(8).min(values.rest().len());
            let mut value = values.sub(padded)?;
            let wanted = [
                (self.parent, &mut found.parent),
                (self.mode, &mut found.mode),
                (self.flags, &mut found.flags),
            ];
            for (number, place) in wanted {
                if number == Some(slot.number) && place.is_none() {
                    *place = Some(value.u64()?);
                }
            }
        }
        Ok(())
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found {
    parent: Option<u64>,
    mode: Option<u64>,
    flags: Option<u64>,
}

impl Found {
    fn all(&self) -> Option<Attributes> {
        Some(Attributes {
            parent: ObjectNumber(self.parent?),
            mode: self.mode?,
            flags: self.flags?,
        })
    }
}

fn znode(bonus: &[u8], endian: Endian) -> Result<Attributes, Corrupt> {
    let field = |offset: usize| -> Result<u64, Corrupt> {
        let mut reader = Reader::new(bonus, endian);
        reader.skip(offset)?;
        Ok(reader.u64()?)
    };
    Ok(Attributes {
        parent: ObjectNumber(field(ZNODE_PARENT)?),
        mode: field(ZNODE_MODE)?,
        flags: field(ZNODE_FLAGS)?,
    })
}

const fn low_16(word: u64) -> u16 {
    let [low, high, ..] = word.to_le_bytes();
    u16::from_le_bytes([low, high])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mode, size, a text of its own length, flags and parent.
    fn registry() -> Registry {
        let slot = |(number, length): (u16, usize)| Slot {
            number,
            length: Some(length).filter(|length| *length > 0),
        };
        let slots = [(5, 8), (6, 8), (17, 0), (11, 8), (7, 8)].map(slot);
        Registry {
            layouts: HashMap::from([(3, slots.to_vec())]),
            parent: Some(7),
            mode: Some(5),
            flags: Some(11),
        }
    }

    fn bonus(endian: Endian, text: u16) -> Vec<u8> {
        let mut bytes = endian.bytes_u32(SA_MAGIC).to_vec();
        bytes.extend(endian.bytes_u16(3 | 1 << 10));
        bytes.extend(endian.bytes_u16(text));
        bytes.extend(endian.bytes_u64(0o100_644));
        bytes.extend(endian.bytes_u64(12));
        bytes.resize(bytes.len() + usize::from(text).next_multiple_of(8), b'x');
        bytes.extend(endian.bytes_u64(4));
        bytes.extend(endian.bytes_u64(34));
        bytes
    }

    #[test]
    fn attributes_lie_where_their_layout_says() {
        for (endian, text) in [(Endian::Little, 0), (Endian::Big, 13), (Endian::Little, 8)] {
            let mut found = Found::default();
            registry().collect(&bonus(endian, text), &mut found).unwrap();
            let expected = Attributes {
                parent: ObjectNumber(34),
                mode: 0o100_644,
                flags: 4,
            };
            assert_eq!(found.all(), Some(expected));
            assert!(!expected.is_xattr_directory());
        }
    }

    #[test]
    fn what_is_cut_or_has_no_layout_is_refused() {
        let bonus = bonus(Endian::Little, 13);
        for len in 0..bonus.len() {
            let mut found = Found::default();
            let _ = registry().collect(&bonus[..len], &mut found);
            assert_eq!(found.all(), None, "{len}");
        }
        let nothing = Registry::default();
        assert!(nothing.collect(&bonus, &mut Found::default()).is_err());
    }
}
