//! The objects of the pool's own metadata, as the walk comes by them.

use crate::dmu::{Object, ObjectType};
use crate::dsl::{DatasetPhys, DirPhys};
use crate::{Error, ObjectNumber};
use std::collections::BTreeMap;

/// What a check keeps of the pool's own metadata.
#[derive(Debug, Default)]
pub(crate) struct MetaObjects {
    /// Every object and its type.
    pub(crate) types: BTreeMap<ObjectNumber, ObjectType>,
    /// The directories.
    pub(crate) dirs: BTreeMap<ObjectNumber, DirPhys>,
    /// The datasets.
    pub(crate) datasets: BTreeMap<ObjectNumber, DatasetPhys>,
    /// How many directories and datasets are tables too.
    pub(crate) extensible: u64,
    /// How many space maps have a histogram.
    pub(crate) histograms: u64,
}

impl MetaObjects {
    /// Notes an object.
    pub(crate) fn note(&mut self, object: &Object) -> Result<(), Error> {
        /// The type of an object that is a table beside its bonus buffer.
        const ZAPPED: ObjectType = ObjectType(0xc4);
        const SPACE_MAP_HEADER: ObjectType = ObjectType(7);
        /// The length of a space map's header with its histogram, in bytes.
        const WITH_HISTOGRAM: u16 = 320;
        // The number of the meta-dnode, which is no object like others.
        if object.number == ObjectNumber(0) {
            return Ok(());
        }
        let dnode = &object.dnode;
        self.types.insert(object.number, dnode.object_type);
        match dnode.bonus_type {
            ObjectType::DSL_DIR => {
                self.dirs.insert(object.number, DirPhys::decode(object)?);
            }
            ObjectType::DSL_DATASET => {
                self.datasets.insert(object.number, DatasetPhys::decode(object)?);
            }
            SPACE_MAP_HEADER if dnode.bonus_len >= WITH_HISTOGRAM => {
                self.histograms = self.histograms.saturating_add(1);
            }
            _ => {}
        }
        let is_dsl = matches!(dnode.bonus_type, ObjectType::DSL_DIR | ObjectType::DSL_DATASET);
        if is_dsl && dnode.object_type == ZAPPED {
            self.extensible = self.extensible.saturating_add(1);
        }
        Ok(())
    }
}
