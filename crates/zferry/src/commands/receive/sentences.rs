//! What `zfs receive` says of a receive that fails; programs look for these sentences.
//!
//! They are those of `lib/libzfs/libzfs_sendrecv.c` and `libzfs_util.c` for each errno of the kernel. What zferry knows
//! beyond that, such as where a stream is damaged, stands in the next line.

use super::package::Package;
use crate::error::CommandError;
use std::fmt::{self, Display};
use zferry_replicate::receive::rules::begin::BeginError;
use zferry_replicate::receive::{Destination, DestinationError, Errno, PropertyError, ReceiveError, Request};
use zferry_zstream::flags::{BeginFlags, FeatureFlags};
use zferry_zstream::record::Begin;
use zferry_zstream::{StreamError, StreamErrorKind};

/// The features that OpenZFS 2.3 receives.
const KNOWN: u64 = 0x3ffb_0004;

/// What was to be done, as messages begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action(&'static str);

impl Action {
    /// A dataset is to be made.
    pub(super) const NEW: Self = Self("cannot receive new filesystem stream");

    /// A receive that was interrupted is to go on.
    pub(super) const RESUME: Self = Self("cannot receive resume stream");

    /// What a stream asks for, and who receives it.
    pub(super) const fn of(begin: &Begin, has_origin: bool) -> Self {
        if begin.features().contains(FeatureFlags::RESUMING) {
            return Self::RESUME;
        }
        let is_clone = begin.flags.contains(BeginFlags::CLONE) || has_origin;
        if begin.from_guid == 0 || is_clone {
            Self::NEW
        } else {
            Self("cannot receive incremental stream")
        }
    }

    /// The sentence that says why that cannot be.
    pub(super) fn sentence(self, why: impl Display) -> String {
        format!("{}: {why}", self.0)
    }

    /// The error of that.
    pub(super) fn error(self, why: impl Display) -> CommandError {
        CommandError::failed(self.sentence(why))
    }
}

impl Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// What zfs(8) has found wrong itself.
pub(super) fn told(why: &str) -> CommandError {
    CommandError::failed(format_args!("cannot receive: {why}"))
}

/// The input ends, or fails, where zfs(8) itself reads it.
pub(super) fn unreadable() -> CommandError {
    CommandError::failed("cannot receive: failed to read from stream")
}

/// The input does not begin as a stream does.
pub(super) fn no_begin(error: &ReceiveError) -> CommandError {
    let ReceiveError::Stream(StreamError { kind, .. }) = error else {
        return CommandError::failed(format_args!("cannot receive: {error}"));
    };
    match kind {
        StreamErrorKind::BadMagic => {
            CommandError::failed("cannot receive: invalid stream (bad magic number)")
        }
        StreamErrorKind::UnknownHeaderType(_) => {
            CommandError::failed("cannot receive: stream has unsupported feature").hint(error)
        }
        _ => unreadable(),
    }
}

/// Features that nobody knows are told before anything else.
pub(super) fn check_features(begin: &Begin) -> Result<(), CommandError> {
    let features = begin.features();
    let unknown = features.difference(FeatureFlags::all());
    if unknown.is_empty() {
        return Ok(());
    }
    Err(CommandError::failed(format_args!(
        "cannot receive: stream has unsupported feature, feature flags = {:x} (unknown flags = {:x})",
        features.bits(),
        features.bits() & !KNOWN
    )))
}

/// No name comes out for what is received.
pub(super) fn destination(error: &DestinationError) -> CommandError {
    let failed = CommandError::failed(format_args!("cannot receive: {error}"));
    match error {
        DestinationError::Name(name) => failed.hint(format_args!("'{name}' is no name of a snapshot.")),
        _ => failed,
    }
}

/// A property of the stream could not be set. Where a quota is exceeded by a snapshot before the last, nothing is said.
pub(super) fn property(
    error: &PropertyError,
    package: Option<&Package<'_>>,
    begin: &Begin,
    destination: &Destination,
) {
    let snapshot = package
        .and_then(|package| package.part(begin.to_guid))
        .map(|(_, snapshot)| snapshot);
    let is_last = match (snapshot, package) {
        (Some(snapshot), Some(package)) => package.last_snapshot() == snapshot,
        _ => true,
    };
    let property = &error.property;
    if property == "refquota" && !is_last {
        return;
    }
    let why = match error.errno {
        Errno::ZFS_ERR_BADPROP => "invalid property value",
        Errno::EINVAL => "Invalid argument",
        Errno::E2BIG | Errno::ENAMETOOLONG => "property value too long",
        Errno::ENOTSUP => "pool and or dataset must be upgraded to set this property or value",
        Errno::ERANGE => "property setting is not allowed",
        Errno::ENOSPC if matches!(&**property, "quota" | "refquota") => {
            "size is less than current used or reserved space"
        }
        Errno::ENOSPC => "size is greater than available space",
        _ => "it cannot be set",
    };
    CommandError::failed(format_args!(
        "cannot receive {property} property on {}: {why}",
        destination.dataset
    ))
    .report();
}

/// Tokens of receives that were interrupted.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// Of one before.
    pub(super) before: Option<String>,
    /// Of the one that has failed.
    pub(super) now: Option<String>,
}

/// A corrective receive failed where for zfs(8) the kernel does it.
pub(super) fn unhealed(
    action: Action,
    error: &ReceiveError,
    begin: &Begin,
    destination: &Destination,
) -> CommandError {
    let told = |why: &str| action.error(why).hint(error);
    match error.errno() {
        Errno::EACCES => told("key must be loaded to do a non-raw corrective recv on an encrypted dataset."),
        Errno::ECKSUM | Errno::ZFS_ERR_STREAM_TRUNCATED => {
            told("corrective receive was not able to reconstruct the data needed for healing.")
        }
        Errno::ENOTSUP => told("stream is not compatible with the data in the pool."),
        Errno::ENOENT => told("dataset does not exist"),
        Errno::EBUSY => told("dataset is busy"),
        _ => {
            let request = Request::new(destination.clone());
            failed(action, error, begin, &request, &Tokens::default())
        }
    }
}

/// The receive failed where for zfs(8) the kernel does it.
pub(super) fn failed(
    action: Action,
    error: &ReceiveError,
    begin: &Begin,
    request: &Request,
    tokens: &Tokens,
) -> CommandError {
    let embeds = begin.features().contains(FeatureFlags::EMBED_DATA);
    let is_raw = begin.is_raw();
    let dataset = &request.destination.dataset;
    let told = |why: &str| action.error(why).hint(error);
    match error.errno() {
        Errno::ENODEV => action.error(format_args!(
            "most recent snapshot of {dataset} does not\nmatch incremental source"
        )),
        Errno::ETXTBSY => action.error(format_args!(
            "destination {dataset} has been modified\nsince most recent snapshot"
        )),
        Errno::EXDEV => action.error("operation crosses datasets or pools"),
        Errno::ZFS_ERR_STREAM_LARGE_BLOCK_MISMATCH => {
            action.error("incremental send stream requires -L (--large-block), to match previous receive.")
        }
        Errno::EACCES if is_raw && action == Action::NEW => told("failed to create encryption key"),
        Errno::EACCES if is_raw => action.error("encryption key does not match existing key"),
        Errno::EACCES => told("inherited key must be loaded"),
        Errno::ZFS_ERR_CRYPTO_NOTSUP => {
            told("stream uses crypto parameters not compatible with this pool")
        }
        Errno::ZFS_ERR_FROM_IVSET_GUID_MISSING => action.error(
            "IV set guid missing. See errata 4 at https://openzfs.github.io/openzfs-docs/msg/ZFS-8000-ER.",
        ),
        Errno::ZFS_ERR_FROM_IVSET_GUID_MISMATCH => action.error(
            "IV set guid mismatch. See the 'zfs receive' man page section\n discussing the limitations of raw \
             encrypted send streams.",
        ),
        Errno::EEXIST => {
            // Of what there was not before, it is the dataset that exists.
            let name = match error {
                ReceiveError::Begin(BeginError::SnapshotExists) => request.destination.snapshot_name(),
                _ if action != Action::NEW => request.destination.snapshot_name(),
                _ => dataset.clone(),
            };
            CommandError::failed(format_args!(
                "cannot restore to {name}: destination already exists"
            ))
        }
        Errno::EINVAL if embeds && !is_raw => told("incompatible embedded data stream feature with encrypted receive."),
        Errno::EINVAL if request.is_resumable => {
            told("kernel modules must be upgraded to receive this stream.")
        }
        Errno::EINVAL => told("invalid backup stream"),
        Errno::ECKSUM | Errno::ZFS_ERR_STREAM_TRUNCATED if request.is_resumable && tokens.now.is_some() => {
            let token = tokens.now.as_deref().unwrap_or_default();
            told(&format!(
                "checksum mismatch or incomplete stream.\nPartially received snapshot is saved.\nA resuming stream can \
                 be generated on the sending system by running:\n    zfs send -t {token}"
            ))
        }
        Errno::ZFS_ERR_RESUME_EXISTS => CommandError::failed(format_args!(
            "cannot resume recv {}: Resuming recv on existing dataset without force",
            request.destination.snapshot_name()
        )),
        Errno::ECKSUM => told("checksum mismatch"),
        Errno::ZFS_ERR_STREAM_TRUNCATED => told("incomplete stream"),
        Errno::ENOTSUP => told("pool must be upgraded to receive this stream."),
        Errno::EDQUOT => told(&format!("destination {dataset} space quota exceeded.")),
        Errno::ZFS_ERR_SPILL_BLOCK_FLAG_MISSING => action.error(
            "Spill block flag missing for raw send.\nThe zfs software on the sending system must be updated.",
        ),
        Errno::E2BIG => told("the stream's list of properties is too large"),
        // zfs(8) looks whether the snapshot is there already, and says first that the dataset is not.
        Errno::ENOENT if matches!(error, ReceiveError::KeyData(_)) => CommandError::failed(format_args!(
            "cannot open '{dataset}': dataset does not exist\n{}",
            action.sentence("dataset does not exist")
        )),
        Errno::ENOENT => action.error("dataset does not exist"),
        Errno::EBUSY if tokens.before.is_some() => action.error(format_args!(
            "destination {dataset} contains partially-complete state from \"zfs receive -s\"."
        )),
        Errno::EBUSY => told("dataset is busy"),
        Errno::ENOSPC => told("out of space"),
        Errno::EROFS => told("pool is read-only"),
        Errno::ZFS_ERR_WRONG_PARENT => told("invalid parent dataset"),
        Errno::EINTR => told("signal received"),
        Errno::EPERM => told("permission denied"),
        Errno::EFAULT => told("Bad address"),
        Errno::EIO => told("I/O error"),
        _ => action.error(error),
    }
}
