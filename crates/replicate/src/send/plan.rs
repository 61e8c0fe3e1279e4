//! What a send begins with, before any block of the snapshot is walked: who reads, which features the stream has, and its
//! first record.

use super::features::of_stream;
use super::{DatasetFeature, SendError, SendOptions, Source};
use std::sync::Arc;
use zferry_blocks::crypt::Key;
use zferry_nvlist::{Encoding, NvList, Value};
use zferry_wire::Endian;
use zferry_zpool::dmu::{ObjectSet, ObjectSetType, ReadAhead, ResumeAt, Traversal};
use zferry_zpool::spa::BlockReader;
use zferry_zpool::{Corrupt, Error, Pool};
use zferry_zstream::flags::{BeginFlags, FeatureFlags, HeaderType, VersionInfo};
use zferry_zstream::record::{Begin, ObjsetType, StreamName};

/// What a send begins with.
pub(super) struct Plan<'a> {
    pub(super) pool: &'a Pool,
    pub(super) source: &'a Source,
    /// The reader that has the dataset's key.
    keyed: Option<BlockReader>,
    pub(super) set: ObjectSet,
    pub(super) features: FeatureFlags,
    /// Where the walk goes on.
    pub(super) resume: Option<ResumeAt>,
    /// The first record.
    pub(super) begin: Begin,
    /// The list behind it; empty where there is nothing to be told.
    pub(super) list: Vec<u8>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(pool: &'a Pool, source: &'a Source, options: SendOptions) -> Result<Self, SendError> {
        let pool_error = |source_error| SendError::Pool {
            dataset: source.name.clone(),
            source: source_error,
        };
        let keyed = key_for(source, options)?.map(|key| pool.reader().with_key(key));
        let reader = keyed.as_ref().unwrap_or(pool.reader());
        let set = ObjectSet::read(reader, &source.root).map_err(pool_error)?;
        if set.is_encrypted != source.encryption.is_some() {
            let finding = "the dataset has a key and its object set is not encrypted, or the other way round";
            return Err(pool_error(Error::from(Corrupt::new(finding))));
        }
        let features = of_stream(pool, reader, source, &set, options)?;
        let resume = source.resume_at(pool, &set)?;
        let list = list_behind_begin(source, &set, features);
        let begin = begin(source, &set, features, &list)?;
        Ok(Self {
            pool,
            source,
            keyed,
            set,
            features,
            resume,
            begin,
            list,
        })
    }

    /// What reads the blocks of the snapshot.
    pub(super) fn reader(&self) -> &BlockReader {
        self.keyed.as_ref().unwrap_or(self.pool.reader())
    }

    /// The walk through all that is sent.
    pub(super) fn traversal<'b>(&'b self, ahead: &'b dyn ReadAhead, skips_damage: bool) -> Traversal<'b> {
        Traversal {
            reader: self.reader(),
            since: self.source.since(),
            resume: self.resume,
            ahead,
            skips_damage,
        }
    }
}

/// The key that it takes to send `source`; `None` where it takes none.
fn key_for(source: &Source, options: SendOptions) -> Result<Option<Arc<Key>>, SendError> {
    let Some(encryption) = &source.encryption else {
        return Ok(None);
    };
    if !options.raw {
        let key = encryption.key.clone();
        return key
            .map(Some)
            .ok_or_else(|| SendError::KeyNotLoaded(source.name.clone()));
    }
    if !encryption.can_be_sent_raw() {
        return Err(SendError::OldEncryption(source.name.clone()));
    }
    Ok(None)
}

fn begin(source: &Source, set: &ObjectSet, features: FeatureFlags, list: &[u8]) -> Result<Begin, SendError> {
    let to_name = StreamName::new(&source.name).map_err(|_| SendError::NameTooLong(source.name.clone()))?;
    let mut flags = BeginFlags::FREERECORDS | BeginFlags::SPILL_BLOCK;
    flags.set(BeginFlags::CLONE, source.from.is_some_and(|from| from.is_origin));
    flags.set(BeginFlags::CI_DATA, source.is_case_insensitive);
    let ObjectSetType(set_type) = set.set_type;
    Ok(Begin {
        payload_length: u32::try_from(list.len()).unwrap_or(u32::MAX),
        version_info: VersionInfo::new(HeaderType::SUBSTREAM, features),
        creation_time: source.creation_time,
        objset_type: ObjsetType(u32::try_from(set_type).unwrap_or(0)),
        flags,
        to_guid: source.saved.map_or(source.guid, |saved| saved.to_guid),
        from_guid: source.from.map_or(0, |from| from.guid),
        to_name,
    })
}

/// What a receiver is told that has no place in BEGIN; empty where there is nothing.
fn list_behind_begin(source: &Source, set: &ObjectSet, features: FeatureFlags) -> Vec<u8> {
    let mut list = NvList::new();
    let redacted = match &source.redact {
        Some(redact) => Some(&redact.snapshots),
        // A dataset that was received so is passed on as it is.
        None => source.features.get(&DatasetFeature::RedactedDatasets),
    };
    if let Some(snapshots) = redacted {
        list.insert("redact_snaps", Value::Uint64Array(snapshots.clone()));
    }
    if let Some(snapshots) = &source.redacted_for {
        list.insert("redact_from_snaps", Value::Uint64Array(snapshots.clone()));
    }
    if let Some(resume) = source.resume {
        list.insert("resume_object", Value::Uint64(resume.object));
        list.insert("resume_offset", Value::Uint64(resume.offset));
    }
    if let Some(encryption) = &source.encryption
        && features.contains(FeatureFlags::RAW)
    {
        list.insert("crypt_keydata", Value::NvList(encryption.key_data(set)));
    }
    if list.is_empty() {
        return Vec::new();
    }
    list.encode(Encoding::Native, Endian::OURS)
}
