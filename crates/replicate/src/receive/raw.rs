//! Raw streams: how they are encrypted, held to what they continue; and their blocks, which are stored as they come.

use super::ReceiveError;
use super::begin::Place;
use super::rules::key_data::{Continued, KeyData};
use zferry_blocks::compress::Compression;
use zferry_blocks::crypt::{Iv, KeySalt, Mac};
use zferry_nvlist::NvList;
use zferry_wire::Endian;
use zferry_zpool::dmu::ObjectType;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::spa::{CryptParameters, SealedBlock};
use zferry_zpool::{Error, ObjectNumber};
use zferry_zstream::flags::RecordFlags;
use zferry_zstream::record::{self, Begin, Record};

/// The entry of a snapshot's table with the identity of its set of initialization vectors.
const IVSET: &str = "com.datto:ivset_guid";

/// How the stream that `begin` opens is encrypted, with `list` behind it; `None` where it is not raw.
pub(super) fn key_data(
    dsl: &DslPool<'_>,
    begin: &Begin,
    list: Option<&NvList>,
    place: Place,
) -> Result<Option<KeyData>, ReceiveError> {
    if !begin.is_raw() {
        return Ok(None);
    }
    let continued = match place {
        Place::New(None) | Place::Over { base: None, .. } => None,
        Place::New(Some(origin)) => Some(continued(dsl, origin, false)?),
        Place::Over { base: Some(base), .. } => Some(continued(dsl, base, true)?),
    };
    Ok(KeyData::read(begin, list, continued.as_ref()).map(Some)?)
}

/// A snapshot that a raw stream continues.
fn continued(dsl: &DslPool<'_>, snapshot: ObjectNumber, needs_ivset: bool) -> Result<Continued, Error> {
    let snapshot = dsl.dataset_at(snapshot)?;
    let set = dsl.object_set(&snapshot)?;
    let missing = || Error::Missing("the object set of a snapshot".to_owned());
    let dnode = set.ok_or_else(missing)?.meta_dnode.dnode;
    let encryption = dsl.encryption(&snapshot.dir)?;
    Ok(Continued {
        shape: (dnode.levels, dnode.indirect_shift, dnode.pointers.len()),
        ivset_guid: dsl
            .dataset_entry(&snapshot, IVSET)?
            .and_then(|value| value.as_u64()),
        key_guid: encryption.and_then(|encryption| encryption.key_guid),
        needs_ivset,
    })
}

/// The byte order of what a record of a raw stream holds.
pub(super) const fn content_endian(flags: RecordFlags, stream: Endian) -> Endian {
    match (flags.contains(RecordFlags::RAW_BYTESWAP), stream) {
        (false, endian) => endian,
        (true, Endian::Little) => Endian::Big,
        (true, Endian::Big) => Endian::Little,
    }
}

/// The parameters of encryption in a record.
pub(super) const fn parameters(crypt: &record::CryptParameters) -> CryptParameters {
    CryptParameters {
        salt: KeySalt(crypt.salt),
        iv: Iv(crypt.iv),
        mac: Mac(crypt.mac),
    }
}

/// The block behind a WRITE or SPILL of a raw stream.
pub(super) fn sealed_block(record: &Record, object_type: ObjectType, stream: Endian) -> Option<SealedBlock> {
    let (logical_size, compression, flags, crypt) = match record {
        Record::Write(write) => (write.logical_size, write.compression, write.flags, &write.crypt),
        Record::Spill(spill) => (spill.length, spill.compression, spill.flags, &spill.crypt),
        _ => return None,
    };
    Some(SealedBlock {
        object_type,
        logical_size,
        compression: Compression::from_id(compression.0)?,
        endian: content_endian(flags, stream),
        crypt: parameters(crypt),
    })
}
