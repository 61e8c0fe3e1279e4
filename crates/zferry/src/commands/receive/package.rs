//! A package: what its header says, the streams in it, and what is done around them.

use super::sentences;
use super::session::Session;
use crate::error::CommandError;
use std::io::{self, Write};
use zferry_nvlist::NvList;
use zferry_replicate::receive::{Destination, Incoming, ReceiveError};
use zferry_replicate::receive_package::{
    Event, Outcome, PackageHeader, Replication, SentDataset, restore_encryption_roots,
};
use zferry_zpool::PoolWriter;
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Begin;
use zferry_zstream::source::Source;
use zferry_zstream::{StreamError, StreamErrorKind};

/// What is known of a package.
pub(super) struct Package<'l> {
    begin: Begin,
    /// Nothing where only several snapshots of one dataset were sent, without anything beside them.
    header: Option<PackageHeader<'l>>,
    /// The full name of the dataset that was sent, and that of the last snapshot behind the `@`.
    sent: (String, String),
}

impl<'l> Package<'l> {
    /// The full name of the dataset that was sent.
    pub(super) fn sent_dataset(&self) -> &str {
        &self.sent.0
    }

    /// The name of the last snapshot, behind the `@`.
    pub(super) fn last_snapshot(&self) -> &str {
        &self.sent.1
    }

    /// Whether what lies below the dataset was sent, too.
    pub(super) fn is_recursive(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.is_recursive)
    }

    /// Whether holds come with it.
    pub(super) const fn has_holds(&self) -> bool {
        self.begin.features().contains(FeatureFlags::HOLDS)
    }

    /// What the header tells of the dataset that has a snapshot, and the snapshot's name behind the `@`.
    pub(super) fn part(&self, snapshot: u64) -> Option<(&SentDataset<'l>, &'l str)> {
        self.header.as_ref()?.find(snapshot)
    }

    /// Whether a snapshot that was sent is of a dataset below the one that was asked for.
    pub(super) fn is_below_top(&self, sent: &str) -> bool {
        let behind = sent.strip_prefix(self.sent_dataset());
        behind.is_some_and(|behind| !behind.starts_with('@'))
    }

    fn read<S: Source>(
        session: &Session<'_>,
        incoming: &mut Incoming<S>,
        list: Option<&'l NvList>,
    ) -> Result<Self, CommandError> {
        let begin = incoming.begin().clone();
        let name = begin.to_name.to_string();
        let Some((dataset, snapshot)) = name.split_once('@') else {
            return Err(CommandError::failed(
                "cannot receive: invalid stream (bad snapshot name)",
            ));
        };
        let is_recursive = list.is_some_and(|list| !list.flag("not_recursive"));
        if is_recursive && session.target.contains('@') {
            return Err(CommandError::failed(
                "cannot receive: cannot specify snapshot name for multi-snapshot stream",
            ));
        }
        let header = list.map(PackageHeader::decode).transpose();
        incoming.end_header().map_err(|error| match error {
            ReceiveError::Stream(StreamError {
                kind: StreamErrorKind::Checksum { .. } | StreamErrorKind::EndChecksum { .. },
                ..
            }) => CommandError::failed("cannot receive: incorrect header checksum"),
            ReceiveError::Stream(StreamError {
                kind: StreamErrorKind::Unexpected { .. },
                ..
            }) => invalid(&error),
            _ => sentences::unreadable().hint(error),
        })?;
        let header = header.map_err(|error| invalid(&error))?;
        Ok(Self {
            sent: (dataset.to_owned(), snapshot.to_owned()),
            begin,
            header,
        })
    }
}

fn invalid(why: &dyn std::fmt::Display) -> CommandError {
    CommandError::failed("cannot receive: invalid backup stream").hint(why)
}

/// Receives a package.
pub(super) fn receive<S: Source + Send>(
    session: &mut Session<'_>,
    incoming: &mut Incoming<S>,
) -> Result<(), CommandError> {
    let list = incoming.take_list().map_err(|error| invalid(&error))?;
    let package = Package::read(session, incoming, list.as_ref())?;
    if session.args.heal {
        let first = incoming.next_stream();
        return receive_all(session, incoming, &package, first);
    }
    let received = replicate_all(session, incoming, &package);
    let raw = package.header.as_ref().filter(|header| header.is_raw);
    if let (Some(header), Some(top)) = (raw, session.received_top()) {
        let restored = restore_encryption_roots(session.writer()?, header, &top);
        restored.map_err(|error| CommandError::failed(format_args!("cannot receive: {error}")))?;
    }
    received
}

/// Receives the streams of a package, up to the first that cannot be received.
fn replicate_all<S: Source + Send>(
    session: &mut Session<'_>,
    incoming: &mut Incoming<S>,
    package: &Package<'_>,
) -> Result<(), CommandError> {
    let top = top(session, package)?;
    let is_verbose = session.args.verbose;
    let mut notify = |event: &Event| {
        // That nobody listens is noticed when a stream is received.
        let _ = if !event.is_detail() {
            writeln!(io::stderr(), "{event}")
        } else if is_verbose {
            writeln!(io::stdout(), "{event}")
        } else {
            Ok(())
        };
    };
    let replication = package
        .header
        .as_ref()
        .filter(|_| !session.args.dry_run)
        .and_then(|header| {
            let names_top = session.args.without_pool || session.args.last_component;
            let (is_forced, process) = (session.args.force, std::process::id());
            Replication::new(header, &top, is_forced, names_top, process, &mut notify)
        });
    let first = incoming.next_stream();
    let Some(mut replication) = replication else {
        return receive_all(session, incoming, package, first);
    };
    let goes_on = first.is_ok() && incoming.begin().features().contains(FeatureFlags::RESUMING);
    replication.spare_unfinished(goes_on);
    // What comes of it now does not matter: the streams may bring what it lacks.
    replicate(&mut replication, session.writer()?)?;
    let received = receive_all(session, incoming, package, first);
    if let Err(error) = &received {
        error.report();
    }
    replication.spare_unfinished(received.is_err() && session.args.resumable);
    let outcome = replicate(&mut replication, session.writer()?)?;
    if received.is_err() || outcome == Outcome::Left {
        return Err(CommandError::reported());
    }
    Ok(())
}

/// The dataset that the package's goes to.
fn top(session: &Session<'_>, package: &Package<'_>) -> Result<String, CommandError> {
    let (dataset, snapshot) = &package.sent;
    let sent = format!("{dataset}@{snapshot}");
    let destination = Destination::within(session.target, session.naming, &sent, dataset);
    Ok(destination
        .map_err(|error| sentences::destination(&error))?
        .dataset)
}

fn replicate(replication: &mut Replication<'_>, writer: &mut PoolWriter) -> Result<Outcome, CommandError> {
    let outcome = replication.run(writer);
    outcome.map_err(|error| CommandError::failed(format_args!("cannot receive: {error}")))
}

/// Receives streams until there are no more. `first` says whether there is one, whose BEGIN has been read.
fn receive_all<S: Source + Send>(
    session: &mut Session<'_>,
    incoming: &mut Incoming<S>,
    package: &Package<'_>,
    first: Result<bool, ReceiveError>,
) -> Result<(), CommandError> {
    let mut next = first;
    while next.map_err(|error| sentences::no_begin(&error))? {
        session.receive(incoming, Some(package))?;
        next = incoming.next_stream();
    }
    Ok(())
}
