//! Changing a table: names are put in, changed and taken out, and the table grows as it must.
//!
//! A table begins as a micro ZAP. It becomes a fat one when a name or a value does not fit there, or when there are too
//! many names; it never becomes a micro ZAP again.

use super::write_fat::FatTable;
use super::write_micro::MicroTable;
use super::{BLOCK_TYPE_HEADER, BLOCK_TYPE_MICRO, ZapEntry, ZapValue, block_type};
use crate::dmu::{ObjectSpec, OpenSet};
use crate::spa::BlockWriter;
use crate::{Corrupt, Error, ObjectNumber};
use zferry_wire::Endian;

/// Names are compared as they are; their hashes are those of their upper case.
pub(crate) const NORMALIZE_UPPER: u64 = 0x2;
/// The size of a block of a fat table, as a power of two.
const FAT_SHIFT: u32 = 14;

/// Makes an empty table.
pub(crate) fn create(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    spec: &ObjectSpec,
    norm_flags: u64,
    salt: u64,
) -> Result<ObjectNumber, Error> {
    let number = set.create_object(io, spec)?;
    begin(set, io, number, norm_flags, salt)?;
    Ok(number)
}

/// Makes an object that has no content an empty table.
pub(crate) fn begin(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    norm_flags: u64,
    salt: u64,
) -> Result<(), Error> {
    set.with_object(io, number, |object, _| {
        let bytes = object.dnode.data_bytes();
        object.put_block(0, MicroTable::empty(salt | 1, norm_flags).encode(bytes));
        Ok(())
    })
}

/// What a name leads to.
pub(crate) fn get(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    name: &str,
) -> Result<Option<ZapValue>, Error> {
    let name = name.as_bytes();
    match kind(set, io, number)? {
        None => Ok(None),
        Some(Kind::Micro(table)) => Ok(table.get(name).map(ZapValue::number)),
        Some(Kind::Fat(table)) => table.get(set, io, number, name),
    }
}

/// What a name leads to, where that is one number.
pub(crate) fn get_u64(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    name: &str,
) -> Result<Option<u64>, Error> {
    let Some(value) = get(set, io, number, name)? else {
        return Ok(None);
    };
    let found = value.as_u64();
    let bad = || Corrupt::new(format!("object {number}: '{name}' is no number"));
    Ok(Some(found.ok_or_else(bad)?))
}

/// Calls `each` with every name and the one number that it leads to, `None` where it leads to something else.
pub(crate) fn numbers(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    mut each: impl FnMut(&[u8], Option<u64>) -> Result<(), Error>,
) -> Result<(), Error> {
    match kind(set, io, number)? {
        None => Ok(()),
        Some(Kind::Micro(table)) => table
            .numbers()
            .try_for_each(|(name, value)| each(name, Some(value))),
        Some(Kind::Fat(table)) => {
            let entries = table.entries(set, io, number)?;
            entries
                .iter()
                .try_for_each(|entry| each(&entry.name, entry.value.as_u64()))
        }
    }
}

/// Every entry, sorted by name.
pub(crate) fn all(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
) -> Result<Vec<ZapEntry>, Error> {
    let mut entries = match kind(set, io, number)? {
        None => Vec::new(),
        Some(Kind::Micro(table)) => table.entries(),
        Some(Kind::Fat(table)) => table.entries(set, io, number)?,
    };
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Puts a name in, or changes what it leads to.
pub(crate) fn put(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    name: &str,
    value: &ZapValue,
) -> Result<(), Error> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.contains(&0) {
        return Err(Error::Invalid(format!(
            "object {number}: '{name:?}' can be no name"
        )));
    }
    let mut fat = match kind(set, io, number)? {
        None => return Err(Corrupt::new(format!("object {number} is no table")).into()),
        Some(Kind::Micro(mut table)) => {
            if let Some(single) = value.as_u64().filter(|_| MicroTable::takes(bytes))
                && table.put(bytes, single)
            {
                return store_micro(set, io, number, &table);
            }
            upgrade(set, io, number, &table)?
        }
        Some(Kind::Fat(table)) => table,
    };
    fat.put(set, io, number, bytes, value)
}

/// Puts many names that lead to numbers into an empty table, at little more than the cost of one.
pub(crate) fn fill(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    entries: &[(String, u64)],
) -> Result<(), Error> {
    let Some(Kind::Micro(mut table)) = kind(set, io, number)? else {
        return Err(Corrupt::new(format!("object {number} is no empty table")).into());
    };
    let short = entries
        .iter()
        .map(|(name, value)| (name.as_bytes(), *value))
        .take_while(|(name, _)| MicroTable::takes(name));
    let count = table.extend(short);
    store_micro(set, io, number, &table)?;
    let rest = entries.get(count..).unwrap_or_default();
    rest.iter()
        .try_for_each(|(name, value)| put(set, io, number, name, &ZapValue::number(*value)))
}

/// Takes a name out; says whether it was there.
pub(crate) fn remove(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    name: &str,
) -> Result<bool, Error> {
    match kind(set, io, number)? {
        None => Ok(false),
        Some(Kind::Micro(mut table)) => {
            let was_there = table.remove(name.as_bytes());
            if was_there {
                store_micro(set, io, number, &table)?;
            }
            Ok(was_there)
        }
        Some(Kind::Fat(mut table)) => table.remove(set, io, number, name.as_bytes()),
    }
}

enum Kind {
    Micro(MicroTable),
    Fat(FatTable),
}

fn kind(set: &mut OpenSet, io: &mut BlockWriter, number: ObjectNumber) -> Result<Option<Kind>, Error> {
    set.with_reading(io, number, |object, io| {
        let Some(block) = object.peek(io, 0)? else {
            return Ok(None);
        };
        match block_type(&block, Endian::Little)? {
            BLOCK_TYPE_MICRO => Ok(Some(Kind::Micro(MicroTable::decode(&block)?))),
            BLOCK_TYPE_HEADER => Ok(Some(Kind::Fat(FatTable::decode(&block)?))),
            other => {
                Err(Corrupt::new(format!("object {number} is no table: it begins with {other:x}")).into())
            }
        }
    })
}

fn store_micro(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    table: &MicroTable,
) -> Result<(), Error> {
    set.with_object(io, number, |object, context| {
        let bytes = table.bytes().max(object.dnode.data_bytes());
        object.set_block_bytes(context.io, bytes)?;
        object.put_block(0, table.encode(bytes));
        Ok(())
    })
}

/// Makes a micro table a fat one.
fn upgrade(
    set: &mut OpenSet,
    io: &mut BlockWriter,
    number: ObjectNumber,
    table: &MicroTable,
) -> Result<FatTable, Error> {
    let block_bytes = 1_u64 << FAT_SHIFT;
    set.with_object(io, number, |object, context| {
        // The old content is replaced as a whole, whatever its size was.
        object.set_block_bytes(context.io, block_bytes)
    })?;
    let mut fat = FatTable::create(set, io, number, FAT_SHIFT, table.salt(), table.norm_flags())?;
    for entry in table.entries() {
        fat.put(set, io, number, &entry.name, &entry.value)?;
    }
    Ok(fat)
}
