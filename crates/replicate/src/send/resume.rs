//! Going on with a send that was interrupted, from what the receiver's token says.
//!
//! The snapshots are found by their guids, wherever in the neighbourhood of their old names they are now, so renames do
//! no harm. What the stream holds before the point where it goes on is passed over without being read.

use super::{ResolveError, Resolved, SendError, SendOptions, Source};
use std::sync::Arc;
use zferry_zpool::dmu::{ObjectSet, ResumeAt};
use zferry_zpool::dsl::{DslDir, DslPool, EntityName};
use zferry_zpool::{BlockId, Error, ObjectNumber, Pool};
use zferry_zstream::token::ResumeToken;

/// Where an interrupted send goes on. The record that arrived last is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResumePoint {
    /// The object.
    pub object: u64,
    /// The first byte of it that is sent.
    pub offset: u64,
    /// How much of the stream has arrived already, in bytes; for the estimate of what is left.
    pub bytes: u64,
}

impl Source {
    /// The block that a resumed send goes on with.
    pub(super) fn resume_at(&self, pool: &Pool, set: &ObjectSet) -> Result<Option<ResumeAt>, SendError> {
        let Some(resume) = self.resume else {
            return Ok(None);
        };
        let number = ObjectNumber(resume.object);
        let object = set
            .object(pool.reader(), number)
            .map_err(|source| SendError::Pool {
                dataset: self.name.clone(),
                source,
            })?;
        let block = resume.offset.checked_div(object.dnode.data_bytes());
        Ok(Some(ResumeAt {
            object: number,
            block: BlockId(block.unwrap_or(0)),
        }))
    }
}

/// Why a send cannot go on. What OpenZFS says where it has a word for it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError {
    /// The dataset is still there, but another snapshot has this name.
    #[error("'{0}' is no longer the same snapshot used in the initial send")]
    Another(String),
    /// The snapshot is gone.
    #[error("'{0}' used in the initial send no longer exists")]
    Gone(String),
    /// What it was sent from is gone.
    #[error("incremental source {0:#x} no longer exists")]
    SourceGone(u64),
    /// Source and snapshot no longer belong together, or cannot be read.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

impl From<Error> for ResumeError {
    fn from(error: Error) -> Self {
        Self::Resolve(error.into())
    }
}

impl Resolved {
    /// Finds what `token` goes on with.
    ///
    /// # Errors
    /// [`ResumeError`]
    pub fn resume(dsl: &DslPool<'_>, token: &ResumeToken) -> Result<Self, ResumeError> {
        let name = &token.to_name;
        let to = match find_guid(dsl, name, token.to_guid, false)? {
            Some(to) => to,
            None if dsl.dataset(name)?.is_some() => return Err(ResumeError::Another(name.clone())),
            None => return Err(ResumeError::Gone(name.clone())),
        };
        let from = match token.from_guid {
            None => None,
            Some(guid) => {
                let from = find_guid(dsl, name, guid, true)?;
                Some(from.ok_or(ResumeError::SourceGone(guid))?)
            }
        };
        let mut resolved = Self::find(dsl, &to, from.as_deref())?;
        resolved.source.resume = (token.object != 0 || token.offset != 0).then_some(ResumePoint {
            object: token.object,
            offset: token.offset,
            bytes: token.bytes,
        });
        Ok(resolved)
    }
}

impl SendOptions {
    /// These options, and what the interrupted stream was sent with.
    #[must_use]
    pub const fn with_token(self, token: &ResumeToken) -> Self {
        Self {
            large_blocks: self.large_blocks || token.large_blocks,
            embedded: self.embedded || token.embedded,
            compressed: self.compressed || token.compressed,
        }
    }
}

/// The full name of the snapshot (or bookmark) with a guid: among those of the dataset that `near` names and of all
/// below it, then of its parent, and so on.
fn find_guid(dsl: &DslPool<'_>, near: &str, guid: u64, bookmarks: bool) -> Result<Option<String>, Error> {
    let mut name = EntityName::new(near).dataset;
    let mut searched = None;
    loop {
        if let Some(dir) = dsl.dir(name)? {
            let found = find_below(dsl, &dir, guid, searched)?;
            if found.is_some() {
                return Ok(found);
            }
            if bookmarks && let Some(head) = dsl.head(&dir)? {
                let mut all = dsl.bookmarks(&head)?.into_iter();
                if let Some(bookmark) = all.find(|bookmark| bookmark.guid == guid) {
                    return Ok(Some(bookmark.name));
                }
            }
            searched = Some(dir.number);
        }
        match name.rsplit_once('/') {
            Some((parent, _)) => name = parent,
            None => return Ok(None),
        }
    }
}

/// The full name of the snapshot with a guid, of the dataset in `dir` or of one below it, but not of what lies in
/// `searched`.
fn find_below(
    dsl: &DslPool<'_>,
    dir: &Arc<DslDir>,
    guid: u64,
    searched: Option<ObjectNumber>,
) -> Result<Option<String>, Error> {
    let mut left = vec![Arc::clone(dir)];
    while let Some(dir) = left.pop() {
        if let Some(head) = dsl.head(&dir)? {
            for (name, number) in dsl.snapshots(&head)? {
                let snapshot = dsl.snapshot_of(&head, &name, number)?;
                if snapshot.phys.guid == guid {
                    return Ok(Some(snapshot.name));
                }
            }
        }
        for (name, number) in dsl.children(&dir)? {
            if !name.starts_with(['$', '%']) && Some(number) != searched {
                left.push(dsl.dir_of(&dir, &name, number)?);
            }
        }
    }
    Ok(None)
}
