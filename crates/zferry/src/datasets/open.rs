//! From a name on the command line to what it leads to, with zfs(8)'s sentences where it leads nowhere.

use super::Handle;
use std::path::Path;
use zferry_zpool::dsl::property::DatasetTypes;
use zferry_zpool::dsl::{DslPool, EntityName, check_entity_name};

/// Opens what `name` leads to, which has to be one of `types`.
///
/// # Errors
/// The sentence to be printed.
pub(crate) fn open<'a>(
    dsls: &'a [DslPool<'a>],
    name: &str,
    types: DatasetTypes,
) -> Result<Handle<'a>, String> {
    let cannot = |why: &dyn std::fmt::Display| format!("cannot open '{name}': {why}");
    if name.starts_with('/') || name.starts_with("./") {
        // A path stands for the file system that is mounted there, and here none is.
        return Err(match Path::new(name).try_exists() {
            Ok(true) => format!("'{name}': not a ZFS filesystem"),
            _ => cannot(&"No such file or directory"),
        });
    }
    check_delimiters(name, types).map_err(|why| cannot(&why))?;
    check_entity_name(name).map_err(|why| cannot(&why))?;
    let pool = EntityName::new(name).pool();
    let dsl = dsls
        .iter()
        .find(|dsl| dsl.pool().name().is_ok_and(|name| name == pool));
    let found = dsl.map(|dsl| Ok((dsl, dsl.entity(name)?))).transpose();
    let found: Option<(_, Option<_>)> = found.map_err(|error: zferry_zpool::Error| cannot(&error))?;
    let Some((dsl, Some(entity))) = found else {
        // Where only the bookmark is missing, zfs(8) has another sentence.
        let lacks_bookmark = name.contains('#') && dsl.is_some_and(|dsl| has_dataset_of(dsl, name));
        let why = if lacks_bookmark {
            "no such pool or dataset"
        } else {
            "dataset does not exist"
        };
        return Err(cannot(&why));
    };
    if !types.intersects(entity.types()) {
        return Err(cannot(&"operation not applicable to datasets of this type"));
    }
    Ok(Handle::new(dsl, entity))
}

/// Whether what `name` is a bookmark of is there.
fn has_dataset_of(dsl: &DslPool<'_>, name: &str) -> bool {
    dsl.dir(EntityName::new(name).dataset)
        .is_ok_and(|dir| dir.is_some())
}

/// Whether the name has the delimiters that names of `types` have.
fn check_delimiters(name: &str, types: DatasetTypes) -> Result<(), &'static str> {
    let (snapshot, bookmark) = (DatasetTypes::SNAPSHOT, DatasetTypes::BOOKMARK);
    if !types.contains(snapshot) && name.contains('@') {
        return Err("snapshot delimiter '@' is not expected here");
    }
    if types == snapshot && !name.contains('@') {
        return Err("missing '@' delimiter in snapshot name");
    }
    if !types.contains(bookmark) && name.contains('#') {
        return Err("bookmark delimiter '#' is not expected here");
    }
    if types == bookmark && !name.contains('#') {
        return Err("missing '#' delimiter in bookmark name");
    }
    Ok(())
}
