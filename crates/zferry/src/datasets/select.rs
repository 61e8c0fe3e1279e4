//! Which datasets a command is about: what was named and what lies below it, of the kinds that were asked for.

use super::sort::Place;
use super::{Handle, SortKey, WantedList, open};
use std::collections::HashSet;
use zferry_zpool::dsl::property::{DatasetTypes, Value};
use zferry_zpool::dsl::{DslPool, Entity, EntityKind};
use zferry_zpool::{Error, ObjectNumber};

/// The kinds that were asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    pub(crate) wanted: DatasetTypes,
    /// Snapshots that were not named are only wanted from pools whose property `listsnapshots` is on.
    pub(crate) snapshots_by_pool: bool,
}

impl Types {
    /// The kinds of a list such as `fs,snapshot`.
    ///
    /// # Errors
    /// The sentence to be printed.
    pub(crate) fn parse(names: &str) -> Result<Self, String> {
        let mut wanted = DatasetTypes::empty();
        for name in names.split(',') {
            wanted |= match name {
                "filesystem" | "fs" => DatasetTypes::FILESYSTEM,
                "volume" | "vol" => DatasetTypes::VOLUME,
                "snapshot" | "snap" => DatasetTypes::SNAPSHOT,
                "bookmark" => DatasetTypes::BOOKMARK,
                "all" => DatasetTypes::all(),
                other => return Err(format!("invalid type '{other}'")),
            };
        }
        Ok(Self {
            wanted,
            snapshots_by_pool: false,
        })
    }

    /// Whether it is only snapshots, or only bookmarks: those of a dataset that is named are meant then.
    pub(crate) fn is_one_kind_of_part(self) -> bool {
        self.wanted == DatasetTypes::SNAPSHOT || self.wanted == DatasetTypes::BOOKMARK
    }
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Selection<'s> {
    /// The names; none: everything.
    pub(crate) operands: &'s [String],
    pub(crate) types: Types,
    pub(crate) is_recursive: bool,
    /// How many levels down; `None`: all the way.
    pub(crate) depth: Option<u64>,
    pub(crate) keys: &'s [SortKey],
    /// Numbers are shown with all their digits, which columns must have room for.
    pub(crate) literal: bool,
    /// Values that came with streams are shown too.
    pub(crate) received: bool,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Selected<'a> {
    /// In the order in which they are shown.
    pub(crate) handles: Vec<Handle<'a>>,
    /// What could not be opened or read: sentences to be printed.
    pub(crate) failures: Vec<String>,
}

/// Finds what was asked for, and makes room for it in the columns of `wanted`.
pub(crate) fn select<'a>(
    dsls: &'a [DslPool<'a>],
    selection: &Selection<'_>,
    wanted: &mut WantedList,
) -> Selected<'a> {
    let mut search = Search {
        selection,
        wanted,
        found: Vec::new(),
        names: HashSet::new(),
        visited: HashSet::new(),
        failures: Vec::new(),
    };
    if selection.operands.is_empty() {
        search.everything(dsls);
    } else {
        for name in selection.operands {
            match open(dsls, name, search.operand_types()) {
                Ok(handle) => search.visit(handle, 0, selection.is_recursive),
                Err(sentence) => search.failures.push(sentence),
            }
        }
    }
    search.found.sort_by(|(a, _), (b, _)| a.cmp(b));
    let handles = search.found.into_iter().map(|(_, handle)| handle).collect();
    Selected {
        handles,
        failures: search.failures,
    }
}

struct Search<'s, 'a> {
    selection: &'s Selection<'s>,
    wanted: &'s mut WantedList,
    found: Vec<(Place, Handle<'a>)>,
    /// What is in `found`: naming something twice shows it once.
    names: HashSet<String>,
    /// The directories whose children were looked at, by pool and object.
    visited: HashSet<(u64, ObjectNumber)>,
    failures: Vec<String>,
}

impl<'a> Search<'_, 'a> {
    /// What may be named: where everything below is meant, file systems may be, and volumes for their snapshots.
    fn operand_types(&self) -> DatasetTypes {
        let mut types = self.selection.types.wanted;
        if self.selection.is_recursive {
            types |= DatasetTypes::FILESYSTEM;
            if types.intersects(DatasetTypes::SNAPSHOT | DatasetTypes::BOOKMARK) {
                types |= DatasetTypes::VOLUME;
            }
        }
        types
    }

    fn everything(&mut self, dsls: &'a [DslPool<'a>]) {
        for dsl in dsls {
            let root = dsl.root().map(|root| root.name.clone());
            let entity = root.and_then(|name| dsl.entity(&name));
            match entity {
                Ok(Some(entity)) => self.visit(Handle::new(dsl, entity), 0, true),
                Ok(None) => {}
                Err(error) => self.fail(dsl.pool().name().unwrap_or("pool"), &error),
            }
        }
    }

    fn fail(&mut self, name: &str, error: &Error) {
        self.failures.push(format!("cannot open '{name}': {error}"));
    }

    /// Takes `handle` in, if it is wanted, and what lies below it. Nothing lies deeper than a name is long, so this
    /// can call itself.
    fn visit(&mut self, handle: Handle<'a>, depth: u64, is_recursive: bool) {
        let below = handle.entity.clone();
        let dsl = handle.dsl;
        let types = handle.types();
        let wants_snapshots = self.wants_snapshots(dsl);
        let is_snapshot = types == DatasetTypes::SNAPSHOT;
        if self.selection.types.wanted.intersects(types) || (is_snapshot && wants_snapshots) {
            self.take(handle);
        }
        let is_deep_enough = self.selection.depth.is_some_and(|limit| depth >= limit);
        if !is_recursive || is_deep_enough {
            return;
        }
        let depth = depth.saturating_add(1);
        let wanted = self.selection.types.wanted;
        let heads = DatasetTypes::FILESYSTEM | DatasetTypes::VOLUME;
        // At the last level, children are only looked at if they are wanted themselves.
        let goes_on = self.selection.depth.is_none_or(|limit| depth < limit) || wanted.intersects(heads);
        let result = (|| {
            if goes_on && types == DatasetTypes::FILESYSTEM {
                self.children(dsl, &below, depth)?;
            }
            if types.intersects(heads) && wants_snapshots {
                self.snapshots(dsl, &below, depth)?;
            }
            if types.intersects(heads) && wanted.contains(DatasetTypes::BOOKMARK) {
                self.bookmarks(dsl, &below, depth)?;
            }
            Ok(())
        })();
        if let Err(error) = result {
            self.fail(below.name(), &error);
        }
    }

    fn take(&mut self, handle: Handle<'a>) {
        if !self.names.insert(handle.name().to_owned()) {
            return;
        }
        let room = self
            .wanted
            .make_room(&handle, self.selection.literal, self.selection.received);
        match room.and_then(|()| Place::of(&handle, self.selection.keys)) {
            Ok(place) => self.found.push((place, handle)),
            Err(error) => self.fail(handle.name(), &error),
        }
    }

    fn wants_snapshots(&self, dsl: &DslPool<'_>) -> bool {
        if self.selection.types.snapshots_by_pool {
            lists_snapshots(dsl)
        } else {
            self.selection.types.wanted.contains(DatasetTypes::SNAPSHOT)
        }
    }

    fn children(&mut self, dsl: &'a DslPool<'a>, entity: &Entity, depth: u64) -> Result<(), Error> {
        let dir = entity.dir();
        if !self.visited.insert((dsl.pool().guid(), dir.number)) {
            return Ok(());
        }
        for (name, number) in dsl.children(dir)? {
            if name.contains(['$', '%']) {
                continue;
            }
            let child = dsl.dir_of(dir, &name, number).and_then(|dir| dsl.head(&dir));
            match child.and_then(|child| child.map(|child| dsl.entity_of(child)).transpose()) {
                Ok(Some(child)) => self.visit(Handle::new(dsl, child), depth, true),
                Ok(None) => {}
                Err(error) => self.fail(&format!("{}/{name}", dir.name), &error),
            }
        }
        Ok(())
    }

    fn snapshots(&mut self, dsl: &'a DslPool<'a>, entity: &Entity, depth: u64) -> Result<(), Error> {
        let Some(head) = entity.dataset() else {
            return Ok(());
        };
        for (name, number) in dsl.snapshots(head)? {
            match dsl.snapshot_of(head, &name, number) {
                Ok(snapshot) => {
                    let kind = EntityKind::Dataset(snapshot);
                    let snapshot = Entity {
                        kind,
                        head_type: entity.head_type,
                    };
                    self.visit(Handle::new(dsl, snapshot), depth, true);
                }
                Err(error) => self.fail(&format!("{}@{name}", head.name), &error),
            }
        }
        Ok(())
    }

    fn bookmarks(&mut self, dsl: &'a DslPool<'a>, entity: &Entity, depth: u64) -> Result<(), Error> {
        let Some(head) = entity.dataset() else {
            return Ok(());
        };
        for bookmark in dsl.bookmarks(head)? {
            let kind = EntityKind::Bookmark(bookmark);
            self.visit(
                Handle::new(
                    dsl,
                    Entity {
                        kind,
                        head_type: entity.head_type,
                    },
                ),
                depth,
                true,
            );
        }
        Ok(())
    }
}

/// Whether a pool wants its snapshots to be listed unasked.
fn lists_snapshots(dsl: &DslPool<'_>) -> bool {
    use zferry_zpool::dsl::property::PoolProperty;
    let found = dsl.pool_property(PoolProperty::ListSnapshots);
    found.is_ok_and(|found| found.is_some_and(|found| found.value != Value::Number(0)))
}
