//! The token that a resumable receive of a partial stream would leave behind.
//!
//! ```text
//! ┌───────┬────────┬───────┬──────┬───────┬─────┐
//! │ BEGIN │ OBJECT │ WRITE │ FREE │ WRITE │ WR~ ┊ cut
//! └───────┴────────┴───────┴──────┴───────┴─────┘
//!         ├──────── bytes ────────┤ ↑
//!                            ↑      counts where the 312 bytes that follow it are there, too
//!                            └ FREE, FREEOBJECTS and SPILL do not move the point
//! ```
//!
//! OpenZFS takes a record up only when the header behind it has arrived and its checksum is right, and notes how far it
//! came with each OBJECT, WRITE and WRITE_EMBEDDED (`save_resume_state` in `module/zfs/dmu_recv.c`). The same is done
//! here, so that what `zfs send -t` then sends is what a receiver that was given the partial stream goes on with.

use zferry_nvlist::{Limits, NvList};
use zferry_wire::u64_from_usize;

use super::ResumeToken;
use crate::error::{StreamError, StreamErrorKind};
use crate::flags::FeatureFlags;
use crate::reader::{Place, StreamReader};
use crate::record::{Begin, RECORD_SIZE, Record};
use crate::source::Source;

/// A receive that has not begun is resumed at the first object there is.
const FIRST_OBJECT: u64 = 1;

/// What is to be had of a stream that ends too early.
#[derive(Debug)]
pub struct Partial {
    /// Where a receive of it would stop, as its token says.
    pub token: ResumeToken,
    /// Why the stream ends there.
    pub end: StreamError,
}

/// Why there is no token for a stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartialError {
    /// Nothing is missing.
    #[error("the stream is whole: there is nothing to resume")]
    Whole,
    /// The input ends where no stream has begun, or where one of a package has ended and the next has not begun.
    #[error("no stream was begun that could be resumed: {0}")]
    NotBegun(StreamError),
    /// The input cannot be read, or only its end tells that it is damaged somewhere.
    #[error(transparent)]
    Stream(StreamError),
    /// The list behind BEGIN cannot be read.
    #[error("at offset {position}: the list behind BEGIN is damaged")]
    List {
        /// Where BEGIN stands, in bytes from the input's first.
        position: u64,
    },
}

/// How far a stream was received.
struct Progress {
    token: ResumeToken,
    /// Behind BEGIN's header, in bytes from the input's first.
    start: u64,
    /// Where the record that came last brings the point, once the next header is there.
    pending: Option<Point>,
}

struct Point {
    object: u64,
    offset: u64,
    bytes: u64,
}

impl Partial {
    /// Reads a stream, or a package that is cut within one of its streams, up to where it ends.
    ///
    /// Of a stream that was itself resumed, `bytes` counts only what is there: what came before is not known.
    ///
    /// # Errors
    /// [`PartialError`]
    pub fn read<S: Source>(source: S) -> Result<Self, PartialError> {
        let mut reader = StreamReader::with_source(source);
        let mut progress: Option<Progress> = None;
        loop {
            match advance(&mut reader, &mut progress) {
                Ok(true) => {}
                Ok(false) => return Err(PartialError::Whole),
                Err(PartialError::Stream(end)) => return stop(progress, end),
                Err(other) => return Err(other),
            }
        }
    }
}

/// Reads one record. `false`: there was none left.
fn advance<S: Source>(
    reader: &mut StreamReader<S>,
    progress: &mut Option<Progress>,
) -> Result<bool, PartialError> {
    let Some((raw, place)) = reader.step().map_err(PartialError::Stream)? else {
        return Ok(false);
    };
    if let Some(progress) = progress {
        progress.take_up();
    }
    match place {
        Place::StreamBegin => {
            let payload = reader.payload(&raw).map_err(PartialError::Stream)?;
            if let Record::Begin(begin) = &raw.record {
                let damaged = PartialError::List {
                    position: raw.position,
                };
                let list = decode(payload).ok_or(damaged)?;
                *progress = Some(Progress::new(begin, &list, raw.position));
            }
        }
        Place::Inside => {
            reader.pass_payload(&raw).map_err(PartialError::Stream)?;
            if let (Some(progress), Some((object, offset))) = (progress, raw.record.resume_point()) {
                let bytes = reader.position().saturating_sub(progress.start);
                progress.pending = Some(Point {
                    object,
                    offset,
                    bytes,
                });
            }
        }
        Place::PackageBegin | Place::PackageHeaderEnd | Place::StreamEnd | Place::PackageEnd => {
            reader.pass_payload(&raw).map_err(PartialError::Stream)?;
            *progress = None;
        }
    }
    Ok(true)
}

/// What is to be had of a stream that goes no further.
fn stop(progress: Option<Progress>, end: StreamError) -> Result<Partial, PartialError> {
    match (progress, &end.kind) {
        (_, StreamErrorKind::Io(_) | StreamErrorKind::EndChecksum { .. }) => Err(PartialError::Stream(end)),
        (None, _) => Err(PartialError::NotBegun(end)),
        (Some(Progress { token, .. }), _) => Ok(Partial { token, end }),
    }
}

/// The list behind BEGIN; an empty one where there is none.
fn decode(payload: &[u8]) -> Option<NvList> {
    if payload.is_empty() {
        return Some(NvList::new());
    }
    let limits = Limits::default().with_bytes(payload.len());
    NvList::decode(payload, &limits).ok().map(|(list, _)| list)
}

impl Progress {
    /// A stream of which only BEGIN is there.
    fn new(begin: &Begin, list: &NvList, position: u64) -> Self {
        let features = begin.features();
        let guids = |name| list.u64s(name).map(<[u64]>::to_vec);
        let token = ResumeToken {
            from_guid: Some(begin.from_guid).filter(|&guid| guid != 0),
            object: list.u64("resume_object").unwrap_or(FIRST_OBJECT),
            offset: list.u64("resume_offset").unwrap_or(0),
            bytes: 0,
            to_guid: begin.to_guid,
            to_name: begin.to_name.to_string(),
            large_blocks: features.contains(FeatureFlags::LARGE_BLOCKS),
            embedded: features.contains(FeatureFlags::EMBED_DATA),
            compressed: features.contains(FeatureFlags::COMPRESSED),
            raw: features.contains(FeatureFlags::RAW),
            saved: false,
            redact_snapshots: guids("redact_snaps").filter(|_| features.contains(FeatureFlags::REDACTED)),
            bookmark_redact_snapshots: guids("redact_from_snaps"),
        };
        Self {
            token,
            start: position.saturating_add(u64_from_usize(RECORD_SIZE)),
            pending: None,
        }
    }

    /// The header behind the last record is there.
    fn take_up(&mut self) {
        if let Some(point) = self.pending.take() {
            self.token.object = point.object;
            self.token.offset = point.offset;
            self.token.bytes = point.bytes;
        }
    }
}
