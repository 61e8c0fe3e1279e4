//! `zferry receive`

mod abort;
mod guids;
mod heal;
mod options;
mod package;
mod place;
mod sentences;
mod session;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zferry_replicate::receive::Incoming;

use self::options::PropertyOptions;
use self::place::Place;
use self::session::Session;
use crate::commands::assignment::parse_size;
use crate::commands::stream::input::standard_input_in_turn;
use crate::datasets::usage;
use crate::error::CommandError;
use crate::keys::KeyOptions;
use crate::output::nice::nice_bytes;
use crate::output::progress::Reporter;
use crate::pools::Paths;

/// How large a file `--create` makes where nothing else is said, in bytes. It is sparse: only what is used takes space.
const NEW_FILE_BYTES: u64 = 1 << 40;

/// Receive a stream from standard input into a file system or volume
///
/// A stream of any ZFS becomes a snapshot in a real pool: of a new dataset, or of one that has the snapshot that the stream
/// continues. A receive that fails, for whatever reason, leaves no trace; one that is killed is cleaned up when the pool
/// is next opened for writing. With -s, what came is kept instead.
#[derive(Debug, clap::Args)]
#[command(
    disable_help_flag = true,
    after_help = "\
Examples:
  Receive a stream into a new pool in a file, as the file system tank/home:
    zferry receive --create tank.img tank/home < home.zsend

  Receive into a pool that exists, below tank/backup, under the name that was sent but for its pool:
    ssh nas zfs send -c pool/photos@friday | zferry -d tank.img receive -d tank/backup

  Receive what changed since, and forget what was done to the copy meanwhile:
    ssh nas zfs send -i thursday pool/photos@friday | zferry -d tank.img receive -F tank/backup/photos

  Receive over a line that breaks now and then, and go on where it broke:
    ssh nas zfs send pool/photos@friday | zferry -d tank.img receive -s tank/photos
    ssh nas zfs send -t $(zferry -d tank.img get -H -o value receive_resume_token tank/photos) |
        zferry -d tank.img receive -s tank/photos

  Heal what is damaged of a snapshot, from another copy of it:
    ssh nas zfs send -c pool/photos@friday | zferry -d tank.img receive -c tank/backup/photos@friday

  Store what comes uncompressed with zstd:
    zferry -d tank.img receive -v -o compression=zstd tank/logs < logs.zsend"
)]
pub(crate) struct Args {
    /// Name what is received after the whole name that was sent, but for its pool, below the one given; parents are made
    #[arg(short = 'd')]
    without_pool: bool,
    /// Name it after the last part of the name that was sent
    #[arg(short = 'e')]
    last_component: bool,
    /// Read the stream to its end, but receive nothing
    #[arg(short = 'n')]
    dry_run: bool,
    /// Say what is received, and how fast it was
    #[arg(short = 'v')]
    verbose: bool,
    /// Do not mount what is received (nothing ever is)
    #[arg(short = 'u')]
    unmounted: bool,
    /// Unmount what is in the way (nothing ever is)
    #[arg(short = 'M', hide = true)]
    force_unmount: bool,
    /// Set a property of what is received, or make it a clone with origin=SNAPSHOT (may be given several times)
    #[arg(short = 'o', value_name = "PROPERTY=VALUE")]
    set: Vec<String>,
    /// Do not take over a property that comes with the stream (may be given several times)
    #[arg(short = 'x', value_name = "PROPERTY")]
    exclude: Vec<String>,
    /// Roll the target back to the snapshot that the stream continues; overwrite one that has no snapshots with a full stream
    #[arg(short = 'F')]
    force: bool,
    /// Keep what came of a stream that is cut, so that `send -t` with the property receive_resume_token can go on
    #[arg(short = 's')]
    resumable: bool,
    /// Leave out the holds that come with a package
    #[arg(short = 'h')]
    skip_holds: bool,
    /// Throw away what was kept of a stream that was cut
    #[arg(short = 'A')]
    abort: bool,
    /// Heal the blocks of a snapshot that is there, and damaged, from a stream of the same snapshot
    #[arg(short = 'c')]
    heal: bool,
    #[command(flatten)]
    key: KeyOptions,
    /// Make the pool in this file or device, unless it is there already
    #[arg(long, value_name = "FILE")]
    create: Option<PathBuf>,
    /// How large a file `--create` makes; it takes only as much space as is used [default: 1T]
    #[arg(long, value_name = "SIZE", requires = "create", value_parser = size)]
    size: Option<u64>,
    /// Show a progress bar on standard error (the default when it is a terminal)
    #[arg(long, overrides_with = "no_progress")]
    progress: bool,
    /// Show none
    #[arg(long, overrides_with = "progress")]
    no_progress: bool,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// The file system, volume or snapshot
    #[arg(value_name = "FILESYSTEM|SNAPSHOT")]
    target: Vec<String>,
}

pub(crate) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let target = args.check()?;
    if args.abort {
        return abort::run(paths, target);
    }
    let naming = args.naming();
    let properties = PropertyOptions::parse(&args.set, &args.exclude)?;
    if io::stdin().is_terminal() {
        return Err(CommandError::failed(
            "Error: Backup stream can not be read from a terminal.\nYou must redirect standard input.",
        ));
    }
    properties.check_names()?;
    let place = Place::find(paths, target, args.create.as_deref())?;
    place.check_prefix(target, naming)?;
    if let Some(origin) = properties.origin() {
        place.check_origin(target, origin)?;
    }
    let input = standard_input_in_turn().map_err(|_| sentences::unreadable())?;
    let mut incoming = Incoming::open(input.source).map_err(|error| sentences::no_begin(&error))?;
    sentences::check_features(incoming.begin())?;
    let mut session = Session::new(args, target, naming, properties, place, input.length);
    let outcome = if incoming.is_package() {
        package::receive(&mut session, &mut incoming)
    } else {
        session.receive(&mut incoming, None)
    };
    session.close();
    outcome
}

impl Args {
    /// The target, where the options make sense.
    fn check(&self) -> Result<&str, CommandError> {
        if self.key.is_prompt() {
            return Err(usage("Cannot ask for a key because stdin is in use."));
        }
        if self.without_pool && self.last_component {
            return Err(usage(
                "invalid option combination: -d and -e are mutually exclusive",
            ));
        }
        let target = match &*self.target {
            [] => {
                return Err(usage("missing snapshot argument")
                    .hint("For more information, try 'zferry receive --help'."));
            }
            [target] => target,
            _ => return Err(usage("too many arguments")),
        };
        let is_alone =
            !(self.without_pool || self.last_component || self.dry_run || self.resumable || self.unmounted);
        if self.abort && !is_alone {
            return Err(usage("invalid option"));
        }
        Ok(target)
    }

    /// Whether nothing is asked for that means nothing where a snapshot is healed.
    const fn may_heal(&self) -> bool {
        let is_named = self.without_pool || self.last_component;
        let sets = !self.set.is_empty() || !self.exclude.is_empty();
        !(is_named || sets || self.force || self.resumable || self.unmounted || self.skip_holds)
    }

    const fn naming(&self) -> zferry_replicate::receive::Naming {
        use zferry_replicate::receive::Naming;
        match (self.without_pool, self.last_component) {
            (_, true) => Naming::LastComponent,
            (true, false) => Naming::WithoutPool,
            (false, false) => Naming::Exact,
        }
    }

    /// Says how fast it was.
    fn summarise(&self, bytes: u64, started: Instant) -> Result<(), CommandError> {
        if self.verbose {
            writeln!(io::stdout(), "{}", summary(bytes, started.elapsed()))?;
        }
        Ok(())
    }

    fn reporter(&self, length: Option<u64>) -> Reporter {
        let wanted = self.progress || io::stderr().is_terminal();
        if wanted && !self.no_progress && !self.verbose {
            Reporter::Bar {
                total: length.unwrap_or(0),
            }
        } else {
            Reporter::Silent
        }
    }
}

/// A size on the command line.
fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| format!("bad numeric value '{text}'"))
}

/// What `zfs receive -v` says at the end.
fn summary(bytes: u64, elapsed: Duration) -> String {
    let nanoseconds = elapsed.as_nanos().max(1);
    let rate = u128::from(bytes)
        .saturating_mul(1_000_000_000)
        .checked_div(nanoseconds)
        .and_then(|rate| u64::try_from(rate).ok())
        .unwrap_or(u64::MAX);
    format!(
        "received {} stream in {:.2} seconds ({}/sec)",
        nice_bytes(bytes),
        elapsed.as_secs_f64(),
        nice_bytes(rate)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_that_of_zfs() {
        assert_eq!(
            summary(2_382_680, Duration::from_millis(250)),
            "received 2.27M stream in 0.25 seconds (9.09M/sec)"
        );
        assert_eq!(
            summary(0, Duration::ZERO),
            "received 0B stream in 0.00 seconds (0B/sec)"
        );
    }
}
