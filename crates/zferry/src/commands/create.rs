//! `zferry create`: a new file system or volume.

use zferry_zpool::dsl::DslPool;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{Error, NewEncryption, PoolWriter, Unsupported};

use super::assignment::{Assignment, parse_size, stored_value};
use super::encryption::Encryption;
use crate::error::CommandError;
use crate::keys::KeyOptions;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// The size of a volume's blocks where nothing else is asked for, in bytes.
const VOLUME_BLOCK: u32 = 16 << 10;

/// Make a file system, or with -V a volume
#[derive(Debug, clap::Args)]
#[command(disable_version_flag = true)]
pub(crate) struct Args {
    /// Make what is missing above it, too
    #[arg(short = 'p')]
    parents: bool,
    /// A volume of this size
    #[arg(short = 'V', value_name = "SIZE")]
    volume: Option<String>,
    /// A sparse volume, which reserves nothing
    #[arg(short = 's', requires = "volume")]
    sparse: bool,
    /// The size of a volume's blocks
    #[arg(short = 'b', value_name = "SIZE", requires = "volume")]
    block: Option<String>,
    /// A property
    #[arg(short = 'o', value_name = "PROPERTY=VALUE")]
    properties: Vec<Assignment>,
    #[command(flatten)]
    key: KeyOptions,
    /// Do not mount it: nothing here ever does
    #[arg(short = 'u')]
    unmounted: bool,
    /// The name
    #[arg(value_name = "NAME")]
    name: String,
}

/// Makes a file system or volume.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let name = &args.name;
    let kind = match args.volume {
        Some(_) => DatasetTypes::VOLUME,
        None => DatasetTypes::FILESYSTEM,
    };
    let mut properties = Vec::new();
    let mut block = args.block.clone();
    let mut encryption = Encryption::default();
    for assignment in &args.properties {
        let cannot = |why| CommandError::failed(format_args!("cannot create '{name}': {why}"));
        if encryption.take(assignment).map_err(cannot)? {
            continue;
        }
        if assignment.name == "volblocksize" {
            block = Some(assignment.value.clone());
            continue;
        }
        let stored = stored_value(assignment, kind);
        properties.push(stored.map_err(|error| {
            CommandError::failed(format_args!("cannot create '{name}': {}", error.message))
        })?);
    }
    let mut writer = open_pool_of(paths, name)?;
    if args.parents {
        if writer.find(name).is_ok() {
            return Ok(());
        }
        let parent = name.rsplit_once('/').map_or(&**name, |(parent, _)| parent);
        args.key.unlock(&mut writer, parent)?;
        make_parents(&mut writer, name)?;
    }
    let encryption = encryption.of_new(Some(&DslPool::new(writer.pool())), name, !args.key.is_prompt());
    let encryption =
        encryption.map_err(|why| CommandError::failed(format_args!("cannot create '{name}': {why}")))?;
    if matches!(
        encryption,
        NewEncryption::Inherited | NewEncryption::InheritedKey(_)
    ) {
        args.key.unlock(&mut writer, name)?;
    }
    let properties: Vec<(&str, ZapValue)> = properties
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let made = match &args.volume {
        None => writer.create_encrypted_file_system(name, &properties, encryption),
        Some(size) => {
            let (size, block) = volume_measures(size, block.as_deref())?;
            writer.create_volume(name, size, block, &properties, encryption)
        }
    };
    made.map_err(|error| cannot_create(name, &error))?;
    finish(writer)
}

/// Makes the file systems above `name` that are missing.
pub(super) fn make_parents(writer: &mut PoolWriter, name: &str) -> Result<(), CommandError> {
    let slashes = name.match_indices('/').map(|(at, _)| at).skip(1);
    for at in slashes {
        let parent = name.get(..at).unwrap_or_default();
        if writer.find(parent).is_err() {
            let made = writer.create_file_system(parent, &[]);
            made.map_err(|error| cannot_create(parent, &error))?;
        }
    }
    Ok(())
}

fn volume_measures(size: &str, block: Option<&str>) -> Result<(u64, u32), CommandError> {
    let bad = |text: &str| CommandError::failed(format_args!("bad volume size '{text}'"));
    let bytes = parse_size(size)
        .filter(|size| *size > 0)
        .ok_or_else(|| bad(size))?;
    let block_bytes = match block {
        None => VOLUME_BLOCK,
        Some(text) => {
            let block = parse_size(text).and_then(|block| u32::try_from(block).ok());
            let block = block.filter(|block| block.is_power_of_two() && (512..=128 << 10).contains(block));
            block.ok_or_else(|| CommandError::failed(format_args!("bad volume block size '{text}'")))?
        }
    };
    // The size is a whole number of blocks.
    Ok((bytes.next_multiple_of(u64::from(block_bytes)), block_bytes))
}

/// What zfs says where a dataset cannot be made.
pub(super) fn cannot_create(name: &str, error: &Error) -> CommandError {
    let why = match error {
        Error::Exists(_) => "dataset already exists".to_owned(),
        Error::Missing(_) => "parent does not exist".to_owned(),
        Error::NoSpace { .. } => "out of space".to_owned(),
        Error::Unsupported(Unsupported::Encrypted) => {
            "encryption root's key is not loaded or provided".to_owned()
        }
        Error::Invalid(why) => why.clone(),
        other => other.to_string(),
    };
    CommandError::failed(format_args!("cannot create '{name}': {why}"))
}
