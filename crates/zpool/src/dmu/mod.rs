//! The data management unit: objects made of blocks, object sets made of objects.

mod allowance;
mod byte_order;
mod dnode;
mod indirect_block;
mod intent_log;
mod ledger;
mod object;
mod object_set;
mod object_type;
mod open_object;
mod open_set;
mod post_order;
mod set_crypt;
mod traverse;

pub(crate) use allowance::Allowance;
pub use byte_order::ByteOrder;
pub use dnode::{Dnode, DnodeFlags, SLOT_BYTES};
pub use object::Object;
pub use object_set::{ObjectSet, ObjectSetType};
pub use object_type::ObjectType;
pub use open_set::{ObjectSpec, RawSet};
pub use set_crypt::SealedDnodes;
pub(crate) use set_crypt::SetCrypt;
pub use traverse::{ReadAhead, ResumeAt, Stop, Traversal, Visit};

pub(crate) use indirect_block::IndirectBlock;
pub(crate) use intent_log::LogHeader;
pub(crate) use ledger::{Ledger, sizes};
pub use open_object::Policies;
pub(crate) use open_object::{Context, OpenObject};
pub(crate) use open_set::{OpenSet, SlotState, counted, metadata_policy, objects_in, owners};
pub(crate) use post_order::{Pause, PostOrder, Stopped};
