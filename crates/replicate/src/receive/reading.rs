//! The first thread of a receive: reads records, checks each against the rules, and sees how its block is made ready.

use super::ReceiveError;
use super::batch::{Batch, Item, Recipe};
use super::recent::RecentObjects;
use super::rules::record::RecordRules;
use std::collections::HashMap;
use std::sync::Arc;
use zferry_zpool::DatasetPolicies;
use zferry_zpool::dmu::ObjectType;
use zferry_zpool::spa::BlockPolicy;
use zferry_zstream::reader::{Place, StreamReader};
use zferry_zstream::record::{Begin, Record};
use zferry_zstream::source::Source;

/// A batch is handed over when its payloads have this many bytes, or it has this many records.
const BATCH_BYTES: u64 = 512 << 10;
const BATCH_RECORDS: usize = 1024;

/// Reads a stream behind its BEGIN.
#[derive(Debug)]
pub(super) struct Reading<'a, S> {
    reader: &'a mut StreamReader<S>,
    rules: RecordRules,
    recent: RecentObjects,
    /// How blocks are stored; nothing where none are.
    policies: Option<DatasetPolicies>,
    is_raw: bool,
    /// The policies in use, by type, compression and checksum of an object.
    known: HashMap<(u8, u8, u8), Arc<BlockPolicy>>,
    is_done: bool,
}

impl<'a, S: Source> Reading<'a, S> {
    /// Goes on behind BEGIN, which `reader` has given.
    pub(super) fn new(reader: &'a mut StreamReader<S>, begin: &Begin, policies: DatasetPolicies) -> Self {
        Self {
            policies: Some(policies),
            ..Self::of_records(reader, begin)
        }
    }

    /// The same where nothing is made ready to be stored.
    pub(super) fn of_records(reader: &'a mut StreamReader<S>, begin: &Begin) -> Self {
        Self {
            reader,
            rules: RecordRules::of(begin),
            recent: RecentObjects::default(),
            policies: None,
            is_raw: begin.is_raw(),
            known: HashMap::new(),
            is_done: false,
        }
    }

    /// Whether END has been read.
    pub(super) const fn is_done(&self) -> bool {
        self.is_done
    }

    /// How much of the stream has been read, in bytes.
    pub(super) const fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Reads the next records, up to END at most. Those in front of one that is wrong are in `batch` too.
    pub(super) fn fill(&mut self, batch: &mut Batch) -> Result<(), ReceiveError> {
        while batch.bytes() < BATCH_BYTES && batch.records() < BATCH_RECORDS {
            let Some((read, body)) = self.reader.next_into(&mut batch.payloads)? else {
                self.is_done = true;
                return Ok(());
            };
            if read.place == Place::StreamEnd {
                self.is_done = true;
                return Ok(());
            }
            let (position, record) = (read.position, read.record);
            let end = self.reader.position();
            // What nothing follows was not sent to its end, and the sum in the next header is over this payload, too.
            self.reader.look_ahead()?;
            self.rules
                .check(&record)
                .map_err(|fault| ReceiveError::record(position, &record, fault))?;
            if let Record::Object(object) = &record {
                self.recent.note(object);
            }
            let policies = self.policies.as_ref();
            let policy =
                policies.and_then(|policies| policy(&self.recent, &mut self.known, policies, &record));
            let recipe = policy.map(|(object_type, policy)| Recipe {
                policy,
                object_type,
                is_raw: self.is_raw,
            });
            batch.push(Item {
                position,
                end,
                record,
                body,
                recipe,
            });
        }
        Ok(())
    }
}

/// How the block behind a record is made ready, where its object is known and the block is one of its own.
fn policy(
    recent: &RecentObjects,
    known: &mut HashMap<(u8, u8, u8), Arc<BlockPolicy>>,
    policies: &DatasetPolicies,
    record: &Record,
) -> Option<(ObjectType, Arc<BlockPolicy>)> {
    let (object, block_type) = match record {
        Record::Write(write) => {
            let object = recent.get(write.object)?;
            (object.block_size == write.logical_size).then_some(())?;
            (object, object.object_type)
        }
        Record::Spill(spill) => {
            let object = recent.get(spill.object)?;
            (object, object.bonus_type)
        }
        _ => return None,
    };
    let (compression, checksum) = (object.compression, object.checksum);
    let policy = known
        .entry((block_type.0, compression, checksum))
        .or_insert_with(|| Arc::new(policies.for_object(block_type, checksum, compression)));
    Some((block_type, Arc::clone(policy)))
}
