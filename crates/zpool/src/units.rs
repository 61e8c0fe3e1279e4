//! Numbers that must not be mistaken for one another.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A transaction group: the unit in which a pool changes, counted from its creation.
    Txg
}

number! {
    /// The number of an object in its object set. Object 0 is the meta-dnode, which holds the dnodes of the others.
    ObjectNumber
}

number! {
    /// The number of a block in its object, counted at the block's own level.
    BlockId
}

impl BlockId {
    /// The number under which an object's spill block goes: two below zero, as an unsigned number.
    pub const SPILL: Self = Self(u64::MAX - 1);
}
