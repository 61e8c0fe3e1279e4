//! Lists of block pointers (`bpobj`): what was freed in a snapshot, what is to be freed, what a clone has of its own.
//!
//! ```text
//! word  field                the bonus buffer: two, four, six or seven numbers of 64 bits, by age
//!    0  bpo_num_blkptrs      how many pointers the object itself holds, 128 bytes each
//!    1  bpo_bytes            their sizes and those of the lists below: allocated,
//!    2  bpo_comp             compressed
//!    3  bpo_uncomp           and uncompressed
//!    4  bpo_subobjs          an object with the numbers of further lists
//!    5  bpo_num_subobjs      how many
//!    6  bpo_num_freed        how many pointers are frees, in a list that holds both births and frees
//! ```

use super::Measure;
use super::finding::{Findings, Spot};
use super::tally::Tally;
use crate::dmu::{Object, ObjectType};
use crate::dsl::Sizes;
use crate::spa::BlockPointer;
use crate::{BlockId, Corrupt, Error, ObjectNumber, Pool};
use std::collections::HashSet;
use zferry_wire::{Reader, u64_from_usize};

/// The header of a list.
#[derive(Clone, Copy, Debug)]
struct Header {
    count: u64,
    sizes: Sizes,
    /// Whether the sizes but the first are known.
    has_all_sizes: bool,
    lists: Option<(ObjectNumber, u64)>,
    frees: Option<u64>,
}

impl Header {
    fn decode(object: &Object) -> Result<Self, Error> {
        if object.dnode.object_type != ObjectType::BPOBJ {
            let (number, found) = (object.number, object.dnode.object_type);
            return Err(
                Corrupt::new(format!("object {number} is no list of block pointers: {found}")).into(),
            );
        }
        let mut reader = Reader::new(object.dnode.bonus(), object.dnode.endian);
        let [count, used] = reader.u64s()?;
        let more: Option<[u64; 2]> = reader.u64s().ok();
        let [compressed, uncompressed] = more.unwrap_or_default();
        let lists: Option<[u64; 2]> = reader.u64s().ok();
        Ok(Self {
            count,
            sizes: Sizes {
                used,
                compressed,
                uncompressed,
            },
            has_all_sizes: more.is_some(),
            lists: lists
                .filter(|[number, _]| *number != 0)
                .map(|[number, count]| (ObjectNumber(number), count)),
            frees: reader.u64().ok(),
        })
    }
}

/// Reads lists, checks their headers, and notes the objects that they are made of.
pub(super) struct BlockLists<'c, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) measure: &'c Measure,
    pub(super) findings: &'c mut Findings<'o>,
    /// There are no more lists than objects.
    pub(super) lists_max: usize,
}

impl BlockLists<'_, '_> {
    /// Calls `each` with every pointer of a list and of those below it. Returns what the list holds, frees taken off;
    /// `None` where it could not be read to its end.
    pub(super) fn walk(
        &mut self,
        list: ObjectNumber,
        each: &mut dyn FnMut(&BlockPointer, &mut Findings<'_>),
    ) -> Option<Tally> {
        let mut seen = HashSet::new();
        let mut waiting = vec![list];
        let mut total = Some(Tally::default());
        while let Some(number) = waiting.pop() {
            if !seen.insert(number) {
                self.findings.report(
                    Spot::meta(number),
                    "bpo_subobjs",
                    "a list that is below itself",
                    "a tree",
                );
                continue;
            }
            match self.one(number, &mut waiting, each) {
                Ok(tally) => total = total.map(|total| total.plus(tally)),
                Err(error) => {
                    self.findings.unreadable(Spot::meta(number), &error);
                    total = None;
                }
            }
        }
        total
    }

    /// Reads one list, and adds those directly below it to `below`. Returns what it holds itself.
    fn one(
        &mut self,
        number: ObjectNumber,
        below: &mut Vec<ObjectNumber>,
        each: &mut dyn FnMut(&BlockPointer, &mut Findings<'_>),
    ) -> Result<Tally, Error> {
        let object = self.pool.meta_object(number)?;
        let header = Header::decode(&object)?;
        let mut tally = Tally::default();
        let mut frees = 0_u64;
        let (mut left, mut id) = (header.count, 0_u64);
        while left > 0 {
            let Some(block) = object.block(self.pool.reader(), BlockId(id))? else {
                return Err(
                    Corrupt::new(format!("{left} pointers are missing at the end of the list")).into(),
                );
            };
            for pointer in BlockPointer::iter_block(&block.bytes, block.endian) {
                if left == 0 {
                    break;
                }
                left = left.saturating_sub(1);
                let mut one = Tally::default();
                one.add(&pointer, self.measure);
                if pointer.words()[11] & 1 == 1 {
                    frees = frees.saturating_add(1);
                    tally = tally.minus(one);
                } else {
                    tally = tally.plus(one);
                }
                each(&pointer, self.findings);
            }
            id = id.saturating_add(1);
        }
        let mut sizes = tally.sizes;
        for list in self.lists_below(&header)? {
            sizes = sizes.plus(Header::decode(&self.pool.meta_object(list)?)?.sizes);
            below.push(list);
        }
        let spot = || Spot::meta(number);
        self.findings
            .compare(spot, "bpo_bytes", header.sizes.used, sizes.used);
        if header.has_all_sizes {
            self.findings
                .compare(spot, "bpo_comp", header.sizes.compressed, sizes.compressed);
            self.findings
                .compare(spot, "bpo_uncomp", header.sizes.uncompressed, sizes.uncompressed);
        }
        if let Some(found) = header.frees {
            self.findings.compare(spot, "bpo_num_freed", found, frees);
        }
        Ok(tally)
    }

    /// The lists directly below one.
    fn lists_below(&self, header: &Header) -> Result<Vec<ObjectNumber>, Error> {
        lists_below(self.pool, header, self.lists_max)
    }
}

fn lists_below(pool: &Pool, header: &Header, max: usize) -> Result<Vec<ObjectNumber>, Error> {
    let Some((number, count)) = header.lists else {
        return Ok(Vec::new());
    };
    if count > u64_from_usize(max) {
        return Err(Corrupt::new(format!(
            "{count} lists in object {number}, of {max} objects in all"
        ))
        .into());
    }
    let object = pool.meta_object(number)?;
    let mut lists = Vec::new();
    let mut id = 0_u64;
    while u64_from_usize(lists.len()) < count {
        let Some(block) = object.block(pool.reader(), BlockId(id))? else {
            return Err(
                Corrupt::new(format!("{count} lists in object {number}, block {id} is missing")).into(),
            );
        };
        let mut reader = Reader::new(&block.bytes, block.endian);
        while u64_from_usize(lists.len()) < count && !reader.is_empty() {
            lists.push(ObjectNumber(reader.u64()?));
        }
        id = id.saturating_add(1);
    }
    Ok(lists)
}

/// The objects that a list is made of: itself, its table of lists, and those below, each as often as it is named.
pub(super) fn objects_of(
    pool: &Pool,
    list: ObjectNumber,
    lists_max: usize,
    each: &mut dyn FnMut(ObjectNumber),
) -> Result<(), Error> {
    let mut seen = HashSet::new();
    let mut waiting = vec![list];
    while let Some(number) = waiting.pop() {
        each(number);
        if !seen.insert(number) {
            continue;
        }
        let header = Header::decode(&pool.meta_object(number)?)?;
        if let Some((table, _)) = header.lists {
            each(table);
        }
        waiting.extend(lists_below(pool, &header, lists_max)?);
    }
    Ok(())
}
