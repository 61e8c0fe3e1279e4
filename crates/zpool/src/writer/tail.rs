//! The last blocks of a commit: those that say where everything lies, themselves included.
//!
//! A space map is written by the group whose allocations it lists, and takes space itself; the pool's own accounts count
//! the blocks that they stand in. So these blocks (space maps, blocks of dnodes, the indirect blocks above them, and the
//! meta object set's own) get their space first, of a size that will do, and their content afterwards. Where a content
//! does not fit in the end, its block gets more space, and all contents are made anew: every round only adds, so there
//! are few.

use super::PoolWriter;
use super::accounts::{UsedBy, add_to_dir};
use super::lists::Totals;
use crate::dmu::{IndirectBlock, Ledger, ObjectType, OpenObject, objects_in};
use crate::dsl::DirPhys;
use crate::spa::{
    BlockPointer, Dva, Feature, PreparedBlock, Purpose, SpaceMapChange, encode_space_map, is_bloated,
};
use crate::{BlockId, Corrupt, Error, ObjectNumber, Txg};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use zferry_blocks::compress::{Compression, CompressionLevel, compress};
use zferry_wire::{u64_from_usize, usize_from_u64};

/// How many copies of the meta object set's blocks there are.
const COPIES: usize = 3;
/// How many dnodes a block of them has room for.
const SLOTS: u64 = 32;
/// What a content may grow by between the first look at it and the last, in bytes.
const SLACK: usize = 96;
/// More rounds than this mean that something is wrong.
const ROUNDS_MAX: usize = 64;

/// A block that gets its space before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// A block of a space map, or an indirect block of one: object, level, number.
    Map(ObjectNumber, u8, u64),
    /// A block of dnodes (level 0) or an indirect block above: level, number.
    Meta(u8, u64),
    /// The meta object set's own block.
    Set,
}

/// The space of a block: its stored size in bytes, and where its copies go.
#[derive(Clone, Debug)]
struct Place {
    size: usize,
    dvas: Vec<Dva>,
}

/// What becomes of a space map.
#[derive(Debug)]
struct MapPlan {
    number: ObjectNumber,
    vdev: usize,
    metaslab: usize,
    ashift: u32,
    start: u64,
    /// Where the entries of this group begin, in bytes.
    from: u64,
    /// Whether the map is made anew from what is allocated.
    is_condensed: bool,
    /// The block in which they begin, up to there.
    head: Vec<u8>,
    block_bytes: u64,
    object: OpenObject,
    /// Space taken by the object's blocks without those that are written now, in bytes.
    used: u64,
}

/// The state of the last blocks.
struct Tail {
    places: BTreeMap<Key, Place>,
    maps: BTreeMap<ObjectNumber, MapPlan>,
    mos_dir: DirPhys,
    root_dir: DirPhys,
    meta_used: u64,
    has_long_entries: bool,
}

impl PoolWriter {
    /// Writes out the meta object set; returns where it is.
    pub(super) fn write_meta_objects(&mut self) -> Result<BlockPointer, Error> {
        let mos_dir = self.dir(self.known.mos_dir)?;
        let root_dir = self.dir(self.known.root_dir)?;
        // Both directories' dnodes will change, so their blocks must be written.
        self.put_dir(self.known.mos_dir, &mos_dir)?;
        self.put_dir(self.known.root_dir, &root_dir)?;
        let has_long_entries = self.feature_count(Feature::SpacemapV2)? > 0;
        self.mos.settle(&mut self.io)?;
        let mut tail = Tail {
            places: BTreeMap::new(),
            maps: BTreeMap::new(),
            mos_dir,
            root_dir,
            meta_used: 0,
            has_long_entries,
        };
        let old = std::mem::take(&mut self.mos.root);
        self.mos.ledger.kill(&old, &mut self.io)?;
        tail.meta_used = self.mos.meta.dnode.used;
        for _ in 0..ROUNDS_MAX {
            if self.reserve(&mut tail)? {
                continue;
            }
            if let Some(blocks) = self.make_contents(&mut tail)? {
                return self.write_tail(&tail, &blocks);
            }
        }
        Err(Error::Invalid(
            "the last blocks of a commit find no place".to_owned(),
        ))
    }

    /// Gives space to every last block that has none yet. Says whether there was any.
    fn reserve(&mut self, tail: &mut Tail) -> Result<bool, Error> {
        let mut is_changed = self.plan_maps(tail)?;
        for id in self.mos.meta.content_ids() {
            self.mos.meta.open_for(&self.io, id)?;
            let content = self.mos.meta.block_or_zeros(&self.io, id)?;
            is_changed |= self.reserve_meta(tail, 0, id, &content)?;
        }
        for (level, id) in self.mos.meta.indirect_keys() {
            let pointers = self.mos.meta.indirect_block((level, id));
            let content = pointers.map(IndirectBlock::encode).unwrap_or_default();
            is_changed |= self.reserve_meta(tail, level, id, &content)?;
        }
        if !tail.places.contains_key(&Key::Set) {
            let content = self.mos.encode();
            self.place(tail, Key::Set, estimate(&content), content.len())?;
            is_changed = true;
        }
        Ok(is_changed)
    }

    /// Plans what becomes of the space map of every metaslab that has changed, and gives space to its blocks.
    fn plan_maps(&mut self, tail: &mut Tail) -> Result<bool, Error> {
        self.io.allocator.load_dirty(&self.io.reader)?;
        let mut is_changed = false;
        for (vdev, index) in self.io.allocator.dirty() {
            let metaslab = self
                .io
                .allocator
                .tops
                .get(vdev)
                .and_then(|top| top.metaslabs.get(index));
            let number = metaslab.and_then(|metaslab| metaslab.map);
            let number = number.ok_or_else(|| Error::Invalid("a metaslab without a space map".to_owned()))?;
            if let Entry::Vacant(entry) = tail.maps.entry(number) {
                entry.insert(self.plan_map(vdev, index, number)?);
                is_changed = true;
            }
            let Some(plan) = tail.maps.get(&number) else {
                continue;
            };
            let entries = self.entries(plan, tail.has_long_entries)?;
            let block_bytes = plan.block_bytes;
            let end = plan.from.saturating_add(u64_from_usize(entries.len()));
            let first = plan.from.checked_div(block_bytes).unwrap_or(0);
            let last = end
                .saturating_sub(1)
                .checked_div(block_bytes)
                .unwrap_or(0)
                .max(first);
            for id in first..=last {
                is_changed |= self.reserve_map_block(tail, number, id)?;
            }
        }
        Ok(is_changed)
    }

    fn plan_map(&mut self, vdev: usize, index: usize, number: ObjectNumber) -> Result<MapPlan, Error> {
        let missing = || Error::Invalid("a metaslab that is not there".to_owned());
        let top = self.io.allocator.tops.get(vdev).ok_or_else(missing)?;
        let ashift = top.ashift;
        let metaslab = top.metaslabs.get(index).ok_or_else(missing)?;
        let (start, length) = (metaslab.start, metaslab.length);
        let ranges = metaslab.allocated_ranges()?;
        let is_overtaken = metaslab.is_overtaken;
        let mut object = self.mos.object(&mut self.io, number)?.clone();
        let block_bytes = object.dnode.data_bytes();
        let is_condensed = is_overtaken || is_bloated(length, &ranges, ashift, block_bytes);
        let mut ledger = std::mem::take(&mut self.mos.ledger);
        let mut context = crate::dmu::Context {
            io: &mut self.io,
            ledger: &mut ledger,
            crypt: &mut self.mos.crypt,
        };
        let (from, head) = if is_condensed {
            object.free_blocks(&mut context, 0, u64::MAX)?;
            object.dnode.max_block = BlockId(0);
            (0, Vec::new())
        } else {
            let within = length.checked_rem(block_bytes).unwrap_or(0);
            let head = if within == 0 {
                Vec::new()
            } else {
                let id = length.checked_div(block_bytes).unwrap_or(0);
                let mut head = object.block_or_zeros(context.io, id)?;
                head.truncate(usize_from_u64(within));
                head
            };
            (length, head)
        };
        self.mos.ledger = ledger;
        let used = object.dnode.used;
        Ok(MapPlan {
            number,
            vdev,
            metaslab: index,
            ashift,
            start,
            from,
            is_condensed,
            head,
            block_bytes,
            object,
            used,
        })
    }

    /// The entries that the open group adds to a space map.
    fn entries(&self, plan: &MapPlan, long: bool) -> Result<Vec<u8>, Error> {
        let metaslab = self
            .io
            .allocator
            .tops
            .get(plan.vdev)
            .and_then(|top| top.metaslabs.get(plan.metaslab))
            .ok_or_else(|| Error::Invalid("a metaslab that is not there".to_owned()))?;
        let change = |txg: Txg, is_free: bool, ranges: Vec<(u64, u64)>| {
            let sectors = |at: u64| at.saturating_sub(plan.start) >> plan.ashift;
            let ranges = ranges.into_iter();
            SpaceMapChange {
                txg,
                is_free,
                ranges: ranges
                    .map(|(start, end)| (sectors(start), sectors(end)))
                    .collect(),
            }
        };
        let txg = self.io.txg;
        let open = metaslab.changes();
        let mut changes = Vec::new();
        if plan.is_condensed {
            // What readers may need stays told apart from what has long been free.
            let held = self.io.allocator.held_of(plan.vdev, plan.metaslab);
            let allocated = metaslab.allocated_and(held.values().flatten().copied())?;
            changes.push(change(txg, false, allocated));
            changes.extend(held.into_iter().map(|(txg, ranges)| change(txg, true, ranges)));
            changes.push(change(txg, true, open.given));
        } else {
            changes.push(change(txg, true, open.given));
            changes.push(change(txg, false, open.taken));
        }
        Ok(encode_space_map(plan.from, plan.block_bytes, &changes, long))
    }

    /// Gives space to a block of a space map and to the indirect blocks above it.
    fn reserve_map_block(&mut self, tail: &mut Tail, number: ObjectNumber, id: u64) -> Result<bool, Error> {
        if tail.places.contains_key(&Key::Map(number, 0, id)) {
            return Ok(false);
        }
        let Some(plan) = tail.maps.get_mut(&number) else {
            return Ok(false);
        };
        plan.object.open_for(&self.io, id)?;
        let shift = plan.object.dnode.pointers_per_block_shift();
        let levels = plan.object.dnode.levels;
        let mut wanted = vec![(0, id, usize_from_u64(plan.block_bytes))];
        let mut above = id;
        for level in 1..levels {
            above >>= shift;
            wanted.push((level, above, 1 << plan.object.dnode.indirect_shift.min(17)));
        }
        for (level, id, size) in wanted {
            if tail.places.contains_key(&Key::Map(number, level, id)) {
                continue;
            }
            if let Some(plan) = tail.maps.get_mut(&number) {
                let old = plan.object.pointer(&self.io, level, id)?;
                plan.used = plan.used.saturating_sub(old.allocated());
                self.mos.ledger.kill(&old, &mut self.io)?;
            }
            self.place(tail, Key::Map(number, level, id), size, size)?;
        }
        // The dnode will change, so its block is one of the last blocks.
        self.mos.meta.content_mut(&self.io, number.0 / SLOTS)?;
        Ok(true)
    }

    fn reserve_meta(&mut self, tail: &mut Tail, level: u8, id: u64, content: &[u8]) -> Result<bool, Error> {
        if tail.places.contains_key(&Key::Meta(level, id)) {
            return Ok(false);
        }
        let old = self.mos.meta.pointer(&self.io, level, id)?;
        tail.meta_used = tail.meta_used.saturating_sub(old.allocated());
        self.mos.ledger.kill(&old, &mut self.io)?;
        self.place(tail, Key::Meta(level, id), estimate(content), content.len())?;
        Ok(true)
    }

    /// Gives a block of `logical` bytes space for `size` bytes.
    fn place(&mut self, tail: &mut Tail, key: Key, size: usize, logical: usize) -> Result<(), Error> {
        let unit = usize_from_u64(self.io.allocator.unit()).max(512);
        let size = size.next_multiple_of(unit).min(logical);
        let dvas =
            self.io
                .allocator
                .allocate(&self.io.reader, u64_from_usize(size), COPIES, Purpose::Metadata)?;
        tail.places.insert(key, Place { size, dvas });
        Ok(())
    }

    /// Makes the contents of all last blocks. `None` where one did not fit, and has got more space.
    fn make_contents(&mut self, tail: &mut Tail) -> Result<Option<BTreeMap<Key, PreparedBlock>>, Error> {
        let mut blocks = BTreeMap::new();
        let numbers: Vec<ObjectNumber> = tail.maps.keys().copied().collect();
        for number in numbers {
            self.make_map(tail, number, &mut blocks)?;
        }
        self.put_accounts(tail)?;
        let mut too_large = Vec::new();
        for id in self.mos.meta.content_ids() {
            let content = self.mos.meta.block_or_zeros(&self.io, id)?;
            let fill = objects_in(&content);
            let key = Key::Meta(0, id);
            let logical = content.len();
            match self.fit(tail, key, ObjectType::DNODE, 0, content)? {
                Err(size) => too_large.push((key, size, logical)),
                Ok(block) => {
                    let pointer = self.pointer_of(tail, key, &block, fill);
                    self.mos.meta.set_pointer_quietly(0, id, pointer);
                    blocks.insert(key, block);
                }
            }
        }
        for (level, id) in self.mos.meta.indirect_keys() {
            let Some(pointers) = self.mos.meta.indirect_block((level, id)) else {
                continue;
            };
            let (fill, content) = (pointers.fill(), pointers.encode());
            let key = Key::Meta(level, id);
            let logical = content.len();
            match self.fit(tail, key, ObjectType::DNODE, level, content)? {
                Err(size) => too_large.push((key, size, logical)),
                Ok(block) => {
                    let pointer = self.pointer_of(tail, key, &block, fill);
                    self.mos.meta.set_pointer_quietly(level, id, pointer);
                    blocks.insert(key, block);
                }
            }
        }
        let placed = tail.places.iter().filter(|(key, _)| matches!(key, Key::Meta(..)));
        let placed = placed.flat_map(|(_, place)| &place.dvas).map(|dva| dva.allocated);
        self.mos.meta.dnode.used = tail.meta_used.saturating_add(placed.fold(0, u64::saturating_add));
        let content = self.mos.encode();
        let logical = content.len();
        match self.fit(tail, Key::Set, ObjectType::OBJSET, 0, content)? {
            Err(size) => too_large.push((Key::Set, size, logical)),
            Ok(block) => drop(blocks.insert(Key::Set, block)),
        }
        if too_large.is_empty() {
            return Ok(Some(blocks));
        }
        for (key, size, logical) in too_large {
            if let Some(place) = tail.places.remove(&key) {
                for dva in place.dvas {
                    self.io.allocator.free_dva(dva)?;
                }
            }
            self.place(tail, key, size, logical)?;
        }
        Ok(None)
    }

    /// The last blocks of a space map, and its dnode.
    fn make_map(
        &mut self,
        tail: &mut Tail,
        number: ObjectNumber,
        blocks: &mut BTreeMap<Key, PreparedBlock>,
    ) -> Result<(), Error> {
        let Some(plan) = tail.maps.get(&number) else {
            return Ok(());
        };
        let entries = self.entries(plan, tail.has_long_entries)?;
        let length = plan.from.saturating_add(u64_from_usize(entries.len()));
        let mut bytes = plan.head.clone();
        bytes.extend_from_slice(&entries);
        let first = plan.from.checked_div(plan.block_bytes).unwrap_or(0);
        let block_bytes = usize_from_u64(plan.block_bytes);
        let ids: Vec<u64> = tail
            .places
            .range(Key::Map(number, 0, 0)..=Key::Map(number, 0, u64::MAX))
            .filter_map(|(key, _)| match key {
                Key::Map(_, _, id) => Some(*id),
                _ => None,
            })
            .collect();
        let mut object = plan.object.clone();
        let mut last = object.dnode.max_block.0;
        for id in ids {
            let at = usize_from_u64(id.saturating_sub(first)).saturating_mul(block_bytes);
            let mut content = bytes.get(at..).unwrap_or_default().to_vec();
            content.resize(block_bytes, 0);
            let policy = &self.mos.policies.metadata;
            let block = policy.store(
                object.dnode.object_type,
                0,
                plan.block_bytes,
                Compression::Off,
                content,
            )?;
            let key = Key::Map(number, 0, id);
            let pointer = self.pointer_of(tail, key, &block, 1);
            object.set_pointer_quietly(0, id, pointer);
            blocks.insert(key, block);
            last = last.max(id);
        }
        for (level, id) in object.indirect_keys() {
            let Some(pointers) = object.indirect_block((level, id)) else {
                continue;
            };
            let (fill, content) = (pointers.fill(), pointers.encode());
            let size = u64_from_usize(content.len());
            let policy = &self.mos.policies.metadata;
            let block = policy.store(object.dnode.object_type, level, size, Compression::Off, content)?;
            let key = Key::Map(number, level, id);
            let pointer = self.pointer_of(tail, key, &block, fill);
            object.set_pointer_quietly(level, id, pointer);
            blocks.insert(key, block);
        }
        object.clear_changes();
        object.dnode.max_block = BlockId(last);
        let placed = tail
            .places
            .range(Key::Map(number, 0, 0)..=Key::Map(number, u8::MAX, u64::MAX));
        let placed = placed.flat_map(|(_, place)| &place.dvas).map(|dva| dva.allocated);
        object.dnode.used = plan.used.saturating_add(placed.fold(0, u64::saturating_add));
        let header = self.map_header(plan, length, usize::from(object.dnode.bonus_len))?;
        if let Some(target) = object.dnode.bonus.get_mut(..header.len()) {
            target.copy_from_slice(&header);
        }
        self.mos.store(&self.io, &object)
    }

    fn map_header(&self, plan: &MapPlan, length: u64, len: usize) -> Result<Vec<u8>, Error> {
        let missing = || Corrupt::new("a metaslab that is not there");
        let top = self.io.allocator.tops.get(plan.vdev).ok_or_else(missing)?;
        let metaslab = top.metaslabs.get(plan.metaslab).ok_or_else(missing)?;
        let mut fields = vec![plan.number.0, length, metaslab.allocated_now(), 0, 0, 0, 0, 0];
        fields.extend(metaslab.histogram_after(plan.ashift)?);
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.truncate(len);
        Ok(bytes)
    }

    /// Writes what the meta object set takes into the directories that account for it.
    fn put_accounts(&mut self, tail: &Tail) -> Result<(), Error> {
        let ledger = &self.mos.ledger;
        let placed = tail.places.values().map(|place| {
            let used = place
                .dvas
                .iter()
                .map(|dva| dva.allocated)
                .fold(0, u64::saturating_add);
            let stored = i64::try_from(place.size).unwrap_or(i64::MAX);
            Totals {
                used: i64::try_from(used).unwrap_or(i64::MAX),
                compressed: stored,
                uncompressed: stored,
            }
        });
        let change = placed.fold(Totals::default(), Totals::plus).plus(Totals {
            used: ledger.referenced,
            compressed: ledger.compressed,
            uncompressed: ledger.uncompressed,
        });
        let (mut mos_dir, mut root_dir) = (tail.mos_dir.clone(), tail.root_dir.clone());
        add_to_dir(&mut mos_dir, UsedBy::Head, change)?;
        add_to_dir(&mut root_dir, UsedBy::Children, change)?;
        for (number, phys) in [(self.known.mos_dir, mos_dir), (self.known.root_dir, root_dir)] {
            let mut object = self.mos.object(&mut self.io, number)?.clone();
            let bytes = phys.encode();
            if let Some(target) = object.dnode.bonus.get_mut(..bytes.len()) {
                target.copy_from_slice(&bytes);
            }
            self.mos.store(&self.io, &object)?;
        }
        Ok(())
    }

    /// Compresses a content into the space that its block has; where it does not fit, says what it needs.
    fn fit(
        &self,
        tail: &Tail,
        key: Key,
        object_type: ObjectType,
        level: u8,
        content: Vec<u8>,
    ) -> Result<Result<PreparedBlock, usize>, Error> {
        let place = tail.places.get(&key);
        let size = place
            .ok_or_else(|| Error::Invalid("a last block without space".to_owned()))?
            .size;
        let logical = u64_from_usize(content.len());
        let policy = &self.mos.policies.metadata;
        if size >= content.len() {
            return Ok(Ok(policy.store(
                object_type,
                level,
                logical,
                Compression::Off,
                content,
            )?));
        }
        let mut stored = vec![0; size];
        match compress(Compression::Lz4, CompressionLevel::DEFAULT, &content, &mut stored) {
            Some(len) => {
                if let Some(rest) = stored.get_mut(len..) {
                    rest.fill(0);
                }
                Ok(Ok(policy.store(
                    object_type,
                    level,
                    logical,
                    Compression::Lz4,
                    stored,
                )?))
            }
            None => Ok(Err(size
                .saturating_add(size / 4)
                .saturating_add(1)
                .min(content.len()))),
        }
    }

    fn pointer_of(&self, tail: &Tail, key: Key, block: &PreparedBlock, fill: u64) -> BlockPointer {
        let dvas = tail.places.get(&key).map(|place| place.dvas.as_slice());
        block.pointer(dvas.unwrap_or_default(), self.io.txg, fill)
    }

    fn write_tail(
        &mut self,
        tail: &Tail,
        blocks: &BTreeMap<Key, PreparedBlock>,
    ) -> Result<BlockPointer, Error> {
        for (key, block) in blocks {
            if let Some(place) = tail.places.get(key) {
                self.io.write_at(&place.dvas, block.stored_bytes())?;
            }
        }
        let set = blocks.get(&Key::Set);
        let set = set.ok_or_else(|| Error::Invalid("a commit without a root".to_owned()))?;
        let root = self.pointer_of(tail, Key::Set, set, self.mos.fill());
        for plan in tail.maps.values() {
            let entries = self.entries(plan, tail.has_long_entries)?;
            let length = plan.from.saturating_add(u64_from_usize(entries.len()));
            let top = self.io.allocator.tops.get_mut(plan.vdev);
            if let Some(metaslab) = top.and_then(|top| top.metaslabs.get_mut(plan.metaslab)) {
                metaslab.length = length;
            }
        }
        self.mos.root = root;
        self.mos.ledger = Ledger::new(Txg(0));
        self.mos.close();
        Ok(root)
    }
}

/// How much space a content will take: compressed, if that helps, and a little more.
fn estimate(content: &[u8]) -> usize {
    let mut stored = vec![0; content.len()];
    let len = compress(Compression::Lz4, CompressionLevel::DEFAULT, content, &mut stored);
    len.map_or(content.len(), |len| len.saturating_add(SLACK))
        .min(content.len())
}
