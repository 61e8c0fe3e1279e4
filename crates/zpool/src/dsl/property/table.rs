//! The table of a dataset's native properties, as OpenZFS 2.3 has them.
//!
//! Their order is that in which `zfs get all` shows them.

use super::description::Attribute::{Inherited, Once, OnceOwn, Own, ReadOnly};
use super::description::{DatasetTypes, Description};
use super::index::{
    ACL_INHERIT, ACL_MODE, ACL_TYPE, BOOLEAN, CACHE, CANMOUNT, CASE, CHECKSUM, COMPRESSION, COPIES, DEDUP,
    DIRECT, DNODE_SIZE, ENCRYPTION, KEY_FORMAT, KEY_STATUS, LOGBIAS, NORMALIZATION, REDUNDANT_METADATA,
    SNAPDEV, SNAPDIR, SYNC, VERSION, VOLMODE, XATTR,
};
use std::fmt;

const FILESYSTEM: DatasetTypes = DatasetTypes::FILESYSTEM;
const SNAPSHOT: DatasetTypes = DatasetTypes::SNAPSHOT;
const VOLUME: DatasetTypes = DatasetTypes::VOLUME;
/// What has snapshots: no snapshot itself.
const HEADS: DatasetTypes = FILESYSTEM.union(VOLUME);
/// What can hold files.
const FILES: DatasetTypes = FILESYSTEM.union(SNAPSHOT);
/// What can be a device.
const BLOCKS: DatasetTypes = VOLUME.union(SNAPSHOT);
const ANY: DatasetTypes = DatasetTypes::DATASET.union(DatasetTypes::BOOKMARK);

macro_rules! properties {
    ($($(#[$doc:meta])* $property:ident = $constructor:ident($($argument:expr),*)$(.$method:ident($($value:expr)?$(,)?))*;)*) => {
        /// A native property of a dataset.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Property {
            $($(#[$doc])* $property,)*
        }

        impl Property {
            /// Every property, hidden ones too, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$property),*];

            /// What is known of it.
            #[must_use]
            pub const fn description(self) -> &'static Description {
                match self {
                    $(Self::$property => {
                        const DESCRIPTION: Description =
                            Description::$constructor($($argument),*)$(.$method($($value)?))*;
                        &DESCRIPTION
                    })*
                }
            }
        }
    };
}

properties! {
    /// File system, volume, snapshot or bookmark.
    Type = text("type", "TYPE", ReadOnly, None).on(ANY)
        .values("filesystem | volume | snapshot | bookmark");
    /// When it was made, in seconds since 1970.
    Creation = number("creation", "CREATION", ReadOnly).on(ANY).date().values("<date>");
    /// Space that it and its descendants take, in bytes; for a snapshot, what its destruction would free.
    Used = number("used", "USED", ReadOnly).values("<size>");
    /// Space that can still be written, in bytes.
    Available = number("available", "AVAIL", ReadOnly).on(HEADS).values("<size>");
    /// Space that can be reached through it, in bytes, shared or not.
    Referenced = number("referenced", "REFER", ReadOnly).on(ANY).values("<size>");
    /// By how much its data shrank, in hundredths.
    CompressRatio = number("compressratio", "RATIO", ReadOnly).on(ANY)
        .values("<1.00x or higher if compressed>");
    /// Whether it is mounted. Here nothing ever is.
    Mounted = index("mounted", "MOUNTED", ReadOnly, BOOLEAN, 0).on(FILESYSTEM).values("yes | no");
    /// The snapshot that a clone was made of.
    Origin = text("origin", "ORIGIN", ReadOnly, None).on(HEADS).values("<snapshot>");
    /// The most that it and its descendants may take, in bytes; 0: anything.
    Quota = number("quota", "QUOTA", Own).on(FILESYSTEM).values("<size> | none");
    /// The least that it and its descendants are sure to get, in bytes.
    Reservation = number("reservation", "RESERV", Own).on(HEADS).values("<size> | none");
    /// A volume's size, in bytes.
    VolSize = number("volsize", "VOLSIZE", Own).on(BLOCKS).values("<size>");
    /// A volume's block size, in bytes.
    VolBlockSize = number("volblocksize", "VOLBLOCK", Once).on(VOLUME).or(16 << 10)
        .values("512 to 128k, power of 2");
    /// The largest block of new files, in bytes.
    RecordSize = number("recordsize", "RECSIZE", Inherited).on(FILESYSTEM).or(128 << 10)
        .values("512 to 1M, power of 2");
    /// Where it is mounted.
    MountPoint = text("mountpoint", "MOUNTPOINT", Inherited, Some("/")).on(FILESYSTEM)
        .values("<path> | legacy | none");
    /// Whether and how it is shared over NFS.
    ShareNfs = text("sharenfs", "SHARENFS", Inherited, Some("off")).on(FILESYSTEM)
        .values("on | off | NFS share options");
    /// The checksum of new blocks.
    Checksum = index("checksum", "CHECKSUM", Inherited, CHECKSUM, 1).on(HEADS)
        .values("on | off | fletcher2 | fletcher4 | sha256 | sha512 | skein | edonr | blake3");
    /// The compression of new blocks.
    Compression = index("compression", "COMPRESS", Inherited, COMPRESSION, 1).on(HEADS)
        .values(
            "on | off | lzjb | gzip | gzip-[1-9] | zle | lz4 | zstd | zstd-[1-19] | zstd-fast | \
             zstd-fast-[1-10,20,30,40,50,60,70,80,90,100,500,1000]",
        );
    /// Whether reading a file changes its access time.
    Atime = index("atime", "ATIME", Inherited, BOOLEAN, 1).on(FILESYSTEM).values("on | off");
    /// Whether device nodes can be opened.
    Devices = index("devices", "DEVICES", Inherited, BOOLEAN, 1).on(FILES).values("on | off");
    /// Whether programs can be run.
    Exec = index("exec", "EXEC", Inherited, BOOLEAN, 1).on(FILES).values("on | off");
    /// Whether the set-user-id bit is honoured.
    Setuid = index("setuid", "SETUID", Inherited, BOOLEAN, 1).on(FILES).values("on | off");
    /// Whether it is protected from changes.
    ReadOnly = index("readonly", "RDONLY", Inherited, BOOLEAN, 0).on(HEADS).values("on | off");
    /// Whether a container manages it.
    Zoned = index("zoned", "ZONED", Inherited, BOOLEAN, 0).on(FILESYSTEM).values("on | off");
    /// Whether `.zfs` is seen.
    SnapDir = index("snapdir", "SNAPDIR", Inherited, SNAPDIR, 0).on(FILESYSTEM)
        .values("disabled | hidden | visible");
    /// What chmod does to an ACL.
    AclMode = index("aclmode", "ACLMODE", Inherited, ACL_MODE, 0).on(FILESYSTEM)
        .values("discard | groupmask | passthrough | restricted");
    /// How new files take over ACL entries.
    AclInherit = index("aclinherit", "ACLINHERIT", Inherited, ACL_INHERIT, 4).on(FILESYSTEM)
        .values("discard | noallow | restricted | passthrough | passthrough-x");
    /// The transaction group in which it was made.
    CreateTxg = number("createtxg", "CREATETXG", ReadOnly).on(ANY).exact().values("<uint64>");
    /// Its name.
    Name = text("name", "NAME", ReadOnly, None).on(ANY).hidden();
    /// Whether it can be mounted.
    CanMount = index("canmount", "CANMOUNT", Own, CANMOUNT, 1).on(FILESYSTEM)
        .values("on | off | noauto");
    /// Obsolete.
    IscsiOptions = text("iscsioptions", "ISCSIOPTIONS", Inherited, None).on(VOLUME).hidden();
    /// How extended attributes are stored.
    Xattr = index("xattr", "XATTR", Inherited, XATTR, 2).on(FILES).values("on | off | dir | sa");
    /// How many clones a snapshot has.
    NumClones = number("numclones", "NUMCLONES", ReadOnly).on(SNAPSHOT).hidden();
    /// How many copies of a block are kept.
    Copies = index("copies", "COPIES", Inherited, COPIES, 1).on(HEADS).values("1 | 2 | 3");
    /// The version of the file system's format.
    Version = index("version", "VERSION", Own, VERSION, 0).on(FILES)
        .values("1 | 2 | 3 | 4 | 5 | current");
    /// Whether file names must be UTF-8.
    Utf8Only = index("utf8only", "UTF8ONLY", Once, BOOLEAN, 0).on(FILES).values("on | off");
    /// The Unicode form in which file names are compared.
    Normalization = index("normalization", "NORMALIZATION", Once, NORMALIZATION, 0).on(FILES)
        .values("none | formC | formD | formKC | formKD");
    /// Whether file names differ by case.
    CaseSensitivity = index("casesensitivity", "CASE", Once, CASE, 0).on(FILES)
        .values("sensitive | insensitive | mixed");
    /// Whether files are scanned for viruses.
    Vscan = index("vscan", "VSCAN", Inherited, BOOLEAN, 0).on(FILESYSTEM).values("on | off");
    /// Whether locks are mandatory.
    Nbmand = index("nbmand", "NBMAND", Inherited, BOOLEAN, 0).on(FILES).values("on | off");
    /// Whether and how it is shared over SMB.
    ShareSmb = text("sharesmb", "SHARESMB", Inherited, Some("off")).on(FILESYSTEM)
        .values("on | off | SMB share options");
    /// The most that it alone may reference, in bytes; 0: anything.
    RefQuota = number("refquota", "REFQUOTA", Own).on(FILESYSTEM).values("<size> | none");
    /// The least that it alone is sure to get, in bytes.
    RefReservation = number("refreservation", "REFRESERV", Own).on(HEADS).values("<size> | none");
    /// Its identity, the same for what was received from it.
    Guid = number("guid", "GUID", ReadOnly).on(ANY).exact().values("<uint64>");
    /// What is cached in memory.
    PrimaryCache = index("primarycache", "PRIMARYCACHE", Inherited, CACHE, 2)
        .values("all | none | metadata");
    /// What is cached on cache devices.
    SecondaryCache = index("secondarycache", "SECONDARYCACHE", Inherited, CACHE, 2)
        .values("all | none | metadata");
    /// Space that would be free if its snapshots were destroyed, in bytes.
    UsedBySnapshots = number("usedbysnapshots", "USEDSNAP", ReadOnly).on(HEADS).values("<size>");
    /// Space that would be free if it alone were destroyed, in bytes.
    UsedByDataset = number("usedbydataset", "USEDDS", ReadOnly).on(HEADS).values("<size>");
    /// Space that its children take, in bytes.
    UsedByChildren = number("usedbychildren", "USEDCHILD", ReadOnly).on(HEADS).values("<size>");
    /// Space that its own reservation takes beyond what is written, in bytes.
    UsedByRefReservation = number("usedbyrefreservation", "USEDREFRESERV", ReadOnly).on(HEADS)
        .values("<size>");
    /// Whether space is counted by user.
    UserAccounting = number("useraccounting", "USERACCOUNTING", ReadOnly).hidden();
    /// Obsolete.
    StmfShareInfo = text("stmf_sbd_lu", "STMF_SBD_LU", Inherited, None).on(VOLUME).hidden();
    /// Whether a snapshot goes with its last hold or clone.
    DeferDestroy = index("defer_destroy", "DEFER_DESTROY", ReadOnly, BOOLEAN, 0).on(SNAPSHOT)
        .values("yes | no");
    /// How many holds a snapshot has.
    UserRefs = number("userrefs", "USERREFS", ReadOnly).on(SNAPSHOT).values("<count>");
    /// Whether synchronous writes favour latency or throughput.
    LogBias = index("logbias", "LOGBIAS", Inherited, LOGBIAS, 0).on(HEADS)
        .values("latency | throughput");
    /// Space that nothing else references, in bytes.
    Unique = number("unique", "UNIQUE", ReadOnly).hidden();
    /// The number of its object in the pool.
    ObjsetId = number("objsetid", "OBJSETID", ReadOnly).exact().values("<uint64>");
    /// Whether equal blocks are stored once.
    Dedup = index("dedup", "DEDUP", Inherited, DEDUP, 2).on(HEADS)
        .values(
            "on | off | verify | sha256[,verify] | sha512[,verify] | skein[,verify] | edonr,verify | \
             blake3[,verify]",
        );
    /// Its sensitivity label.
    MlsLabel = text("mlslabel", "MLSLABEL", Inherited, Some("none")).values("<sensitivity label>");
    /// How synchronous writes are treated.
    Sync = index("sync", "SYNC", Inherited, SYNC, 0).on(HEADS).values("standard | always | disabled");
    /// The size of new dnodes.
    DnodeSize = index("dnodesize", "DNSIZE", Inherited, DNODE_SIZE, 0).on(FILESYSTEM)
        .values("legacy | auto | 1k | 2k | 4k | 8k | 16k");
    /// By how much the data that it references shrank, in hundredths.
    RefCompressRatio = number("refcompressratio", "REFRATIO", ReadOnly)
        .values("<1.00x or higher if compressed>");
    /// Space written since the previous snapshot, in bytes.
    Written = number("written", "WRITTEN", ReadOnly).values("<size>");
    /// The clones of a snapshot.
    Clones = text("clones", "CLONES", ReadOnly, None).on(SNAPSHOT).values("<dataset>[,...]");
    /// What `used` would be without compression, in bytes.
    LogicalUsed = number("logicalused", "LUSED", ReadOnly).on(HEADS).values("<size>");
    /// What `referenced` would be without compression, in bytes.
    LogicalReferenced = number("logicalreferenced", "LREFER", ReadOnly).on(ANY).values("<size>");
    /// Whether it is half received or half destroyed.
    Inconsistent = number("inconsistent", "INCONSISTENT", ReadOnly).hidden();
    /// How a volume is shown to the system.
    VolMode = index("volmode", "VOLMODE", Inherited, VOLMODE, 0).on(HEADS)
        .values("default | full | geom | dev | none");
    /// How many file systems and volumes may lie below it.
    FilesystemLimit = number("filesystem_limit", "FSLIMIT", Own).on(FILESYSTEM).or(u64::MAX)
        .values("<count> | none");
    /// How many snapshots it and its descendants may have.
    SnapshotLimit = number("snapshot_limit", "SSLIMIT", Own).on(HEADS).or(u64::MAX)
        .values("<count> | none");
    /// How many file systems and volumes lie below it, where that is counted.
    FilesystemCount = number("filesystem_count", "FSCOUNT", ReadOnly).on(FILESYSTEM).or(u64::MAX)
        .values("<count>");
    /// How many snapshots it and its descendants have, where that is counted.
    SnapshotCount = number("snapshot_count", "SSCOUNT", ReadOnly).on(HEADS).or(u64::MAX)
        .values("<count>");
    /// Whether a volume's snapshots have devices.
    SnapDev = index("snapdev", "SNAPDEV", Inherited, SNAPDEV, 0).on(HEADS).values("hidden | visible");
    /// Which kind of ACL is in use.
    AclType = index("acltype", "ACLTYPE", Inherited, ACL_TYPE, 0).on(FILES)
        .values("off | nfsv4 | posix");
    /// The SELinux context of its files.
    Context = text("context", "CONTEXT", Own, Some("none")).values("<selinux context>");
    /// The SELinux context of the file system.
    FsContext = text("fscontext", "FSCONTEXT", Own, Some("none")).values("<selinux fscontext>");
    /// The SELinux context of unlabelled files.
    DefContext = text("defcontext", "DEFCONTEXT", Own, Some("none")).values("<selinux defcontext>");
    /// The SELinux context of its root.
    RootContext = text("rootcontext", "ROOTCONTEXT", Own, Some("none")).values("<selinux rootcontext>");
    /// Whether access times are updated now and then only.
    RelAtime = index("relatime", "RELATIME", Inherited, BOOLEAN, 1).on(FILESYSTEM).values("on | off");
    /// How much metadata gets another copy.
    RedundantMetadata = index("redundant_metadata", "REDUND_MD", Inherited, REDUNDANT_METADATA, 0).on(HEADS)
        .values("all | most | some | none");
    /// Whether it may be mounted over a folder that is not empty.
    Overlay = index("overlay", "OVERLAY", Inherited, BOOLEAN, 1).on(FILESYSTEM).values("on | off");
    /// The newest snapshot.
    PrevSnap = text("prevsnap", "PREVSNAP", ReadOnly, None).on(HEADS).hidden();
    /// The token with which an interrupted receive goes on.
    ReceiveResumeToken = text("receive_resume_token", "RESUMETOK", ReadOnly, None).on(HEADS)
        .values("<string token>");
    /// The cipher.
    Encryption = index("encryption", "ENCRYPTION", Once, ENCRYPTION, 2)
        .values(
            "on | off | aes-128-ccm | aes-192-ccm | aes-256-ccm | aes-128-gcm | aes-192-gcm | \
             aes-256-gcm",
        );
    /// Where its key is to be found.
    KeyLocation = text("keylocation", "KEYLOCATION", Own, Some("none")).on(HEADS)
        .values("prompt | <file URI> | <https URL> | <http URL>");
    /// The form of its key.
    KeyFormat = index("keyformat", "KEYFORMAT", OnceOwn, KEY_FORMAT, 0).on(HEADS)
        .values("none | raw | hex | passphrase");
    /// The salt with which a passphrase becomes a key.
    Pbkdf2Salt = number("pbkdf2salt", "PBKDF2SALT", OnceOwn).on(HEADS).hidden();
    /// The rounds in which a passphrase becomes a key.
    Pbkdf2Iters = number("pbkdf2iters", "PBKDF2ITERS", OnceOwn).on(HEADS).exact().values("<iters>");
    /// The dataset whose key opens it.
    EncryptionRoot = text("encryptionroot", "ENCROOT", ReadOnly, None).values("<filesystem | volume>");
    /// The identity of its key.
    KeyGuid = number("keyguid", "KEYGUID", ReadOnly).exact().hidden();
    /// Whether its key is loaded. Here none ever is.
    KeyStatus = index("keystatus", "KEYSTATUS", ReadOnly, KEY_STATUS, 0)
        .values("none | unavailable | available");
    /// Obsolete.
    RemapTxg = number("remaptxg", "REMAPTXG", ReadOnly).hidden();
    /// Up to which size blocks go to special vdevs, in bytes.
    SpecialSmallBlocks = number("special_small_blocks", "SPECIAL_SMALL_BLOCKS", Inherited).on(FILESYSTEM)
        .values("zero or 512 to 1M, power of 2");
    /// The identity of its set of initialization vectors.
    IvsetGuid = number("ivsetguid", "IVSETGUID", ReadOnly).on(ANY).exact().hidden();
    /// Whether something was left out of it when it was sent.
    Redacted = number("redacted", "REDACTED", ReadOnly).hidden();
    /// The snapshots with respect to which it is redacted.
    RedactSnaps = text("redact_snaps", "RSNAPS", ReadOnly, None).on(ANY).values("<snapshot>[,...]");
    /// When a snapshot was last made or destroyed, in seconds since 1970.
    SnapshotsChanged = number("snapshots_changed", "SNAPSHOTS_CHANGED", ReadOnly).on(HEADS).date()
        .values("<date>");
    /// What is read ahead.
    Prefetch = index("prefetch", "PREFETCH", Inherited, CACHE, 2).values("none | metadata | all");
    /// Whether a volume's requests run on several threads.
    VolThreading = index("volthreading", "zvol threading", Own, BOOLEAN, 1).on(VOLUME)
        .values("on | off");
    /// Whether files can bypass the cache.
    Direct = index("direct", "DIRECT", Inherited, DIRECT, 1).on(FILESYSTEM)
        .values("disabled | standard | always");
    /// Whether file names may be longer than 255 bytes.
    LongName = index("longname", "LONGNAME", Inherited, BOOLEAN, 0).on(FILESYSTEM).values("on | off");
}

impl Property {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.description().name
    }

    /// Finds a property by its name, or by its column's header in lower case: `used`, `refer`, `recsize`.
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
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_columns_are_aliases() {
        let names: HashSet<&str> = Property::ALL.iter().map(|property| property.name()).collect();
        assert_eq!(names.len(), Property::ALL.len());
        for (alias, property) in [
            ("avail", Property::Available),
            ("refer", Property::Referenced),
            ("recsize", Property::RecordSize),
            ("compress", Property::Compression),
            ("rdonly", Property::ReadOnly),
            ("usedds", Property::UsedByDataset),
        ] {
            assert_eq!(Property::by_name(alias), Some(property));
        }
        assert_eq!(Property::by_name("USED"), None);
        assert_eq!(Property::by_name(""), None);
    }

    #[test]
    fn numbers_become_words_and_words_numbers() {
        let compression = Property::Compression.description();
        assert_eq!(compression.word(10), Some("gzip"));
        assert_eq!(compression.number_of("gzip-6"), Some(10));
        assert_eq!(compression.word(16 | (5 << 7)), Some("zstd-5"));
        assert_eq!(compression.word(16 | (123 << 7)), Some("zstd-fast-1000"));
        assert_eq!(compression.word(99), None);
        assert_eq!(Property::Dedup.description().word(8 | 256), Some("sha256,verify"));
    }

    #[test]
    fn every_default_word_is_in_its_table() {
        for property in Property::ALL {
            let description = property.description();
            if matches!(description.kind, super::super::Kind::Index { .. }) && *property != Property::Version
            {
                assert!(
                    description.word(description.default_number()).is_some(),
                    "{property}"
                );
            }
        }
    }

    #[test]
    fn columns_have_room_for_every_word() {
        assert_eq!(Property::Used.description().width(), 5);
        assert_eq!(Property::UsedByRefReservation.description().width(), 13);
        assert_eq!(
            Property::Compression.description().width(),
            "zstd-fast-1000".len()
        );
    }
}
