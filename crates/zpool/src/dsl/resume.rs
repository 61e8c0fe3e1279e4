//! How far an interrupted receive came: entries in the table of the dataset that was being received.

use super::{Dataset, DatasetFlags, DslPool};
use crate::Error;

/// The hidden dataset into which an incremental stream is received.
const RECEIVING: &str = "%recv";

/// How far an interrupted receive came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResumeState {
    /// The guid of the snapshot that the stream starts from.
    pub from_guid: Option<u64>,
    /// The object that was being received.
    pub object: Option<u64>,
    /// How far it was received, in bytes.
    pub offset: Option<u64>,
    /// How many bytes of the stream were received.
    pub bytes: Option<u64>,
    /// The guid of the snapshot in the stream.
    pub to_guid: u64,
    /// Its name at the sender.
    pub to_name: Option<String>,
    /// Whether the stream has blocks above 128 KiB.
    pub large_blocks: bool,
    /// Whether the stream has embedded blocks.
    pub embedded: bool,
    /// Whether the stream has compressed blocks.
    pub compressed: bool,
    /// Whether the stream is raw.
    pub raw: bool,
    /// The guids of the snapshots with respect to which the stream is redacted.
    pub redaction_snapshots: Option<Vec<u64>>,
    /// The guids of the snapshots in the redaction bookmark that it was sent with.
    pub bookmark_redaction_snapshots: Option<Vec<u64>>,
}

impl DslPool<'_> {
    /// How far a receive into a head came; `None` where none was interrupted.
    ///
    /// # Errors
    /// Where the dataset that was being received cannot be read.
    pub fn resume_state(&self, head: &Dataset) -> Result<Option<ResumeState>, Error> {
        if let Some(state) = self.own_resume_state(head)? {
            return Ok(Some(state));
        }
        match self.receiving(head)? {
            Some(receiving) => self.own_resume_state(&receiving),
            None => Ok(None),
        }
    }

    /// The dataset that holds what an interrupted receive into a head brought: a hidden clone of it, or the head itself
    /// where it was new. `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn receiving(&self, head: &Dataset) -> Result<Option<Dataset>, Error> {
        let hidden = match self.child(&head.dir, RECEIVING)? {
            Some(dir) => self.head(&dir)?,
            None => None,
        };
        if hidden.is_some() {
            return Ok(hidden);
        }
        let is_new = head.phys.flags.contains(DatasetFlags::INCONSISTENT);
        Ok(is_new.then(|| head.clone()))
    }

    fn own_resume_state(&self, dataset: &Dataset) -> Result<Option<ResumeState>, Error> {
        let entry = |key: &str| self.dataset_entry(dataset, key);
        let number = |key: &str| Ok::<_, Error>(entry(key)?.and_then(|value| value.as_u64()));
        // What makes it resumable, however little was received.
        let Some(to_guid) = number("com.delphix:resume_toguid")? else {
            return Ok(None);
        };
        Ok(Some(ResumeState {
            from_guid: number("com.delphix:resume_fromguid")?,
            object: number("com.delphix:resume_object")?,
            offset: number("com.delphix:resume_offset")?,
            bytes: number("com.delphix:resume_bytes")?,
            to_guid,
            to_name: entry("com.delphix:resume_toname")?.and_then(|value| value.as_str()),
            large_blocks: entry("com.delphix:resume_largeblockok")?.is_some(),
            embedded: entry("com.delphix:resume_embedok")?.is_some(),
            compressed: entry("com.delphix:resume_compressok")?.is_some(),
            raw: entry("com.datto:resume_rawok")?.is_some(),
            redaction_snapshots: self.redaction_snapshots(dataset)?,
            bookmark_redaction_snapshots: entry("com.delphix:resume_redact_book_snaps")?
                .and_then(|value| value.as_u64s()),
        }))
    }
}
