//! A ZFS pool on disk, in four storeys.
//!
//! - [`vdev`]: files and devices, their labels and uberblocks;
//! - [`spa`]: block pointers, features, and reading one block: every copy, verified and decompressed;
//! - [`dmu`]: dnodes, block trees, object sets and their traversal, with [`zap`] beside it;
//! - [`dsl`]: directories, datasets, snapshots, clones, bookmarks, properties, holds.
//!
//! A storey uses only those before it. [`discover`] finds pools. [`Pool`] is the way in for readers, [`PoolWriter`] for
//! whoever changes a pool: it keeps what the open transaction group changes, over all storeys, and commits it.

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

mod candidate;
pub mod check;
mod discover;
pub mod dmu;
pub mod dsl;
mod environment;
mod error;
mod history;
mod pool;
mod salvage;
pub mod spa;
mod units;
pub mod vdev;
mod writer;
pub mod zap;

pub use candidate::{CandidateDevice, Condition, PoolCandidate, Survey};
pub use discover::{Discovery, discover, members, salvage};
pub use dmu::Policies as DatasetPolicies;
pub use environment::{Environment, Timestamp};
pub use error::{Attempt, Corrupt, Error, Place, Unreadable, Unsupported};
pub use history::HistoryRecords;
pub use pool::{OpenOptions, Pool};
pub use salvage::is_sound;
pub use units::{BlockId, ObjectNumber, Txg};
pub use writer::{
    BeginOptions, CreateOptions, Damage, DatasetId, HealError, HealPlace, Healed, Healer, Healing,
    NewEncryption, ObjectInfo, ObjectSetWriter, OwnProperties, PoolLayout, PoolWriter, PropertySource, Room,
    ScrubOptions, ScrubReport, Sent, Slot, TopLayout, UserKey, WrittenKey,
};
