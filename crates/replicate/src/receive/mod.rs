//! Receiving: a stream becomes a dataset.
//!
//! BEGIN decides whether the pool can take the stream, and under which name ([`Destination`], [`check`]). Then one thread
//! reads records and holds them to the [`rules`] (`reading`); worker threads turn blocks round, compress and sum them
//! (`batch`); the caller's thread applies everything in the order of the stream (`apply`, `pipeline`), so the pool that
//! comes out does not depend on timing.
//!
//! All belongs to a dataset that is marked as not whole until the last step, which takes the snapshot and the mark off.
//! What is received into a dataset that exists goes to a hidden clone of its newest snapshot, whose contents take the
//! place of the dataset's in the same last step (`begin`, `work`). A receive that fails takes what it made away again; one
//! that is killed leaves it to whoever opens the pool for writing next. Either way the target is as it was. Where that is
//! asked for, what was received stays, with a note of how far that was, and a later stream goes on with it (`resume`).
//!
//! A corrective receive is another thing: it changes nothing but blocks that are damaged (`heal`).
//!
//! What the records are: `docs/stream-format.md`.

mod apply;
mod batch;
mod begin;
mod destination;
mod errno;
mod error;
mod existing;
mod heal;
mod incoming;
mod payload;
mod pipeline;
mod properties;
mod raw;
mod raw_objects;
mod reading;
mod recent;
mod resume;
pub mod rules;
mod work;

pub use begin::{HIDDEN, check};
pub use destination::{Destination, DestinationError, Naming};
pub use errno::Errno;
pub use error::ReceiveError;
pub use heal::{HealReport, Unhealed, check_heal, heal};
pub use incoming::Incoming;
pub use pipeline::Progress;
pub use properties::{PropertyError, set_received_properties};
pub use resume::resume_token;

use zferry_nvlist::NvList;
use zferry_zpool::dsl::DslPool;
use zferry_zpool::zap::ZapValue;
use zferry_zpool::{NewEncryption, PoolWriter};
use zferry_zstream::source::Source;

/// What was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of stream, its BEGIN record included.
    pub bytes: u64,
    /// What of the properties that came with it was not set.
    pub property_errors: Vec<PropertyError>,
}

/// What is to become of a stream.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it goes.
    pub destination: Destination,
    /// File systems that are made first, each under the one before. Only for what does not exist.
    pub parents: Vec<String>,
    /// What is in the way goes: changes since the snapshot that an incremental stream continues, snapshots after it, or
    /// for a full stream all that the target has.
    pub is_forced: bool,
    /// What was received is kept when the stream is cut, so that another can go on with it.
    pub is_resumable: bool,
    /// The snapshot that the new dataset is to be a clone of.
    pub origin: Option<String>,
    /// Properties that the dataset gets, in the form in which they are stored.
    pub properties: Vec<(String, ZapValue)>,
    /// Properties that the dataset is to inherit, whatever comes with the stream.
    pub inherited: Vec<String>,
    /// Properties that came with the stream, as a package's header has them. They take the place of all that came before.
    pub received: Option<NvList>,
    /// How a new dataset is encrypted, unless the stream is raw.
    pub encryption: NewEncryption,
    /// Whether the key is loaded that an encrypted target, or one below something encrypted, takes.
    pub is_unlocked: bool,
    /// What the pool's history says of it.
    pub command: Option<String>,
}

impl Request {
    /// A stream goes to `destination`, and nothing else.
    #[must_use]
    pub const fn new(destination: Destination) -> Self {
        Self {
            destination,
            parents: Vec::new(),
            is_forced: false,
            is_resumable: false,
            origin: None,
            properties: Vec::new(),
            inherited: Vec::new(),
            received: None,
            encryption: NewEncryption::Inherited,
            is_unlocked: false,
            command: None,
        }
    }
}

/// Receives a stream. What comes behind it in `incoming` can be received next.
///
/// `progress` can be looked at from another thread meanwhile.
///
/// # Errors
/// [`ReceiveError`]; the pool is then as it was, unless what was received is kept for another stream to go on with.
pub fn receive<S: Source + Send>(
    writer: &mut PoolWriter,
    incoming: &mut Incoming<S>,
    request: &Request,
    progress: &Progress,
) -> Result<Received, ReceiveError> {
    let begin = incoming.begin().clone();
    let dsl = DslPool::new(writer.pool());
    let (place, resumed) = begin::place(&dsl, &begin, incoming.list()?, request)?;
    let raw = raw::key_data(&dsl, &begin, incoming.list()?, place)?;
    work::Work::new(place, resumed, &begin, request, raw).run(writer, incoming, progress)
}
