//! What is allocated although no dataset refers to it: what waits to be freed, and what only the checkpoint needs.
//!
//! The object directory leads to it: `sync_bplist` and `free_bpobj` are lists of block pointers, `bptree_obj` has trees of
//! destroyed datasets, `com.delphix:deleted_clones` livelists of destroyed clones. What was freed since a checkpoint was
//! taken stands in a space map in the table of each vdev, `com.delphix:pool_checkpoint_sm`.

use super::Measure;
use super::block_list::BlockLists;
use super::claims::Claims;
use super::destroyed::Destroyed;
use super::finding::{Findings, Spot};
use super::livelist::Livelists;
use super::meta::MetaObjects;
use super::space::for_each_entry;
use super::tally::Tally;
use crate::spa::{Dva, SpaceMapPhys};
use crate::zap;
use crate::{Error, ObjectNumber, Pool};

/// Claims what is allocated and in no dataset.
pub(super) struct Pending<'c, 'a, 'o> {
    pub(super) pool: &'c Pool,
    pub(super) measure: &'c Measure,
    pub(super) meta: &'c MetaObjects,
    pub(super) claims: &'c mut Claims<'a>,
    pub(super) findings: &'c mut Findings<'o>,
    pub(super) blocks_max: u64,
}

impl Pending<'_, '_, '_> {
    /// Claims all of it. Returns what `$FREE` must count, where all could be read.
    pub(super) fn run(mut self) -> Result<Option<Tally>, Error> {
        self.checkpoint()?;
        if let Some(list) = self.entry("sync_bplist")? {
            self.list(list);
        }
        let free = match self.entry("free_bpobj")? {
            Some(list) => self.list(list),
            None => Some(Tally::default()),
        };
        let trees = match self.entry("bptree_obj")? {
            Some(trees) => Destroyed {
                pool: self.pool,
                measure: self.measure,
                claims: self.claims,
                findings: self.findings,
                blocks_left: self.blocks_max,
            }
            .run(trees),
            None => Some(Tally::default()),
        };
        let clones = match self.entry("com.delphix:deleted_clones")? {
            Some(clones) => self.clones(clones),
            None => Some(Tally::default()),
        };
        let sum = free.zip(trees).zip(clones);
        Ok(sum.map(|((free, trees), clones)| free.plus(trees).plus(clones)))
    }

    fn entry(&self, name: &str) -> Result<Option<ObjectNumber>, Error> {
        let number = self.pool.directory_entry(name)?.and_then(|value| value.as_u64());
        Ok(number.filter(|number| *number != 0).map(ObjectNumber))
    }

    fn list(&mut self, number: ObjectNumber) -> Option<Tally> {
        let claims = &mut *self.claims;
        let mut lists = BlockLists {
            pool: self.pool,
            measure: self.measure,
            findings: self.findings,
            lists_max: self.meta.types.len(),
        };
        lists.walk(number, &mut |pointer, findings| {
            claims.claim(&|| Spot::meta(number), pointer, findings);
        })
    }

    /// Claims what destroyed clones had of their own.
    fn clones(&mut self, table: ObjectNumber) -> Option<Tally> {
        let entries = self.pool.meta_object(table);
        let entries = entries.and_then(|table| zap::entries(self.pool.reader(), &table));
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.findings.unreadable(Spot::meta(table), &error);
                return None;
            }
        };
        let mut total = Some(Tally::default());
        for livelist in entries.iter().filter_map(|entry| entry.value.as_u64()) {
            let livelist = ObjectNumber(livelist);
            let claims = &mut *self.claims;
            let mut lists = Livelists {
                pool: self.pool,
                measure: self.measure,
                findings: self.findings,
                lists_max: self.meta.types.len(),
            };
            let own = lists.walk(livelist, &mut |pointer, findings| {
                claims.claim(&|| Spot::meta(livelist), pointer, findings);
            });
            total = total.zip(own).map(|(total, own)| total.plus(own));
        }
        total
    }

    /// Claims what was freed since the checkpoint was taken.
    fn checkpoint(&mut self) -> Result<(), Error> {
        for top in self.measure.tops().values() {
            let (Some(table), Ok(vdev)) = (top.table, u32::try_from(top.id)) else {
                continue;
            };
            let table = self.pool.meta_object(table)?;
            let map = zap::lookup_u64(self.pool.reader(), &table, "com.delphix:pool_checkpoint_sm")?;
            let Some(map) = map.filter(|map| *map != 0).map(ObjectNumber) else {
                continue;
            };
            if let Err(error) = self.checkpoint_map(map, vdev, top.ashift) {
                self.findings.unreadable(Spot::meta(map), &error);
            }
        }
        Ok(())
    }

    fn checkpoint_map(&mut self, map: ObjectNumber, vdev: u32, ashift: u32) -> Result<(), Error> {
        let object = self.pool.meta_object(map)?;
        let Self { claims, findings, .. } = self;
        let mut sum = 0_i64;
        for_each_entry(self.pool, &object, &mut |entry| {
            let allocated = entry.run << ashift;
            sum = sum.wrapping_sub(i64::try_from(allocated).unwrap_or(i64::MAX));
            let spot = || Spot::meta(map);
            if entry.takes {
                let found = format!("{entry:?}");
                findings.report(spot(), "space map entry", found, "a range that was freed");
                return;
            }
            let dva = Dva {
                vdev,
                offset: entry.offset << ashift,
                allocated,
                gang: false,
            };
            claims.claim_range(&spot, dva, findings);
        })?;
        if claims.is_first_pass {
            let found = SpaceMapPhys::decode(&object)?.allocated;
            findings.compare(|| Spot::meta(map), "smp_alloc", found, sum);
        }
        Ok(())
    }
}
