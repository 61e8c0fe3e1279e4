//! dRAID: parity groups spread over the children by permutations, and spares made of room that every child keeps free.

mod geometry;
mod permutation;
mod seeds;

use super::config::DraidConfig;
use super::raidz::versions;
use super::slot::{Leaf, Slot, read_device};
use super::stripe::{Children, Stripe};
use crate::Corrupt;
use geometry::Geometry;
use zferry_wire::usize_from_u64;

/// A dRAID vdev.
#[derive(Debug)]
pub(super) struct Draid {
    geometry: Geometry,
    children: Vec<Slot>,
}

impl Draid {
    pub(super) fn new(config: &DraidConfig, ashift: u32, children: Vec<Slot>) -> Result<Self, Corrupt> {
        let geometry = Geometry::new(config, ashift, children.len())?;
        Ok(Self { geometry, children })
    }

    /// Where a block of `len` bytes lies.
    pub(super) fn stripe(&self, offset: u64, len: usize) -> Result<Stripe, String> {
        self.geometry.stripe(offset, len)
    }
}

impl Children for Draid {
    fn read(&self, child: usize, place: u64, buffer: &mut [u8], version: usize) -> Result<(), String> {
        let mut failures = Vec::new();
        let mut waiting = vec![child];
        // A spare leads to a child, where again a spare may stand in: each spare is asked once at most.
        let mut spares_left = usize_from_u64(self.geometry.spares());
        while let Some(child) = waiting.pop() {
            let slot = self.children.get(child).ok_or("no such child")?;
            let leaves = slot.leaves();
            let turn = version.checked_rem(leaves.len()).unwrap_or(0);
            let (head, tail) = leaves.split_at_checked(turn).unwrap_or_default();
            for leaf in tail.iter().chain(head) {
                match leaf {
                    Leaf::Device { disk, .. } => match read_device(&**disk, place, buffer) {
                        Ok(()) => return Ok(()),
                        Err(failure) => failures.push(failure),
                    },
                    Leaf::Missing { name } => failures.push(format!("{name} is missing")),
                    Leaf::DistributedSpare(spare) => {
                        let behind = self.geometry.child_of_spare(*spare, place);
                        if let Some(behind) = behind.filter(|_| spares_left > 0) {
                            spares_left = spares_left.saturating_sub(1);
                            waiting.push(behind);
                        }
                    }
                }
            }
        }
        Err(failures.join(", "))
    }

    fn versions(&self) -> usize {
        versions(&self.children)
    }
}
