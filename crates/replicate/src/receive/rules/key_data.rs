//! The checks on what a raw stream says of its encryption: the list `crypt_keydata` behind BEGIN, as
//! `dsl_crypto_recv_raw_objset_check` and `dsl_crypto_recv_raw_key_check` in `module/zfs/dsl_crypt.c` hold it.
//!
//! What is in the list: `send/encryption.rs`.

use super::super::Errno;
use zferry_blocks::crypt::{FormatVersion, Iv, KeyFormat, Mac, Suite, WrappedKey};
use zferry_nvlist::{NvList, Value};
use zferry_zpool::dmu::RawSet;
use zferry_zpool::{BlockId, WrittenKey};
use zferry_zstream::record::{Begin, ObjsetType};

/// The suites that there are have lower numbers, and those of properties that are none have these and lower ones.
const SUITE_COUNT: u64 = 9;
const SUITE_OFF: u64 = 2;
/// What the functions of a set of dnodes have lower numbers than.
const COMPRESSION_COUNT: u64 = 15;
const CHECKSUM_COUNT: u64 = 9;
const LEVELS_MAX: u64 = 12;
/// The only size of blocks of dnodes there ever was, in bytes.
const DNODE_BLOCK: u64 = 16 << 10;
/// The largest and smallest block, in bytes.
const BLOCK_MAX: u64 = 16 << 20;
const BLOCK_MIN: u64 = 512;
const POINTERS: u64 = 3;

/// Why what a raw stream says of its encryption cannot be received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyDataError {
    /// Nothing stands behind BEGIN.
    #[error("the raw stream does not say how it is encrypted")]
    NoList,
    /// What stands there does not concern encryption.
    #[error("the raw stream's list has no key")]
    Missing,
    /// Only file systems and volumes are encrypted.
    #[error("a raw stream of what is neither file system nor volume")]
    ObjsetType(u32),
    /// An entry is not there, or cannot be.
    #[error("'{0}' of the raw stream's key makes no sense")]
    Entry(&'static str),
    /// The set of dnodes has a shape that there is not here.
    #[error("'{0}' of the raw stream is not supported")]
    Shape(&'static str),
    /// The cipher is not known.
    #[error("the raw stream is encrypted with the unknown suite {0}")]
    Suite(u64),
    /// The key is of a version that cannot be received.
    #[error("the raw stream's key has version {0}")]
    Version(u64),
    /// What is there has dnodes of another shape.
    #[error("the target's set of dnodes has another shape than the stream's")]
    OtherShape,
    /// What is there has another key.
    #[error("the target is encrypted with another key")]
    OtherKey,
    /// The identity of the set of initialization vectors that the stream continues is not known on one of the sides.
    #[error("the identity of the set of initialization vectors is not known")]
    IvSetMissing,
    /// They differ: the snapshot that the stream continues was encrypted anew when it was received.
    #[error("the sets of initialization vectors differ")]
    IvSetDiffers,
}

impl KeyDataError {
    /// What OpenZFS's kernel module would say.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::Missing => Errno::ENOENT,
            Self::NoList | Self::ObjsetType(_) | Self::Entry(_) | Self::OtherShape => Errno::EINVAL,
            Self::Shape(_) | Self::Version(_) => Errno::ENOTSUP,
            Self::Suite(_) => Errno::ZFS_ERR_CRYPTO_NOTSUP,
            Self::OtherKey => Errno::EACCES,
            Self::IvSetMissing => Errno::ZFS_ERR_FROM_IVSET_GUID_MISSING,
            Self::IvSetDiffers => Errno::ZFS_ERR_FROM_IVSET_GUID_MISMATCH,
        }
    }
}

/// What a raw stream says of its encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyData {
    /// The shape of the object set, and its code.
    pub set: RawSet,
    /// The key, wrapped by the user's.
    pub key: WrittenKey,
    /// The identity of the snapshot's set of initialization vectors; 0: none.
    pub to_ivset_guid: u64,
    /// That of the snapshot that the stream continues; 0: none.
    pub from_ivset_guid: u64,
}

/// What a raw stream continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continued {
    /// How high the tree of its dnodes is, the size of that tree's indirect blocks as a power of two, and how many
    /// pointers lead there.
    pub shape: (u8, u8, usize),
    /// The identity of its set of initialization vectors, where it has one.
    pub ivset_guid: Option<u64>,
    /// The identity of its key.
    pub key_guid: Option<u64>,
    /// Whether the set of vectors has to be known: that of a clone's origin need not.
    pub needs_ivset: bool,
}

impl KeyData {
    /// Reads the list behind the BEGIN of a raw stream, and holds it to what the stream continues, if anything.
    ///
    /// # Errors
    /// The first reason against it, in OpenZFS's order.
    pub fn read(
        begin: &Begin,
        list: Option<&NvList>,
        continued: Option<&Continued>,
    ) -> Result<Self, KeyDataError> {
        let list = list.ok_or(KeyDataError::NoList)?;
        let Some(Value::NvList(list)) = list.get("crypt_keydata") else {
            return Err(KeyDataError::Missing);
        };
        if ![ObjsetType::ZFS, ObjsetType::ZVOL].contains(&begin.objset_type) {
            return Err(KeyDataError::ObjsetType(begin.objset_type.0));
        }
        let set = set(list)?;
        let number = |name: &str| list.u64(name).unwrap_or(0);
        let (to_ivset_guid, from_ivset_guid) = (number("to_ivset_guid"), number("from_ivset_guid"));
        if let Some(continued) = continued {
            if continued.shape != (set.levels, set.indirect_shift, 3) {
                return Err(KeyDataError::OtherShape);
            }
            check_ivset(from_ivset_guid, continued)?;
        }
        let key = key(list, continued.and_then(|continued| continued.key_guid))?;
        Ok(Self {
            set,
            key,
            to_ivset_guid,
            from_ivset_guid,
        })
    }
}

fn check_ivset(wanted: u64, continued: &Continued) -> Result<(), KeyDataError> {
    match continued.ivset_guid.filter(|guid| *guid != 0) {
        Some(found) if wanted != 0 && found != wanted => Err(KeyDataError::IvSetDiffers),
        Some(_) if wanted != 0 => Ok(()),
        _ if continued.needs_ivset => Err(KeyDataError::IvSetMissing),
        _ => Ok(()),
    }
}

/// A number that must be there.
fn entry(list: &NvList, name: &'static str) -> Result<u64, KeyDataError> {
    list.u64(name).ok_or(KeyDataError::Entry(name))
}

/// Bytes that must be there.
fn bytes<const N: usize>(list: &NvList, name: &'static str) -> Result<[u8; N], KeyDataError> {
    let found = match list.get(name) {
        Some(Value::Uint8Array(bytes)) => <[u8; N]>::try_from(&**bytes).ok(),
        _ => None,
    };
    found.ok_or(KeyDataError::Entry(name))
}

fn set(list: &NvList) -> Result<RawSet, KeyDataError> {
    let below = |name, limit: u64| {
        let found = entry(list, name)?;
        let small = u8::try_from(found).ok().filter(|_| found < limit);
        small.ok_or(KeyDataError::Entry(name))
    };
    let compression = below("mdn_compress", COMPRESSION_COUNT)?;
    let checksum = below("mdn_checksum", CHECKSUM_COUNT)?;
    let levels = below("mdn_nlevels", LEVELS_MAX.saturating_add(1))?;
    if levels == 0 {
        return Err(KeyDataError::Entry("mdn_nlevels"));
    }
    match entry(list, "mdn_blksz")? {
        DNODE_BLOCK => {}
        BLOCK_MIN..=BLOCK_MAX => return Err(KeyDataError::Shape("mdn_blksz")),
        too_small if too_small < BLOCK_MIN => return Err(KeyDataError::Entry("mdn_blksz")),
        _ => return Err(KeyDataError::Shape("mdn_blksz")),
    }
    let shift = list
        .u64("mdn_indblkshift")
        .filter(|shift| (12..=17).contains(shift));
    let indirect_shift = shift.and_then(|shift| u8::try_from(shift).ok());
    let indirect_shift = indirect_shift.ok_or(KeyDataError::Shape("mdn_indblkshift"))?;
    if list.u64("mdn_nblkptr") != Some(POINTERS) {
        return Err(KeyDataError::Shape("mdn_nblkptr"));
    }
    Ok(RawSet {
        levels,
        indirect_shift,
        checksum,
        compression,
        max_block: BlockId(entry(list, "mdn_maxblkid")?),
        portable_mac: bytes(list, "portable_mac")?,
    })
}

fn key(list: &NvList, existing: Option<u64>) -> Result<WrittenKey, KeyDataError> {
    let suite = entry(list, "DSL_CRYPTO_SUITE")?;
    if suite <= SUITE_OFF {
        return Err(KeyDataError::Entry("DSL_CRYPTO_SUITE"));
    }
    if suite >= SUITE_COUNT {
        return Err(KeyDataError::Suite(suite));
    }
    let suite = Suite::from_id(suite).ok_or(KeyDataError::Suite(suite))?;
    let guid = entry(list, "DSL_CRYPTO_GUID")?;
    if existing.is_some_and(|existing| existing != guid) {
        return Err(KeyDataError::OtherKey);
    }
    let master_key = bytes(list, "DSL_CRYPTO_MASTER_KEY_1")?;
    let hmac_key = bytes(list, "DSL_CRYPTO_HMAC_KEY_1")?;
    let iv = Iv(bytes(list, "DSL_CRYPTO_IV")?);
    let mac = Mac(bytes(list, "DSL_CRYPTO_MAC")?);
    // Keys of the time before OpenZFS 0.8 cannot be received, as what they authenticate differs from pool to pool.
    match list.u64("DSL_CRYPTO_VERSION") {
        Some(1) => {}
        other => return Err(KeyDataError::Version(other.unwrap_or(0))),
    }
    let format = list.u64("keyformat").and_then(KeyFormat::from_id);
    let format = format.ok_or(KeyDataError::Entry("keyformat"))?;
    let of_passphrase = |name| {
        let found = entry(list, name)?;
        if (format == KeyFormat::Passphrase) == (found == 0) {
            return Err(KeyDataError::Entry(name));
        }
        Ok(found)
    };
    Ok(WrittenKey {
        wrapped: WrappedKey {
            suite,
            version: FormatVersion::One,
            guid,
            iv,
            mac,
            master_key,
            hmac_key,
        },
        format,
        pbkdf2_iterations: of_passphrase("pbkdf2iters")?,
        pbkdf2_salt: of_passphrase("pbkdf2salt")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
    use zferry_zstream::record::StreamName;

    /// A list as a sender makes it.
    fn good() -> NvList {
        let mut list = NvList::new();
        for (name, value) in [
            ("DSL_CRYPTO_SUITE", 8),
            ("DSL_CRYPTO_GUID", 42),
            ("DSL_CRYPTO_VERSION", 1),
            ("keyformat", 3),
            ("pbkdf2iters", 350_000),
            ("pbkdf2salt", 7),
            ("mdn_checksum", 0),
            ("mdn_compress", 0),
            ("mdn_nlevels", 6),
            ("mdn_blksz", 16384),
            ("mdn_indblkshift", 17),
            ("mdn_nblkptr", 3),
            ("mdn_maxblkid", 5),
            ("to_ivset_guid", 11),
            ("from_ivset_guid", 10),
        ] {
            list.insert(name, Value::Uint64(value));
        }
        for (name, len) in [
            ("DSL_CRYPTO_MASTER_KEY_1", 32),
            ("DSL_CRYPTO_HMAC_KEY_1", 64),
            ("DSL_CRYPTO_IV", 12),
            ("DSL_CRYPTO_MAC", 16),
            ("portable_mac", 32),
        ] {
            list.insert(name, Value::Uint8Array(vec![1; len]));
        }
        list
    }

    fn begin() -> Begin {
        Begin {
            payload_length: 0,
            version_info: VersionInfo::new(HeaderType::SUBSTREAM, FeatureFlags::RAW),
            creation_time: 1,
            objset_type: ObjsetType::ZFS,
            flags: BeginFlags::SPILL_BLOCK,
            to_guid: 7,
            from_guid: 6,
            to_name: StreamName::new("tank/fs@a").unwrap(),
        }
    }

    fn read(list: NvList, continued: Option<Continued>) -> Result<KeyData, KeyDataError> {
        let mut outer = NvList::new();
        outer.insert("crypt_keydata", Value::NvList(list));
        KeyData::read(&begin(), Some(&outer), continued.as_ref())
    }

    const CONTINUED: Continued = Continued {
        shape: (6, 17, 3),
        ivset_guid: Some(10),
        key_guid: Some(42),
        needs_ivset: true,
    };

    #[test]
    fn what_a_sender_says_is_taken() {
        let data = read(good(), Some(CONTINUED)).unwrap();
        assert_eq!((data.to_ivset_guid, data.set.max_block), (11, BlockId(5)));
        assert_eq!(data.key.wrapped.suite, Suite::Aes256Gcm);
    }

    #[test]
    fn each_entry_has_its_errno() {
        let with = |name: &str, value: u64| {
            let mut list = good();
            list.insert(name, Value::Uint64(value));
            read(list, None).map(|_| ()).map_err(|error| error.errno())
        };
        for (name, value, errno) in [
            ("mdn_compress", 15, Errno::EINVAL),
            ("mdn_checksum", 9, Errno::EINVAL),
            ("mdn_nlevels", 13, Errno::EINVAL),
            ("mdn_blksz", 511, Errno::EINVAL),
            ("mdn_blksz", 1 << 25, Errno::ENOTSUP),
            ("mdn_indblkshift", 11, Errno::ENOTSUP),
            ("mdn_nblkptr", 1, Errno::ENOTSUP),
            ("DSL_CRYPTO_SUITE", 2, Errno::EINVAL),
            ("DSL_CRYPTO_SUITE", 9, Errno::ZFS_ERR_CRYPTO_NOTSUP),
            ("DSL_CRYPTO_VERSION", 0, Errno::ENOTSUP),
            ("keyformat", 0, Errno::EINVAL),
            ("keyformat", 4, Errno::EINVAL),
            ("keyformat", 2, Errno::EINVAL),
            ("pbkdf2iters", 0, Errno::EINVAL),
            ("pbkdf2salt", 0, Errno::EINVAL),
        ] {
            assert_eq!(with(name, value), Err(errno), "{name} = {value}");
        }
        for name in [
            "mdn_maxblkid",
            "portable_mac",
            "DSL_CRYPTO_GUID",
            "DSL_CRYPTO_MASTER_KEY_1",
            "DSL_CRYPTO_HMAC_KEY_1",
            "DSL_CRYPTO_IV",
            "DSL_CRYPTO_MAC",
        ] {
            let mut list = good();
            list.remove(name);
            assert_eq!(read(list, None).unwrap_err().errno(), Errno::EINVAL, "{name}");
        }
        assert_eq!(
            KeyData::read(&begin(), None, None).unwrap_err().errno(),
            Errno::EINVAL
        );
        let empty = NvList::new();
        let error = KeyData::read(&begin(), Some(&empty), None).unwrap_err();
        assert_eq!(error.errno(), Errno::ENOENT);
    }

    #[test]
    fn what_is_continued_must_be_the_same() {
        for (change, errno) in [
            (
                Continued {
                    shape: (7, 17, 3),
                    ..CONTINUED
                },
                Errno::EINVAL,
            ),
            (
                Continued {
                    ivset_guid: Some(9),
                    ..CONTINUED
                },
                Errno::ZFS_ERR_FROM_IVSET_GUID_MISMATCH,
            ),
            (
                Continued {
                    ivset_guid: None,
                    ..CONTINUED
                },
                Errno::ZFS_ERR_FROM_IVSET_GUID_MISSING,
            ),
            (
                Continued {
                    key_guid: Some(41),
                    ..CONTINUED
                },
                Errno::EACCES,
            ),
        ] {
            assert_eq!(read(good(), Some(change)).unwrap_err().errno(), errno);
        }
        let origin = Continued {
            ivset_guid: None,
            needs_ivset: false,
            ..CONTINUED
        };
        assert!(read(good(), Some(origin)).is_ok());
    }
}
