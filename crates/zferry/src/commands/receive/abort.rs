//! `zferry receive -A`: away with what an interrupted receive has saved.

use zferry_replicate::receive::HIDDEN;
use zferry_zpool::dsl::{DatasetFlags, DslPool};

use crate::commands::destroy::cannot_destroy;
use crate::datasets::resume_token;
use crate::error::CommandError;
use crate::pools::{Paths, cannot_open, missing};
use crate::writing::{finish, open_pool_of};

pub(super) fn run(paths: &Paths, target: &str) -> Result<(), CommandError> {
    let cannot = |error| cannot_open(target, error);
    let mut writer = open_pool_of(paths, target)?;
    let dsl = DslPool::new(writer.pool());
    let head = dsl.dataset(target).map_err(cannot)?;
    let head = head
        .filter(|_| !target.contains('@'))
        .ok_or_else(|| missing(target))?;
    let is_whole = !head.phys.flags.contains(DatasetFlags::INCONSISTENT);
    let has_token = resume_token(&dsl, &head).map_err(cannot)?.is_some();
    let failed = |error| cannot_destroy(target, &error);
    let head = zferry_zpool::DatasetId(head.number);
    let partial = match writer.find_hidden(head, HIDDEN).map_err(failed)? {
        Some(hidden) => hidden,
        None if is_whole || !has_token => {
            return Err(CommandError::failed(format_args!(
                "'{target}' does not have any resumable receive state to abort"
            )));
        }
        None => head,
    };
    writer.destroy_head(partial).map_err(failed)?;
    finish(writer)
}
