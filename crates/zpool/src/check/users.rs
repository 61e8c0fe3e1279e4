//! Who uses how much of a file system: the tables of users, groups and projects, against the files.
//!
//! A table of a snapshot or head is that of the snapshot before it, with what the files that differ add and take: so the
//! sums are computed from the difference alone. A file counts with the space of its blocks and 512 bytes for its dnode,
//! where a flag in its dnode says that it was counted.

use super::finding::{Findings, Spot};
use super::tree_diff::{GROUP_USED, PROJECT_USED, USER_USED};
use crate::dmu::{Dnode, Object, ObjectSet, ObjectSetType, counted, owners};
use crate::spa::{BlockPointer, BlockReader};
use crate::zap;
use crate::{Error, ObjectNumber};
use std::collections::{BTreeMap, BTreeSet};

/// More users than these are not kept.
const SUMS_MAX: usize = 1 << 17;
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
        for (prefix, count) in counted(dnode) {
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
