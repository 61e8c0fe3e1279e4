//! `zferry load-key`, `unload-key` and `change-key`: users' keys of encrypted datasets.
//!
//! No kernel is there that would keep a key until it is unloaded. So `load-key` checks keys, `unload-key` finds none, and
//! every command that needs a key takes it for itself.

use std::io::{self, Write};

use zferry_blocks::crypt::KeyFormat;
use zferry_zpool::dsl::{DslDir, DslPool};
use zferry_zpool::{Error, Unsupported};

use crate::datasets::usage;
use crate::error::CommandError;
use crate::keys::{KeyOptions, NewKey};
use crate::pools::{Paths, cannot_open, missing};
use crate::writing::{finish, open_pool_of, random};

use super::assignment::Assignment;

/// Check the keys of encrypted datasets
///
/// There is no kernel here that would keep a key. With -n, keys are checked; without, nothing can be done. Commands that need
/// a key take it with -K FILE, --key-prompt, or from the file that the property keylocation names.
#[derive(Debug, clap::Args)]
pub(crate) struct LoadArgs {
    /// Only check that the keys are right
    #[arg(short = 'n')]
    dry_run: bool,
    /// Of all encryption roots below the dataset, too
    #[arg(short = 'r')]
    recursive: bool,
    /// Of all encryption roots in all pools
    #[arg(short = 'a')]
    all: bool,
    /// Where the key is, instead of where the property keylocation says: prompt, or file:///PATH
    #[arg(short = 'L', value_name = "KEYLOCATION")]
    location: Option<String>,
    /// The file system or volume
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
}

/// Unload keys, which nothing here keeps
#[derive(Debug, clap::Args)]
pub(crate) struct UnloadArgs {
    /// Of all encryption roots below the dataset, too
    #[arg(short = 'r')]
    recursive: bool,
    /// Of all encryption roots in all pools
    #[arg(short = 'a')]
    all: bool,
    /// The file system or volume
    #[arg(value_name = "DATASET")]
    datasets: Vec<String>,
}

/// Change the key that a user has to an encrypted dataset
///
/// What encrypts the data stays; it is wrapped with the new key, for the dataset and all that inherits its key. The key of
/// before is taken with -K FILE, --key-prompt, or from the file that the property keylocation names.
#[derive(Debug, clap::Args)]
pub(crate) struct ChangeArgs {
    /// Load the key of before first (that is always done)
    #[arg(short = 'l')]
    load: bool,
    /// Inherit the key of what the dataset lies below
    #[arg(short = 'i')]
    inherit: bool,
    /// keyformat, keylocation or pbkdf2iters of the new key
    #[arg(short = 'o', value_name = "PROPERTY=VALUE", conflicts_with = "inherit")]
    properties: Vec<Assignment>,
    #[command(flatten)]
    key: KeyOptions,
    /// The file system or volume
    #[arg(value_name = "DATASET")]
    dataset: String,
}

/// The one dataset that is named, or none with `-a`.
fn one(datasets: &[String], all: bool) -> Result<Option<&str>, CommandError> {
    match datasets {
        [] if all => Ok(None),
        _ if all => Err(usage("cannot specify dataset with -a option")),
        [] => Err(usage("missing dataset or pool name")),
        [dataset] => Ok(Some(dataset)),
        _ => Err(usage("too many arguments")),
    }
}

/// Checks keys.
pub(super) fn load(paths: &Paths, args: &LoadArgs) -> Result<(), CommandError> {
    let dataset = one(&args.datasets, args.all)?;
    let is_recursive = args.recursive || args.all;
    if is_recursive
        && args
            .location
            .as_ref()
            .is_some_and(|location| location != "prompt")
    {
        return Err(usage("alternate keylocation may only be 'prompt' with -r or -a"));
    }
    if !args.dry_run {
        return Err(
            CommandError::failed("Key load error: no key stays loaded between commands of zferry.").hint(
                "Check a key with -n. Commands that need one take it with -K FILE, --key-prompt, or from the file that \
                 the property keylocation names.",
            ),
        );
    }
    let names: Vec<String> = dataset.map(str::to_owned).into_iter().collect();
    let pools = paths.open(&names)?;
    if let Some(failure) = pools.failures.first() {
        return Err(CommandError::failed(failure));
    }
    let (mut attempted, mut failed) = (0_u64, 0_u64);
    for pool in pools.iter() {
        let dsl = DslPool::new(&pool.pool);
        for root in roots(&dsl, dataset.unwrap_or(pool.name()), is_recursive)? {
            attempted = attempted.saturating_add(1);
            let checked = KeyOptions::at(args.location.as_deref()).check(&dsl, &root);
            if let Err(error) = checked {
                error.report();
                failed = failed.saturating_add(1);
            }
        }
    }
    let right = attempted.saturating_sub(failed);
    writeln!(io::stdout(), "{right} / {attempted} key(s) successfully verified")?;
    if failed > 0 {
        return Err(CommandError::reported());
    }
    Ok(())
}

/// The encryption roots at and below a dataset, or the dataset alone, which must be one.
fn roots(
    dsl: &DslPool<'_>,
    name: &str,
    is_recursive: bool,
) -> Result<Vec<std::sync::Arc<DslDir>>, CommandError> {
    let cannot = |error: Error| cannot_open(name, error);
    let dir = dsl.dir(name).map_err(cannot)?.ok_or_else(|| missing(name))?;
    if !is_recursive {
        root_itself(dsl, &dir, "loaded")?;
        return Ok(vec![dir]);
    }
    let mut roots = Vec::new();
    let mut waiting = vec![dir];
    while let Some(dir) = waiting.pop() {
        let root = dsl.encryption_root(&dir).map_err(cannot)?;
        if root.is_some_and(|root| root.number == dir.number) {
            roots.push(std::sync::Arc::clone(&dir));
        }
        let mut children = dsl.children(&dir).map_err(cannot)?;
        children.retain(|(name, _)| !name.starts_with(['$', '%']));
        for (_, number) in children.into_iter().rev() {
            waiting.push(dsl.dir_at(number).map_err(cannot)?);
        }
    }
    Ok(roots)
}

/// What is no encryption root has no key of its own.
fn root_itself(dsl: &DslPool<'_>, dir: &DslDir, what: &str) -> Result<(), CommandError> {
    let error = if what == "loaded" {
        "Key load error"
    } else {
        "Key unload error"
    };
    let failed = |why: String| CommandError::failed(format_args!("{error}: {why}"));
    let name = &dir.name;
    match dsl.encryption_root(dir) {
        Ok(None) => Err(failed(format!("'{name}' is not encrypted."))),
        Ok(Some(root)) if root.number == dir.number => Ok(()),
        Ok(Some(root)) => {
            let root = &root.name;
            Err(failed(format!(
                "Keys must be {what} for encryption root of '{name}' ({root})."
            )))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Finds no key loaded.
pub(super) fn unload(paths: &Paths, args: &UnloadArgs) -> Result<(), CommandError> {
    let Some(name) = one(&args.datasets, args.all)? else {
        return Ok(());
    };
    let pool = paths.open_pool_of(name)?;
    let dsl = DslPool::new(&pool);
    let dir = dsl.dir(name);
    let dir = dir.map_err(|error| cannot_open(name, error))?;
    let dir = dir.ok_or_else(|| missing(name))?;
    if args.recursive {
        return Ok(());
    }
    root_itself(&dsl, &dir, "unloaded")?;
    Err(CommandError::failed(format_args!(
        "Key unload error: Key already unloaded for '{name}'."
    )))
}

/// Changes a key.
pub(super) fn change(paths: &Paths, args: &ChangeArgs) -> Result<(), CommandError> {
    let name = &*args.dataset;
    let failed = |why: &dyn std::fmt::Display| CommandError::failed(format_args!("Key change error: {why}"));
    let mut wanted = NewKey::default();
    for Assignment { name, value } in &args.properties {
        if !wanted.take(name, value).map_err(|why| failed(&why))? {
            return Err(failed(
                &"Only keyformat, keylocation and pbkdf2iters may be set with this command.",
            ));
        }
    }
    let mut writer = open_pool_of(paths, name)?;
    args.key.unlock(&mut writer, name)?;
    let changed = if args.inherit {
        if let Some((parent, _)) = name.rsplit_once('/') {
            KeyOptions::default().unlock(&mut writer, parent)?;
        }
        writer.inherit_key(name)
    } else {
        let Root { format, location } = root(&DslPool::new(writer.pool()), name)?;
        let is_given = wanted.location.is_some() || location.is_none();
        let format = wanted.format.or(format);
        let format = format.ok_or_else(|| failed(&"Keyformat required for new encryption root."))?;
        let place = wanted.location.clone().or(location);
        let place = place.unwrap_or_else(|| "prompt".to_owned());
        if args.key.is_prompt() && place == "prompt" {
            return Err(failed(
                &"only one of the two keys can be asked for; give the other in a file.",
            ));
        }
        let key = wanted.read(format, &place, Some(name), random()?);
        let key = key.map_err(|why| failed(&why))?;
        writer.change_key(name, &key, is_given.then_some(&*place))
    };
    changed.map_err(|error| match error {
        Error::Invalid(why) => failed(&why),
        Error::Unsupported(Unsupported::Encrypted) => failed(&"Key must be loaded."),
        Error::Missing(_) => missing(name),
        error => failed(&error),
    })?;
    finish(writer)
}

/// How the key of an encryption root is given; nothing for what is none.
struct Root {
    format: Option<KeyFormat>,
    location: Option<String>,
}

fn root(dsl: &DslPool<'_>, name: &str) -> Result<Root, CommandError> {
    let cannot = |error: Error| cannot_open(name, error);
    let dir = dsl.dir(name).map_err(cannot)?.ok_or_else(|| missing(name))?;
    let root = dsl.encryption_root(&dir).map_err(cannot)?;
    let root = root.ok_or_else(|| CommandError::failed("Key change error: Dataset not encrypted."))?;
    if root.number != dir.number {
        return Ok(Root {
            format: None,
            location: None,
        });
    }
    let encryption = dsl.encryption(&dir).map_err(cannot)?;
    let format = encryption.and_then(|encryption| encryption.key_format);
    let settings = dsl.dir_settings(&dir).map_err(cannot)?;
    let location = settings.get("keylocation");
    Ok(Root {
        format: format.and_then(KeyFormat::from_id),
        location: location
            .and_then(|setting| setting.value.text())
            .map(str::to_owned),
    })
}
