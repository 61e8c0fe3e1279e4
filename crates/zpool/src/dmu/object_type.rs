//! What lies in an object: its type decides how its bytes are ordered, and whether they are metadata or encrypted.
//!
//! Types below 54 are a fixed list. With bit 7 set, the type says itself what matters: bit 6 metadata, bit 5
//! encrypted, bits 0–4 how to swap its bytes.

use super::ByteOrder;
use std::fmt;

/// The type of an object or of a bonus buffer; unknown ones are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ObjectType(pub u8);

impl ObjectType {
    /// No object.
    pub const NONE: Self = Self(0);
    /// The object directory of the meta object set.
    pub const OBJECT_DIRECTORY: Self = Self(1);
    /// An nvlist.
    pub const PACKED_NVLIST: Self = Self(3);
    /// A list of block pointers.
    pub const BPOBJ: Self = Self(5);
    /// A block of dnodes.
    pub const DNODE: Self = Self(10);
    /// An object set.
    pub const OBJSET: Self = Self(11);
    /// The bonus of a DSL directory.
    pub const DSL_DIR: Self = Self(12);
    /// The bonus of a DSL dataset.
    pub const DSL_DATASET: Self = Self(16);
    /// The bonus of a file before version 5 of file systems.
    pub const ZNODE: Self = Self(17);
    /// A file's content.
    pub const PLAIN_FILE_CONTENTS: Self = Self(19);
    /// A directory.
    pub const DIRECTORY_CONTENTS: Self = Self(20);
    /// The master node of a file system.
    pub const MASTER_NODE: Self = Self(21);
    /// A volume's content.
    pub const ZVOL: Self = Self(23);
    /// A volume's properties.
    pub const ZVOL_PROP: Self = Self(24);
    /// System attributes: bonus buffers and spill blocks of files.
    pub const SYSTEM_ATTRIBUTES: Self = Self(44);
    /// How many types have a number of their own.
    const NUMBERED: u8 = 54;

    /// Whether the type exists: numbered, or made of valid flags.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        if self.0 & 0x80 != 0 {
            (self.0 & 0x1f) < 10
        } else {
            self.0 < Self::NUMBERED
        }
    }

    /// Whether objects of the type are metadata: stored with extra copies and never sent compressed.
    #[must_use]
    pub const fn is_metadata(self) -> bool {
        if self.0 & 0x80 != 0 {
            self.0 & 0x40 != 0
        } else {
            !matches!(self.0, 19 | 23 | 25 | 26 | 49)
        }
    }

    /// Whether the content is encrypted in encrypted datasets (of dnodes: only their bonus buffers are).
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        if self.0 & 0x80 != 0 {
            return self.0 & 0x20 != 0;
        }
        matches!(self.0, 9 | 10 | 18..=20 | 22 | 23 | 25 | 26 | 33..=35 | 39 | 40 | 44..=47 | 49)
    }

    /// How its bytes are put into the other order; `None` for a type that is not known.
    #[must_use]
    pub const fn byte_order(self) -> Option<ByteOrder> {
        if self.0 & 0x80 != 0 {
            return match self.0 & 0x1f {
                0 => Some(ByteOrder::Bytes),
                1 => Some(ByteOrder::U16),
                2 => Some(ByteOrder::U32),
                3 => Some(ByteOrder::U64),
                4 => Some(ByteOrder::Zap),
                5 => Some(ByteOrder::Dnode),
                6 => Some(ByteOrder::ObjectSet),
                7 => Some(ByteOrder::Znode),
                8 => Some(ByteOrder::OldAcl),
                9 => Some(ByteOrder::Acl),
                _ => None,
            };
        }
        match self.0 {
            1 | 13..=15 | 20..=22 | 24 | 27 | 28 | 31 | 32 | 37..=43 | 45..=48 | 50 | 52 => {
                Some(ByteOrder::Zap)
            }
            2 | 4..=9 | 12 | 16 | 26 | 30 | 36 | 51 | 53 => Some(ByteOrder::U64),
            0 | 3 | 19 | 23 | 25 | 29 | 34 | 35 | 44 | 49 => Some(ByteOrder::Bytes),
            10 => Some(ByteOrder::Dnode),
            11 => Some(ByteOrder::ObjectSet),
            17 => Some(ByteOrder::Znode),
            18 => Some(ByteOrder::OldAcl),
            33 => Some(ByteOrder::Acl),
            _ => None,
        }
    }

    /// Whether block pointers to this type count objects instead of blocks in their fill.
    #[must_use]
    pub const fn has_fill(self) -> bool {
        matches!(self, Self::DNODE | Self::OBJSET)
    }
}

impl fmt::Display for ObjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "type {}", self.0)
    }
}
