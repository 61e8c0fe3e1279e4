//! The storage pool allocator's side of the disk: block pointers, features, reading one block, and how much room there
//! is.

mod allocator;
mod block_pointer;
mod block_writer;
mod decrypt;
mod embedded;
mod feature_table;
mod features;
mod gang;
mod metaslab;
mod prepare;
mod range_set;
mod ranges;
mod read;
mod removal;
mod replayed;
mod scan;
mod seal;
mod shared;
mod space;
mod space_map;
mod space_map_entries;

pub use block_pointer::{BlockPointer, Dva, EmbeddedType};
pub use feature_table::{Feature, FeatureDescription};
pub use features::check_readable;
pub use prepare::{BlockPolicy, Draft, PreparedBlock};
pub use read::{Block, BlockReader};
pub use scan::{Scan, ScanFunction, ScanState};
pub use seal::{CryptParameters, SealedBlock};
pub use shared::Room;
pub use space::{AllocationClass, Savings, TopVdevSpace};
pub use space_map::{PoolUsage, SpaceMapPhys, VdevUsage};

pub(crate) use allocator::{Allocator, Purpose};
pub(crate) use block_writer::BlockWriter;
pub(crate) use removal::read_mappings;
pub(crate) use seal::Sealer;
pub(crate) use space_map_entries::{Change as SpaceMapChange, encode_all as encode_space_map, is_bloated};
