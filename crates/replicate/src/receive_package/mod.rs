//! Receiving a package: what its header tells of the streams behind it, and what an incremental replication does to
//! datasets that are there already.
//!
//! ```text
//!   BEGIN (package) │ name-value list │ END │ stream │ stream │ … │ END (all zero)
//! ```
//!
//! [`PackageHeader`] is the list, in order. Snapshots are known by their guids, wherever they have gone. Before the streams
//! are received, and once more behind them, [`Replication`] makes the tree that is there like the one that was sent:
//! clones are promoted, datasets and snapshots renamed, and, where that is asked for, destroyed when the sender has them no
//! more. Each stream is received as any other, by [`crate::receive`]; between them,
//! [`Incoming::next_stream`](crate::receive::Incoming::next_stream) goes on to the next.
//!
//! The order of all this is that of `lib/libzfs/libzfs_sendrecv.c`, and what is told is told in its words: programs read
//! them. How the header is laid out: `docs/stream-format.md`.

mod encryption;
mod event;
mod header;
mod local;
mod replication;

pub use encryption::restore_encryption_roots;
pub use event::Event;
pub use header::{HeaderError, PackageHeader, SentDataset};
pub use replication::{Outcome, Replication};
