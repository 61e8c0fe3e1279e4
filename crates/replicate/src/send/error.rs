//! Why a send failed.

use std::io;
use zferry_zpool::Error as PoolError;

/// Why a send failed. Whoever shows it names the snapshot.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A block of the dataset cannot be read, or makes no sense.
    #[error("{source}")]
    Pool {
        /// The snapshot that was being sent.
        dataset: String,
        /// What happened, with the block's place.
        source: PoolError,
    },
    /// A data block of which no copy is good.
    #[error("object {object}, offset {offset} ({length} bytes): {source}")]
    Block {
        /// The snapshot that was being sent.
        dataset: String,
        /// The object.
        object: u64,
        /// Where the block begins in the object, in bytes.
        offset: u64,
        /// Its size, in bytes.
        length: u64,
        /// What happened.
        source: PoolError,
    },
    /// The stream cannot be written.
    #[error("cannot write the stream: {0}")]
    Output(#[from] io::Error),
    /// The dataset is encrypted, its key is not loaded, and it was not to be sent raw.
    #[error("dataset key must be loaded")]
    KeyNotLoaded(String),
    /// The dataset was encrypted before OpenZFS 0.8, and cannot be sent raw.
    #[error("pool or dataset must be upgraded")]
    OldEncryption(String),
    /// A dataset with large micro ZAPs needs large blocks in its stream.
    #[error(
        "source snapshot contains large microzaps, need -L (--large-block) or -w (--raw) to generate stream"
    )]
    LargeMicrozap(String),
    /// The dataset's name does not fit into a stream.
    #[error("the name is too long for a stream")]
    NameTooLong(String),
    /// The dataset's blocks are in the byte order of another machine, and of a type that is not known.
    #[error("object {object}: cannot put type {object_type} into this stream's byte order")]
    ByteOrder {
        /// The snapshot that was being sent.
        dataset: String,
        /// The object.
        object: u64,
        /// Its type.
        object_type: u8,
    },
    /// The threads of the send cannot be had.
    #[error("cannot start a thread: {0}")]
    Threads(io::Error),
    /// A thread of the send ended without a word.
    #[error("a thread of the send ended unexpectedly; please report this")]
    Internal,
}
