//! `zferry pool`: what concerns whole pools.

mod check;
mod create;
mod destroy;
mod export;
mod get;
mod history;
mod import;
mod list;
mod scan;
mod scrub;
mod status;
mod value;
mod vdevs;
mod wanted;

use crate::error::CommandError;
use crate::pools::{OpenPool, Paths, Pools};
use std::io::{self, Write};
use zferry_zpool::dsl::property::{PoolProperty, Value};
use zferry_zpool::dsl::{DslPool, FeatureState, NameError, check_pool_name};
use zferry_zpool::spa::Feature;
use zferry_zpool::vdev::VdevState;

/// Make whole pools, and look at them
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Check(check::Args),
    Create(create::Args),
    Destroy(destroy::Args),
    Export(export::Args),
    Get(get::Args),
    History(history::Args),
    Import(import::Args),
    List(list::Args),
    Scrub(scrub::Args),
    Status(status::Args),
}

/// Does what the command line asks.
pub(super) fn run(paths: &Paths, command: Command) -> Result<(), CommandError> {
    match command {
        Command::Check(args) => check::run(paths, &args),
        Command::Create(args) => create::run(&args),
        Command::Destroy(args) => destroy::run(paths, &args),
        Command::Export(args) => export::run(paths, &args),
        Command::Get(args) => get::run(paths, &args),
        Command::History(args) => history::run(paths, &args),
        Command::Import(args) => import::run(paths, &args),
        Command::List(args) => list::run(paths, &args),
        Command::Scrub(args) => scrub::run(paths, &args),
        Command::Status(args) => status::run(paths, &args),
    }
}

/// A pool with its datasets, and where it was found.
#[derive(Debug)]
struct Handle<'p> {
    dsl: DslPool<'p>,
    open: &'p OpenPool,
}

impl Handle<'_> {
    fn name(&self) -> &str {
        self.open.name()
    }

    /// The state that zpool(8) would see the pool in.
    fn state(&self) -> VdevState {
        let root = self.open.pool.vdevs().first();
        root.map_or(VdevState::Unavail, |root| root.state)
    }
}

/// Whether a pool lacks features that it is meant to have.
fn lacks_features(pool: &DslPool<'_>) -> Result<bool, zferry_zpool::Error> {
    let compatibility = pool.pool_property(PoolProperty::Compatibility)?;
    // Other values name sets of features that are known on the pool's own machine only.
    if compatibility.is_some_and(|found| found.value != Value::Text("off".to_owned())) {
        return Ok(false);
    }
    for feature in Feature::ALL {
        if pool.feature_state(*feature)? == FeatureState::Disabled {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The pools that are named, or all, sorted by name and each once. What cannot be found is said on standard error, and
/// whether there was any is returned beside.
fn chosen<'p>(
    paths: &Paths,
    pools: &'p Pools,
    names: &[String],
) -> Result<(Vec<Handle<'p>>, bool), CommandError> {
    let mut errors = io::stderr();
    if let Some(hint) = paths.hint() {
        writeln!(errors, "{hint}")?;
    }
    for failure in &pools.failures {
        writeln!(errors, "{failure}")?;
    }
    let mut has_failed = !pools.failures.is_empty();
    for name in names {
        if let Err(why) = check_pool_name(name) {
            writeln!(errors, "cannot open '{name}': {}", sentence(why))?;
            has_failed = true;
        } else if pools.iter().all(|pool| pool.name() != name) {
            writeln!(errors, "cannot open '{name}': no such pool")?;
            has_failed = true;
        }
    }
    let is_chosen = |pool: &&OpenPool| names.is_empty() || names.iter().any(|name| name == pool.name());
    let chosen = pools.iter().filter(is_chosen);
    Ok((
        chosen
            .map(|open| Handle {
                dsl: DslPool::new(&open.pool),
                open,
            })
            .collect(),
        has_failed,
    ))
}

/// What is wrong with a pool's name.
fn sentence(why: NameError) -> String {
    match why {
        NameError::InvalidCharacter(bad) => format!("invalid character '{bad}' in pool name"),
        NameError::NoLetter => "name must begin with a letter".to_owned(),
        other => other.to_string(),
    }
}

fn cannot_read(name: &str, error: &zferry_zpool::Error) -> CommandError {
    CommandError::failed(format_args!("cannot read '{name}': {error}"))
}
