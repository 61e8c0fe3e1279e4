//! What an empty file system holds, so that it can be mounted; and an empty volume.
//!
//! ```text
//! object 1   master node: VERSION, ROOT, SA_ATTRS, DELETE_QUEUE, and how names are compared
//! SA_ATTRS   a table that leads to two others: the attributes that there are (REGISTRY: number, how to swap the bytes,
//!            length), and the orders in which bonus buffers hold them (LAYOUTS)
//! ROOT       an empty directory, whose attributes have the first order
//!
//! bonus      SA header: magic u32 | layout 10 bits, header bytes / 8 6 bits | length of the ACL u16
//!            then the attributes, 64 bits each
//! volume     object 1: the content; object 2: a table with its size
//! ```

use crate::dmu::{ObjectSpec, ObjectType, OpenSet};
use crate::spa::BlockWriter;
use crate::zap::{ZapValue, write as zap};
use crate::{Environment, Error, ObjectNumber};
use zferry_wire::{Endian, Writer};

const MASTER_NODE: ObjectNumber = ObjectNumber(1);
const UNLINKED_SET: ObjectType = ObjectType(22);
const SA_MASTER_NODE: ObjectType = ObjectType(45);
const SA_REGISTRATION: ObjectType = ObjectType(46);
const SA_LAYOUTS: ObjectType = ObjectType(47);
/// The version of file systems since pool version 28.
const VERSION: u64 = 5;
const SA_MAGIC: u32 = 0x002f_505a;
/// The number of the first layout that is made; those before are for old bonus buffers.
const LAYOUT: u16 = 2;

/// How bytes of an attribute are swapped.
const SWAP_U64: u64 = 0;
const SWAP_BYTES: u64 = 3;
const SWAP_ACL: u64 = 4;

/// Every attribute with its length in bytes, 0 where that varies. Their numbers are their places.
const ATTRIBUTES: [(&str, u64, u64); 22] = [
    ("ZPL_ATIME", 16, SWAP_U64),
    ("ZPL_MTIME", 16, SWAP_U64),
    ("ZPL_CTIME", 16, SWAP_U64),
    ("ZPL_CRTIME", 16, SWAP_U64),
    ("ZPL_GEN", 8, SWAP_U64),
    ("ZPL_MODE", 8, SWAP_U64),
    ("ZPL_SIZE", 8, SWAP_U64),
    ("ZPL_PARENT", 8, SWAP_U64),
    ("ZPL_LINKS", 8, SWAP_U64),
    ("ZPL_XATTR", 8, SWAP_U64),
    ("ZPL_RDEV", 8, SWAP_U64),
    ("ZPL_FLAGS", 8, SWAP_U64),
    ("ZPL_UID", 8, SWAP_U64),
    ("ZPL_GID", 8, SWAP_U64),
    ("ZPL_PAD", 32, SWAP_U64),
    ("ZPL_ZNODE_ACL", 88, SWAP_BYTES),
    ("ZPL_DACL_COUNT", 8, SWAP_U64),
    ("ZPL_SYMLINK", 0, SWAP_BYTES),
    ("ZPL_SCANSTAMP", 32, SWAP_BYTES),
    ("ZPL_DACL_ACES", 0, SWAP_ACL),
    ("ZPL_DXATTR", 0, SWAP_BYTES),
    ("ZPL_PROJID", 8, SWAP_U64),
];

/// The attributes of files and directories in the order in which their bonus buffers hold them: mode, size, generation,
/// owner, group, parent, flags, the four times, links, and the access control list with its length.
const ORDER: [u16; 14] = [5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 16, 19];

/// A directory with the rights 755.
const ROOT_MODE: u64 = 0o040_755;
/// An archived, changed directory whose access control list says no more than its mode, and was not inherited.
const ROOT_FLAGS: u64 = 0x0000_0408_0000_0144;
/// Owner, group, everyone: flags of the entry, and what it allows.
const ROOT_ACL: [(u16, u32); 3] = [
    (0x1000, 0x001e_01ff),
    (0x2040, 0x0012_00a9),
    (0x4000, 0x0012_00a9),
];

/// How names are compared, chosen once.
pub(super) struct Choices {
    pub(super) normalization: u64,
    pub(super) utf8_only: u64,
    pub(super) case_sensitivity: u64,
}

/// Makes an empty object set an empty file system.
pub(super) fn fill(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    environment: &mut Environment,
    choices: &Choices,
) -> Result<(), Error> {
    let mut table = |set: &mut OpenSet, io: &mut BlockWriter, object_type| {
        let spec = ObjectSpec::new(object_type, 512);
        zap::create(set, io, &spec, 0, environment.guid())
    };
    let master = table(set, io, ObjectType::MASTER_NODE)?;
    if master != MASTER_NODE {
        return Err(Error::Invalid(
            "a file system is only made of an empty object set".to_owned(),
        ));
    }
    let attributes = table(set, io, SA_MASTER_NODE)?;
    let queue = table(set, io, UNLINKED_SET)?;
    let registry = table(set, io, SA_REGISTRATION)?;
    let layouts = table(set, io, SA_LAYOUTS)?;
    let now = environment.now();
    let times = [now.seconds, u64::from(now.nanoseconds)];
    // The directory is its own parent, so its number has to be known first.
    let spec = ObjectSpec::new(ObjectType::DIRECTORY_CONTENTS, 512);
    let spec = spec.with_bonus(
        ObjectType::SYSTEM_ATTRIBUTES,
        vec![0; root_bonus(0, 0, times).len()],
    );
    let norm = if choices.case_sensitivity == 0 {
        choices.normalization
    } else {
        choices.normalization | zap::NORMALIZE_UPPER
    };
    let root = zap::create(set, io, &spec, norm, environment.guid())?;
    let bonus = root_bonus(root.0, io.txg.0, times);
    set.with_object(io, root, |object, _| {
        if let Some(target) = object.dnode.bonus.get_mut(..bonus.len()) {
            target.copy_from_slice(&bonus);
        }
        Ok(())
    })?;
    let names = [
        ("normalization", choices.normalization),
        ("utf8only", choices.utf8_only),
        ("casesensitivity", choices.case_sensitivity),
        ("VERSION", VERSION),
        ("SA_ATTRS", attributes.0),
        ("DELETE_QUEUE", queue.0),
        ("ROOT", root.0),
    ];
    for (name, value) in names {
        zap::put(set, io, master, name, &ZapValue::number(value))?;
    }
    zap::put(set, io, attributes, "REGISTRY", &ZapValue::number(registry.0))?;
    zap::put(set, io, attributes, "LAYOUTS", &ZapValue::number(layouts.0))?;
    for (number, (name, len, swap)) in (0_u64..).zip(ATTRIBUTES) {
        let value = number | swap << 16 | len << 24;
        zap::put(set, io, registry, name, &ZapValue::number(value))?;
    }
    zap::put(
        set,
        io,
        layouts,
        &LAYOUT.to_string(),
        &ZapValue::short_numbers(&ORDER),
    )
}

/// The attributes of the root directory.
fn root_bonus(number: u64, generation: u64, times: [u64; 2]) -> Vec<u8> {
    const HEADER_WORDS: u16 = 1;
    const ACL_BYTES: u16 = 24;
    let [seconds, nanoseconds] = times;
    let mut writer = Writer::new(Endian::Little);
    writer
        .u32(SA_MAGIC)
        .u16(LAYOUT | HEADER_WORDS << 10)
        .u16(ACL_BYTES);
    for value in [ROOT_MODE, 2, generation, 0, 0, number, ROOT_FLAGS] {
        writer.u64(value);
    }
    for _ in ["atime", "mtime", "ctime", "crtime"] {
        writer.u64(seconds).u64(nanoseconds);
    }
    writer.u64(2).u64(3);
    for (flags, mask) in ROOT_ACL {
        writer.u16(0).u16(flags).u32(mask);
    }
    writer.into_bytes()
}

/// Makes an empty object set an empty volume.
pub(super) fn fill_volume(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    size: u64,
    block_bytes: u32,
    salt: u64,
) -> Result<(), Error> {
    let content = set.create_object(io, &ObjectSpec::new(ObjectType::ZVOL, block_bytes))?;
    let properties = zap::create(set, io, &ObjectSpec::new(ObjectType::ZVOL_PROP, 512), 0, salt)?;
    if content != MASTER_NODE || properties != ObjectNumber(2) {
        return Err(Error::Invalid(
            "a volume is only made of an empty object set".to_owned(),
        ));
    }
    zap::put(set, io, properties, "size", &ZapValue::number(size))
}
