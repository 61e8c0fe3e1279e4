//! `-c`: heals a snapshot from a stream of it, as the parts of `zfs_receive_one` in `lib/libzfs/libzfs_sendrecv.c` have it
//! that are for that.

use super::Args;
use super::package::Package;
use super::place::Place;
use super::sentences::{self, Action};
use super::session::{BEGIN_BYTES, Session, skip};
use crate::error::CommandError;
use crate::output::progress;
use std::time::Instant;
use zferry_replicate::receive::{Destination, Incoming, Progress, ReceiveError, check_heal, heal};
use zferry_zpool::dsl::DslPool;
use zferry_zstream::flags::FeatureFlags;
use zferry_zstream::record::Begin;
use zferry_zstream::source::Source;

/// Heals from the stream whose BEGIN has been read.
pub(super) fn receive<S: Source + Send>(
    session: &mut Session<'_>,
    incoming: &mut Incoming<S>,
    package: Option<&Package<'_>>,
) -> Result<(), CommandError> {
    let begin = incoming.begin().clone();
    sentences::check_features(&begin)?;
    let destination = session.destination(&begin, package)?;
    let action = Action::of(&begin, false);
    check(session.args, session.place()?, &begin, &destination, action)?;
    let failed = |error: &ReceiveError| sentences::unhealed(action, error, &begin, &destination);
    session.announce(&begin, &destination)?;
    incoming.list().map_err(|error| failed(&error))?;
    if session.args.dry_run {
        return skip(incoming);
    }
    let started = Instant::now();
    let args = session.args;
    let is_unlocked = {
        let place = session.place()?;
        let Some(dsl) = place.pool().map(DslPool::new) else {
            return Err(no_snapshot(action));
        };
        let is_unlocked = !begin.is_raw() && args.key.is_found(&dsl, &destination.dataset)?;
        let checked = check_heal(&dsl, &begin, &destination, is_unlocked);
        checked.map_err(|error| failed(&error))?;
        is_unlocked
    };
    let reporter = args.reporter(session.length);
    let writer = session.writer()?;
    if is_unlocked && !writer.is_unlocked(&destination.dataset).unwrap_or(false) {
        args.key.unlock(writer, &destination.dataset)?;
    }
    let progress = Progress::default();
    let work = || heal(writer, incoming, &destination, is_unlocked, &progress);
    let healed = progress::during(reporter, || progress.bytes(), work);
    let report = healed.map_err(|error| failed(&error))?;
    args.summarise(report.bytes.saturating_sub(BEGIN_BYTES), started)
}

/// What zfs(8) looks at before it asks the kernel.
fn check(
    args: &Args,
    place: &Place<'_>,
    begin: &Begin,
    destination: &Destination,
    action: Action,
) -> Result<(), CommandError> {
    // Only where the origin of a clone is known, something is told of the rest.
    place.origin_of(begin, destination)?;
    if begin.features().contains(FeatureFlags::DEDUP) {
        return Err(CommandError::failed(
            "ERROR: \"zfs receive\" no longer supports deduplicated send streams.  Use\nthe \"zstream redup\" command to \
             convert this stream to a regular,\nnon-deduplicated stream.",
        ));
    }
    if !args.may_heal() {
        return Err(action.error("corrective recv can not be used when combined with this flag"));
    }
    match place.snapshot_guid(destination)? {
        None => Err(no_snapshot(action)),
        Some(guid) if guid != begin.to_guid => {
            Err(action.error("local snapshot doesn't match the snapshot in the provided stream"))
        }
        Some(_) => Ok(()),
    }
}

fn no_snapshot(action: Action) -> CommandError {
    action.error("corrective recv must specify an existing snapshot to heal")
}
