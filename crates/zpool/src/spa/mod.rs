//! The storage pool allocator's side of the disk: block pointers, features, and reading one block.

mod block_pointer;
mod embedded;
mod features;
mod gang;
mod read;

pub use block_pointer::{BlockPointer, Dva, EmbeddedType};
pub use features::check_readable;
pub use read::{Block, BlockReader};
