//! How large a stream will be: from the counters of the snapshots, as OpenZFS guesses it, or from a walk through all
//! that would be sent, which is exact.

use super::plan::Plan;
use super::resolve::{Earlier, Resolved};
use super::walk::{Ending, walk};
use super::{SendError, SendOptions, Source};
use zferry_wire::u64_from_usize;
use zferry_zpool::dmu::{ObjectSet, ObjectSetType};
use zferry_zpool::dsl::property::{Property, Value};
use zferry_zpool::dsl::{DslPool, Since};
use zferry_zpool::{Error, Pool};
use zferry_zstream::record::RECORD_SIZE;

/// Each block costs a pointer in the pool and a record in the stream, in bytes.
const POINTER_BYTES: u64 = 128;
const RECORD_BYTES: u64 = u64_from_usize(RECORD_SIZE);
/// The block sizes of file systems and of volumes for which none was set, in bytes.
const RECORD_SIZE_DEFAULT: u64 = 128 << 10;
const VOLUME_BLOCK_BYTES_DEFAULT: u64 = 16 << 10;

impl Resolved {
    /// The size of the stream in bytes, as `zfs send -nv` tells it: a guess from counters, or exact where the counters
    /// do not tell.
    ///
    /// # Errors
    /// Where what tells it cannot be read.
    pub fn estimate(&self, dsl: &DslPool<'_>, options: SendOptions) -> Result<u64, SendError> {
        let pool_error = |source| SendError::Pool {
            dataset: self.source.name.clone(),
            source,
        };
        match self.guess(dsl, options).map_err(pool_error)? {
            // What has arrived already need not be sent again.
            Some(size) => Ok(size.wrapping_sub(self.source.resume.map_or(0, |resume| resume.bytes))),
            None => exact(dsl.pool(), &self.source, options),
        }
    }

    fn guess(&self, dsl: &DslPool<'_>, options: SendOptions) -> Result<Option<u64>, Error> {
        // Only of snapshots OpenZFS has a guess.
        if !self.to.is_snapshot() {
            return Ok(None);
        }
        if self.source.redact.is_some() {
            return Ok(None);
        }
        let since = match &self.from {
            None => None,
            Some(Earlier::Snapshot(snapshot)) => Some(Since::Snapshot(snapshot)),
            Some(Earlier::Bookmark(bookmark)) if bookmark.redaction.is_some() => return Ok(None),
            Some(Earlier::Bookmark(bookmark)) => Some(Since::Bookmark(bookmark)),
        };
        let (compressed, uncompressed) = match since {
            None => (self.to.phys.compressed, self.to.phys.uncompressed),
            Some(since) => match dsl.written_since(&self.to, since)? {
                Some(sizes) => (sizes.compressed, sizes.uncompressed),
                None => return Ok(None),
            },
        };
        let records = uncompressed.checked_div(self.block_bytes(dsl)?).unwrap_or(0);
        let data = if options.sends_compressed() {
            compressed
        } else {
            uncompressed
        };
        let size = data
            .wrapping_sub(records.wrapping_mul(POINTER_BYTES))
            .wrapping_add(records.wrapping_mul(RECORD_BYTES))
            .wrapping_add(RECORD_BYTES.saturating_mul(2));
        Ok(Some(size))
    }

    /// The size that blocks of the dataset are taken to have, in bytes.
    fn block_bytes(&self, dsl: &DslPool<'_>) -> Result<u64, Error> {
        let set = ObjectSet::read(dsl.pool().reader(), &self.source.root)?;
        // A volume's own block size is not inherited by its snapshots, so OpenZFS does not find it there.
        if set.set_type == ObjectSetType::ZVOL {
            return Ok(VOLUME_BLOCK_BYTES_DEFAULT);
        }
        let head = dsl.head(&self.to.dir)?;
        let found = head
            .map(|head| dsl.setting(&head, Property::RecordSize))
            .transpose()?
            .flatten();
        Ok(match found.map(|found| found.value) {
            Some(Value::Number(bytes)) if bytes > 0 => bytes,
            _ => RECORD_SIZE_DEFAULT,
        })
    }
}

/// The size of the stream, in bytes, from a walk that reads no data.
fn exact(pool: &Pool, source: &Source, options: SendOptions) -> Result<u64, SendError> {
    let plan = Plan::new(pool, source, options)?;
    // BEGIN and END, which a saved stream lacks.
    let ends = if source.saved.is_some() { 1 } else { 2 };
    let mut size = RECORD_BYTES
        .saturating_mul(ends)
        .saturating_add(u64_from_usize(plan.list.len()));
    // What cannot be read is the send's business.
    let walked = walk(&plan, &(), true, &mut |job| {
        size = size.saturating_add(u64_from_usize(job.len()));
        job.clear();
        Ok(())
    });
    match walked {
        Ok(()) | Err(Ending::Cancelled) => Ok(size),
        Err(Ending::Failed(error)) => Err(error),
    }
}
