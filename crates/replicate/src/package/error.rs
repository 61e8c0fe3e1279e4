//! What can go wrong with a package, and what is only said of it. The sentences are those of `zfs send`.

use zferry_zpool::Error as PoolError;

/// Why there is no package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// There is no such dataset.
    #[error("'{0}' does not exist")]
    Missing(String),
    /// A dataset lacks the snapshot that was asked for.
    #[error(
        "cannot send {top}{}: snapshot {dataset}@{snapshot} does not exist",
        if *.recursive { " recursively" } else { "" }
    )]
    MissingSnapshot {
        /// What was asked for.
        top: String,
        /// Whether what is below it was asked for too.
        recursive: bool,
        /// The dataset.
        dataset: String,
        /// The snapshot's name behind the `@`.
        snapshot: String,
    },
    /// An encrypted dataset would be described as if it were none.
    #[error(
        "cannot send {top}: encrypted dataset {dataset} may not be sent with properties without the raw flag"
    )]
    Encrypted {
        /// What was asked for.
        top: String,
        /// The dataset.
        dataset: String,
    },
    /// No receiver would take the list.
    #[error(
        "warning: cannot send '{0}': the size of the list of snapshots and properties is too large to be received \
         successfully.\nSelect a smaller number of snapshots to send."
    )]
    ListTooLarge(String),
    /// The dataset's name does not fit into a stream.
    #[error("the name is too long for a stream")]
    NameTooLong(String),
    /// Clones and their origins, or parents and children, wait for each other.
    #[error("the datasets of the package are before and behind each other")]
    Circle,
    /// The pool cannot be read.
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// Something that does not stop a package, and that who asked for it should hear of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Notice {
    /// A snapshot is no part of the package. Said with `-v` alone.
    #[error("skipping snapshot {name} because it was created after the destination snapshot ({to})")]
    LaterSnapshot {
        /// The snapshot.
        name: String,
        /// The last one of the package, behind the `@`.
        to: String,
    },
    /// A dataset that is younger than the package's snapshot is no part of it. Said with `-v` alone.
    #[error("skipping dataset {dataset}: snapshot {to} does not exist")]
    LaterDataset {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        to: String,
    },
    /// A dataset that lacks the snapshot is left out, as was asked for.
    #[error("WARNING: skipping dataset {dataset} and its children: snapshot {to} does not exist")]
    Skipped {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        to: String,
    },
    /// A dataset is not sent, for it lacks the incremental source.
    #[error("WARNING: could not send {dataset}@{to}:\nincremental source ({dataset}@{from}) does not exist")]
    NoSource {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        to: String,
        /// The source, behind the `@`.
        from: String,
    },
    /// A dataset is not sent, for its incremental source is no earlier snapshot.
    #[error(
        "WARNING: could not send {dataset}@{to}:\nincremental source ({dataset}@{from}) is not earlier than it"
    )]
    NotEarlier {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        to: String,
        /// The source, behind the `@`.
        from: String,
    },
    /// A dataset is not sent, for it lacks the snapshot.
    #[error("WARNING: could not send {dataset}@{to}: does not exist")]
    NoSnapshot {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        to: String,
    },
}

impl Notice {
    /// Whether zfs only says it when it was asked to say more.
    #[must_use]
    pub const fn is_detail(&self) -> bool {
        matches!(self, Self::LaterSnapshot { .. } | Self::LaterDataset { .. })
    }
}
