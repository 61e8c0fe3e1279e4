//! What OBJECT records said of the objects whose blocks come next.
//!
//! Blocks are made ready before it is their turn, and how depends on their object. A sender sends all objects of a
//! block of dnodes and then their blocks, so it suffices to remember the newest few. What is forgotten, or was never
//! there, is made ready when it is its turn, from the object itself.

use super::payload::object_type;
use std::collections::BTreeMap;
use zferry_zpool::dmu::ObjectType;
use zferry_zstream::record::Object;

/// How many objects are remembered.
const REMEMBERED: usize = 1024;

/// What must be known of an object to make its blocks ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recent {
    pub(super) object_type: ObjectType,
    pub(super) bonus_type: ObjectType,
    /// The size of its blocks, in bytes.
    pub(super) block_size: u64,
    /// Its own choice of compression, or 0.
    pub(super) compression: u8,
    /// Its own choice of checksum, or 0.
    pub(super) checksum: u8,
}

/// The newest objects of a stream.
#[derive(Debug, Default)]
pub(super) struct RecentObjects(BTreeMap<u64, Recent>);

impl RecentObjects {
    /// Remembers what a record says.
    pub(super) fn note(&mut self, object: &Object) {
        self.0.insert(
            object.object,
            Recent {
                object_type: object_type(object.object_type),
                bonus_type: object_type(object.bonus_type),
                block_size: u64::from(object.block_size),
                compression: object.compression.0,
                checksum: object.checksum.0,
            },
        );
        // Objects come in the order of their numbers.
        if self.0.len() > REMEMBERED {
            self.0.pop_first();
        }
    }

    /// What is known of an object.
    pub(super) fn get(&self, object: u64) -> Option<&Recent> {
        self.0.get(&object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_are_remembered_and_of_those_the_last_word() {
        let mut recent = RecentObjects::default();
        for object in 1..=5000 {
            recent.note(&Object {
                object,
                block_size: 512,
                ..Object::default()
            });
        }
        recent.note(&Object {
            object: 5000,
            block_size: 4096,
            ..Object::default()
        });
        assert_eq!(recent.get(5000).map(|recent| recent.block_size), Some(4096));
        assert_eq!(recent.get(4999).map(|recent| recent.block_size), Some(512));
        assert_eq!(recent.get(1), None);
        assert_eq!(recent.0.len(), REMEMBERED);
    }
}
