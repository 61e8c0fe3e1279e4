//! `zferry send`

mod arguments;
mod damage;
mod output;
mod package;
mod resume;

pub(super) use damage::printable;

use std::io::{self, Write};

use zferry_replicate::package::{Package, PackageError};
use zferry_replicate::send::{Progress, ResolveError, Resolved, SendOptions};
use zferry_zpool::Pool;
use zferry_zpool::dsl::{DslPool, check_entity_name};

use crate::courtesy::beside_writers;
use crate::error::CommandError;
use crate::output::nice::{nice_bytes, nice_number};
use crate::output::progress;
use crate::output::warn;
use crate::pools::{Paths, cannot_open, missing};

pub(crate) use arguments::Args;

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    check_exclusions(args)?;
    let goes_on = args.token.is_some() && args.has_header() && args.snapshot.is_some();
    if let Some(token) = args.token.as_ref().filter(|_| !goes_on) {
        if args.source().is_some() || args.has_header() || args.redact.is_some() || args.saved {
            return Err(usage("invalid flags combined with -t"));
        }
        if args.snapshot.is_some() {
            return Err(usage("too many arguments"));
        }
        args.refuse_terminal()?;
        return resume::run(paths, args, token);
    }
    if goes_on && (args.redact.is_some() || args.saved) {
        return Err(usage("invalid flags combined with -t"));
    }
    let Some(to) = &args.snapshot else {
        return Err(usage("missing snapshot argument"));
    };
    if args.saved {
        check_saved(args, to)?;
    }
    if args.raw && args.redact.is_some() {
        return Err(CommandError::failed("Error: raw sends may not be redacted."));
    }
    args.refuse_terminal()?;
    if args.saved {
        return resume::saved(paths, args, to);
    }
    if args.skip_missing && !args.replicate {
        return Err(usage(
            "skip-missing flag can only be used in conjunction with replicate",
        ));
    }
    if args.is_package() {
        package::run(paths, args, to)
    } else {
        single(paths, args, to)
    }
}

fn check_exclusions(args: &Args) -> Result<(), CommandError> {
    // Anything may be left out but a whole pool.
    let is_valid = |name: &str| check_entity_name(name).is_ok() && name.contains('/') && !name.contains('#');
    if let Some(name) = args.exclude.iter().find(|name| !is_valid(name)) {
        return Err(usage(&format!("-X {name}: not a valid non-root dataset name.")));
    }
    if args.exclude.is_empty() || args.replicate {
        return Ok(());
    }
    Err(CommandError::failed(
        "Cannot specify dataset exclusion (-X) on a non-recursive send.",
    ))
}

fn check_saved(args: &Args, to: &str) -> Result<(), CommandError> {
    let has_source = args.source().is_some() || args.redact.is_some();
    let has_form = args.large_block || args.embed || args.compressed || args.raw;
    if has_source || has_form || args.has_header() {
        return Err(usage("incompatible flags combined with saved send flag"));
    }
    if to.contains('@') {
        return Err(usage(
            "saved send must specify the dataset with partially-received state",
        ));
    }
    Ok(())
}

fn usage(message: &str) -> CommandError {
    CommandError::usage(message).hint(format_args!(
        "usage: {}\n\nFor more information, try 'zferry send --help'.",
        arguments::USAGE
    ))
}

/// Sends one snapshot.
fn single(paths: &Paths, args: &Args, to: &str) -> Result<(), CommandError> {
    if to.contains('#') {
        return Err(CommandError::failed(format_args!(
            "cannot open '{to}': bookmark delimiter '#' is not expected here"
        )));
    }
    let from = args.from.as_ref().map(|from| full_source_name(to, from));
    for name in [Some(to), from.as_deref()].into_iter().flatten() {
        check_entity_name(name).map_err(|error| cannot_open(name, error))?;
    }
    let pool = paths.open_pool_of(to)?;
    let dsl = DslPool::new(&pool);
    args.load_key(&dsl, to)?;
    let cannot_find = |error| not_found(to, from.as_deref(), error);
    let mut resolved = Resolved::find(&dsl, to, from.as_deref()).map_err(cannot_find)?;
    let mut options = args.send_options();
    if let Some(token) = resume::token(args)? {
        options = options.with_token(&token);
        let going_on = resolved.go_on(&dsl, &token);
        going_on.map_err(|error| resume::describe(&token, error))?;
    }
    if let Some(bookmark) = &args.redact {
        let bookmark = bookmark
            .split_once('#')
            .map_or(bookmark.as_str(), |(_, name)| name);
        resolved.redact(&dsl, bookmark).map_err(cannot_find)?;
    }
    let mut package = None;
    if args.has_header() {
        let around = Package::around(&dsl, to, &args.package_options(), &mut |notice| {
            args.notify(&notice);
        });
        package = Some(around.map_err(|error| describe(&error, to))?);
    }
    send_resolved(&pool, args, &resolved, package.as_ref(), options)
}

/// Sends one snapshot, in a package if there is one.
fn send_resolved(
    pool: &Pool,
    args: &Args,
    resolved: &Resolved,
    package: Option<&Package>,
    options: SendOptions,
) -> Result<(), CommandError> {
    let (to, from) = (resolved.name(), resolved.from_name());
    let cannot_send = |error| args.cannot_send(to, error);
    let shows_bar = args.shows_bar();
    let mut estimate = None;
    if args.is_verbose() || shows_bar {
        let size = resolved
            .estimate(&DslPool::new(pool), options)
            .map_err(cannot_send)?;
        estimate = Some(size);
    }
    if let Some(size) = estimate.filter(|_| args.prints_estimate()) {
        args.say(&mut |out| {
            print_estimate(out, args, to, from, size)?;
            print_total(out, args, size)
        })?;
    }
    if args.dryrun {
        return Ok(());
    }
    let progress = Progress::default();
    let reporter = args.reporter(to, estimate, shows_bar);
    let mut output = output::standard_output()?;
    let sending = |output: &mut dyn Write| {
        package.map_or(Ok(()), |package| package.begin(output))?;
        damage::send_as_asked(pool, args, &resolved.source, options, output, &progress)?;
        Ok(package.map_or(Ok(()), |package| package.end(output))?)
    };
    let work = || {
        if args.dedup {
            output::deduplicated(&mut output, sending)
        } else {
            sending(&mut output)
        }
    };
    let sent = beside_writers(pool, || progress::during(reporter, || progress.bytes(), work));
    sent.map_err(cannot_send)
}

/// The full name of an incremental source that may be given as `@snapshot` or `#bookmark` of the same file system.
fn full_source_name(to: &str, from: &str) -> String {
    let dataset = to.split_once('@').map_or(to, |(dataset, _)| dataset);
    if from.starts_with(['@', '#']) {
        return format!("{dataset}{from}");
    }
    if from.contains(['@', '#']) {
        return from.to_owned();
    }
    warn(format_args!(
        "Warning: incremental source didn't specify type, assuming snapshot. Use '@' or '#' prefix to avoid ambiguity."
    ));
    format!("{dataset}@{from}")
}

fn not_found(to: &str, from: Option<&str>, error: ResolveError) -> CommandError {
    match error {
        ResolveError::Missing(name) => missing(&name),
        // zfs opens a snapshot to look at it first; a bookmark only fails when it is used.
        ResolveError::SourceMissing(name) if name.contains('@') => missing(&name),
        error => {
            let failed = CommandError::failed(format_args!("warning: cannot send '{to}': {error}"));
            match (error, from) {
                (ResolveError::NotEarlier, Some(from)) => failed.hint(format_args!(
                    "'{from}' must be an older snapshot or bookmark of the same file system, or of one that it is a clone of."
                )),
                _ => failed,
            }
        }
    }
}

/// What zfs says where there is no package.
fn describe(error: &PackageError, to: &str) -> CommandError {
    let failed = format!("warning: cannot send '{to}'");
    match error {
        PackageError::MissingSnapshot { .. } | PackageError::Encrypted { .. } => {
            CommandError::failed(format_args!("{error}\n{failed}: backup failed"))
        }
        PackageError::ListTooLarge(_) => CommandError::failed(error),
        error => CommandError::failed(format_args!("{failed}: {error}")),
    }
}

/// What `zfs send -v` says of a stream before it begins.
fn print_estimate(
    out: &mut dyn Write,
    args: &Args,
    to: &str,
    from: Option<&str>,
    size: u64,
) -> Result<(), io::Error> {
    if args.parsable {
        return match from {
            Some(from) => writeln!(out, "incremental\t{from}\t{to}\t{size}"),
            None => writeln!(out, "full\t{to}\t{size}"),
        };
    }
    match from {
        Some(from) => write!(out, "send from {from} to {to}")?,
        None => write!(out, "full send of {to}")?,
    }
    if size != 0 {
        write!(out, " estimated size is {}", nice_bytes(size))?;
    }
    writeln!(out)
}

fn print_total(out: &mut dyn Write, args: &Args, size: u64) -> Result<(), io::Error> {
    if args.parsable {
        writeln!(out, "size\t{size}")
    } else {
        writeln!(out, "total estimated size is {}", nice_number(size))
    }
}
