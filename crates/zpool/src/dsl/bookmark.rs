//! The bookmark: what is remembered of a snapshot, so that a stream can start from it when it is gone.
//!
//! ```text
//! com.delphix:bookmarks   in the table of a head: the table name → bookmark
//!
//! word  field                         three numbers of 64 bits, or twelve
//!    0  zbm_guid
//!    1  zbm_creation_txg
//!    2  zbm_creation_time             seconds since 1970
//!    3  zbm_redaction_obj             the list of what is to be left out; 0: none
//!    4  zbm_flags                     1: the words below tell; 2: the snapshot is still there
//!    5  zbm_referenced_bytes_refd, zbm_compressed_bytes_refd, zbm_uncompressed_bytes_refd
//!    8  zbm_referenced_freed_before_next_snap, and compressed, and uncompressed
//!   11  zbm_ivset_guid
//! ```

use super::names::{EntityName, Part};
use super::phys::object_number;
use super::{Dataset, DslDir, DslPool, Sizes};
use crate::zap::{self, ZapValue};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use std::sync::Arc;

/// The entry of a head's table that leads to its bookmarks.
const BOOKMARKS: &str = "com.delphix:bookmarks";

bitflags::bitflags! {
    /// What a bookmark's flags say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct BookmarkFlags: u64 {
        /// The sizes are known, and what was freed before the next snapshot.
        const HAS_FREED_BEFORE_NEXT = 1 << 0;
        /// The snapshot is still there.
        const SNAPSHOT_EXISTS = 1 << 1;
        /// Unknown flags are kept.
        const _ = !0;
    }
}

/// A bookmark.
#[derive(Clone, Debug)]
pub struct Bookmark {
    /// Its full name: `pool/a/b#bookmark`.
    pub name: String,
    /// The directory of the dataset that it belongs to.
    pub dir: Arc<DslDir>,
    /// The guid of the snapshot.
    pub guid: u64,
    /// The transaction group in which the snapshot was taken.
    pub creation_txg: Txg,
    /// When the snapshot was taken: seconds since 1970.
    pub creation_time: u64,
    /// The list of what is to be left out of a stream from it.
    pub redaction: Option<ObjectNumber>,
    /// Flags.
    pub flags: BookmarkFlags,
    /// Space that could be reached through the snapshot, in bytes, where the flags say that it is known.
    pub referenced: u64,
    /// The same before allocation, in bytes.
    pub compressed: u64,
    /// The same before compression, in bytes.
    pub uncompressed: u64,
    /// What of those blocks was freed before the next snapshot was taken.
    pub freed_before_next: Sizes,
    /// The identity of the snapshot's set of initialization vectors; 0: none.
    pub ivset_guid: u64,
}

impl Bookmark {
    fn decode(name: String, dir: &Arc<DslDir>, value: &ZapValue) -> Result<Self, Corrupt> {
        let words = value
            .as_u64s()
            .filter(|words| words.len() == 3 || words.len() == 12);
        let words =
            words.ok_or_else(|| Corrupt::new(format!("bookmark '{name}' is not of 3 or 12 numbers")))?;
        let word = |index: usize| words.get(index).copied().unwrap_or(0);
        Ok(Self {
            name,
            dir: Arc::clone(dir),
            guid: word(0),
            creation_txg: Txg(word(1)),
            creation_time: word(2),
            redaction: object_number(word(3)),
            flags: BookmarkFlags::from_bits_retain(word(4)),
            referenced: word(5),
            compressed: word(6),
            uncompressed: word(7),
            freed_before_next: Sizes {
                used: word(8),
                compressed: word(9),
                uncompressed: word(10),
            },
            ivset_guid: word(11),
        })
    }
}

impl DslPool<'_> {
    /// A bookmark, by its full name `pool/a/b#bookmark`; `None` where there is none.
    ///
    /// # Errors
    /// Where something on the way cannot be read.
    pub fn bookmark(&self, name: &str) -> Result<Option<Bookmark>, Error> {
        let parts = EntityName::new(name);
        let Part::Bookmark(short) = parts.part else {
            return Ok(None);
        };
        let Some(dir) = self.dir(parts.dataset)? else {
            return Ok(None);
        };
        let Some(head) = self.head(&dir)? else {
            return Ok(None);
        };
        let Some(table) = self.bookmark_table(&head)? else {
            return Ok(None);
        };
        let value = zap::lookup(self.pool().reader(), &self.pool().meta_object(table)?, short)?;
        let bookmark = value.map(|value| Bookmark::decode(name.to_owned(), &dir, &value));
        Ok(bookmark.transpose()?)
    }

    /// The bookmarks of a head, the oldest first, and of the same age by name.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn bookmarks(&self, head: &Dataset) -> Result<Vec<Bookmark>, Error> {
        let Some(table) = self.bookmark_table(head)? else {
            return Ok(Vec::new());
        };
        let entries = zap::entries(self.pool().reader(), &self.pool().meta_object(table)?)?;
        let decode = |entry: &zap::ZapEntry| {
            let name = format!("{}#{}", head.dir.name, entry.name_lossy());
            Bookmark::decode(name, &head.dir, &entry.value)
        };
        let mut bookmarks = entries.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        bookmarks.sort_by_key(|bookmark| bookmark.creation_txg);
        Ok(bookmarks)
    }

    fn bookmark_table(&self, head: &Dataset) -> Result<Option<ObjectNumber>, Error> {
        let value = self.dataset_entry(head, BOOKMARKS)?;
        Ok(value.and_then(|value| value.as_u64()).and_then(object_number))
    }
}
