//! `zferry bookmark`: what remains of a snapshot, or another bookmark, so that increments can begin at it.

use zferry_zpool::Error;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{DslPool, EntityName};

use crate::datasets::open;
use crate::error::CommandError;
use crate::pools::Paths;
use crate::writing::{finish, open_pool_of};

/// Make a bookmark of a snapshot or bookmark
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The snapshot or bookmark
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The new bookmark; one of both can leave the dataset out
    #[arg(value_name = "BOOKMARK")]
    bookmark: String,
}

/// Makes a bookmark.
pub(super) fn run(paths: &Paths, args: &Args) -> Result<(), CommandError> {
    let (source, bookmark) = full_names(args)?;
    let (dataset, short) = bookmark.split_once('#').unwrap_or_default();
    let cannot = |why: &str| CommandError::failed(format_args!("cannot create bookmark '{bookmark}': {why}"));
    let mut writer = open_pool_of(paths, &source)?;
    let mut snapshot = None;
    {
        let dsls = [DslPool::new(writer.pool())];
        let [dsl] = &dsls;
        let types = if source.contains('@') {
            DatasetTypes::SNAPSHOT
        } else {
            DatasetTypes::BOOKMARK
        };
        let handle = open(&dsls, &source, types).map_err(CommandError::failed)?;
        if EntityName::new(&source).pool() != EntityName::new(&bookmark).pool() {
            return Err(cannot("bookmark is in a different pool"));
        }
        if zferry_zpool::dsl::check_entity_name(&bookmark).is_err() {
            return Err(cannot("invalid argument"));
        }
        let head = dsl.dataset(dataset).map_err(|error| cannot(&error.to_string()))?;
        let head = head.ok_or_else(|| cannot("dataset does not exist"))?;
        let found = dsl.dataset(&source).map_err(|error| cannot(&error.to_string()))?;
        let is_ancestor = match &found {
            Some(found) => dsl
                .is_before(&head, found)
                .map_err(|error| cannot(&error.to_string()))?,
            None => handle.name().split('#').next() == Some(dataset),
        };
        if !is_ancestor {
            return Err(cannot("source is not an ancestor of the new bookmark's dataset"));
        }
        if let Some(found) = found {
            snapshot = Some(found.number);
        }
    }
    let head = writer.find(dataset).map_err(|error| cannot(&error.to_string()))?;
    let made = match (snapshot, source.split_once('#')) {
        (Some(number), _) => writer.bookmark(head, number, short),
        (None, Some((_, from))) => writer.copy_bookmark(head, from, short),
        (None, None) => Err(Error::Missing(source.clone())),
    };
    made.map_err(|error| match error {
        Error::Exists(_) => cannot("bookmark exists"),
        Error::FeatureDisabled(_) => cannot("bookmark feature not enabled"),
        Error::NoSpace { .. } => cannot("out of space"),
        Error::Missing(_) => cannot("dataset does not exist"),
        other => cannot(&other.to_string()),
    })?;
    finish(writer)
}

/// Both names with their datasets.
fn full_names(args: &Args) -> Result<(String, String), CommandError> {
    let Args { source, bookmark } = args;
    let Some(at) = source.find(['@', '#']) else {
        return Err(CommandError::usage(format_args!(
            "invalid source name '{source}': must contain a '@' or '#'"
        )));
    };
    let Some(hash) = bookmark.find('#') else {
        return Err(CommandError::usage(format_args!(
            "invalid bookmark name '{bookmark}': must contain a '#'"
        )));
    };
    match (at, hash) {
        (0, 0) => Err(CommandError::usage(
            "either source or bookmark must be specified as full dataset paths",
        )),
        (0, _) => {
            let dataset = bookmark.get(..hash).unwrap_or_default();
            Ok((format!("{dataset}{source}"), bookmark.clone()))
        }
        (_, 0) => {
            let dataset = source.get(..at).unwrap_or_default();
            Ok((source.clone(), format!("{dataset}{bookmark}")))
        }
        _ => Ok((source.clone(), bookmark.clone())),
    }
}
