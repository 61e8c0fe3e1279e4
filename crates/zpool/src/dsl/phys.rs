//! What the bonus buffers of the DSL have in common: rows of 64-bit numbers, where an object number of 0 means none.

use crate::dmu::{Object, ObjectType};
use crate::{Corrupt, ObjectNumber};
use zferry_wire::Reader;

/// The type of an object that is a ZAP beside its bonus buffer: metadata, bytes in the order of ZAPs.
const OTN_ZAP_METADATA: ObjectType = ObjectType(0xc4);

/// An object number on disk; 0 is none.
pub(super) const fn object_number(number: u64) -> Option<ObjectNumber> {
    if number == 0 {
        None
    } else {
        Some(ObjectNumber(number))
    }
}

/// A reader over an object's bonus buffer, which must be of type `wanted`.
pub(super) fn bonus<'a>(object: &'a Object, wanted: ObjectType, what: &str) -> Result<Reader<'a>, Corrupt> {
    let found = object.dnode.bonus_type;
    if found != wanted {
        return Err(Corrupt::new(format!(
            "object {} is no {what}: its bonus has {found}",
            object.number
        )));
    }
    Ok(Reader::new(object.dnode.bonus(), object.dnode.endian))
}

/// Whether the object has a table of its own, beside its bonus buffer.
pub(super) fn has_table(object: &Object) -> bool {
    object.dnode.object_type == OTN_ZAP_METADATA
}
