//! Virtual devices: the files and disks that a pool lies on, their labels and uberblocks.

mod disk;
mod label;
mod tree;
mod uberblock;

pub use disk::{Disk, FileDisk};
pub use label::{Label, LabelState, read_labels};
pub use tree::{TopVdev, VdevTree};
pub use uberblock::Uberblock;
