//! The objects of the pool's own metadata: each must be named from somewhere, and each that is named must be there.
//!
//! The names lie all over: in the object directory, in the configuration's vdevs, in directories, datasets and what
//! these lead to. An object that several may share (the empty list of block pointers, the keys of clones) may be named
//! several times.

use super::block_list::objects_of;
use super::finding::{Findings, Spot};
use super::meta::MetaObjects;
use crate::dmu::{Object, ObjectType};
use crate::dsl::{DatasetPhys, DirPhys};
use crate::zap::{self, ZapValue};
use crate::{Error, ObjectNumber, Pool};
use std::collections::BTreeMap;
use zferry_nvlist::NvList;
use zferry_wire::Reader;

/// Entries of the object directory that are numbers, and no objects.
const NO_OBJECTS: [&str; 4] = [
    "deflate",
    "creation_version",
    "last_scrubbed_txg",
    "com.klarasystems:txg_log_time",
];
/// The type of an object that is a table beside its bonus buffer, and of tables in general.
const ZAPPED: ObjectType = ObjectType(0xc4);

/// What was counted on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    /// How often the shared empty list of block pointers is named by deadlists.
    pub(super) empty_lists: u64,
    /// How many heads have bookmarks.
    pub(super) bookmark_tables: u64,
    /// How many bookmarks have twelve words.
    pub(super) long_bookmarks: u64,
    /// How many bookmarks know what was written since.
    pub(super) bookmarks_written: u64,
    /// How many lists of redacted blocks there are, and how many of them keep their header in a spill block.
    pub(super) redaction_lists: u64,
    pub(super) redaction_spills: u64,
    /// How many directories have a livelist, those being destroyed included.
    pub(super) livelists: u64,
    /// How many datasets have each feature among their entries.
    pub(super) per_dataset: BTreeMap<String, u64>,
    /// Whether all could be read.
    pub(super) is_complete: bool,
}

/// Follows every name of an object.
pub(super) struct References<'c, 'o> {
    pool: &'c Pool,
    meta: &'c MetaObjects,
    findings: &'c mut Findings<'o>,
    named: BTreeMap<ObjectNumber, u64>,
    empty_list: Option<ObjectNumber>,
    pub(super) counts: Counts,
}

impl<'c, 'o> References<'c, 'o> {
    pub(super) fn new(pool: &'c Pool, meta: &'c MetaObjects, findings: &'c mut Findings<'o>) -> Self {
        Self {
            pool,
            meta,
            findings,
            named: BTreeMap::new(),
            empty_list: None,
            counts: Counts {
                is_complete: true,
                ..Counts::default()
            },
        }
    }

    /// Follows all, and tells what is missing, named too often, or not named.
    pub(super) fn run(mut self) -> Counts {
        let meta = self.meta;
        self.tried(ObjectNumber(1), Self::directory);
        let vdevs = self.pool.config().list("vdev_tree").cloned();
        if let Some(tree) = vdevs {
            self.vdev(&tree);
        }
        for (number, dir) in &meta.dirs {
            self.tried(*number, |references| references.dir(*number, dir));
        }
        for (number, dataset) in &meta.datasets {
            self.tried(*number, |references| references.dataset(*number, dataset));
        }
        // What leads to directories and datasets is checked with their links.
        self.named.extend(
            meta.dirs
                .keys()
                .chain(meta.datasets.keys())
                .map(|number| (*number, 1)),
        );
        if self.counts.is_complete {
            for (number, kind) in meta
                .types
                .iter()
                .filter(|(number, _)| !self.named.contains_key(number))
            {
                self.findings.report(
                    Spot::meta(*number),
                    "object",
                    format!("an object ({kind}) that nothing names"),
                    "none",
                );
            }
        }
        self.counts
    }

    /// Does a part of the work; what cannot be read is told, and the rest goes on.
    fn tried(&mut self, at: ObjectNumber, part: impl FnOnce(&mut Self) -> Result<(), Error>) {
        if let Err(error) = part(self) {
            self.counts.is_complete = false;
            self.findings.unreadable(Spot::meta(at), &error);
        }
    }

    /// Notes that `by` names an object. Returns whether it is there.
    fn name(&mut self, by: &str, number: ObjectNumber) -> bool {
        if number == ObjectNumber(0) {
            return false;
        }
        let count = self.named.entry(number).or_default();
        *count = count.saturating_add(1);
        if *count > 1 {
            self.findings.report(
                Spot::meta(number),
                "object",
                format!("named again by {by}"),
                "named once",
            );
        }
        self.is_there(by, number)
    }

    /// The same for an object that several may name.
    fn name_shared(&mut self, by: &str, number: ObjectNumber) -> bool {
        self.named.insert(number, 1);
        self.is_there(by, number)
    }

    fn is_there(&mut self, by: &str, number: ObjectNumber) -> bool {
        let is_there = self.meta.types.contains_key(&number);
        if !is_there {
            self.findings.report(
                Spot::meta(number),
                "object",
                format!("missing, and named by {by}"),
                "an object",
            );
        }
        is_there
    }

    fn entries(&self, table: ObjectNumber) -> Result<Vec<zap::ZapEntry>, Error> {
        zap::entries(self.pool.reader(), &self.pool.meta_object(table)?)
    }

    /// Notes every object that a table names.
    fn table_of_objects(&mut self, by: &str, table: ObjectNumber) -> Result<(), Error> {
        for entry in self.entries(table)? {
            if let Some(number) = entry.value.as_u64() {
                self.name(by, ObjectNumber(number));
            }
        }
        Ok(())
    }

    fn directory(&mut self) -> Result<(), Error> {
        let entries = self.pool.directory_entries()?;
        self.name("the pool", ObjectNumber(1));
        let find = |name: &str| entries.iter().find(|entry| entry.name == name.as_bytes());
        self.empty_list = find("empty_bpobj")
            .and_then(|entry| entry.value.as_u64())
            .map(ObjectNumber);
        for entry in &entries {
            let name = entry.name_lossy();
            if NO_OBJECTS.iter().any(|prefix| name.starts_with(prefix)) {
                continue;
            }
            match entry.value.as_u64() {
                Some(number) => self.directory_entry(&name, ObjectNumber(number))?,
                None => self.directory_array(&name, &entry.value)?,
            }
        }
        Ok(())
    }

    fn directory_entry(&mut self, name: &str, number: ObjectNumber) -> Result<(), Error> {
        match name {
            // It is checked with the directories.
            "root_dataset" => return Ok(()),
            "sync_bplist" | "free_bpobj" | "com.delphix:obsolete_bpobj" => return self.list(name, number),
            _ => {}
        }
        if !self.name(name, number) {
            return Ok(());
        }
        match name {
            "com.delphix:log_spacemap_zap" => self.table_of_objects(name, number),
            "com.delphix:deleted_clones" => {
                for entry in self.entries(number)? {
                    if let Some(livelist) = entry.value.as_u64() {
                        self.counts.livelists = self.counts.livelists.saturating_add(1);
                        self.deadlist("a livelist", ObjectNumber(livelist))?;
                    }
                }
                Ok(())
            }
            "errlog_last" | "errlog_scrub" if self.pool.is_feature_active("com.delphix:head_errlog")? => {
                self.table_of_objects(name, number)
            }
            _ if name.starts_with("com.fudosecurity:brt:vdev:") => {
                let object = self.pool.meta_object(number)?;
                let entries = Reader::new(object.dnode.bonus(), object.dnode.endian).u64()?;
                self.name(name, ObjectNumber(entries));
                Ok(())
            }
            _ if name.starts_with("DDT-") && name != "DDT-statistics" => self.dedup(name, number),
            _ => Ok(()),
        }
    }

    /// A deduplication table of the newer form is a table of tables.
    fn dedup(&mut self, name: &str, number: ObjectNumber) -> Result<(), Error> {
        if name.matches('-').count() > 1 {
            return Ok(());
        }
        for entry in self.entries(number)? {
            if let (true, Some(table)) = (entry.name.starts_with(b"DDT-"), entry.value.as_u64()) {
                self.name(name, ObjectNumber(table));
            }
        }
        Ok(())
    }

    /// Entries that are structures, in which some words are objects.
    fn directory_array(&mut self, name: &str, value: &ZapValue) -> Result<(), Error> {
        let words = value.as_u64s().unwrap_or_default();
        let positions: &[usize] = match name {
            // scn_queue_obj
            "scan" => &[2],
            // scip_vdev, scip_prev_obsolete_sm_object, scip_next_mapping_object
            "com.delphix:condensing_indirect" => &[1, 2],
            _ => &[],
        };
        for position in positions {
            if let Some(number) = words.get(*position) {
                self.name(name, ObjectNumber(*number));
            }
        }
        if let ("com.delphix:condensing_indirect", Some(mapping)) =
            (name, words.get(2).filter(|number| **number != 0))
        {
            self.mapping_counts(ObjectNumber(*mapping))?;
        }
        Ok(())
    }

    /// The object that counts what of a mapping of a removed vdev is obsolete.
    fn mapping_counts(&mut self, mapping: ObjectNumber) -> Result<(), Error> {
        let object = self.pool.meta_object(mapping)?;
        let mut reader = Reader::new(object.dnode.bonus(), object.dnode.endian);
        // vimp_max_offset, vimp_bytes_mapped, vimp_num_entries; older mappings end there
        let [_, _, _]: [u64; 3] = reader.u64s()?;
        if let Ok(counts) = reader.u64() {
            self.name("a mapping", ObjectNumber(counts));
        }
        Ok(())
    }

    /// The objects of a vdev and of those below it.
    fn vdev(&mut self, tree: &NvList) {
        const KEYS: [&str; 7] = [
            "metaslab_array",
            "DTL",
            "com.delphix:vdev_zap_leaf",
            "com.delphix:vdev_zap_top",
            "com.klarasystems:vdev_zap_root",
            "com.delphix:indirect_object",
            "com.delphix:indirect_births",
        ];
        let mut waiting = vec![tree];
        while let Some(vdev) = waiting.pop() {
            for key in KEYS {
                if let Some(number) = vdev.u64(key) {
                    self.name(key, ObjectNumber(number));
                }
            }
            let array = vdev
                .u64("metaslab_array")
                .filter(|number| *number != 0)
                .map(ObjectNumber);
            if let Some(array) = array {
                self.tried(array, |references| references.metaslabs(array));
            }
            if let Some(table) = vdev.u64("com.delphix:vdev_zap_top").filter(|number| *number != 0) {
                let table = ObjectNumber(table);
                self.tried(table, |references| references.top_table(table));
            }
            if let Some(mapping) = vdev
                .u64("com.delphix:indirect_object")
                .filter(|number| *number != 0)
            {
                let mapping = ObjectNumber(mapping);
                self.tried(mapping, |references| references.mapping_counts(mapping));
            }
            waiting.extend(vdev.lists("children").unwrap_or_default());
        }
    }

    fn metaslabs(&mut self, array: ObjectNumber) -> Result<(), Error> {
        let object = self.pool.meta_object(array)?;
        let top = self
            .pool
            .top_vdevs()
            .into_iter()
            .find(|top| top.metaslab_array == Some(object.number));
        let maps = top.map(|top| self.pool.space_maps(&top)).transpose()?;
        for map in maps.unwrap_or_default() {
            self.name("metaslab_array", ObjectNumber(map));
        }
        Ok(())
    }

    fn top_table(&mut self, table: ObjectNumber) -> Result<(), Error> {
        const KEYS: [&[u8]; 3] = [
            b"com.delphix:pool_checkpoint_sm",
            b"com.delphix:indirect_obsolete_sm",
            b"com.delphix:ms_unflushed_phys_txgs",
        ];
        for entry in self.entries(table)? {
            if let (true, Some(number)) = (KEYS.contains(&&*entry.name), entry.value.as_u64()) {
                self.name(&entry.name_lossy(), ObjectNumber(number));
            }
        }
        Ok(())
    }

    /// A list of block pointers, with those below it.
    fn list(&mut self, by: &str, list: ObjectNumber) -> Result<(), Error> {
        let mut objects = Vec::new();
        let all = objects_of(self.pool, list, self.meta.types.len(), &mut |number| {
            objects.push(number);
        });
        for number in objects {
            if Some(number) == self.empty_list {
                self.counts.empty_lists = self.counts.empty_lists.saturating_add(1);
            } else {
                self.name(by, number);
            }
        }
        all
    }

    /// A deadlist or livelist with its lists.
    fn deadlist(&mut self, by: &str, number: ObjectNumber) -> Result<(), Error> {
        if !self.meta.types.contains_key(&number) {
            self.name(by, number);
            return Ok(());
        }
        let object = self.pool.meta_object(number)?;
        if object.dnode.object_type == ObjectType::BPOBJ {
            return self.list(by, number);
        }
        self.name(by, number);
        for entry in zap::entries(self.pool.reader(), &object)? {
            if let Some(list) = entry.value.as_u64() {
                self.list(by, ObjectNumber(list))?;
            }
        }
        Ok(())
    }

    fn dir(&mut self, number: ObjectNumber, dir: &DirPhys) -> Result<(), Error> {
        let by = format!("directory {number}");
        for table in [dir.children, dir.properties, dir.clones].into_iter().flatten() {
            self.name(&by, table);
        }
        if let Some(table) = dir.delegations
            && self.name(&by, table)
        {
            self.table_of_objects(&by, table)?;
        }
        for entry in self.own_entries(number)? {
            let Some(value) = entry.value.as_u64().filter(|value| *value != 0) else {
                continue;
            };
            match &*entry.name {
                b"com.datto:crypto_key_obj" => {
                    self.name_shared(&by, ObjectNumber(value));
                }
                b"com.delphix:livelist" => {
                    self.counts.livelists = self.counts.livelists.saturating_add(1);
                    self.deadlist(&by, ObjectNumber(value))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The entries of an object that may be a table beside its bonus buffer.
    fn own_entries(&self, number: ObjectNumber) -> Result<Vec<zap::ZapEntry>, Error> {
        if self.meta.types.get(&number) == Some(&ZAPPED) {
            self.entries(number)
        } else {
            Ok(Vec::new())
        }
    }

    fn dataset(&mut self, number: ObjectNumber, dataset: &DatasetPhys) -> Result<(), Error> {
        let by = format!("dataset {number}");
        let tables = [
            dataset.snapshots,
            dataset.next_clones,
            dataset.properties,
            dataset.holds,
        ];
        for table in tables.into_iter().flatten() {
            self.name(&by, table);
        }
        if let Some(deadlist) = dataset.deadlist {
            self.deadlist(&by, deadlist)?;
        }
        for entry in self.own_entries(number)? {
            let value = entry.value.as_u64().filter(|value| *value != 0).map(ObjectNumber);
            match (&*entry.name, value) {
                (b"com.delphix:bookmarks", Some(table)) => {
                    self.counts.bookmark_tables = self.counts.bookmark_tables.saturating_add(1);
                    if self.name(&by, table) {
                        self.bookmarks(&by, table)?;
                    }
                }
                (b"com.delphix:remap_deadlist", Some(deadlist)) => self.deadlist(&by, deadlist)?,
                _ => {
                    let count = self.counts.per_dataset.entry(entry.name_lossy()).or_default();
                    *count = count.saturating_add(1);
                }
            }
        }
        Ok(())
    }

    fn bookmarks(&mut self, by: &str, table: ObjectNumber) -> Result<(), Error> {
        const LONG: usize = 12;
        for entry in self.entries(table)? {
            let words = entry.value.as_u64s().unwrap_or_default();
            let word = |index: usize| words.get(index).copied().unwrap_or(0);
            if words.len() == LONG {
                self.counts.long_bookmarks = self.counts.long_bookmarks.saturating_add(1);
            }
            // zbm_flags: what was freed before the next snapshot is known
            if word(4) & 1 == 1 {
                self.counts.bookmarks_written = self.counts.bookmarks_written.saturating_add(1);
            }
            let redaction = ObjectNumber(word(3));
            if self.name(by, redaction) {
                self.counts.redaction_lists = self.counts.redaction_lists.saturating_add(1);
                let object: Object = self.pool.meta_object(redaction)?;
                let spills = u64::from(object.dnode.spill.is_some());
                self.counts.redaction_spills = self.counts.redaction_spills.saturating_add(spills);
            }
        }
        Ok(())
    }
}
