//! `zferry send`

mod output;
mod progress;
mod resume;

use std::io::{self, IsTerminal, Write};

use zferry_replicate::send::{Progress, ResolveError, Resolved, SendError, SendOptions, send};
use zferry_zpool::Pool;
use zferry_zpool::dsl::{DslPool, check_entity_name};

use crate::error::CommandError;
use crate::output::nice::{nice_bytes, nice_number};
use crate::pools::{Paths, missing};

/// Send a snapshot, or what changed since an earlier one, as a stream on standard output
///
/// The stream is byte for byte the one that `zfs send` would write, so any `zfs receive` takes it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  Send a snapshot from a pool in a file:
    zferry -d tank.img send tank/home@monday > monday.zsend

  Send what changed since, compressed as it is stored:
    zferry -d tank.img send -c -i @monday tank/home@tuesday | ssh backup zfs receive pool/home

  Ask how large a stream would be:
    zferry -d tank.img send -nv tank/home@monday")]
pub(crate) struct Args {
    /// Send only what changed since this snapshot or bookmark: @SNAPSHOT or #BOOKMARK of the same file system, or the
    /// full name of one, such as the origin of a clone
    #[arg(short = 'i', value_name = "SNAPSHOT|BOOKMARK")]
    from: Option<String>,
    /// Allow blocks above 128 KiB in the stream
    #[arg(short = 'L', long = "large-block")]
    large_block: bool,
    /// Send blocks that are small enough to lie in their pointers as they lie there
    #[arg(short = 'e', long)]
    embed: bool,
    /// Send blocks compressed, as they are stored
    #[arg(short = 'c', long)]
    compressed: bool,
    /// Send a block that the stream holds already as a reference to it (receivers since OpenZFS 2.0 need `zstream redup`
    /// in front)
    #[arg(short = 'D', long)]
    dedup: bool,
    /// Leave out what this redaction bookmark of the same file system lists
    #[arg(short = 'd', long, value_name = "BOOKMARK")]
    redact: Option<String>,
    /// Go on with a send whose receiver was interrupted: the value of its property receive_resume_token
    #[arg(short = 't', value_name = "TOKEN")]
    token: Option<String>,
    /// Send what an interrupted receive into this file system or volume brought
    #[arg(short = 'S', long)]
    saved: bool,
    /// Send nothing; with -v or -P, say how large the stream would be
    #[arg(short = 'n', long)]
    dryrun: bool,
    /// Say how large the stream is going to be and, each second, how much was sent
    #[arg(short = 'v', long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say so in columns for programs
    #[arg(short = 'P', long)]
    parsable: bool,
    /// Show a progress bar on standard error (the default when it is a terminal and standard output is not)
    #[arg(long, overrides_with = "no_progress")]
    progress: bool,
    /// Show none
    #[arg(long, overrides_with = "progress")]
    no_progress: bool,
    /// The snapshot, or a file system or volume that is not in use
    #[arg(value_name = "SNAPSHOT")]
    snapshot: Option<String>,
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    if let Some(token) = &args.token {
        if args.from.is_some() || args.redact.is_some() || args.saved {
            return Err(usage("invalid flags combined with -t"));
        }
        if args.snapshot.is_some() {
            return Err(usage("too many arguments"));
        }
        args.refuse_terminal()?;
        return resume::run(paths, args, token);
    }
    let Some(to) = &args.snapshot else {
        return Err(usage("missing snapshot argument"));
    };
    if args.saved {
        if args.from.is_some() || args.large_block || args.embed || args.compressed || args.redact.is_some() {
            return Err(usage("incompatible flags combined with saved send flag"));
        }
        if to.contains('@') {
            return Err(usage(
                "saved send must specify the dataset with partially-received state",
            ));
        }
    }
    args.refuse_terminal()?;
    if args.saved {
        return resume::saved(paths, args, to);
    }
    let from = args.from.as_ref().map(|from| full_source_name(to, from));
    for name in [Some(to), from.as_ref()].into_iter().flatten() {
        check_entity_name(name)
            .map_err(|error| CommandError::failed(format_args!("cannot open '{name}': {error}")))?;
    }
    let pool = paths.open_pool_of(to)?;
    let dsl = DslPool::new(&pool);
    let cannot_find = |error| not_found(to, from.as_deref(), error);
    let mut resolved = Resolved::find(&dsl, to, from.as_deref()).map_err(cannot_find)?;
    if let Some(bookmark) = &args.redact {
        let bookmark = bookmark
            .split_once('#')
            .map_or(bookmark.as_str(), |(_, name)| name);
        resolved.redact(&dsl, bookmark).map_err(cannot_find)?;
    }
    send_resolved(&pool, args, &resolved, args.send_options())
}

fn usage(message: &str) -> CommandError {
    CommandError::usage(message).hint("For more information, try 'zferry send --help'.")
}

/// Sends one snapshot.
fn send_resolved(
    pool: &Pool,
    args: &Args,
    resolved: &Resolved,
    options: SendOptions,
) -> Result<(), CommandError> {
    let (to, from) = (resolved.name(), resolved.from_name());
    let cannot_send = |error: SendError| match error {
        // Whoever reads the stream has gone; there is nobody to tell, and zfs dies of it without a word.
        SendError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => error.into(),
        error => CommandError::failed(format_args!("warning: cannot send '{to}': {error}")),
    };
    let shows_bar = args.shows_bar();
    let mut estimate = None;
    if args.is_verbose() || shows_bar {
        let size = resolved
            .estimate(&DslPool::new(pool), options)
            .map_err(cannot_send)?;
        estimate = Some(size);
    }
    if let Some(size) = estimate {
        args.say(&mut |out| print_estimate(out, args, to, from, size))?;
    }
    if args.dryrun {
        return Ok(());
    }
    let progress = Progress::default();
    let reporter = args.reporter(to, estimate, shows_bar);
    let mut output = output::standard_output()?;
    let sent = progress::during(reporter, &progress, || {
        let sending =
            |output: &mut dyn Write| send(pool, &resolved.source, options, output, &progress).map(drop);
        if args.dedup {
            output::deduplicated(&mut output, sending)
        } else {
            sending(&mut output)
        }
    });
    sent.map_err(cannot_send)
}

impl Args {
    const fn is_verbose(&self) -> bool {
        self.verbose > 0 || self.parsable
    }

    const fn send_options(&self) -> SendOptions {
        SendOptions {
            large_blocks: self.large_block,
            embedded: self.embed,
            compressed: self.compressed,
        }
    }

    fn refuse_terminal(&self) -> Result<(), CommandError> {
        if !self.dryrun && io::stdout().is_terminal() {
            return Err(CommandError::failed(
                "Error: Stream can not be written to a terminal.\nYou must redirect standard output.",
            ));
        }
        Ok(())
    }

    /// Says what is going to be sent, if that was asked for.
    fn say(&self, print: &mut dyn FnMut(&mut dyn Write) -> Result<(), io::Error>) -> Result<(), io::Error> {
        match (self.is_verbose(), self.dryrun) {
            (false, _) => Ok(()),
            // A dry run has nothing else to put on standard output.
            (true, true) => print(&mut io::stdout()),
            (true, false) => print(&mut io::stderr()),
        }
    }

    fn shows_bar(&self) -> bool {
        let wanted = self.progress || (io::stderr().is_terminal() && !io::stdout().is_terminal());
        wanted && !self.no_progress && !self.is_verbose() && !self.dryrun
    }

    fn reporter(&self, to: &str, estimate: Option<u64>, shows_bar: bool) -> progress::Reporter {
        if shows_bar {
            progress::Reporter::Bar {
                total: estimate.unwrap_or(0),
            }
        } else if self.verbose > 0 {
            progress::Reporter::Lines {
                name: to.to_owned(),
                parsable: self.parsable,
            }
        } else {
            progress::Reporter::Silent
        }
    }
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
    eprintln!(
        "Warning: incremental source didn't specify type, assuming snapshot. Use '@' or '#' prefix to avoid ambiguity."
    );
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

/// What `zfs send -v` says before it begins.
fn print_estimate(
    out: &mut dyn Write,
    args: &Args,
    to: &str,
    from: Option<&str>,
    size: u64,
) -> Result<(), io::Error> {
    if args.parsable {
        match from {
            Some(from) => writeln!(out, "incremental\t{from}\t{to}\t{size}")?,
            None => writeln!(out, "full\t{to}\t{size}")?,
        }
        return writeln!(out, "size\t{size}");
    }
    match from {
        Some(from) => write!(out, "send from {from} to {to}")?,
        None => write!(out, "full send of {to}")?,
    }
    if size != 0 {
        write!(out, " estimated size is {}", nice_bytes(size))?;
    }
    writeln!(out)?;
    writeln!(out, "total estimated size is {}", nice_number(size))
}
