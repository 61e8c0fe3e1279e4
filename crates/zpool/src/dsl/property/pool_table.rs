//! The table of a pool's native properties, as OpenZFS 2.3 has them.
//!
//! Their order is that in which `zpool get all` shows them.

use super::description::Attribute::{OnceOwn, Own, ReadOnly};
use super::description::{DatasetTypes, Description};
use super::index::{BOOLEAN, FAIL_MODE};
use std::fmt;

/// Pools are no datasets.
const POOL: DatasetTypes = DatasetTypes::empty();

macro_rules! properties {
    ($($(#[$doc:meta])* $property:ident = $constructor:ident($($argument:expr),*)$(.$method:ident($($value:expr)?$(,)?))*;)*) => {
        /// A native property of a pool.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PoolProperty {
            $($(#[$doc])* $property,)*
        }

        impl PoolProperty {
            /// Every property, hidden ones too, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$property),*];

            /// What is known of it.
            #[must_use]
            pub const fn description(self) -> &'static Description {
                match self {
                    $(Self::$property => {
                        const DESCRIPTION: Description =
                            Description::$constructor($($argument),*)$(.$method($($value)?))*.on(POOL);
                        &DESCRIPTION
                    })*
                }
            }
        }
    };
}

properties! {
    /// Its name.
    Name = text("name", "NAME", ReadOnly, None).hidden();
    /// Its size, in bytes, with what raidz needs for parity.
    Size = number("size", "SIZE", ReadOnly).values("<size>");
    /// How full it is, in percent.
    Capacity = number("capacity", "CAP", ReadOnly).values("<percent>");
    /// Below which folder its file systems are mounted.
    AltRoot = text("altroot", "ALTROOT", Own, None).values("<path>");
    /// Its state. A number within ZFS, shown as a word.
    Health = number("health", "HEALTH", ReadOnly).values("<state>");
    /// Its identity.
    Guid = number("guid", "GUID", ReadOnly).exact().values("<guid>");
    /// The version of its format.
    Version = number("version", "VERSION", Own).or(5000).values("<version>");
    /// The file system to boot from.
    BootFs = text("bootfs", "BOOTFS", Own, None).values("<filesystem>");
    /// Whether others than root may be given rights.
    Delegation = index("delegation", "DELEGATION", Own, BOOLEAN, 1).values("on | off");
    /// Whether a new device takes the place of an old one.
    AutoReplace = index("autoreplace", "REPLACE", Own, BOOLEAN, 0).values("on | off");
    /// Where its configuration is kept.
    CacheFile = text("cachefile", "CACHEFILE", Own, None).values("<file> | none");
    /// What it does when it cannot reach its devices.
    FailMode = index("failmode", "FAILMODE", Own, FAIL_MODE, 0).values("wait | continue | panic");
    /// Whether its snapshots are listed unasked.
    ListSnapshots = index("listsnapshots", "LISTSNAPS", Own, BOOLEAN, 0).values("on | off");
    /// Whether it grows with its devices.
    AutoExpand = index("autoexpand", "EXPAND", Own, BOOLEAN, 0).values("on | off");
    /// Obsolete.
    DedupDitto = number("dedupditto", "DEDUPDITTO", Own).hidden();
    /// What deduplication saves, in hundredths.
    DedupRatio = number("dedupratio", "DEDUP", ReadOnly).values("<1.00x or higher if deduped>");
    /// What is free, in bytes.
    Free = number("free", "FREE", ReadOnly).values("<size>");
    /// What is allocated, in bytes.
    Allocated = number("allocated", "ALLOC", ReadOnly).values("<size>");
    /// Whether it can only be read.
    ReadOnly = index("readonly", "RDONLY", Own, BOOLEAN, 0).values("on | off");
    /// The sector size of its devices, as a power of two.
    Ashift = number("ashift", "ASHIFT", Own).values("<ashift, 9-16, or 0=default>");
    /// What its owner remarks.
    Comment = text("comment", "COMMENT", Own, None).values("<comment-string>");
    /// By how much it could grow, in bytes.
    ExpandSize = number("expandsize", "EXPANDSZ", ReadOnly).values("<size>");
    /// What is being freed in the background, in bytes.
    Freeing = number("freeing", "FREEING", ReadOnly).values("<size>");
    /// How fragmented its free space is, in percent.
    Fragmentation = number("fragmentation", "FRAG", ReadOnly).values("<percent>");
    /// What could not be freed, in bytes.
    Leaked = number("leaked", "LEAKED", ReadOnly).values("<size>");
    /// The largest block that it may have, in bytes.
    MaxBlockSize = number("maxblocksize", "MAXBLOCKSIZE", ReadOnly).hidden();
    /// Another name, while it is imported.
    TName = text("tname", "TNAME", OnceOwn, None).hidden();
    /// The largest dnode that it may have, in bytes.
    MaxDnodeSize = number("maxdnodesize", "MAXDNODESIZE", ReadOnly).hidden();
    /// Whether it is guarded against being imported twice.
    Multihost = index("multihost", "MULTIHOST", Own, BOOLEAN, 0).values("on | off");
    /// What only its checkpoint needs, in bytes.
    Checkpoint = number("checkpoint", "CKPOINT", ReadOnly).values("<size>");
    /// The identity of this import.
    LoadGuid = number("load_guid", "LOAD_GUID", ReadOnly).exact().values("<load_guid>");
    /// Whether devices are told of what is free.
    AutoTrim = index("autotrim", "AUTOTRIM", Own, BOOLEAN, 0).values("on | off");
    /// To which features it keeps.
    Compatibility = text("compatibility", "COMPATIBILITY", Own, Some("off"))
        .values("<file[,file...]> | off | legacy");
    /// What of it is stored once for several clones of a block, in bytes.
    BcloneUsed = number("bcloneused", "BCLONE_USED", ReadOnly).values("<size>");
    /// What that saves, in bytes.
    BcloneSaved = number("bclonesaved", "BCLONE_SAVED", ReadOnly).values("<size>");
    /// How often such a block is referenced, in hundredths.
    BcloneRatio = number("bcloneratio", "BCLONE_RATIO", ReadOnly).values("<1.00x or higher if cloned>");
    /// The size of the tables of equal blocks, in bytes.
    DedupTableSize = number("dedup_table_size", "DDTSIZE", ReadOnly).values("<size>");
    /// The most that those tables may take, in bytes.
    DedupTableQuota = number("dedup_table_quota", "DDTQUOTA", Own).or(u64::MAX).values("<size>");
    /// What of those tables is in memory, in bytes.
    DedupCached = number("dedupcached", "DEDUPCACHED", ReadOnly).hidden();
    /// The transaction group up to which it was scrubbed.
    LastScrubbedTxg = number("last_scrubbed_txg", "LAST_SCRUBBED_TXG", ReadOnly).values("<txg>");
}

impl PoolProperty {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.description().name
    }

    /// Finds a property by its name, or by its column's header in lower case.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|property| {
            let description = property.description();
            description.name == name || description.column.to_ascii_lowercase() == name
        })
    }

    /// The properties that `all` means, in order.
    pub fn visible() -> impl Iterator<Item = Self> {
        Self::ALL
            .iter()
            .copied()
            .filter(|property| property.description().visible)
    }

    /// The least width of its column.
    #[must_use]
    pub fn width(self) -> usize {
        match self {
            // The longest state.
            Self::Health => 8,
            _ => self.description().width(),
        }
    }
}

impl fmt::Display for PoolProperty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aliases() {
        for (alias, property) in [
            ("alloc", PoolProperty::Allocated),
            ("cap", PoolProperty::Capacity),
            ("ckpoint", PoolProperty::Checkpoint),
            ("replace", PoolProperty::AutoReplace),
        ] {
            assert_eq!(PoolProperty::by_name(alias), Some(property));
        }
        assert_eq!(PoolProperty::by_name("used"), None);
        assert_eq!(PoolProperty::visible().count(), 34);
    }
}
