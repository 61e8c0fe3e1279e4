//! The numbers by which OpenZFS tells refusals apart: those of Linux, and its own from `include/sys/fs/zfs.h`.

use std::fmt;

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// Its name in C, where it has one here.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

/// Why something was refused, as OpenZFS on Linux counts reasons. Unknown numbers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

errnos! {
    /// What OpenZFS makes of the 1 with which some of its decompressors fail.
    EPERM = 1;
    /// Something is not there.
    ENOENT = 2;
    /// A signal came.
    EINTR = 4;
    /// A disk or the input failed.
    EIO = 5;
    /// A list in the stream is larger than can be taken.
    E2BIG = 7;
    /// A key is not there.
    EACCES = 13;
    /// A list in the stream is none.
    EFAULT = 14;
    /// Something is in use.
    EBUSY = 16;
    /// Something is there already.
    EEXIST = 17;
    /// Something is in another pool.
    EXDEV = 18;
    /// No snapshot has the guid of the incremental source.
    ENODEV = 19;
    /// The stream makes no sense.
    EINVAL = 22;
    /// The target was modified since its newest snapshot.
    ETXTBSY = 26;
    /// No room is left.
    ENOSPC = 28;
    /// The pool is read-only.
    EROFS = 30;
    /// A number is too large.
    ERANGE = 34;
    /// A name is too long.
    ENAMETOOLONG = 36;
    /// `ECKSUM`, which is `EBADE` on Linux: a checksum is not right.
    ECKSUM = 52;
    /// The pool lacks a feature.
    ENOTSUP = 95;
    /// A quota is used up.
    EDQUOT = 122;
    /// What should become the parent is no file system.
    ZFS_ERR_WRONG_PARENT = 1033;
    /// A raw stream continues a snapshot whose set of initialization vectors has no identity.
    ZFS_ERR_FROM_IVSET_GUID_MISSING = 1034;
    /// A raw stream continues a snapshot that was encrypted with other initialization vectors.
    ZFS_ERR_FROM_IVSET_GUID_MISMATCH = 1035;
    /// A raw stream by a sender that does not mark spill blocks.
    ZFS_ERR_SPILL_BLOCK_FLAG_MISSING = 1036;
    /// The stream has a feature that nobody knows.
    ZFS_ERR_UNKNOWN_SEND_STREAM_FEATURE = 1037;
    /// The input ends before the stream does.
    ZFS_ERR_STREAM_TRUNCATED = 1040;
    /// The stream splits large blocks, which the receive before it did not.
    ZFS_ERR_STREAM_LARGE_BLOCK_MISMATCH = 1041;
    /// A property cannot have this value.
    ZFS_ERR_BADPROP = 1044;
    /// A full stream goes on where an existing dataset was being overwritten, and nobody says that it may be.
    ZFS_ERR_RESUME_EXISTS = 1047;
    /// The stream is encrypted in a way that is not known.
    ZFS_ERR_CRYPTO_NOTSUP = 1048;
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}
