//! Which datasets of a raw package are encryption roots: each arrives as one, and becomes again what it was at the sender,
//! as `recv_fix_encryption_hierarchy` in `lib/libzfs/libzfs_sendrecv.c` does it. That takes no key.

use super::PackageHeader;
use super::local::LocalTree;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{Error, PoolWriter, PropertySource};

/// The property that says where the key of an encryption root is.
const LOCATION: &str = "keylocation";

/// Makes encryption roots again of what were some, at and below `top`, and has all else inherit its key. Commits.
///
/// # Errors
/// Where the pool cannot be read or written; [`Error::Invalid`] where what lies above is not encrypted.
pub fn restore_encryption_roots(
    writer: &mut PoolWriter,
    header: &PackageHeader<'_>,
    top: &str,
) -> Result<(), Error> {
    let Some(tree) = LocalTree::gather(&DslPool::new(writer.pool()), top, "", false)? else {
        return Ok(());
    };
    let mut is_changed = false;
    for dataset in &tree.datasets {
        if !header.is_recursive && dataset.name != top {
            continue;
        }
        let name = &*dataset.name;
        let Some(is_root) = writer.is_encryption_root(name)? else {
            continue;
        };
        let mut snapshots = dataset.snapshots.iter();
        let Some((sent, _)) = snapshots.find_map(|(_, guid)| header.find(*guid)) else {
            continue;
        };
        if sent.is_encryption_root {
            if !is_root && dataset.origin == 0 {
                writer.force_own_key(name)?;
                is_changed = true;
            }
            if let Some(location) = sent.properties.and_then(|list| list.str(LOCATION)) {
                let location = ZapValue::text(location);
                writer.set_property(name, LOCATION, PropertySource::Local, &location)?;
                is_changed = true;
            }
        } else if is_root && name != top {
            writer.force_inherited_key(name)?;
            is_changed = true;
        }
    }
    if is_changed {
        writer.commit()?;
    }
    Ok(())
}
