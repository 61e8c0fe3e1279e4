//! The DSL directory: a place in a pool's tree of datasets, with its accounts and its properties.
//!
//! ```text
//! offset  field                       the bonus buffer of a directory's object, 256 bytes of 64-bit numbers
//!      0  dd_creation_time            seconds since 1970
//!      8  dd_head_dataset_obj         0 in $MOS and $FREE, which only count space
//!     16  dd_parent_obj               0 in the root
//!     24  dd_origin_obj               the snapshot that it was cloned from; $ORIGIN@$ORIGIN where it was not
//!     32  dd_child_dir_zapobj         name → directory
//!     40  dd_used_bytes, dd_compressed_bytes, dd_uncompressed_bytes
//!     64  dd_quota, dd_reserved       bytes; 0: none
//!     80  dd_props_zapobj             the properties that were set here
//!     88  dd_deleg_zapobj             who may do what
//!     96  dd_flags                    1: the breakdown is kept
//!    104  dd_used_breakdown[5]        head, snapshots, children, children's reservations, refreservation
//!    144  dd_clones                   the heads of its snapshots' clones
//! ```
//!
//! Where the object is a ZAP too, it has entries such as `com.datto:crypto_key_obj` and `com.joyent:snapshot_count`.

use super::phys::{bonus, has_table, object_number};
use super::property::Settings;
use crate::dmu::{Object, ObjectType};
use crate::{Corrupt, ObjectNumber};
use std::sync::{Arc, OnceLock};

bitflags::bitflags! {
    /// What a directory's `dd_flags` say.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct DirFlags: u64 {
        /// The breakdown of its used space is kept.
        const USED_BREAKDOWN = 1 << 0;
        /// Unknown flags are kept.
        const _ = !0;
    }
}

/// By what a directory's space is used, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsedBreakdown {
    /// What the head alone references.
    pub head: u64,
    /// What only snapshots reference.
    pub snapshots: u64,
    /// What its children use.
    pub children: u64,
    /// What its children have reserved beyond what they use.
    pub child_reservations: u64,
    /// What the head has reserved beyond what it has written.
    pub ref_reservation: u64,
}

/// A directory as it is on disk.
#[derive(Clone, Debug)]
pub struct DirPhys {
    /// When it was made: seconds since 1970.
    pub creation_time: u64,
    /// Its head.
    pub head: Option<ObjectNumber>,
    /// The directory that it lies in; none for the root.
    pub parent: Option<ObjectNumber>,
    /// The snapshot that it was cloned from. In pools with `$ORIGIN`, every directory has one.
    pub origin: Option<ObjectNumber>,
    /// The table of the directories in it.
    pub children: Option<ObjectNumber>,
    /// Space used by it and everything in it, in bytes.
    pub used: u64,
    /// The same before allocation: compressed sizes, in bytes.
    pub compressed: u64,
    /// The same before compression, in bytes.
    pub uncompressed: u64,
    /// The most that it may use, in bytes; 0: anything.
    pub quota: u64,
    /// The least that it is sure to get, in bytes.
    pub reserved: u64,
    /// The table of properties.
    pub properties: Option<ObjectNumber>,
    /// The table of who may do what.
    pub delegations: Option<ObjectNumber>,
    /// Flags.
    pub flags: DirFlags,
    /// By what its space is used.
    pub used_by: UsedBreakdown,
    /// The table of the heads of its snapshots' clones.
    pub clones: Option<ObjectNumber>,
}

impl DirPhys {
    /// Decodes the bonus buffer of a directory's object.
    ///
    /// # Errors
    /// [`Corrupt`] where the object is no directory.
    pub fn decode(object: &Object) -> Result<Self, Corrupt> {
        let mut reader = bonus(object, ObjectType::DSL_DIR, "DSL directory")?;
        let [creation_time, head, parent, origin, children] = reader.u64s()?;
        let [
            used,
            compressed,
            uncompressed,
            quota,
            reserved,
            properties,
            delegations,
            flags,
        ] = reader.u64s()?;
        let [
            head_used,
            snapshots,
            child_used,
            child_reservations,
            ref_reservation,
            clones,
        ] = reader.u64s()?;
        Ok(Self {
            creation_time,
            head: object_number(head),
            parent: object_number(parent),
            origin: object_number(origin),
            children: object_number(children),
            used,
            compressed,
            uncompressed,
            quota,
            reserved,
            properties: object_number(properties),
            delegations: object_number(delegations),
            flags: DirFlags::from_bits_retain(flags),
            used_by: UsedBreakdown {
                head: head_used,
                snapshots,
                children: child_used,
                child_reservations,
                ref_reservation,
            },
            clones: object_number(clones),
        })
    }
}

impl DirPhys {
    /// The size of the bonus buffer, in bytes.
    pub(crate) const BYTES: usize = 256;

    /// The bonus buffer. What the format keeps free is zero.
    #[must_use]
    pub(crate) fn encode(&self) -> Vec<u8> {
        let number = |number: Option<ObjectNumber>| number.map_or(0, |number| number.0);
        let used = &self.used_by;
        let fields = [
            self.creation_time,
            number(self.head),
            number(self.parent),
            number(self.origin),
            number(self.children),
            self.used,
            self.compressed,
            self.uncompressed,
            self.quota,
            self.reserved,
            number(self.properties),
            number(self.delegations),
            self.flags.bits(),
            used.head,
            used.snapshots,
            used.children,
            used.child_reservations,
            used.ref_reservation,
            number(self.clones),
        ];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.resize(Self::BYTES, 0);
        bytes
    }
}

/// A directory in its place.
#[derive(Debug)]
pub struct DslDir {
    /// Its full name: `pool/a/b`.
    pub name: String,
    /// Its object.
    pub number: ObjectNumber,
    /// Whether the object is a table too.
    pub has_table: bool,
    /// What its object says.
    pub phys: DirPhys,
    /// The directory that it lies in; none for the root.
    pub parent: Option<Arc<Self>>,
    /// Its properties, once somebody asked for them.
    pub(super) settings: OnceLock<Settings>,
}

impl DslDir {
    pub(super) fn new(name: String, object: &Object, parent: Option<Arc<Self>>) -> Result<Self, Corrupt> {
        let phys = DirPhys::decode(object)?;
        let expected = parent.as_ref().map(|parent| parent.number);
        if phys.parent != expected {
            let (found, expected) = (phys.parent.unwrap_or_default(), expected.unwrap_or_default());
            let number = object.number;
            return Err(Corrupt::new(format!(
                "directory {number} ('{name}') says that it lies in {found}, but is found in {expected}"
            )));
        }
        Ok(Self {
            name,
            number: object.number,
            has_table: has_table(object),
            phys,
            parent,
            settings: OnceLock::new(),
        })
    }

    /// The directory itself, the one that it lies in, and so on to the root.
    pub fn ancestry(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |dir| dir.parent.as_deref())
    }

    /// The last component of its name.
    #[must_use]
    pub fn component(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }
}
