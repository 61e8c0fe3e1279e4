//! A micro ZAP in change; its layout is described beside the reading of it.

use super::{BLOCK_TYPE_MICRO, ZapEntry, ZapValue, hash_name};
use crate::Corrupt;
use std::collections::{BTreeMap, BTreeSet};
use zferry_wire::{Endian, Reader, Writer, u64_from_usize, usize_from_u64};

/// The longest name, in bytes, without the zero behind it.
const NAME_MAX: usize = 49;
/// The room for a name and the zero behind it, in bytes.
const NAME_ROOM: usize = 50;
const SLOT_BYTES: u64 = 64;
/// The largest micro ZAP, in bytes.
const BYTES_MAX: u64 = 128 << 10;

/// A micro ZAP, taken apart.
pub(super) struct MicroTable {
    salt: u64,
    norm_flags: u64,
    /// In the order of the slots; `None` is a free one.
    slots: Vec<Option<Slot>>,
}

struct Slot {
    /// As it stands on disk: the first `name_bytes` of these. Tables are taken apart too often to allocate each name.
    name: [u8; NAME_ROOM],
    name_bytes: u8,
    value: u64,
    /// Tells names of the same hash apart.
    differentiator: u32,
}

impl Slot {
    /// None where the name is too long.
    fn new(name: &[u8], value: u64, differentiator: u32) -> Option<Self> {
        let mut slot = Self {
            name: [0; NAME_ROOM],
            name_bytes: u8::try_from(name.len()).ok()?,
            value,
            differentiator,
        };
        slot.name.get_mut(..name.len())?.copy_from_slice(name);
        Some(slot)
    }

    /// None where the name is empty, or does not end.
    fn decode(mut name: [u8; NAME_ROOM], value: u64, differentiator: u32) -> Option<Self> {
        let end = name.iter().position(|byte| *byte == 0).filter(|end| *end > 0)?;
        // A longer name may have stood here before.
        name.get_mut(end..)?.fill(0);
        Some(Self {
            name,
            name_bytes: u8::try_from(end).ok()?,
            value,
            differentiator,
        })
    }

    fn name(&self) -> &[u8] {
        self.name.get(..usize::from(self.name_bytes)).unwrap_or_default()
    }
}

impl MicroTable {
    pub(super) const fn empty(salt: u64, norm_flags: u64) -> Self {
        Self {
            salt,
            norm_flags,
            slots: Vec::new(),
        }
    }

    pub(super) fn decode(block: &[u8]) -> Result<Self, Corrupt> {
        let mut reader = Reader::new(block, Endian::Little);
        let [_type, salt, norm_flags] = reader.u64s()?;
        let (chunks, _) = block.get(64..).unwrap_or_default().as_chunks::<64>();
        let mut slots = Vec::with_capacity(chunks.len());
        for chunk in chunks {
            let mut reader = Reader::new(chunk, Endian::Little);
            let value = reader.u64()?;
            let differentiator = reader.u32()?;
            reader.skip(2)?;
            slots.push(Slot::decode(reader.array()?, value, differentiator));
        }
        while matches!(slots.last(), Some(None)) {
            slots.pop();
        }
        Ok(Self {
            salt,
            norm_flags,
            slots,
        })
    }

    pub(super) const fn salt(&self) -> u64 {
        self.salt
    }

    pub(super) const fn norm_flags(&self) -> u64 {
        self.norm_flags
    }

    /// Whether a name can stand in a micro ZAP.
    pub(super) const fn takes(name: &[u8]) -> bool {
        name.len() <= NAME_MAX
    }

    /// The size that it needs, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let slots = u64_from_usize(self.slots.len()).saturating_add(1);
        slots.saturating_mul(SLOT_BYTES).next_multiple_of(512)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<u64> {
        let slot = self.slots.iter().flatten().find(|slot| slot.name() == name);
        slot.map(|slot| slot.value)
    }

    /// Every name with what it leads to.
    pub(super) fn numbers(&self) -> impl Iterator<Item = (&[u8], u64)> {
        self.slots.iter().flatten().map(|slot| (slot.name(), slot.value))
    }

    pub(super) fn entries(&self) -> Vec<ZapEntry> {
        let numbers = self.numbers();
        numbers
            .map(|(name, value)| ZapEntry {
                name: name.to_vec(),
                value: ZapValue::number(value),
            })
            .collect()
    }

    /// Puts a name in or changes it. Returns false where there is no room any more.
    pub(super) fn put(&mut self, name: &[u8], value: u64) -> bool {
        if let Some(slot) = self.slots.iter_mut().flatten().find(|slot| slot.name() == name) {
            slot.value = value;
            return true;
        }
        let hash = self.hash(name);
        let rivals = self
            .slots
            .iter()
            .flatten()
            .filter(|slot| self.hash(slot.name()) == hash);
        let taken: Vec<u32> = rivals.map(|slot| slot.differentiator).collect();
        let differentiator = (0..).find(|number| !taken.contains(number)).unwrap_or(0);
        let Some(slot) = Slot::new(name, value, differentiator) else {
            return false;
        };
        if let Some(free) = self.slots.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(slot);
            return true;
        }
        self.slots.push(Some(slot));
        let fits = self.bytes() <= BYTES_MAX;
        if !fits {
            self.slots.pop();
        }
        fits
    }

    /// Puts names in that are not there yet, until there is no room any more; returns how many.
    pub(super) fn extend<'a>(&mut self, entries: impl Iterator<Item = (&'a [u8], u64)> + Clone) -> usize {
        let shared = self.shared_hashes(entries.clone().map(|(name, _)| name));
        let mut rivals: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        for slot in self.slots.iter().flatten() {
            let hash = self.hash(slot.name());
            if shared.contains(&hash) {
                rivals.entry(hash).or_default().insert(slot.differentiator);
            }
        }
        let mut free = 0_usize;
        let mut count = 0_usize;
        for (name, value) in entries {
            while self.slots.get(free).is_some_and(Option::is_some) {
                free = free.saturating_add(1);
            }
            if free == self.slots.len() {
                self.slots.push(None);
                if self.bytes() > BYTES_MAX {
                    self.slots.pop();
                    break;
                }
            }
            let hash = self.hash(name);
            let differentiator = if shared.contains(&hash) {
                let taken = rivals.entry(hash).or_default();
                let least = (0..).find(|number| !taken.contains(number)).unwrap_or(0);
                taken.insert(least);
                least
            } else {
                0
            };
            if let Some(slot) = self.slots.get_mut(free) {
                *slot = Slot::new(name, value, differentiator);
            }
            count = count.saturating_add(1);
        }
        count
    }

    /// The hashes that several names have, of those that are here and of these: hardly ever any.
    fn shared_hashes<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> BTreeSet<u64> {
        let mut hashes: Vec<u64> = names.map(|name| self.hash(name)).collect();
        hashes.extend(self.slots.iter().flatten().map(|slot| self.hash(slot.name())));
        hashes.sort_unstable();
        let equal = hashes.chunk_by(|a, b| a == b).filter(|equal| equal.len() > 1);
        equal.filter_map(|equal| equal.first().copied()).collect()
    }

    fn hash(&self, name: &[u8]) -> u64 {
        if self.norm_flags == 0 {
            hash_name(self.salt, name, false)
        } else {
            hash_name(self.salt, &name.to_ascii_uppercase(), false)
        }
    }

    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let found = self
            .slots
            .iter_mut()
            .find(|slot| slot.as_ref().is_some_and(|slot| slot.name() == name));
        found.is_some_and(|slot| slot.take().is_some())
    }

    /// The block, of `bytes` bytes.
    pub(super) fn encode(&self, bytes: u64) -> Vec<u8> {
        let mut writer = Writer::new(Endian::Little);
        writer
            .u64(BLOCK_TYPE_MICRO)
            .u64(self.salt)
            .u64(self.norm_flags)
            .zeros(40);
        for slot in &self.slots {
            match slot {
                None => writer.zeros(64),
                Some(slot) => writer
                    .u64(slot.value)
                    .u32(slot.differentiator)
                    .u16(0)
                    .bytes(&slot.name),
            };
        }
        let mut block = writer.into_bytes();
        block.resize(usize_from_u64(bytes), 0);
        block
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_as_one_after_another() {
        let names: Vec<String> = (0..3000_u64).map(|number| format!("{:x}", number * 7)).collect();
        let (mut one, mut many) = (MicroTable::empty(99, 0), MicroTable::empty(99, 0));
        assert!(one.put(b"first", 1) && one.put(b"second", 2) && one.remove(b"first"));
        assert!(many.put(b"first", 1) && many.put(b"second", 2) && many.remove(b"first"));
        let numbered = || names.iter().map(|name| name.as_bytes()).zip(0_u64..);
        let fit = numbered()
            .take_while(|(name, value)| one.put(name, *value))
            .count();
        assert_eq!(many.extend(numbered()), fit);
        assert_eq!(fit, 2046);
        assert!(one.encode(BYTES_MAX) == many.encode(BYTES_MAX));
    }
}
