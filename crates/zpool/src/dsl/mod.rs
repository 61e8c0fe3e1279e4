//! The dataset and snapshot layer: directories, datasets, snapshots, clones, bookmarks, properties, holds.
//!
//! [`DslPool`] is the way in. A [`DslDir`] is what a name without `@` and `#` leads to: a place in the tree of a pool,
//! with its properties and its accounts. Its head is a [`Dataset`], and each of the snapshots is one. A [`Bookmark`]
//! remembers a snapshot without its blocks.

mod bookmark;
mod dataset;
mod dir;
mod encryption;
mod entity;
mod holds;
mod keystore;
mod limits;
mod names;
mod phys;
mod pool;
mod pool_stats;
pub mod property;
mod redaction;
mod resume;
mod space;
mod stats;
mod user_space;
mod written;

pub use bookmark::{Bookmark, BookmarkFlags};
pub use dataset::{Dataset, DatasetFlags, DatasetPhys};
pub use dir::{DirFlags, DirPhys, DslDir, UsedBreakdown};
pub use encryption::Encryption;
pub use entity::{Entity, EntityKind};
pub use holds::Hold;
pub use keystore::LoadKeyError;
pub(crate) use keystore::wrapped as wrapped_key;
pub use names::{EntityName, NameError, Part, check_entity_name, check_pool_name};
pub use pool::DslPool;
pub use pool_stats::FeatureState;
pub use redaction::{Redacted, RedactedBlocks, RedactionList};
pub use resume::ResumeState;
pub use user_space::{UserSpace, UserSpaceKind};
pub use written::{Since, Sizes};
