//! Snapshots are known again by their guids, wherever they are: of several, the one that is nearest to a name is meant.

use std::sync::Arc;

use zferry_zpool::Error;
use zferry_zpool::dsl::{DatasetPhys, DslDir, DslPool};

/// The name of the snapshot with this guid that is nearest to the dataset `near`, which need not be there: below it, or
/// else below the one above it, and so on.
pub(super) fn nearest(dsl: &DslPool<'_>, near: &str, guid: u64) -> Result<Option<String>, Error> {
    let mut searched = None;
    let mut name = near;
    loop {
        if let Some(dir) = dsl.dir(name)? {
            let number = dir.number;
            if let Some(found) = below(dsl, dir, searched, guid)? {
                return Ok(Some(found));
            }
            searched = Some(number);
        }
        match name.rsplit_once('/') {
            Some((above, _)) => name = above,
            None => return Ok(None),
        }
    }
}

/// The name of the snapshot with this guid in a directory or below it, but not in the directory `searched`.
fn below(
    dsl: &DslPool<'_>,
    dir: Arc<DslDir>,
    searched: Option<zferry_zpool::ObjectNumber>,
    guid: u64,
) -> Result<Option<String>, Error> {
    let mut waiting = vec![dir];
    while let Some(dir) = waiting.pop() {
        if let Some(head) = dsl.head(&dir)? {
            for (name, number) in dsl.snapshots(&head)? {
                if DatasetPhys::decode(&dsl.pool().meta_object(number)?)?.guid == guid {
                    return Ok(Some(format!("{}@{name}", dir.name)));
                }
            }
        }
        let mut children = dsl.children(&dir)?;
        children.sort();
        for (name, number) in children.into_iter().rev() {
            if name.starts_with(['$', '%']) || Some(number) == searched {
                continue;
            }
            waiting.extend(dsl.child(&dir, &name)?);
        }
    }
    Ok(None)
}
