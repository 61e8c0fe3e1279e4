//! Opening a pool that is damaged at its head: at an earlier uberblock, or from a device whose labels are gone.
//!
//! Each of a device's labels keeps the uberblocks of the last transaction groups (16 to 128 of them), and what was freed
//! is not overwritten for some groups, so several of them usually still lead to a whole pool. The configuration in the
//! labels is only needed to find the devices; where it is damaged everywhere, a pool of a single device, or of mirrors,
//! can be read without it as far as the configuration that the pool itself holds.

use crate::dsl::DslPool;
use crate::pool::read_config_of;
use crate::vdev::{Devices, Disk, Label, TopSource, Uberblock, VdevNodes, VdevTree, read_uberblocks};
use crate::{CandidateDevice, Error, OpenOptions, Pool, PoolCandidate};
use std::sync::Arc;
use zferry_nvlist::{NvList, Value};

/// The guid that the only device of a pool without labels goes by until the pool tells its own.
const NAMELESS: u64 = 1;

impl PoolCandidate {
    /// Opens the pool at the newest of its uberblocks that `is_wanted`.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is none; others as [`Self::open`].
    pub fn open_last(
        &self,
        is_wanted: impl Fn(&Uberblock) -> bool,
        options: &OpenOptions,
    ) -> Result<Pool, Error> {
        let uberblock = self.uberblocks().iter().find(|uberblock| is_wanted(uberblock));
        let uberblock = uberblock.ok_or_else(|| Error::Missing("an uberblock as old as that".to_owned()))?;
        self.open_at(uberblock, options)
    }

    /// Opens the pool at the newest of its uberblocks that `is_wanted` and leads to a pool that is [sound](is_sound).
    /// `passed_over` is told of those that do not.
    ///
    /// # Errors
    /// Why the newest could not be opened, where none can.
    pub fn open_any(
        &self,
        is_wanted: impl Fn(&Uberblock) -> bool,
        options: &OpenOptions,
        mut passed_over: impl FnMut(&Uberblock, &Error),
    ) -> Result<Pool, Error> {
        let mut first = None;
        for uberblock in self.uberblocks().iter().filter(|uberblock| is_wanted(uberblock)) {
            match self.open_sound(uberblock, options) {
                Ok(pool) => return Ok(pool),
                Err(error) => {
                    passed_over(uberblock, &error);
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| Error::Missing("an uberblock as old as that".to_owned())))
    }

    /// Opens the pool at one of its uberblocks if that leads to a pool that is [sound](is_sound).
    ///
    /// # Errors
    /// As [`Self::open`] and [`is_sound`].
    pub fn open_sound(&self, uberblock: &Uberblock, options: &OpenOptions) -> Result<Pool, Error> {
        let pool = self.open_at(uberblock, options)?;
        is_sound(&pool)?;
        Ok(pool)
    }

    /// Makes a candidate of a device whose labels hold no configuration any more, from its uberblocks and what the pool
    /// itself says of its devices.
    ///
    /// # Errors
    /// [`Error::NoUberblock`] where no uberblock is left; others where none leads to the pool's configuration, as where
    /// the device is one of several that hold parts of blocks.
    pub fn without_labels(disk: Arc<dyn Disk>) -> Result<Self, Error> {
        let uberblocks = read_uberblocks(&*disk);
        let mut failure = Error::NoUberblock {
            disk: disk.name().to_owned(),
        };
        for uberblock in &uberblocks {
            match config_without_labels(&disk, uberblock) {
                Ok(config) => {
                    let label = Label {
                        config,
                        older_configs: Vec::new(),
                        uberblocks,
                    };
                    let mut found = Self::of_devices(vec![CandidateDevice { disk, label }]);
                    let failure = found.failures.pop().unwrap_or(failure);
                    return found.pools.pop().ok_or(failure);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// Checks that everything can be read that leads to the pool's datasets: their directories, themselves, their snapshots,
/// and the object set of each.
///
/// # Errors
/// Where something cannot.
pub fn is_sound(pool: &Pool) -> Result<(), Error> {
    let dsl = DslPool::new(pool);
    let mut left = vec![dsl.root()?];
    while let Some(dir) = left.pop() {
        if let Some(head) = dsl.head(&dir)? {
            dsl.object_set(&head)?;
            for (name, number) in dsl.snapshots(&head)? {
                let snapshot = dsl.snapshot_of(&head, &name, number)?;
                dsl.object_set(&snapshot)?;
            }
        }
        for (name, number) in dsl.children(&dir)? {
            if !name.starts_with('$') {
                left.push(dsl.dir_of(&dir, &name, number)?);
            }
        }
    }
    Ok(())
}

/// What a label of the device would say, from the configuration that an uberblock leads to.
fn config_without_labels(disk: &Arc<dyn Disk>, uberblock: &Uberblock) -> Result<NvList, Error> {
    let mut top = NvList::new();
    top.insert("type", "file");
    top.insert("id", 0_u64);
    top.insert("guid", NAMELESS);
    top.insert("ashift", 9_u64);
    let nodes = VdevNodes::of_tops(NAMELESS, &[TopSource::Known(&top)])?;
    let devices: Devices = [(NAMELESS, Arc::clone(disk))].into_iter().collect();
    let vdevs = VdevTree::build(&nodes, &devices, uberblock.reflow)?;
    let mut config = read_config_of(vdevs, &uberblock.root)?;
    let missing = |what: &str| Error::Missing(format!("{what} in the pool's configuration"));
    let tree = config.list("vdev_tree").ok_or_else(|| missing("the vdevs"))?;
    let top = tree.lists("children").and_then(<[NvList]>::first);
    let top = top.ok_or_else(|| missing("a vdev"))?.clone();
    let top_guid = top.u64("guid").ok_or_else(|| missing("a vdev's guid"))?;
    let leaf = top.lists("children").and_then(<[NvList]>::first).unwrap_or(&top);
    let guid = leaf.u64("guid").ok_or_else(|| missing("a device's guid"))?;
    config.insert("top_guid", top_guid);
    config.insert("guid", guid);
    config.insert("vdev_tree", Value::NvList(top));
    Ok(config)
}
