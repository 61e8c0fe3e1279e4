//! `zferry pool create`: a new pool in files or on devices.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use zferry_zpool::spa::Feature;
use zferry_zpool::vdev::{FileDisk, LabelState, WritableDisk, WritableFile, read_labels};
use zferry_zpool::{CreateOptions, PoolLayout, PoolWriter, TopLayout};

use super::sentence;
use crate::commands::assignment::{Assignment, stored_value};
use crate::error::CommandError;
use crate::writing::{absolute, cannot_open, environment, finish};

/// Make a pool in files or on devices
///
/// Files that are missing or empty are made, sparse and so large that they hardly fill; what has a size keeps it. Several
/// are striped. The word `mirror` begins a group of files that all hold the same.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The size of a file that is made, in bytes or with a unit: 64M, 10G, 1T
    #[arg(long, value_name = "SIZE", default_value = "1T")]
    size: String,
    /// A property of the pool: ashift=9…16, feature@NAME=enabled or disabled, comment=TEXT
    #[arg(short = 'o', value_name = "PROPERTY=VALUE")]
    pool_properties: Vec<Assignment>,
    /// A property of the pool's root file system
    #[arg(short = 'O', value_name = "PROPERTY=VALUE")]
    properties: Vec<Assignment>,
    /// Take files and devices although they hold a pool
    #[arg(short = 'f')]
    force: bool,
    /// The pool's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The files and devices that it lies in
    #[arg(value_name = "[mirror] FILE", required = true)]
    vdevs: Vec<String>,
}

/// Makes a pool.
pub(super) fn run(args: &Args) -> Result<(), CommandError> {
    let name = &args.name;
    let cannot =
        |why: &dyn std::fmt::Display| CommandError::failed(format_args!("cannot create '{name}': {why}"));
    if let Err(why) = zferry_zpool::dsl::check_pool_name(name) {
        return Err(cannot(&sentence(why)));
    }
    let options = options(args)?;
    let size = crate::commands::assignment::parse_size(&args.size)
        .ok_or_else(|| CommandError::usage(format_args!("bad numeric value '{}'", args.size)))?;
    let groups = groups(&args.vdevs)?;
    for path in groups.iter().flatten() {
        check_unused(path, args.force)?;
    }
    let mut tops = Vec::new();
    for group in &groups {
        let mut disks: Vec<Arc<dyn WritableDisk>> = Vec::new();
        for path in group {
            let disk = WritableFile::create(path, size).map_err(|error| cannot_open(path, &error))?;
            disks.push(Arc::new(disk));
        }
        tops.push(TopLayout { disks });
    }
    let writer = PoolWriter::create(&PoolLayout { tops }, &options, environment()?);
    finish(writer.map_err(|error| cannot(&error))?)
}

fn options(args: &Args) -> Result<CreateOptions, CommandError> {
    let mut options = CreateOptions::new(&args.name);
    for Assignment { name, value } in &args.pool_properties {
        let bad = || CommandError::failed(format_args!("bad value '{value}' for pool property '{name}'"));
        if let Some(feature) = name.strip_prefix("feature@") {
            let feature = Feature::by_name(feature)
                .ok_or_else(|| CommandError::failed(format_args!("feature '{feature}' is not known")))?;
            match value.as_str() {
                "enabled" => drop(options.features.insert(feature)),
                "disabled" => drop(options.features.remove(&feature)),
                _ => return Err(bad()),
            }
        } else if name == "ashift" {
            options.ashift = Some(value.parse().map_err(|_| bad())?);
        } else if name == "comment" || name == "compatibility" {
            let text = zferry_zpool::zap::ZapValue::text(value);
            options.pool_properties.push((name.clone(), text));
        } else {
            return Err(CommandError::failed(format_args!(
                "property '{name}' is not a valid pool property"
            )));
        }
    }
    for assignment in &args.properties {
        let stored = stored_value(assignment, zferry_zpool::dsl::property::DatasetTypes::FILESYSTEM)?;
        options.properties.push(stored);
    }
    Ok(options)
}

/// The groups of files that hold the same: one each, and those behind `mirror`.
fn groups(words: &[String]) -> Result<Vec<Vec<PathBuf>>, CommandError> {
    let mut groups: Vec<Vec<PathBuf>> = Vec::new();
    let mut in_mirror = false;
    for word in words {
        if word == "mirror" {
            in_mirror = true;
            groups.push(Vec::new());
            continue;
        }
        if matches!(
            word.as_str(),
            "raidz"
                | "raidz1"
                | "raidz2"
                | "raidz3"
                | "draid"
                | "log"
                | "cache"
                | "spare"
                | "special"
                | "dedup"
        ) {
            return Err(CommandError::failed(format_args!(
                "invalid vdev specification: '{word}' is not supported"
            )));
        }
        let path = absolute(Path::new(word)).unwrap_or_else(|_| PathBuf::from(word));
        match groups.last_mut() {
            Some(group) if in_mirror => group.push(path),
            _ => groups.push(vec![path]),
        }
    }
    if groups.iter().any(Vec::is_empty) || (in_mirror && groups.iter().any(|group| group.len() < 2)) {
        return Err(CommandError::failed(
            "invalid vdev specification: mirror requires at least 2 devices",
        ));
    }
    Ok(groups)
}

/// Refuses a file or device that holds a pool already.
fn check_unused(path: &Path, force: bool) -> Result<(), CommandError> {
    if force {
        return Ok(());
    }
    let Ok(disk) = FileDisk::open(path) else {
        return Ok(());
    };
    let Ok(label) = read_labels(&disk) else {
        return Ok(());
    };
    let state = match label.state() {
        LabelState::ACTIVE => "is part of active pool",
        LabelState::EXPORTED => "is part of exported pool",
        LabelState::DESTROYED => return Ok(()),
        _ => "is part of potentially active pool",
    };
    let (path, pool) = (path.display(), label.pool_name().unwrap_or_default().to_owned());
    Err(CommandError::failed("invalid vdev specification")
        .hint("use '-f' to override the following errors:")
        .hint(format_args!("{path} {state} '{pool}'")))
}
