//! Livelists: what a clone has that its origin has not, as a log of births and frees.
//!
//! A livelist has the form of a deadlist: a table of lists by birth, and their sums. A pointer whose lowest bit of the
//! fill is set was freed again; its birth stands in the same list. What remains is what the clone's head has of its own,
//! embedded blocks aside: so it can be destroyed without a walk through its trees.

use super::Measure;
use super::block_list::BlockLists;
use super::chain::{Computed, header_of};
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use super::names::Names;
use super::tally::{Tally, identity};
use crate::dmu::ObjectType;
use crate::spa::BlockPointer;
use crate::zap;
use crate::{Error, ObjectNumber, Pool};
use std::collections::HashMap;

/// How many blocks of one list are kept; OpenZFS begins another after half as many.
const BLOCKS_MAX: usize = 1 << 20;
/// The type of a directory that is a table beside its bonus buffer.
const ZAPPED: ObjectType = ObjectType(0xc4);

/// Reads livelists and checks their sums.
pub(super) struct Livelists<'c, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) measure: &'c Measure,
    pub(super) findings: &'c mut Findings<'o>,
    /// There are no more lists than objects.
    pub(super) lists_max: usize,
}

impl Livelists<'_, '_> {
    /// Calls `each` with every block that is left. Returns what they come to; `None` where not all could be read.
    pub(super) fn walk(
        &mut self,
        livelist: ObjectNumber,
        each: &mut dyn FnMut(&BlockPointer, &mut Findings<'_>),
    ) -> Option<Tally> {
        let walked = self.walk_all(livelist, each);
        walked.unwrap_or_else(|error| {
            self.findings.unreadable(Spot::meta(livelist), &error);
            None
        })
    }

    fn walk_all(
        &mut self,
        livelist: ObjectNumber,
        each: &mut dyn FnMut(&BlockPointer, &mut Findings<'_>),
    ) -> Result<Option<Tally>, Error> {
        let object = self.pool.meta_object(livelist)?;
        let mut total = Some(Tally::default());
        for entry in zap::entries(self.pool.reader(), &object)? {
            let Some(list) = entry.value.as_u64() else {
                continue;
            };
            let sum = self.list(ObjectNumber(list), each);
            total = total.zip(sum).map(|(total, sum)| total.plus(sum));
        }
        if let Some(total) = total {
            let (found, spot) = (header_of(&object)?, || Spot::meta(livelist));
            let sizes = total.sizes;
            self.findings.compare(spot, "dl_used", found.used, sizes.used);
            self.findings
                .compare(spot, "dl_comp", found.compressed, sizes.compressed);
            self.findings
                .compare(spot, "dl_uncomp", found.uncompressed, sizes.uncompressed);
        }
        Ok(total)
    }

    /// Reads one list.
    fn list(
        &mut self,
        list: ObjectNumber,
        each: &mut dyn FnMut(&BlockPointer, &mut Findings<'_>),
    ) -> Option<Tally> {
        let mut lists = BlockLists {
            pool: self.pool,
            measure: self.measure,
            findings: self.findings,
            lists_max: self.lists_max,
        };
        let mut left: HashMap<u64, (i64, BlockPointer)> = HashMap::new();
        let mut is_partial = false;
        let sum = lists.walk(list, &mut |pointer, _| {
            let key = identity(pointer);
            if left.len() >= BLOCKS_MAX && !left.contains_key(&key) {
                is_partial = true;
                return;
            }
            let (count, _) = left.entry(key).or_insert((0, *pointer));
            let step = if pointer.words()[11] & 1 == 1 { -1 } else { 1 };
            *count = count.saturating_add(step);
        });
        if is_partial {
            self.findings
                .unchecked(&format!("the livelist in object {list}: it has too many blocks"));
            return None;
        }
        let mut left: Vec<(i64, BlockPointer)> =
            left.into_values().filter(|(count, _)| *count != 0).collect();
        left.sort_unstable_by_key(|(_, pointer)| *pointer.words());
        for (count, pointer) in &left {
            if *count < 0 {
                let found = format!("{pointer} freed");
                self.findings
                    .report(Spot::meta(list), "livelist", found, "its birth before");
            } else {
                each(pointer, self.findings);
            }
        }
        sum
    }

    /// Compares the livelists of clones with what their heads have.
    pub(super) fn check(
        &mut self,
        meta: &MetaObjects,
        names: &Names,
        computed: &HashMap<ObjectNumber, Computed>,
    ) {
        for (number, dir) in &meta.dirs {
            if meta.types.get(number) != Some(&ZAPPED) {
                continue;
            }
            let table = self.pool.meta_object(*number);
            let found =
                table.and_then(|table| zap::lookup_u64(self.pool.reader(), &table, "com.delphix:livelist"));
            let livelist = match found {
                Ok(Some(livelist)) if livelist != 0 => ObjectNumber(livelist),
                Ok(_) => continue,
                Err(error) => {
                    self.findings.unreadable(Spot::meta(*number), &error);
                    continue;
                }
            };
            let sum = self.walk(livelist, &mut |_, _| {});
            let head = dir.head.and_then(|head| computed.get(&head));
            if let (Some(sum), Some(head)) = (sum, head.filter(|head| head.is_complete)) {
                let spot = || Spot::dataset(&names.get(*number)).object(livelist);
                let expected = head.after_origin.sizes.used;
                self.findings.compare(spot, "livelist", sum.sizes.used, expected);
            }
        }
    }
}
