//! The dataset: a head or a snapshot, that is, an object set with its history.
//!
//! ```text
//! offset  field                       the bonus buffer of a dataset's object, 320 bytes of 64-bit numbers
//!      0  ds_dir_obj
//!      8  ds_prev_snap_obj            the snapshot before; $ORIGIN@$ORIGIN before the first
//!     16  ds_prev_snap_txg            its ds_creation_txg
//!     24  ds_next_snap_obj            of a snapshot: the next one, or the head
//!     32  ds_snapnames_zapobj         of a head: name → snapshot
//!     40  ds_num_children             of a snapshot: how many datasets have it as the one before; of a head 0
//!     48  ds_creation_time            seconds since 1970
//!     56  ds_creation_txg
//!     64  ds_deadlist_obj
//!     72  ds_referenced_bytes, ds_compressed_bytes, ds_uncompressed_bytes
//!     96  ds_unique_bytes             space that nothing else references
//!    104  ds_fsid_guid
//!    112  ds_guid
//!    120  ds_flags
//!    128  ds_bp                       128 bytes: the pointer to the object set
//!    256  ds_next_clones_obj          of a snapshot: its clones
//!    264  ds_props_obj                of a snapshot: its own properties
//!    272  ds_userrefs_obj             of a snapshot: its holds
//! ```
//!
//! Where the object is a ZAP too, it has entries for the features that its blocks use, and for whatever else.

use super::DslDir;
use super::phys::{bonus, has_table, object_number};
use crate::dmu::{Object, ObjectType};
use crate::spa::BlockPointer;
use crate::{Corrupt, ObjectNumber, Txg};
use std::sync::Arc;

bitflags::bitflags! {
    /// What a dataset's `ds_flags` say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DatasetFlags: u64 {
        /// Half received or half destroyed.
        const INCONSISTENT = 1 << 0;
        /// It must not be promoted.
        const NO_PROMOTE = 1 << 1;
        /// `ds_unique_bytes` is exact.
        const UNIQUE_ACCURATE = 1 << 2;
        /// To be destroyed with its last hold or clone.
        const DEFER_DESTROY = 1 << 3;
        /// Snapshot names are compared without regard to case.
        const CASE_INSENSITIVE = 1 << 16;
        /// Unknown flags are kept.
        const _ = !0;
    }
}

/// A dataset as it is on disk.
#[derive(Clone, Debug)]
pub struct DatasetPhys {
    /// Its directory.
    pub dir: ObjectNumber,
    /// The snapshot before it.
    pub prev_snapshot: Option<ObjectNumber>,
    /// The transaction group of the snapshot before it: blocks born later are its own.
    pub prev_snapshot_txg: Txg,
    /// The next snapshot, or the head; none for a head.
    pub next_snapshot: Option<ObjectNumber>,
    /// Of a head: the table of its snapshots.
    pub snapshots: Option<ObjectNumber>,
    /// Of a snapshot: how many datasets come next, clones among them. Of a head: 0.
    pub num_children: u64,
    /// When it was made: seconds since 1970.
    pub creation_time: u64,
    /// The transaction group in which it was made.
    pub creation_txg: Txg,
    /// What was freed in it.
    pub deadlist: Option<ObjectNumber>,
    /// Space that can be reached through it, in bytes.
    pub referenced: u64,
    /// The same before allocation: compressed sizes, in bytes.
    pub compressed: u64,
    /// The same before compression, in bytes.
    pub uncompressed: u64,
    /// Space that nothing else references, in bytes.
    pub unique: u64,
    /// What the system knows the mounted file system by; 56 bits.
    pub fsid_guid: u64,
    /// Its identity, the same for what was received from it.
    pub guid: u64,
    /// Flags.
    pub flags: DatasetFlags,
    /// Where its object set is.
    pub root: BlockPointer,
    /// Of a snapshot: the table of its clones.
    pub next_clones: Option<ObjectNumber>,
    /// Of a snapshot: the table of its own properties.
    pub properties: Option<ObjectNumber>,
    /// Of a snapshot: the table of its holds.
    pub holds: Option<ObjectNumber>,
}

impl DatasetPhys {
    /// Decodes the bonus buffer of a dataset's object.
    ///
    /// # Errors
    /// [`Corrupt`] where the object is no dataset.
    pub fn decode(object: &Object) -> Result<Self, Corrupt> {
        let mut reader = bonus(object, ObjectType::DSL_DATASET, "DSL dataset")?;
        let [
            dir,
            prev_snapshot,
            prev_snapshot_txg,
            next_snapshot,
            snapshots,
            num_children,
        ] = reader.u64s()?;
        let [
            creation_time,
            creation_txg,
            deadlist,
            referenced,
            compressed,
            uncompressed,
        ] = reader.u64s()?;
        let [unique, fsid_guid, guid, flags] = reader.u64s()?;
        let root = BlockPointer::read(&mut reader)?;
        let [next_clones, properties, holds] = reader.u64s()?;
        Ok(Self {
            dir: ObjectNumber(dir),
            prev_snapshot: object_number(prev_snapshot),
            prev_snapshot_txg: Txg(prev_snapshot_txg),
            next_snapshot: object_number(next_snapshot),
            snapshots: object_number(snapshots),
            num_children,
            creation_time,
            creation_txg: Txg(creation_txg),
            deadlist: object_number(deadlist),
            referenced,
            compressed,
            uncompressed,
            unique,
            fsid_guid,
            guid,
            flags: DatasetFlags::from_bits_retain(flags),
            root,
            next_clones: object_number(next_clones),
            properties: object_number(properties),
            holds: object_number(holds),
        })
    }

    /// The size of the bonus buffer, in bytes.
    pub(crate) const BYTES: usize = 320;

    /// The bonus buffer. What the format keeps free is zero.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let number = |number: Option<ObjectNumber>| number.map_or(0, |number| number.0);
        let fields = [
            self.dir.0,
            number(self.prev_snapshot),
            self.prev_snapshot_txg.0,
            number(self.next_snapshot),
            number(self.snapshots),
            self.num_children,
            self.creation_time,
            self.creation_txg.0,
            number(self.deadlist),
            self.referenced,
            self.compressed,
            self.uncompressed,
            self.unique,
            self.fsid_guid,
            self.guid,
            self.flags.bits(),
        ];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.extend_from_slice(&self.root.to_bytes());
        for table in [self.next_clones, self.properties, self.holds] {
            bytes.extend_from_slice(&number(table).to_le_bytes());
        }
        bytes.resize(Self::BYTES, 0);
        bytes
    }

    /// Whether it is a snapshot.
    #[must_use]
    pub const fn is_snapshot(&self) -> bool {
        self.num_children != 0
    }
}

/// A dataset in its place: the head of a directory, or one of its snapshots.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Its full name: `pool/a/b`, or `pool/a/b@snapshot`.
    pub name: String,
    /// Its object, which is its `objsetid`.
    pub number: ObjectNumber,
    /// Whether the object is a table too.
    pub has_table: bool,
    /// What its object says.
    pub phys: DatasetPhys,
    /// Its directory.
    pub dir: Arc<DslDir>,
}

impl Dataset {
    pub(super) fn new(name: String, object: &Object, dir: Arc<DslDir>) -> Result<Self, Corrupt> {
        let phys = DatasetPhys::decode(object)?;
        if phys.dir != dir.number {
            let (number, found, expected) = (object.number, phys.dir, dir.number);
            return Err(Corrupt::new(format!(
                "dataset {number} ('{name}') says that it belongs to directory {found}, but is found in {expected}"
            )));
        }
        Ok(Self {
            name,
            number: object.number,
            has_table: has_table(object),
            phys,
            dir,
        })
    }

    /// Whether it is a snapshot.
    #[must_use]
    pub const fn is_snapshot(&self) -> bool {
        self.phys.is_snapshot()
    }

    /// The snapshot's own name, behind the `@`.
    #[must_use]
    pub fn snapshot_name(&self) -> Option<&str> {
        self.name.split_once('@').map(|(_, snapshot)| snapshot)
    }
}
