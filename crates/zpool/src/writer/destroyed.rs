//! Heads that were destroyed and are freed little by little, each commit a part (`async_destroy`).
//!
//! ```text
//! bptree_obj   object directory: an object with entries of 168 bytes, and a bonus buffer
//!
//! word  field              the bonus buffer
//!    0  bt_begin, bt_end   the first tree that is left, and the one behind the last
//!    2  bt_bytes, bt_comp, bt_uncomp
//!
//! offset  field            an entry
//!      0  be_bp            the root
//!    128  be_birth_txg     what was born up to this group is a snapshot's
//!    136  be_zb            where to go on: object set (all ones), object, level (0), block; or zeros
//! ```
//!
//! What OpenZFS has begun is gone on with here, and the other way round.

use super::PoolWriter;
use super::accounts::UsedBy;
use super::lists::Totals;
use crate::dmu::{ObjectSpec, ObjectType, Pause, PostOrder, Stopped};
use crate::spa::{BlockPointer, Feature};
use crate::{Corrupt, Error, ObjectNumber, Txg};
use zferry_wire::{Endian, Reader};

const TREES: &str = "bptree_obj";
/// An object that holds numbers.
const NUMBERS: ObjectType = ObjectType(0xc3);
const BLOCK: u32 = 128 << 10;
const ENTRY: u64 = 168;
/// The object set that is named where a walk stopped.
const DESTROYED_SET: u64 = u64::MAX;

/// The bonus buffer.
#[derive(Clone, Copy, Debug)]
struct Trees {
    begin: u64,
    end: u64,
    totals: Totals,
}

impl Trees {
    fn encode(self) -> Vec<u8> {
        let Totals {
            used,
            compressed,
            uncompressed,
        } = self.totals;
        let sizes = [used, compressed, uncompressed].map(i64::cast_unsigned);
        let words = [self.begin, self.end].into_iter().chain(sizes);
        words.flat_map(u64::to_le_bytes).collect()
    }
}

/// One tree that is left.
#[derive(Clone, Copy, Debug)]
struct Tree {
    root: BlockPointer,
    since: Txg,
    resume: Option<Stopped>,
}

impl Tree {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.root.to_bytes().to_vec();
        let place = match self.resume {
            Some(stopped) => [DESTROYED_SET, stopped.object.0, 0, stopped.block],
            None => [0; 4],
        };
        for word in std::iter::once(self.since.0).chain(place) {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes, Endian::Little);
        let root = BlockPointer::read(&mut reader)?;
        let [since, set, object, level, block] = reader.u64s()?;
        if level != 0 {
            return Err(Corrupt::new(format!("a destroyed tree is gone on with at level {level}")).into());
        }
        let resume = Stopped {
            object: ObjectNumber(object),
            block,
        };
        Ok(Self {
            root,
            since: Txg(since),
            resume: ([set, object, block] != [0; 3]).then_some(resume),
        })
    }
}

impl PoolWriter {
    /// Whether a head with so much of its own is freed by more than the commit that destroys it.
    pub(super) fn is_freed_later(&mut self, used: u64) -> Result<bool, Error> {
        Ok(used > self.destroys.bytes_at_once && self.is_feature_enabled(Feature::AsyncDestroy)?)
    }

    /// Notes a tree that is to be freed: what was born after `since` below `root`.
    pub(super) fn free_later(&mut self, root: BlockPointer, since: Txg, totals: Totals) -> Result<(), Error> {
        let number = match self.table_get(ObjectNumber(1), TREES)? {
            Some(number) => ObjectNumber(number),
            None => {
                let spec = ObjectSpec::new(NUMBERS, BLOCK).with_bonus(NUMBERS, vec![0; 40]);
                let number = self.new_object(&spec)?;
                self.table_put(ObjectNumber(1), TREES, number.0)?;
                self.count_feature(Feature::AsyncDestroy, 1)?;
                number
            }
        };
        let mut trees = self.trees(number)?;
        let tree = Tree {
            root,
            since,
            resume: None,
        };
        self.put_list_content(number, trees.end.saturating_mul(ENTRY), &tree.encode())?;
        trees.end = trees.end.saturating_add(1);
        trees.totals = trees.totals.plus(totals);
        self.put_bonus(number, &trees.encode())?;
        self.use_space(self.known.free_dir, UsedBy::Head, totals)
    }

    fn trees(&mut self, number: ObjectNumber) -> Result<Trees, Error> {
        let bonus = self.bonus(number)?;
        let [begin, end, used, compressed, uncompressed] = Reader::new(&bonus, Endian::Little).u64s()?;
        if begin > end || end.checked_mul(ENTRY).is_none() {
            return Err(Corrupt::new(format!("trees {begin} to {end} in object {number}")).into());
        }
        Ok(Trees {
            begin,
            end,
            totals: Totals {
                used: used.cast_signed(),
                compressed: compressed.cast_signed(),
                uncompressed: uncompressed.cast_signed(),
            },
        })
    }

    /// Frees about so many blocks of what was destroyed. What cannot be read stays, and what was destroyed after it.
    pub(super) fn free_trees(&mut self, most: u64) -> Result<(), Error> {
        let Some(number) = self.table_get(ObjectNumber(1), TREES)?.map(ObjectNumber) else {
            return Ok(());
        };
        let mut trees = self.trees(number)?;
        let mut left = most;
        while trees.begin < trees.end && left > 0 {
            let at = trees.begin.saturating_mul(ENTRY);
            let mut tree = Tree::decode(&self.list_part(number, at, at.saturating_add(ENTRY))?)?;
            let (freed, count, pause) = self.free_part_of(&tree, left)?;
            left = left.saturating_sub(count);
            trees.totals = trees.totals.minus(freed);
            self.use_space(self.known.free_dir, UsedBy::Head, freed.negated())?;
            match pause {
                None => trees.begin = trees.begin.saturating_add(1),
                Some(Pause::Wanted(stopped) | Pause::Unreadable(stopped)) => {
                    tree.resume = Some(stopped);
                    self.put_list_content(number, at, &tree.encode())?;
                    break;
                }
            }
        }
        if trees.begin < trees.end {
            return self.put_bonus(number, &trees.encode());
        }
        self.free_meta_object(number)?;
        self.table_remove(ObjectNumber(1), TREES)?;
        self.count_feature(Feature::AsyncDestroy, -1)
    }

    fn free_part_of(&mut self, tree: &Tree, most: u64) -> Result<(Totals, u64, Option<Pause>), Error> {
        let (mut freed, mut count) = (Totals::default(), 0_u64);
        let reader = self.pool.shared_reader();
        let mut walk = PostOrder::new(&reader, tree.since, tree.resume);
        let pause = walk.run(&tree.root, &|visited| visited >= most, &mut |pointer| {
            freed = freed.plus(Totals::of(pointer));
            count = count.saturating_add(1);
            self.io.free(pointer)
        })?;
        Ok((freed, count, pause))
    }
}
