//! The storage pool allocator's side of the disk: block pointers, features, reading one block, and how much room there
//! is.

mod block_pointer;
mod embedded;
mod feature_table;
mod features;
mod gang;
mod read;
mod scan;
mod space;
mod space_map;

pub use block_pointer::{BlockPointer, Dva, EmbeddedType};
pub use feature_table::{Feature, FeatureDescription};
pub use features::check_readable;
pub use read::{Block, BlockReader};
pub use scan::{Scan, ScanFunction, ScanState};
pub use space::{AllocationClass, Savings, TopVdevSpace};
pub use space_map::{PoolUsage, SpaceMapPhys, VdevUsage};
