//! One stream, alone or of a package: as `zfs_receive_one` in `lib/libzfs/libzfs_sendrecv.c` has it.

use super::heal;
use super::options::{PropertyOptions, Scope};
use super::package::Package;
use super::place::{Place, Route, Verdict, Yield};
use super::sentences::{self, Action, Tokens};
use super::{Args, NEW_FILE_BYTES};
use crate::error::CommandError;
use crate::output::progress;
use crate::writing::{command_line, free_what_was_destroyed};
use std::io::{self, Write};
use std::time::Instant;
use zferry_replicate::receive::{
    Destination, Incoming, Naming, Progress, ReceiveError, Received, Request, receive,
    set_received_properties,
};
use zferry_zpool::dsl::DslPool;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{Error, NewEncryption, PoolWriter};
use zferry_zstream::record::{Begin, ObjsetType};
use zferry_zstream::source::Source;

/// A call of `zferry receive`.
pub(super) struct Session<'a> {
    pub(super) args: &'a Args,
    /// What the command line names.
    pub(super) target: &'a str,
    pub(super) naming: Naming,
    properties: PropertyOptions<'a>,
    place: Option<Place<'a>>,
    /// How long the input is, in bytes, if that is known.
    pub(super) length: Option<u64>,
    /// The first dataset that something was received into.
    top: Option<String>,
    /// Whether anything was.
    has_received: bool,
}

impl<'a> Session<'a> {
    pub(super) const fn new(
        args: &'a Args,
        target: &'a str,
        naming: Naming,
        properties: PropertyOptions<'a>,
        place: Place<'a>,
        length: Option<u64>,
    ) -> Self {
        Self {
            args,
            target,
            naming,
            properties,
            place: Some(place),
            length,
            top: None,
            has_received: false,
        }
    }

    pub(super) fn place(&self) -> Result<&Place<'a>, CommandError> {
        let closed = || CommandError::failed("cannot receive: the pool is closed");
        self.place.as_ref().ok_or_else(closed)
    }

    /// The pool, open for writing.
    pub(super) fn writer(&mut self) -> Result<&mut PoolWriter, CommandError> {
        let size = self.args.size.unwrap_or(NEW_FILE_BYTES);
        if let Some(place) = self.place.take() {
            self.place = Some(Place::Open(Box::new(place.open(size)?)));
        }
        match &mut self.place {
            Some(Place::Open(opened)) => Ok(&mut opened.writer),
            _ => Err(CommandError::failed("cannot receive: the pool is closed")),
        }
    }

    /// The first dataset that something was received into, if anything was.
    pub(super) fn received_top(&self) -> Option<String> {
        self.top.clone().filter(|_| self.has_received)
    }

    /// Closes the pool.
    pub(super) fn close(mut self) {
        if let Some(Place::Open(opened)) = &mut self.place {
            // A forced receive destroys. What is left where this fails is freed by whoever writes to the pool next.
            let _ = free_what_was_destroyed(&mut opened.writer);
        }
        if let Some(place) = self.place {
            place.close(if self.has_received {
                Yield::Something
            } else {
                Yield::Nothing
            });
        }
    }

    /// Receives the stream whose BEGIN has been read.
    pub(super) fn receive<S: Source + Send>(
        &mut self,
        incoming: &mut Incoming<S>,
        package: Option<&Package<'_>>,
    ) -> Result<(), CommandError> {
        if self.args.heal {
            return heal::receive(self, incoming, package);
        }
        let begin = incoming.begin().clone();
        sentences::check_features(&begin)?;
        if self.args.resumable && self.passes_over(&begin, package)? {
            return skip(incoming);
        }
        let (destination, action, mut request) = self.request(&begin, package)?;
        let mut tokens = Tokens {
            before: self.place()?.token(&destination.dataset),
            now: None,
        };
        let failed = |error: ReceiveError, request: &Request, tokens: &Tokens| {
            sentences::failed(action, &error, &begin, request, tokens)
        };
        self.announce(&begin, &destination)?;
        let is_top = self.top.get_or_insert_with(|| destination.dataset.clone()) == &destination.dataset;
        let scope = Scope {
            types: types_of(&begin, action)?,
            action,
            dataset: &destination.dataset,
            is_recursive: package.is_some_and(Package::is_recursive),
            is_top,
        };
        let changes = self
            .properties
            .changes(&scope, self.place()?.pool(), &mut request.received)?;
        request.properties = changes.set;
        if request.origin.is_some() && request.received.is_some() && !begin.is_raw() {
            // What has properties with it, and is not raw, was not encrypted. Of a clone, OpenZFS writes that down.
            request
                .properties
                .push(("encryption".to_owned(), ZapValue::number(ENCRYPTION_OFF)));
        }
        request.inherited = changes.inherited;
        self.encrypt(&begin, &scope, &mut request)?;
        incoming
            .list()
            .map_err(|error| failed(error, &request, &tokens))?;
        if self.args.dry_run {
            return skip(incoming);
        }
        let started = Instant::now();
        let place = self.place()?;
        let verdict = incoming
            .list()
            .and_then(|list| place.check_begin(&begin, list, &request));
        if verdict.map_err(|error| failed(error, &request, &tokens))? == Verdict::Known {
            if self.args.verbose {
                let name = destination.snapshot_name();
                writeln!(io::stdout(), "snap {name} already exists; ignoring")?;
            }
            skip(incoming)?;
            return self.args.summarise(0, started);
        }
        let received = self.run(incoming, &request)?;
        let received = match received {
            Ok(received) => received,
            Err(error) => {
                tokens.now = self.place()?.token(&destination.dataset);
                // What is kept of the stream keeps a pool that was made for it, too.
                self.has_received |= tokens.now.is_some();
                let mut failed = failed(error, &request, &tokens);
                if package.is_some() && tokens.now.is_some() {
                    failed = failed.hint(PACKAGE_HINT);
                }
                return Err(failed);
            }
        };
        self.has_received = true;
        for error in &received.property_errors {
            sentences::property(error, package, &begin, &destination);
        }
        if let Some(package) = package {
            let holds = !self.args.skip_holds;
            let name = destination.snapshot_name();
            let adorned = adorn(self.writer()?, package, &begin, &name, holds);
            adorned.map_err(|error| failed(error.into(), &request, &tokens))?;
        }
        self.args
            .summarise(received.bytes.saturating_sub(BEGIN_BYTES), started)
    }

    /// Whether a dataset of a package came before the package was cut between two streams, so that there is no token to go on
    /// with. zfs(8) refuses to make it once more.
    fn passes_over(&mut self, begin: &Begin, package: Option<&Package<'_>>) -> Result<bool, CommandError> {
        if package.is_none() || Action::of(begin, false) != Action::NEW {
            return Ok(false);
        }
        let destination = self.destination(begin, package)?;
        let is_known = self.place()?.snapshot_guid(&destination)? == Some(begin.to_guid);
        if is_known {
            let name = destination.snapshot_name();
            self.tell(format_args!("snap {name} already exists; ignoring"))?;
            self.top.get_or_insert(destination.dataset);
        }
        Ok(is_known)
    }

    /// Where a stream goes by its name.
    pub(super) fn destination(
        &self,
        begin: &Begin,
        package: Option<&Package<'_>>,
    ) -> Result<Destination, CommandError> {
        let sent = begin.to_name.to_string();
        let named = match package {
            Some(package) => Destination::within(self.target, self.naming, &sent, package.sent_dataset()),
            None => Destination::new(self.target, self.naming, &sent),
        };
        named.map_err(|error| sentences::destination(&error))
    }

    /// Where a stream goes, what is to be done with it, and what is asked for.
    fn request(
        &self,
        begin: &Begin,
        package: Option<&Package<'_>>,
    ) -> Result<(Destination, Action, Request), CommandError> {
        let sent = begin.to_name.to_string();
        let part = package.and_then(|package| package.part(begin.to_guid));
        let named = self.destination(begin, package)?;
        // The streams of a package know their origins.
        let given = self.properties.origin().filter(|_| package.is_none());
        let action = Action::of(begin, given.is_some());
        let route = Route {
            begin,
            target: self.target,
            naming: self.naming,
            action,
            is_forced: self.args.force,
            is_below_top: package.is_some_and(|package| package.is_below_top(&sent)),
            parent_guid: part.map(|(dataset, _)| dataset.parent_guid),
        };
        let place = self.place()?;
        let origin = match given {
            Some(origin) => {
                self.tell(format_args!("using provided clone origin {origin}"))?;
                Some(origin.to_owned())
            }
            None => {
                let found = place.origin_of(begin, &named)?;
                if let Some(origin) = &found {
                    self.tell(format_args!("found clone origin {origin}"))?;
                }
                found
            }
        };
        let (destination, parents) = place.check(&route, named)?;
        let mut received = part.and_then(|(dataset, _)| dataset.properties.cloned());
        if let Some(received) = &mut received {
            // It belongs to the root of what is encrypted, and is set there when all is in its place.
            received.remove("keylocation");
        }
        let request = Request {
            parents,
            is_forced: self.args.force,
            is_resumable: self.args.resumable,
            origin,
            received,
            command: (!self.has_received).then(command_line),
            ..Request::new(destination.clone())
        };
        Ok((destination, action, request))
    }

    /// Says how what is received is to be encrypted, and whether its key is at hand.
    fn encrypt(&self, begin: &Begin, scope: &Scope<'_>, request: &mut Request) -> Result<(), CommandError> {
        let dsl = self.place()?.pool().map(DslPool::new);
        let chosen = self.properties.encryption(begin, scope)?;
        let encryption = chosen.of_new(dsl.as_ref(), scope.dataset, false);
        request.encryption = encryption.map_err(|why| sentences::told(&why))?;
        let is_silent = !self.properties.names_encryption();
        if is_silent && request.received.is_some() {
            // What has properties with it, and is not raw, was not encrypted.
            request.encryption = NewEncryption::Off;
        }
        if let Some(dsl) = dsl.filter(|_| !begin.is_raw()) {
            request.is_unlocked = self.args.key.is_found(&dsl, scope.dataset)?;
        }
        Ok(())
    }

    pub(super) fn announce(&self, begin: &Begin, destination: &Destination) -> Result<(), CommandError> {
        let verb = if self.args.dry_run {
            "would receive"
        } else {
            "receiving"
        };
        let purpose = if self.args.heal { "corrective " } else { "" };
        let kind = if begin.from_guid == 0 {
            "full"
        } else {
            "incremental"
        };
        let (sent, name) = (&begin.to_name, destination.snapshot_name());
        self.tell(format_args!(
            "{verb} {purpose}{kind} stream of {sent} into {name}"
        ))
    }

    /// Says something, where much is to be said.
    pub(super) fn tell(&self, what: impl std::fmt::Display) -> Result<(), CommandError> {
        if self.args.verbose {
            let mut out = io::stdout();
            writeln!(out, "{what}")?;
            out.flush()?;
        }
        Ok(())
    }

    /// Receives, with a bar where one is wanted.
    fn run<S: Source + Send>(
        &mut self,
        incoming: &mut Incoming<S>,
        request: &Request,
    ) -> Result<Result<Received, ReceiveError>, CommandError> {
        let args = self.args;
        let reporter = args.reporter(self.length);
        let writer = self.writer()?;
        let dataset = &request.destination.dataset;
        if request.is_unlocked && !writer.is_unlocked(dataset).unwrap_or(false) {
            args.key.unlock(writer, dataset)?;
        }
        let progress = Progress::default();
        let work = || receive(writer, incoming, request, &progress);
        Ok(progress::during(reporter, || progress.bytes(), work))
    }
}

/// What zfs(8) cannot do, and so does not say, where a package was cut.
const PACKAGE_HINT: &str = "The rest of the whole package is sent by zferry send, with this token beside the options and the snapshot that the \
     package was made of.";

/// `encryption=off`.
const ENCRYPTION_OFF: u64 = 2;

/// What zfs(8) has read before the kernel counts.
pub(super) const BEGIN_BYTES: u64 = 312;

/// Gives a snapshot its own properties and holds.
fn adorn(
    writer: &mut PoolWriter,
    package: &Package<'_>,
    begin: &Begin,
    name: &str,
    wants_holds: bool,
) -> Result<(), Error> {
    let Some((dataset, snapshot)) = package.part(begin.to_guid) else {
        return Ok(());
    };
    let mut is_changed = false;
    if let Some(list) = dataset.snapshot_properties(snapshot) {
        is_changed |= set_received_properties(writer, name, list)?;
    }
    if wants_holds && package.has_holds() {
        let number = writer.find_snapshot(name)?;
        for tag in dataset.holds(snapshot) {
            // A tag that cannot be is left out.
            is_changed |= writer.hold(number, tag).is_ok();
        }
    }
    if is_changed {
        writer.commit()?;
    }
    Ok(())
}

/// Reads a stream that is not received.
pub(super) fn skip<S: Source>(incoming: &mut Incoming<S>) -> Result<(), CommandError> {
    match incoming.skip() {
        Ok(_) => Ok(()),
        Err(error) => Err(sentences::unreadable().hint(error)),
    }
}

/// To what properties must apply.
fn types_of(
    begin: &Begin,
    action: Action,
) -> Result<zferry_zpool::dsl::property::DatasetTypes, CommandError> {
    use zferry_zpool::dsl::property::DatasetTypes;
    match begin.objset_type {
        // zfs(8) refuses what is neither file system nor volume; the kernel, and its own test programs, do not.
        ObjsetType::ZFS | ObjsetType::OTHER => Ok(DatasetTypes::FILESYSTEM),
        ObjsetType::ZVOL => Ok(DatasetTypes::VOLUME),
        other => Err(action.error(format_args!("invalid record type: 0x{}", other.0))),
    }
}
