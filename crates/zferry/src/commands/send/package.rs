//! Sending several snapshots: `zferry send` with `-R` or `-I`.

use std::io::Write;

use zferry_replicate::package::{Package, Span, Start, SubStream};
use zferry_replicate::send::{Progress, ResolveError, Resolved, SendOptions};
use zferry_zpool::dsl::{Dataset, DslPool, check_entity_name};

use super::{Args, damage, describe, output, print_estimate, resume};
use crate::courtesy::beside_writers;
use crate::error::CommandError;
use crate::output::nice::nice_bytes;
use crate::output::progress;
use crate::output::warn;
use crate::pools::{Paths, cannot_open, missing};

/// Sends what lies between two snapshots, of a dataset or of everything below it.
pub(super) fn run(paths: &Paths, args: &Args, to: &str) -> Result<(), CommandError> {
    if args.source().is_some_and(|from| from.contains('#')) {
        return Err(CommandError::failed(
            "Error: multiple snapshots cannot be sent from a bookmark.",
        ));
    }
    if args.redact.is_some() {
        return Err(CommandError::failed(
            "Error: multiple snapshots cannot be sent redacted.",
        ));
    }
    let Some((dataset, snapshot)) = to.split_once('@') else {
        return Err(CommandError::failed(
            "Error: Unsupported flag with filesystem or bookmark.",
        ));
    };
    check_name(dataset, dataset)?;
    let pool = paths.open_pool_of(dataset)?;
    let dsl = DslPool::new(&pool);
    let head = dsl
        .dataset(dataset)
        .map_err(|error| cannot_open(dataset, &error))?;
    let head = head.ok_or_else(|| missing(dataset))?;
    let start = start(&dsl, &head, args.source())?;
    let span = Span {
        intermediates: args.intermediates.is_some() || start == Start::Nothing || start == Start::Origin,
        to: snapshot.to_owned(),
        from: start,
    };
    check_snapshots(&dsl, dataset, &span)?;
    let package = Package::gather(&dsl, dataset, &span, &args.package_options(), &mut |notice| {
        args.notify(&notice);
    });
    let mut package = package.map_err(|error| describe(&error, to))?;
    args.load_key(&dsl, to)?;
    let (mut options, mut interrupted) = (args.send_options(), None);
    if let Some(token) = resume::token(args)? {
        options = options.with_token(&token);
        let going_on = package.go_on(&dsl, &token);
        interrupted = Some(going_on.map_err(|error| resume::describe(&token, error))?);
    }
    let sending = Sending {
        dsl: &dsl,
        args,
        options,
        interrupted,
        package: &package,
    };
    sending.run()
}

/// What the receiver has already. The origin of a clone is given by its full name; everything else is a snapshot of
/// the same dataset.
fn start(dsl: &DslPool<'_>, head: &Dataset, from: Option<&str>) -> Result<Start, CommandError> {
    let Some(from) = from else {
        return Ok(Start::Nothing);
    };
    let name = match from.split_once('@') {
        None => from,
        Some((dataset, name)) => {
            let origin = dsl
                .origin(&head.dir)
                .map_err(|error| cannot_open(&head.name, &error))?;
            if origin.is_some_and(|origin| origin.name == from) {
                return Ok(Start::Origin);
            }
            if !dataset.is_empty() && dataset != head.name {
                return Err(CommandError::usage(
                    "incremental source must be in same filesystem",
                ));
            }
            if name.contains(['@', '/']) {
                return Err(CommandError::usage("invalid incremental source"));
            }
            name
        }
    };
    if name.is_empty() {
        return Err(CommandError::failed(format_args!(
            "cannot send '{}': zero-length incremental source",
            head.name
        )));
    }
    Ok(Start::Snapshot(name.to_owned()))
}

/// Both snapshots must be there, the source first.
fn check_snapshots(dsl: &DslPool<'_>, dataset: &str, span: &Span) -> Result<(), CommandError> {
    let from = match &span.from {
        Start::Snapshot(from) => Some(from),
        Start::Nothing | Start::Origin => None,
    };
    for snapshot in from.into_iter().chain([&span.to]) {
        let name = format!("{dataset}@{snapshot}");
        check_name(&name, &name)?;
        let found = dsl.dataset(&name).map_err(|error| cannot_open(&name, &error))?;
        found.ok_or_else(|| missing(&name))?;
    }
    Ok(())
}

fn check_name(name: &str, shown: &str) -> Result<(), CommandError> {
    check_entity_name(name).map_err(|error| cannot_open(shown, error))
}

/// A package on its way.
struct Sending<'a, 'p> {
    dsl: &'a DslPool<'p>,
    args: &'a Args,
    options: SendOptions,
    /// The stream that was interrupted, and goes before the others.
    interrupted: Option<Resolved>,
    package: &'a Package,
}

impl Sending<'_, '_> {
    fn run(&self) -> Result<(), CommandError> {
        let args = self.args;
        let shows_bar = args.shows_bar();
        let mut total = None;
        if args.is_verbose() || shows_bar {
            total = Some(self.estimate()?);
        }
        let is_complete = self.package.is_complete() && self.package.reaches_end();
        if args.dryrun && args.is_verbose() && self.package.reaches_end() {
            // What is missing was said, and does not count here.
            return Ok(());
        }
        if !args.dryrun && self.package.reaches_end() {
            let mut output = output::standard_output()?;
            let whole = Progress::default();
            let bar = match total {
                Some(total) if shows_bar => progress::Reporter::Bar { total },
                _ => progress::Reporter::Silent,
            };
            let work = || {
                if args.dedup {
                    output::deduplicated(&mut output, |output| self.send(output, &whole, total))
                } else {
                    self.send(&mut output, &whole, total)
                }
            };
            beside_writers(self.dsl.pool(), || progress::during(bar, || whole.bytes(), work))?;
        }
        if is_complete {
            Ok(())
        } else {
            Err(CommandError::reported())
        }
    }

    /// How large the streams will be together, in bytes; said of each and of all.
    fn estimate(&self) -> Result<u64, CommandError> {
        let mut total = 0_u64;
        if let Some(interrupted) = &self.interrupted {
            let (name, from) = (interrupted.name(), interrupted.from_name());
            let size = interrupted.estimate(self.dsl, self.options);
            total = size.map_err(|error| self.args.cannot_send(name, error))?;
            self.args
                .say(&mut |out| print_estimate(out, self.args, name, from, total))?;
        }
        for stream in self.package.streams() {
            let size = match self.estimate_of(stream) {
                Ok(size) => size,
                Err(error) => {
                    warn(format_args!(
                        "warning: cannot estimate space for '{}': {error}",
                        stream.name
                    ));
                    continue;
                }
            };
            total = total.saturating_add(size);
            self.args.say(&mut |out| {
                let from = stream.previous();
                let from = match (from, self.args.parsable) {
                    (Some(from), false) => Some(format!("@{from}")),
                    (from, _) => from.map(str::to_owned),
                };
                print_estimate(out, self.args, &stream.name, from.as_deref(), size)
            })?;
        }
        self.args.say(&mut |out| {
            if self.args.parsable {
                writeln!(out, "size\t{total}")
            } else {
                writeln!(out, "total estimated size is {}", nice_bytes(total))
            }
        })?;
        Ok(total)
    }

    fn estimate_of(&self, stream: &SubStream) -> Result<u64, String> {
        let resolved = stream.resolve_for_estimate(self.dsl);
        let resolved = resolved.map_err(|error| error.to_string())?;
        let size = resolved.estimate(self.dsl, self.options);
        size.map_err(|error| error.to_string())
    }

    /// Writes the package. It stops at the first stream that fails, and leaves the package without its end.
    fn send(&self, output: &mut dyn Write, whole: &Progress, total: Option<u64>) -> Result<(), CommandError> {
        self.package.begin(output)?;
        if let Some(interrupted) = &self.interrupted {
            self.send_one(interrupted, output, whole, total)?;
        }
        for stream in self.package.streams() {
            let resolved = stream
                .resolve(self.dsl)
                .map_err(|error| cannot_send(stream, &error))?;
            self.send_one(&resolved, output, whole, total)?;
        }
        Ok(self.package.end(output)?)
    }

    fn send_one(
        &self,
        resolved: &Resolved,
        output: &mut dyn Write,
        whole: &Progress,
        total: Option<u64>,
    ) -> Result<(), CommandError> {
        let args = self.args;
        let (own, reporter);
        let (progress, reporter) = if args.is_verbose() {
            own = Progress::default();
            reporter = args.reporter(resolved.name(), total, false);
            (&own, reporter)
        } else {
            (whole, progress::Reporter::Silent)
        };
        let (pool, source) = (self.dsl.pool(), &resolved.source);
        let send = || damage::send_as_asked(pool, args, source, self.options, output, progress);
        let sent = progress::during(reporter, || progress.bytes(), send);
        sent.map_err(|error| args.cannot_send(resolved.name(), error))?;
        Ok(())
    }
}

fn cannot_send(stream: &SubStream, error: &ResolveError) -> CommandError {
    CommandError::failed(format_args!("warning: cannot send '{}': {error}", stream.name))
}
