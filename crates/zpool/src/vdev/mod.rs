//! Virtual devices: the files and disks that a pool lies on, their labels and uberblocks.

mod disk;
mod label;
mod label_write;
mod simulated;
mod tree;
mod uberblock;
mod writable;
mod write_tree;

pub use disk::{Disk, FileDisk};
pub use label::{Label, LabelState, read_labels};
pub use simulated::SimulatedDisk;
pub use tree::{TopVdev, VdevTree};
pub use uberblock::Uberblock;
pub use writable::{WritableDisk, WritableFile};

pub(crate) use label::data_bytes;
pub(crate) use label_write::{Labels, clear_labels, write_config, write_uberblock};
pub(crate) use write_tree::{WriteLeaf, WriteTop, WriteTree};
