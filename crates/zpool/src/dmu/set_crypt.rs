//! How the blocks of an encrypted object set in change are sealed: as a raw stream has them, or with the key.
//!
//! Without either, only the set's own block can be written again, with the codes that it has: they cover neither its
//! intent log nor what changes about space.

use super::byte_order::ByteOrder;
use super::{Dnode, ObjectType, SLOT_BYTES};
use crate::spa::{BlockPointer, BlockPolicy, BlockReader, CryptParameters, PreparedBlock, Sealer};
use crate::{Error, Unsupported};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zferry_blocks::crypt::{FormatVersion, indirect_mac};
use zferry_blocks::is_zero;
use zferry_wire::{Endian, usize_from_u64};

/// How a raw stream's block of dnodes is encrypted.
#[derive(Clone, Copy, Debug)]
pub struct SealedDnodes {
    /// What its pointer has to say.
    pub crypt: CryptParameters,
    /// The byte order in which it was authenticated.
    pub endian: Endian,
}

/// How a raw stream's blocks of dnodes are encrypted that are not written yet, by number.
#[derive(Debug, Default)]
pub(crate) struct RawBlocks {
    waiting: BTreeMap<u64, SealedDnodes>,
    newest: u64,
}

impl RawBlocks {
    /// The objects of the block `id` are to come.
    pub(crate) fn expect(&mut self, id: u64, sealed: SealedDnodes) {
        self.waiting.insert(id, sealed);
        self.newest = id;
    }

    /// Everything that has come is written: only of the newest block there may be more.
    pub(crate) fn settle(&mut self) {
        let newest = self.newest;
        self.waiting.retain(|id, _| *id == newest);
    }

    /// An estimate of the memory that it takes, in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.waiting.len().saturating_mul(96)
    }
}

/// How the blocks of an object set are sealed.
#[derive(Debug)]
pub(crate) enum SetCrypt {
    /// They are not.
    Plain,
    /// Nobody knows how.
    Locked,
    /// As their sender did it.
    Raw(RawBlocks),
    /// With the key.
    Open {
        sealer: Box<Sealer>,
        /// Reads what is there, with the key.
        reader: Arc<BlockReader>,
    },
}

impl SetCrypt {
    /// How the blocks of the set that `root` leads to are sealed, as long as nobody says more.
    pub(crate) const fn of(root: &BlockPointer) -> Self {
        if root.uses_crypt() {
            Self::Locked
        } else {
            Self::Plain
        }
    }

    /// What reads the set's blocks, where that takes a key.
    pub(crate) fn reader(&self) -> Option<Arc<BlockReader>> {
        match self {
            Self::Open { reader, .. } => Some(Arc::clone(reader)),
            Self::Plain | Self::Locked | Self::Raw(_) => None,
        }
    }

    /// Seals a block of data, unless it is or need not be.
    pub(crate) fn seal(&mut self, block: &PreparedBlock) -> Result<Option<PreparedBlock>, Error> {
        match self {
            Self::Plain => Ok(None),
            _ if block.is_sealed() => Ok(None),
            Self::Locked | Self::Raw(_) => Err(Unsupported::Encrypted.into()),
            Self::Open { sealer, .. } => sealer.seal(block).map(Some),
        }
    }

    /// Makes an indirect block ready.
    pub(crate) fn indirect(
        &self,
        policy: &BlockPolicy,
        object_type: ObjectType,
        level: u8,
        content: Vec<u8>,
    ) -> Result<PreparedBlock, Error> {
        let version = match self {
            Self::Plain => return policy.prepare_at(object_type, level, content),
            Self::Locked | Self::Raw(_) => FormatVersion::One,
            Self::Open { sealer, .. } => sealer.version(),
        };
        let code = indirect_mac(&content, Endian::Little, version)
            .map_err(|error| Error::Invalid(error.to_string()))?;
        Ok(policy.prepare_at(object_type, level, content)?.with_code(code))
    }

    /// Makes a block of dnodes ready. `old` leads to what it was.
    pub(crate) fn dnodes(
        &mut self,
        policy: &BlockPolicy,
        id: u64,
        old: &BlockPointer,
        mut content: Vec<u8>,
    ) -> Result<PreparedBlock, Error> {
        if matches!(self, Self::Plain) || is_zero(&content) {
            // Metadata is compressed, so zeros become a hole.
            return policy.prepare(ObjectType::DNODE, content);
        }
        let sealed = match self {
            Self::Plain | Self::Locked => return Err(Unsupported::Encrypted.into()),
            Self::Raw(blocks) => {
                // What came of a block in an earlier group has left its parameters there.
                let sealed = blocks.waiting.remove(&id).or_else(|| {
                    old.is_encrypted().then(|| SealedDnodes {
                        crypt: CryptParameters::of(old),
                        endian: old.endian(),
                    })
                });
                sealed.ok_or(Unsupported::Encrypted)?
            }
            Self::Open { sealer, .. } => SealedDnodes {
                crypt: sealer.seal_dnodes(&mut content)?,
                endian: Endian::Little,
            },
        };
        if sealed.endian == Endian::Big {
            turn_round(&mut content)?;
        }
        policy.prepare_sealed(ObjectType::DNODE, sealed.endian, content, sealed.crypt)
    }

    /// Makes the set's own block ready.
    pub(crate) fn set(&self, policy: &BlockPolicy, mut content: Vec<u8>) -> Result<PreparedBlock, Error> {
        match self {
            Self::Plain => return policy.prepare(ObjectType::OBJSET, content),
            Self::Locked | Self::Raw(_) => {}
            Self::Open { sealer, .. } => sealer.seal_set(&mut content)?,
        }
        policy.prepare_sealed(
            ObjectType::OBJSET,
            Endian::Little,
            content,
            CryptParameters::default(),
        )
    }
}

/// Turns the numbers in a part of `bytes` round.
fn reverse<const WIDTH: usize>(bytes: &mut [u8], place: Range<usize>) {
    let (words, _) = bytes.get_mut(place).unwrap_or_default().as_chunks_mut::<WIDTH>();
    for word in words {
        word.reverse();
    }
}

/// Puts a block of dnodes into the order of a big-endian machine. Bonus buffers that are encrypted stay as they are.
fn turn_round(block: &mut [u8]) -> Result<(), Error> {
    let mut at = 0_usize;
    while let Some(rest) = block.get_mut(at..).filter(|rest| !rest.is_empty()) {
        if Dnode::is_free(rest) {
            at = at.saturating_add(SLOT_BYTES);
            continue;
        }
        let dnode = Dnode::decode(rest, Endian::Little)?;
        let slots = usize_from_u64(dnode.slot_count());
        let bytes = slots.saturating_mul(SLOT_BYTES);
        let pointers_end = 64_usize.saturating_add(dnode.pointers.len().saturating_mul(BlockPointer::BYTES));
        let bonus_end = pointers_end.saturating_add(dnode.bonus.len());
        reverse::<2>(rest, 8..12);
        reverse::<8>(rest, 16..pointers_end);
        reverse::<8>(rest, bonus_end..bytes);
        if !dnode.bonus_type.is_encrypted()
            && dnode.bonus_len > 0
            && let Some(bonus) = rest.get_mut(pointers_end..bonus_end)
        {
            dnode
                .bonus_type
                .byte_order()
                .unwrap_or(ByteOrder::Bytes)
                .swap(bonus);
        }
        at = at.saturating_add(bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BlockId;
    use crate::dmu::ObjectSpec;

    #[test]
    fn dnodes_are_turned_round_and_secrets_are_not() {
        let bonus: Vec<u8> = (0..64).collect();
        let secret = ObjectSpec::new(ObjectType::PLAIN_FILE_CONTENTS, 4096)
            .with_bonus(ObjectType::SYSTEM_ATTRIBUTES, bonus.clone());
        let plain = ObjectSpec {
            slots: 2,
            ..ObjectSpec::new(ObjectType::DIRECTORY_CONTENTS, 512).with_bonus(ObjectType(12), bonus)
        };
        let mut dnodes = [secret.dnode().unwrap(), plain.dnode().unwrap()];
        for dnode in &mut dnodes {
            dnode.max_block = BlockId(0x0102);
        }
        let mut block = vec![0; 512];
        for dnode in &dnodes {
            block.extend(dnode.encode());
        }
        block.resize(4096, 0);
        turn_round(&mut block).unwrap();
        assert!(block[..512] == [0; 512]);
        let first = Dnode::decode(&block[512..], Endian::Big).unwrap();
        assert_eq!(
            (first.data_sectors, first.bonus_len, first.max_block),
            (8, 64, BlockId(0x0102))
        );
        assert_eq!(first.bonus, dnodes[0].bonus);
        let second = Dnode::decode(&block[1024..], Endian::Big).unwrap();
        assert_eq!((second.extra_slots, second.max_block), (1, BlockId(0x0102)));
        let words = |bytes: &[u8]| bytes[..8].iter().rev().copied().collect::<Vec<u8>>();
        assert_eq!(second.bonus[..8], words(&dnodes[1].bonus));
    }

    #[test]
    fn of_what_is_written_only_the_newest_block_is_kept() {
        let sealed = SealedDnodes {
            crypt: CryptParameters::default(),
            endian: Endian::Little,
        };
        let mut blocks = RawBlocks::default();
        for id in 0..1000 {
            blocks.expect(id, sealed);
        }
        assert!(blocks.weight() > 50_000);
        blocks.settle();
        assert_eq!(blocks.waiting.keys().copied().collect::<Vec<_>>(), [999]);
    }
}
