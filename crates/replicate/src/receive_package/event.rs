//! What is done to a tree to make it like the one that was sent, as `zfs receive -v` tells it.

/// A step of a replication, or what came of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Event {
    /// A clone takes its origin over.
    #[error("promoting {0}")]
    Promoting(String),
    /// Something goes that the sender does not have.
    #[error("attempting destroy {0}")]
    Destroying(String),
    /// Something gets the name that the sender has for it.
    #[error("attempting rename {from} to {to}")]
    Renaming {
        /// Its name.
        from: String,
        /// The sender's; nothing where the dataset that it is to lie in is not there yet.
        to: String,
    },
    /// That cannot be, so it is put aside.
    #[error("failed - trying rename {from} to {to}")]
    PuttingAside {
        /// Its name.
        from: String,
        /// A name that nothing else has.
        to: String,
    },
    /// It worked.
    #[error("success")]
    Success,
    /// It did not work.
    #[error("failed ({0})")]
    Failed(i32),
    /// Nor can it be put aside.
    #[error("failed ({0}) - will try again on next pass")]
    NotPutAside(i32),
    /// A dataset has lost the snapshot that the streams continue.
    #[error(
        "local fs {dataset} does not have fromsnap ({from} in stream); must have been deleted locally; ignoring"
    )]
    NoSource {
        /// The dataset.
        dataset: String,
        /// The snapshot, behind the `@`.
        from: String,
    },
    /// The dataset that another is to lie in is not there yet.
    #[error("local fs {0} new parent not found")]
    NoParent(String),
    /// All is looked at once more.
    #[error("another pass:")]
    AnotherPass,
    /// Something is not there any more, under the name that it had when the pass began. It is told without being asked for.
    #[error("cannot open '{0}': dataset does not exist")]
    Missing(String),
}

impl Event {
    /// Whether zfs only tells it when it was asked to.
    #[must_use]
    pub const fn is_detail(&self) -> bool {
        !matches!(self, Self::Missing(_))
    }
}
