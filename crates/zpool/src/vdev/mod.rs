//! Virtual devices: the files and disks that a pool lies on, their labels and uberblocks, and how blocks are spread over
//! them.

mod config;
mod disk;
mod draid;
mod indirect;
mod label;
mod label_write;
mod parity;
mod raidz;
mod readers;
mod run;
mod simulated;
mod slot;
mod status;
mod stripe;
mod tree;
mod uberblock;
mod writable;
mod write_behind;
mod write_tree;

pub use config::{DraidConfig, RaidzConfig, VdevKind, VdevMarks, VdevNode, VdevNodes};
pub use disk::{Disk, FileDisk};
pub use label::{Label, LabelState, read_labels};
pub use simulated::SimulatedDisk;
pub use status::{MissingDevice, MissingDevices, ShortVdev, VdevReason, VdevState, VdevStatus};
pub use tree::{TopVdev, VdevTree};
pub use uberblock::{Reflow, Uberblock};
pub use writable::{WritableDisk, WritableFile};

pub(crate) use config::TopSource;
pub(crate) use indirect::{ENTRIES_MAX, ENTRY_BYTES, Mapping};
pub(crate) use label::{LabelCopy, data_bytes, has_newer_uberblock, label_copies, read_uberblocks};
pub(crate) use label_write::{Labels, clear_labels, write_config, write_uberblock};
pub(crate) use status::{short_vdevs, status_of};
pub(crate) use tree::{Address, Devices};
pub(crate) use write_tree::{WriteLeaf, WriteTop, WriteTree};
