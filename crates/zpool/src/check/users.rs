//! Who uses how much of a file system: the tables of users, groups and projects, against the files.
//!
//! A table of a snapshot or head is that of the snapshot before it, with what the files that differ add and take: so the
//! sums are computed from the difference alone. A file counts with the space of its blocks and 512 bytes for its dnode,
//! where a flag in its dnode says that it was counted.
//!
//! ```text
//! bonus of type 44    magic u32 | layout u16, bits 10–15: the header's size in units of 8 bytes | …; then, from there,
//!                     24 uid | 32 gid | 48 flags (bit 47: has a project) | 128 project        64 bits each
//! bonus of type 17    120 flags | 128 uid | 136 gid
//! ```

use super::finding::{Findings, Spot};
use super::tree_diff::{GROUP_USED, PROJECT_USED, USER_USED};
use crate::dmu::{Dnode, DnodeFlags, Object, ObjectSet, ObjectSetType, ObjectType};
use crate::spa::{BlockPointer, BlockReader};
use crate::zap;
use crate::{Error, ObjectNumber};
use std::collections::{BTreeMap, BTreeSet};
use zferry_wire::Reader;

/// What a dnode counts for beside its blocks, in bytes.
const DNODE_BYTES: u64 = 512;
/// More users than these are not kept.
const SUMS_MAX: usize = 1 << 17;
const SA_MAGIC: u32 = 0x2f_505a;
const HAS_PROJECT: u64 = 1 << 47;
/// What an object set's flags say: projects are counted in full.
const PROJECTS_COUNTED: u64 = 1 << 2;

/// Whose table, and the name of an entry there.
type Key = (ObjectNumber, String);

/// What the files that differ add to the tables.
#[derive(Debug, Default)]
pub(super) struct UserSums {
    sums: BTreeMap<Key, u64>,
    is_partial: bool,
}

impl UserSums {
    /// Adds a file that is there, or takes one that was.
    pub(super) fn add(&mut self, dnode: &Dnode, is_later: bool) {
        let Some([user, group, project]) = owners(dnode) else {
            return;
        };
        let counts = [
            (
                DnodeFlags::USER_USED_ACCOUNTED,
                "",
                dnode.used.wrapping_add(DNODE_BYTES),
            ),
            (DnodeFlags::USER_OBJECTS_ACCOUNTED, "obj-", 1),
        ];
        for (flag, prefix, count) in counts {
            if !dnode.flags.contains(flag) {
                continue;
            }
            for (table, id) in [(USER_USED, user), (GROUP_USED, group), (PROJECT_USED, project)] {
                let key = (table, format!("{prefix}{id:x}"));
                if self.sums.len() >= SUMS_MAX && !self.sums.contains_key(&key) {
                    self.is_partial = true;
                    continue;
                }
                let sum = self.sums.entry(key).or_default();
                *sum = if is_later {
                    sum.wrapping_add(count)
                } else {
                    sum.wrapping_sub(count)
                };
            }
        }
    }

    /// Compares the tables of the later set with those of the earlier.
    pub(super) fn check(
        &self,
        reader: &BlockReader,
        name: &str,
        earlier: &BlockPointer,
        later: &BlockPointer,
        findings: &mut Findings<'_>,
    ) {
        // What is encrypted cannot be told.
        if later.is_hole() || later.uses_crypt() {
            return;
        }
        let result = self.compare(reader, name, earlier, later, findings);
        if let Err(error) = result {
            findings.unreadable(Spot::dataset(name), &error);
        }
    }

    fn compare(
        &self,
        reader: &BlockReader,
        name: &str,
        earlier: &BlockPointer,
        later: &BlockPointer,
        findings: &mut Findings<'_>,
    ) -> Result<(), Error> {
        let set = ObjectSet::read(reader, later)?;
        if set.set_type != ObjectSetType::ZFS {
            return Ok(());
        }
        if self.is_partial {
            findings.unchecked(&format!("the space of the users of {name}: there are too many"));
            return Ok(());
        }
        let earlier_flags = if earlier.is_hole() {
            u64::MAX
        } else {
            ObjectSet::read(reader, earlier)?.flags
        };
        for (table, offset, field) in [
            (USER_USED, 1024, "userused"),
            (GROUP_USED, 1536, "groupused"),
            (PROJECT_USED, 2048, "projectused"),
        ] {
            let Some(found) = table_at(reader, later, offset)? else {
                continue;
            };
            if table == PROJECT_USED && earlier_flags & set.flags & PROJECTS_COUNTED == 0 {
                continue;
            }
            let before = table_at(reader, earlier, offset)?.unwrap_or_default();
            let mut names: BTreeSet<&String> = found.keys().chain(before.keys()).collect();
            names.extend(self.sums.keys().filter(|key| key.0 == table).map(|key| &key.1));
            for id in names {
                let value = |table: &BTreeMap<String, u64>| table.get(id).copied().unwrap_or(0);
                let change = self.sums.get(&(table, id.clone())).copied().unwrap_or(0);
                let (found, expected) = (value(&found), value(&before).wrapping_add(change));
                if found != expected {
                    let spot = Spot::dataset(name).object(table);
                    findings.report(
                        spot,
                        field,
                        format!("{id}: {}", found.cast_signed()),
                        expected.cast_signed(),
                    );
                }
            }
        }
        Ok(())
    }
}

/// The table in an object set's block; `None` where there is none.
fn table_at(
    reader: &BlockReader,
    root: &BlockPointer,
    offset: usize,
) -> Result<Option<BTreeMap<String, u64>>, Error> {
    if root.is_hole() {
        return Ok(None);
    }
    let block = reader.read_cached(root)?;
    let bytes = block.bytes.get(offset..).unwrap_or_default();
    if Dnode::is_free(bytes) {
        return Ok(None);
    }
    let object = Object {
        number: ObjectNumber(0),
        dnode: Dnode::decode(bytes, block.endian)?,
    };
    let mut table = BTreeMap::new();
    zap::for_each(reader, &object, &mut |entry| {
        if let (true, Some(value)) = (table.len() < SUMS_MAX, entry.value.as_u64()) {
            table.insert(entry.name_lossy(), value);
        }
        Ok(())
    })?;
    Ok(Some(table))
}

/// The user, group and project of a file; `None` for what is no file.
fn owners(dnode: &Dnode) -> Option<[u64; 3]> {
    let bonus = dnode.bonus();
    match dnode.bonus_type {
        ObjectType::ZNODE => {
            let mut reader = Reader::new(bonus, dnode.endian);
            reader.skip(128).ok()?;
            let [user, group] = reader.u64s().ok()?;
            Some([user, group, 0])
        }
        ObjectType::SYSTEM_ATTRIBUTES => {
            let orders = [dnode.endian, dnode.endian.swapped()];
            let is_ours = |endian: &zferry_wire::Endian| Reader::new(bonus, *endian).u32() == Ok(SA_MAGIC);
            let Some(endian) = orders.into_iter().find(is_ours) else {
                // Made, and not filled in yet.
                return Some([0; 3]);
            };
            let mut reader = Reader::new(bonus, endian);
            reader.skip(4).ok()?;
            let header = usize::from(reader.u16().ok()? >> 10).saturating_mul(8);
            let word = |offset: usize| {
                let mut reader = Reader::new(bonus, endian);
                reader.skip(header.saturating_add(offset)).ok()?;
                reader.u64().ok()
            };
            let project = if word(48)? & HAS_PROJECT != 0 {
                word(128)?
            } else {
                0
            };
            Some([word(24)?, word(32)?, project])
        }
        _ => None,
    }
}
