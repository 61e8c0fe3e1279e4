//! Going on with a send that was interrupted, from what the receiver's token says.
//!
//! The snapshots are found by their guids, wherever in the neighbourhood of their old names they are now, so renames do
//! no harm. What the stream holds before the point where it goes on is passed over without being read.

use super::{ResolveError, Resolved, SendError, SendOptions, Source};
use std::sync::Arc;
use zferry_zpool::dmu::{ObjectSet, ResumeAt};
use zferry_zpool::dsl::{Dataset, DslDir, DslPool, EntityName};
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
    /// No receive into the dataset was interrupted.
    #[error("there is no partially received state")]
    NothingSaved,
    /// The bookmark is gone that listed what was left out.
    #[error("no appropriate redaction bookmark exists")]
    NoRedaction,
    /// The snapshot of the token is none of the package's.
    #[error("'{0}' is not among the streams of this package")]
    NotInPackage(String),
    /// The package's stream of the snapshot starts from another one than the token's.
    #[error("the stream of '{0}' in this package has another source than the one that was interrupted")]
    OtherSource(String),
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
        let to = Wanted {
            guid: token.to_guid,
            bookmarks: false,
            redacted_for: None,
        };
        let to = match find_guid(dsl, name, to)? {
            Some(to) => to,
            None if dsl.dataset(name)?.is_some() => return Err(ResumeError::Another(name.clone())),
            None => return Err(ResumeError::Gone(name.clone())),
        };
        let from = match token.from_guid {
            None => None,
            Some(guid) => {
                let from = Wanted {
                    guid,
                    bookmarks: true,
                    redacted_for: token.bookmark_redact_snapshots.as_deref(),
                };
                let from = find_guid(dsl, name, from)?;
                Some(from.ok_or(ResumeError::SourceGone(guid))?)
            }
        };
        let mut resolved = Self::find(dsl, &to, from.as_deref())?;
        resolved.go_on(dsl, token)?;
        Ok(resolved)
    }

    /// Goes on where `token` says.
    ///
    /// # Errors
    /// [`ResumeError`], where that is of other snapshots, too.
    pub fn go_on(&mut self, dsl: &DslPool<'_>, token: &ResumeToken) -> Result<(), ResumeError> {
        if self.source.guid != token.to_guid {
            return Err(ResumeError::NotInPackage(token.to_name.clone()));
        }
        if self.source.from.as_ref().map(|from| from.guid) != token.from_guid {
            return Err(ResumeError::OtherSource(self.source.name.clone()));
        }
        if let Some(snapshots) = &token.redact_snapshots {
            self.redact_for(dsl, snapshots)?;
        }
        self.source.resume = (token.object != 0 || token.offset != 0).then_some(ResumePoint {
            object: token.object,
            offset: token.offset,
            bytes: token.bytes,
        });
        Ok(())
    }

    /// Leaves out what a redaction bookmark for these snapshots lists.
    fn redact_for(&mut self, dsl: &DslPool<'_>, snapshots: &[u64]) -> Result<(), ResumeError> {
        let head = dsl.head(&self.to.dir)?.ok_or(ResumeError::NoRedaction)?;
        for bookmark in dsl.bookmarks(&head)? {
            if let Some(list) = dsl.redaction_list(&bookmark)?
                && same_guids(snapshots, &list.snapshots)
            {
                if !list.is_complete {
                    return Err(ResolveError::IncompleteRedaction.into());
                }
                self.source.redact = Some(list);
                return Ok(());
            }
        }
        Err(ResumeError::NoRedaction)
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
            raw: self.raw || token.raw,
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) guid: u64,
    /// Whether a bookmark will do where there is no snapshot.
    pub(super) bookmarks: bool,
    /// The guids of the snapshots that it must be redacted for.
    pub(super) redacted_for: Option<&'a [u64]>,
}

impl Wanted<'_> {
    fn is_redacted_so(&self, snapshots: Option<Vec<u64>>) -> bool {
        self.redacted_for
            .is_none_or(|wanted| snapshots.is_some_and(|snapshots| same_guids(&snapshots, wanted)))
    }
}

fn same_guids(left: &[u64], right: &[u64]) -> bool {
    left.len() == right.len() && left.iter().all(|guid| right.contains(guid))
}

/// The full name of what is wanted: among the snapshots and bookmarks of the dataset that `near` names and of all below
/// it, then of its parent, and so on.
pub(super) fn find_guid(dsl: &DslPool<'_>, near: &str, wanted: Wanted<'_>) -> Result<Option<String>, Error> {
    let mut name = EntityName::new(near).dataset;
    let mut searched = None;
    loop {
        if let Some(dir) = dsl.dir(name)? {
            let found = find_below(dsl, &dir, wanted, searched)?;
            if found.is_some() {
                return Ok(found);
            }
            searched = Some(dir.number);
        }
        match name.rsplit_once('/') {
            Some((parent, _)) => name = parent,
            None => return Ok(None),
        }
    }
}

/// The full name of what is wanted of the dataset in `dir` or of one below it, but not of what lies in `searched`.
fn find_below(
    dsl: &DslPool<'_>,
    dir: &Arc<DslDir>,
    wanted: Wanted<'_>,
    searched: Option<ObjectNumber>,
) -> Result<Option<String>, Error> {
    let mut left = vec![Arc::clone(dir)];
    let mut bookmark = None;
    while let Some(dir) = left.pop() {
        if let Some(head) = dsl.head(&dir)? {
            for (name, number) in dsl.snapshots(&head)? {
                let snapshot = dsl.snapshot_of(&head, &name, number)?;
                if snapshot.phys.guid == wanted.guid
                    && wanted.is_redacted_so(dsl.redaction_snapshots(&snapshot)?)
                {
                    return Ok(Some(snapshot.name));
                }
            }
            if wanted.bookmarks && bookmark.is_none() {
                bookmark = find_bookmark(dsl, &head, wanted)?;
            }
        }
        for (name, number) in dsl.children(&dir)? {
            if !name.starts_with(['$', '%']) && Some(number) != searched {
                left.push(dsl.dir_of(&dir, &name, number)?);
            }
        }
    }
    Ok(bookmark)
}

fn find_bookmark(dsl: &DslPool<'_>, head: &Dataset, wanted: Wanted<'_>) -> Result<Option<String>, Error> {
    for bookmark in dsl.bookmarks(head)? {
        if bookmark.guid == wanted.guid && wanted.is_redacted_so(dsl.bookmark_redaction_snapshots(&bookmark)?)
        {
            return Ok(Some(bookmark.name));
        }
    }
    Ok(None)
}
