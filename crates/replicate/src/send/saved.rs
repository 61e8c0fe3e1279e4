//! Sending on what an interrupted receive brought (`zfs send --saved`).
//!
//! The stream is told to be of the snapshot that was being received, but its records are of the partial dataset, and it
//! has no END: a receiver keeps it as it would keep a stream that was cut there.

use super::resume::{Wanted, find_guid};
use super::{ResolveError, Resolved, ResumeError, SendOptions};
use zferry_zpool::dmu::Visit;
use zferry_zpool::dsl::{DslPool, ResumeState};

/// What a partial dataset is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The guid of the snapshot that was being received.
    pub to_guid: u64,
    /// The last object of which something was received. Those behind it are as the receiver has them: a block of dnodes
    /// that changed in part is visited whole, but with what is told of them a receive would come past what is missing.
    pub last_object: u64,
}

impl Saved {
    /// Whether something behind what was received is visited.
    pub(super) const fn is_behind(&self, visit: &Visit<'_>) -> bool {
        match visit {
            Visit::Object { object, .. }
            | Visit::Block { object, .. }
            | Visit::Spill { object, .. }
            | Visit::Hole { object, .. } => object.number.0 > self.last_object,
            Visit::DnodeBlock { .. } | Visit::FreeSlot(_) | Visit::Lost { .. } => false,
        }
    }
}

impl Resolved {
    /// Finds the partial state of the file system or volume `name`, and what its stream was made with.
    ///
    /// # Errors
    /// Where there is no such dataset, it has no partial state, or what it started from is gone.
    pub fn saved(dsl: &DslPool<'_>, name: &str) -> Result<(Self, ResumeState), ResumeError> {
        let missing = || ResolveError::Missing(name.to_owned());
        let head = dsl.dataset(name)?.ok_or_else(missing)?;
        let state = dsl.resume_state(&head)?.ok_or(ResumeError::NothingSaved)?;
        let partial = dsl.receiving(&head)?.ok_or(ResumeError::NothingSaved)?;
        let from = match state.from_guid {
            None => None,
            Some(guid) => {
                let wanted = Wanted {
                    guid,
                    bookmarks: true,
                    redacted_for: state.bookmark_redaction_snapshots.as_deref(),
                };
                let from = find_guid(dsl, name, wanted)?;
                Some(from.ok_or(ResumeError::SourceGone(guid))?)
            }
        };
        let mut resolved = Self::of(dsl, partial, from.as_deref())?;
        if let Some(from) = &mut resolved.source.from {
            // Whatever hides it, it is the same file system.
            from.is_origin = !from_is_of(name, resolved.from.as_ref().map(|from| from.name()));
        }
        // Nobody knows the hidden dataset by its own name.
        resolved.to.name = name.to_owned();
        resolved.source.saved = Some(Saved {
            to_guid: state.to_guid,
            last_object: state.object.unwrap_or(u64::MAX),
        });
        resolved.source.name = state.to_name.clone().ok_or(ResumeError::NothingSaved)?;
        Ok((resolved, state))
    }
}

fn from_is_of(name: &str, from: Option<&str>) -> bool {
    from.and_then(|from| from.split(['@', '#']).next()) == Some(name)
}

impl SendOptions {
    /// These options, and what the interrupted stream was sent with.
    #[must_use]
    pub const fn with_state(self, state: &ResumeState) -> Self {
        Self {
            large_blocks: self.large_blocks || state.large_blocks,
            embedded: self.embedded || state.embedded,
            compressed: self.compressed || state.compressed,
            raw: self.raw || state.raw,
        }
    }
}
