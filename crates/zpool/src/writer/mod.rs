//! A pool, opened for writing.
//!
//! All changes belong to the open transaction group. [`PoolWriter::commit`] makes them durable, all or none:
//!
//! 1. each dataset in change is written out: data, indirect blocks, dnodes, its object set (`commit`);
//! 2. what that means for space goes up the tree of directories, and dead blocks to the deadlists (`accounts`);
//! 3. the objects of the meta object set are written out, all but its last blocks;
//! 4. those last blocks are the ones that depend on where everything lies: space maps, the pool's own accounts, the
//!    blocks of dnodes that hold them, and the way up to the root. They get their space before their content is known,
//!    so that they can say so themselves (`tail`);
//! 5. a flush, the uberblock, and another flush.

mod accounts;
mod bookmarks;
mod clones;
mod commit;
mod config;
mod counts;
mod create;
mod datasets;
mod deadlists;
mod destroy;
mod destroyed;
mod encryption;
mod file_system;
mod heal;
mod history;
mod holds;
mod intent_logs;
mod keys;
mod lists;
mod livelists;
mod logs;
mod meta;
mod new_keys;
mod objects;
mod promote;
mod properties;
mod redaction;
mod rename;
mod room;
mod scrub;
mod tail;

pub use create::{CreateOptions, PoolLayout, TopLayout};
pub use datasets::BeginOptions;
pub use encryption::WrittenKey;
pub use heal::{HealError, HealPlace, Healed, Healer, Healing, Sent};
pub use new_keys::{NewEncryption, UserKey};

pub use objects::{ObjectInfo, ObjectSetWriter, Slot};
pub use properties::{OwnProperties, PropertySource};
pub use room::Room;
pub use scrub::{Damage, ScrubOptions, ScrubReport};

use self::keys::Keys;
use crate::dmu::{OpenSet, Policies, metadata_policy};
use crate::spa::{Allocator, BlockWriter, Feature};
use crate::vdev::{Disk, LabelState, WritableDisk, WriteTree};
use crate::{Environment, Error, ObjectNumber, OpenOptions, Pool, Txg};
use std::collections::BTreeMap;
use std::sync::Arc;
use zferry_nvlist::NvList;
use zferry_wire::u64_from_usize;

/// How much changed metadata may be held in memory before it is time to commit, in bytes.
const DIRTY_MAX: u64 = 64 << 20;

/// A dataset, by its object in the meta object set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DatasetId(pub ObjectNumber);

/// A pool, opened for writing. There is only one at a time, in all processes: its files are locked. Who reads the pool
/// meanwhile reads one state of it, whose space is not taken again before they are done.
#[derive(Debug)]
pub struct PoolWriter {
    io: BlockWriter,
    /// The meta object set.
    mos: OpenSet,
    /// The object sets of datasets in change.
    sets: BTreeMap<ObjectNumber, OpenSet>,
    /// The pool as last committed.
    pool: Pool,
    environment: Environment,
    config: NvList,
    state: LabelState,
    /// Whether labels and the configuration object must be written with the next commit.
    is_config_dirty: bool,
    /// Whether a commit failed, so that what is in memory means nothing.
    is_failed: bool,
    /// Whether it failed so late that it may have succeeded.
    is_uncertain: bool,
    known: Known,
    destroys: Destroys,
    keys: Keys,
}

/// How much of what was destroyed is freed at once.
#[derive(Clone, Copy, Debug)]
struct Destroys {
    /// A head with no more of its own than this is freed by the commit that destroys it, in bytes.
    bytes_at_once: u64,
    /// How many blocks a commit frees at most of what was destroyed before.
    blocks_at_once: u64,
}

const DESTROYS: Destroys = Destroys {
    bytes_at_once: 64 << 20,
    blocks_at_once: 1 << 17,
};

/// Objects of the meta object set that every change needs.
#[derive(Clone, Copy, Debug)]
struct Known {
    root_dir: ObjectNumber,
    mos_dir: ObjectNumber,
    free_dir: ObjectNumber,
    origin_dir: ObjectNumber,
    origin_snapshot: ObjectNumber,
    config: ObjectNumber,
    free_list: ObjectNumber,
    features_for_read: ObjectNumber,
    features_for_write: ObjectNumber,
}

impl PoolWriter {
    /// Opens the pool that lies on `disks` for writing.
    ///
    /// What an interrupted receive left behind is removed, as OpenZFS does at import. The labels say that the pool is
    /// exported, now and afterwards: what keeps others away meanwhile are the locks on its files.
    ///
    /// # Errors
    /// [`Error::ReadOnly`] where the pool was not exported, or uses what cannot be written yet, naming it; and as
    /// [`Pool::open`].
    pub fn open(
        disks: Vec<Arc<dyn WritableDisk>>,
        options: &OpenOptions,
        environment: Environment,
    ) -> Result<Self, Error> {
        Self::open_as(disks, options, environment, false)
    }

    /// The same for a pool that was not exported, or was destroyed: whoever says so knows that nobody uses it.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_forced(
        disks: Vec<Arc<dyn WritableDisk>>,
        options: &OpenOptions,
        environment: Environment,
    ) -> Result<Self, Error> {
        Self::open_as(disks, options, environment, true)
    }

    fn open_as(
        disks: Vec<Arc<dyn WritableDisk>>,
        options: &OpenOptions,
        environment: Environment,
        is_forced: bool,
    ) -> Result<Self, Error> {
        let pool = config::open_for_reading(&disks, options)?;
        config::check_writable(&pool, is_forced)?;
        let vdevs = config::write_tree(pool.config(), &disks)?;
        let state = pool.label().state();
        let mut writer = Self::over(pool, vdevs, environment)?;
        writer.state = LabelState::EXPORTED;
        writer.is_config_dirty = state != LabelState::EXPORTED;
        if state == LabelState::ACTIVE {
            writer.refuse_logs_ahead()?;
        }
        let spaces = config::top_spaces(&writer.config)?;
        let is_taken_over = writer.take_over_space(&spaces)?;
        writer.free_what_was_deferred()?;
        if is_taken_over {
            writer.commit()?;
        }
        writer.remove_leftovers()?;
        Ok(writer)
    }

    /// A writer over a pool that was opened for reading.
    fn over(pool: Pool, vdevs: WriteTree, environment: Environment) -> Result<Self, Error> {
        let spaces = config::top_spaces(pool.config())?;
        let mut allocator = Allocator::new(&spaces, config::room(&spaces));
        allocator.keep_for_readers(vdevs.oldest_held(), pool.uberblock().txg);
        config::find_space_maps(&pool, &spaces, &mut allocator)?;
        let reader = pool.shared_reader();
        allocator.read_headers(&reader, pool.meta())?;
        let txg = Txg(pool.uberblock().txg.0.saturating_add(1));
        let io = BlockWriter::new(reader, vdevs, allocator, txg);
        let policies = meta_policies(&io, pool.is_feature_active(Feature::EmbeddedData.guid())?);
        let mos = OpenSet::open(&io, pool.uberblock().root, policies, Txg(0))?;
        let known = Known::read(&pool)?;
        let state = pool.label().state();
        Ok(Self {
            io,
            mos,
            sets: BTreeMap::new(),
            config: pool.config().clone(),
            pool,
            environment,
            state,
            is_config_dirty: false,
            is_failed: false,
            is_uncertain: false,
            known,
            destroys: DESTROYS,
            keys: Keys::default(),
        })
    }

    /// The pool as last committed: names and properties are read here.
    #[must_use]
    pub const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The open transaction group.
    #[must_use]
    pub const fn open_txg(&self) -> Txg {
        self.io.txg
    }

    /// How much changed metadata is held in memory, in bytes; an estimate.
    #[must_use]
    pub fn dirty_bytes(&self) -> u64 {
        let sets = self.sets.values().map(OpenSet::weight);
        u64_from_usize(sets.fold(self.mos.weight(), usize::saturating_add))
    }

    /// Whether so much changed metadata is in memory that it is time to commit.
    #[must_use]
    pub fn is_full_of_changes(&self) -> bool {
        self.dirty_bytes() > DIRTY_MAX
    }

    /// Frees heads with more than `bytes` of their own by commits after the one that destroys them, each about `blocks`
    /// blocks of what is left. They are 64 MiB and 2^17 blocks otherwise.
    pub const fn set_freed_at_once(&mut self, bytes: u64, blocks: u64) {
        self.destroys = Destroys {
            bytes_at_once: bytes,
            blocks_at_once: blocks,
        };
    }

    /// How much datasets may still grow, in bytes.
    #[must_use]
    pub fn available(&self) -> u64 {
        let allocator = &self.io.allocator;
        allocator.limit.saturating_sub(allocator.allocated())
    }

    /// Forgets the open transaction group: the pool is as after the last commit.
    ///
    /// # Errors
    /// Where the pool's metadata cannot be read.
    pub fn discard(&mut self) -> Result<(), Error> {
        if self.is_uncertain {
            return Err(Error::ReadOnly("writing its uberblock has failed".to_owned()));
        }
        self.is_failed = false;
        self.io.allocator.discard();
        self.io
            .allocator
            .read_headers(&self.io.reader, self.pool.meta())?;
        self.sets.clear();
        let policies = self.mos.policies.clone();
        self.mos = OpenSet::open(&self.io, self.pool.uberblock().root, policies, Txg(0))?;
        self.config = self.pool.config().clone();
        Ok(())
    }

    /// Marks the pool as destroyed and closes it. Its data stay where they are.
    ///
    /// # Errors
    /// As [`Self::commit`].
    pub fn destroy(mut self) -> Result<(), Error> {
        self.state = LabelState::DESTROYED;
        self.is_config_dirty = true;
        self.commit().map(|_| ())
    }
}

/// How the meta object set's blocks are stored: three copies of everything.
fn meta_policies(io: &BlockWriter, embeds: bool) -> Policies {
    let unit = io.allocator.unit();
    let metadata = metadata_policy(unit, embeds, 3, io.reader.summer().clone());
    Policies {
        data: metadata.clone(),
        metadata,
    }
}

impl Known {
    fn read(pool: &Pool) -> Result<Self, Error> {
        let number = |name: &str| {
            let value = pool.directory_entry(name)?.and_then(|value| value.as_u64());
            let value = value.map(ObjectNumber);
            value.ok_or_else(|| Error::Missing(format!("'{name}' in the object directory")))
        };
        let root_dir = number("root_dataset")?;
        let phys = crate::dsl::DirPhys::decode(&pool.meta_object(root_dir)?)?;
        let children = phys
            .children
            .ok_or_else(|| Error::Missing("the table of the root's children".to_owned()))?;
        let children = pool.meta_object(children)?;
        let child = |name: &str| {
            let value = crate::zap::lookup_u64(pool.reader(), &children, name)?;
            let value = value.map(ObjectNumber);
            value.ok_or_else(|| Error::ReadOnly(format!("it has no {name}, being older than that")))
        };
        let origin_dir = child("$ORIGIN")?;
        let origin = crate::dsl::DirPhys::decode(&pool.meta_object(origin_dir)?)?;
        let head = origin
            .head
            .ok_or_else(|| Error::Missing("the head of $ORIGIN".to_owned()))?;
        let head = crate::dsl::DatasetPhys::decode(&pool.meta_object(head)?)?;
        let origin_snapshot = head
            .prev_snapshot
            .ok_or_else(|| Error::Missing("$ORIGIN@$ORIGIN".to_owned()))?;
        Ok(Self {
            root_dir,
            mos_dir: child("$MOS")?,
            free_dir: child("$FREE")?,
            origin_dir,
            origin_snapshot,
            config: number("config")?,
            free_list: number("free_bpobj")?,
            features_for_read: number("features_for_read")?,
            features_for_write: number("features_for_write")?,
        })
    }
}

/// A disk for reading alone.
fn for_reading(disk: &Arc<dyn WritableDisk>) -> Arc<dyn Disk> {
    Arc::<dyn WritableDisk>::clone(disk)
}
