//! Under which name a snapshot is received: what `zfs receive` makes of the name it is given and the name that was sent.

use zferry_zpool::dsl::check_entity_name;

/// Which part of the name that was sent is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// None but the snapshot's, unless another snapshot is named.
    #[default]
    Exact,
    /// All behind the pool (`-d`).
    WithoutPool,
    /// The last component (`-e`).
    LastComponent,
}

/// Where a stream goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The file system or volume that it becomes.
    pub dataset: String,
    /// The name of the snapshot, without the file system's.
    pub snapshot: String,
}

/// Why a name cannot be found for what is received.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    /// The name that was sent is that of no snapshot.
    #[error("invalid stream (bad snapshot name)")]
    SentName,
    /// A snapshot is named where its name is to be made from what was sent.
    #[error("invalid argument - snapshot not allowed with {}", match .0 { Naming::LastComponent => "-e", _ => "-d" })]
    SnapshotNamed(Naming),
    /// What comes out is no valid name of a snapshot.
    #[error("invalid name")]
    Name(String),
}

impl Destination {
    /// Where a stream of the snapshot `sent` goes that is received into `argument`.
    ///
    /// # Errors
    /// [`DestinationError`]: why no name comes out.
    pub fn new(argument: &str, naming: Naming, sent: &str) -> Result<Self, DestinationError> {
        let dataset = sent.split('@').next().unwrap_or_default();
        Self::within(argument, naming, sent, dataset)
    }

    /// The same for a stream of a package of `sent_dataset` and what lies below that.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn within(
        argument: &str,
        naming: Naming,
        sent: &str,
        sent_dataset: &str,
    ) -> Result<Self, DestinationError> {
        let below = sent.strip_prefix(sent_dataset);
        if !sent.contains('@') || !below.is_some_and(|below| below.starts_with(['/', '@'])) {
            return Err(DestinationError::SentName);
        }
        let names_snapshot = argument.contains('@');
        if names_snapshot && naming != Naming::Exact {
            return Err(DestinationError::SnapshotNamed(naming));
        }
        let tail = match naming {
            Naming::Exact if names_snapshot => String::new(),
            Naming::Exact => tail_of(sent, sent_dataset.len()),
            Naming::WithoutPool => tail_of(sent, sent.find(['/', '@']).unwrap_or(0)),
            Naming::LastComponent => match sent_dataset.rfind('/') {
                Some(slash) => tail_of(sent, slash),
                None => format!("/{sent}"),
            },
        };
        let name = format!("{argument}{tail}");
        if check_entity_name(&name).is_err() || name.contains('#') {
            return Err(DestinationError::Name(name));
        }
        match name.split_once('@') {
            Some((dataset, snapshot)) => Ok(Self {
                dataset: dataset.to_owned(),
                snapshot: snapshot.to_owned(),
            }),
            None => Err(DestinationError::Name(name)),
        }
    }

    /// The full name of the snapshot.
    #[must_use]
    pub fn snapshot_name(&self) -> String {
        format!("{}@{}", self.dataset, self.snapshot)
    }

    /// The name of what the dataset is made under; `None` for the first of a pool.
    #[must_use]
    pub fn parent(&self) -> Option<&str> {
        self.dataset.rsplit_once('/').map(|(parent, _)| parent)
    }
}

fn tail_of(name: &str, from: usize) -> String {
    name.get(from..).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_as_zfs_receive_makes_them() {
        for (argument, naming, sent, expected) in [
            ("pool/x", Naming::Exact, "tank/a/b@s", "pool/x@s"),
            ("pool/x@t", Naming::Exact, "tank/a/b@s", "pool/x@t"),
            ("pool", Naming::Exact, "tank@s", "pool@s"),
            ("pool/x", Naming::WithoutPool, "tank/a/b@s", "pool/x/a/b@s"),
            ("pool/x", Naming::WithoutPool, "tank@s", "pool/x@s"),
            ("pool/x", Naming::LastComponent, "tank/a/b@s", "pool/x/b@s"),
            ("pool/x", Naming::LastComponent, "tank@s", "pool/x/tank@s"),
        ] {
            let destination = Destination::new(argument, naming, sent).unwrap();
            assert_eq!(
                destination.snapshot_name(),
                expected,
                "{argument} {naming:?} {sent}"
            );
        }
        let destination = Destination::new("pool/x", Naming::WithoutPool, "tank/a@s").unwrap();
        assert_eq!(destination.parent(), Some("pool/x"));
    }

    #[test]
    fn what_gives_no_name_is_refused() {
        let new = |argument, naming, sent| Destination::new(argument, naming, sent).unwrap_err();
        assert_eq!(new("pool", Naming::Exact, "tank"), DestinationError::SentName);
        let named = new("pool/x@s", Naming::LastComponent, "tank/a@s");
        assert_eq!(
            named.to_string(),
            "invalid argument - snapshot not allowed with -e"
        );
        let named = new("pool/x@s", Naming::WithoutPool, "tank/a@s");
        assert_eq!(
            named.to_string(),
            "invalid argument - snapshot not allowed with -d"
        );
        for bad in ["pool/", "/pool", "pool//x", "pool/x@", "pool/x#b", "pool/x@s@t"] {
            let error = new(bad, Naming::Exact, "tank/a@s");
            assert!(matches!(error, DestinationError::Name(_)), "{bad}: {error}");
        }
    }
}
