//! What of a dnode is encrypted and what is authenticated.
//!
//! ```text
//! dnode, 512 bytes and 512 more for each extra slot
//!    0  u8   type          3  u8   count of block pointers     4  u8  bonus type
//!    7  u8   flags        10  u16  bytes of bonus used        12  u8  extra slots
//!   24  u64  space used   64       the block pointers
//!                                  the bonus area, up to the end or the spill pointer
//!                                  the spill pointer, if a flag says so
//! ```
//!
//! Of a block of dnodes the bonus areas are encrypted, in their whole length, if the type of the bonus is an encrypted
//! one. Everything else is authenticated, but for space used and most flags, which differ from pool to pool, and of
//! pointers but for what [`pointer`](super::pointer) leaves out.

use std::ops::Range;

use zeroize::Zeroizing;
use zferry_wire::{Endian, u64_from_usize};

use super::pointer::{POINTER, authenticate};
use super::{CryptError, FormatVersion, is_encrypted_type};

/// The bytes of a slot, and of the smallest dnode.
pub(super) const SLOT: usize = 512;

/// The bytes of a dnode before its first block pointer.
const CORE: usize = 64;

const FLAG_SPILL: u8 = 1 << 2;

/// Where the fields lie that are not alike everywhere.
const FLAGS: usize = 7;
const SPACE_USED: Range<usize> = 24..32;

/// A dnode whose parts are known to lie within it.
pub(super) struct Dnode<'a> {
    bytes: &'a [u8],
    core: &'a [u8; CORE],
    pointers: &'a [[u8; POINTER]],
    spill: Option<&'a [u8; POINTER]>,
    /// The bonus area, in bytes from the start of the dnode.
    bonus: Range<usize>,
}

impl<'a> Dnode<'a> {
    /// The dnode at the front of `bytes`, which begin at `offset` of a block.
    pub(super) fn parse(bytes: &'a [u8], offset: usize) -> Result<Self, CryptError> {
        let too_large = |needed: usize, available: usize| CryptError::Dnode {
            offset: u64_from_usize(offset),
            needed: u64_from_usize(needed),
            available: u64_from_usize(available),
        };
        let core = bytes
            .first_chunk::<CORE>()
            .ok_or_else(|| too_large(SLOT, bytes.len()))?;
        let size = SLOT * (1 + usize::from(core[12]));
        let bytes = bytes.get(..size).ok_or_else(|| too_large(size, bytes.len()))?;

        let pointers_end = CORE + POINTER * usize::from(core[3]);
        let spill_size = if core[FLAGS] & FLAG_SPILL == 0 { 0 } else { POINTER };
        if pointers_end + spill_size > size {
            return Err(too_large(pointers_end + spill_size, size));
        }
        let (pointers, _) = bytes[CORE..pointers_end].as_chunks::<POINTER>();
        Ok(Self {
            bytes,
            core,
            pointers,
            spill: bytes.last_chunk::<POINTER>().filter(|_| spill_size > 0),
            bonus: pointers_end..size - spill_size,
        })
    }

    /// Whether there is an object in the slot.
    pub(super) const fn is_allocated(&self) -> bool {
        self.core[0] != 0
    }

    fn is_bonus_encrypted(&self) -> bool {
        self.is_allocated() && is_encrypted_type(self.core[4]) && self.core[10..12] != [0, 0]
    }

    /// Appends what is authenticated of the dnode itself, in the byte order that it has.
    fn authenticate(&self, endian: Endian, version: FormatVersion, out: &mut Vec<u8>) {
        out.extend(masked(self.core));
        self.authenticate_pointers(endian, version, out);
        if !self.is_bonus_encrypted() {
            out.extend_from_slice(&self.bytes[self.bonus.clone()]);
        }
    }

    /// Appends what the codes of an objset cover of a dnode: no bonus, and numbers in little-endian order.
    pub(super) fn authenticate_portably(&self, endian: Endian, version: FormatVersion, out: &mut Vec<u8>) {
        let mut core = masked(self.core);
        if endian == Endian::Big {
            for field in [8..10, 10..12, 16..24] {
                core[field].reverse();
            }
        }
        out.extend(core);
        self.authenticate_pointers(endian, version, out);
    }

    fn authenticate_pointers(&self, endian: Endian, version: FormatVersion, out: &mut Vec<u8>) {
        for pointer in self.pointers.iter().chain(self.spill) {
            authenticate(pointer, endian, version, out);
        }
    }
}

fn masked(core: &[u8; CORE]) -> [u8; CORE] {
    let mut core = *core;
    core[FLAGS] &= FLAG_SPILL;
    core[SPACE_USED].fill(0);
    core
}

/// A block of dnodes, taken apart into what is encrypted and what is authenticated.
pub(super) struct Split {
    authenticated: Vec<u8>,
    encrypted: Vec<Range<usize>>,
}

impl Split {
    pub(super) fn of(block: &[u8], endian: Endian, version: FormatVersion) -> Result<Self, CryptError> {
        if !block.len().is_multiple_of(SLOT) {
            return Err(CryptError::BlockLength {
                kind: "block of dnodes",
                length: u64_from_usize(block.len()),
            });
        }
        let mut split = Self {
            authenticated: Vec::with_capacity(block.len()),
            encrypted: Vec::new(),
        };
        let mut at = 0;
        while at < block.len() {
            let dnode = Dnode::parse(&block[at..], at)?;
            dnode.authenticate(endian, version, &mut split.authenticated);
            if dnode.is_bonus_encrypted() {
                split.encrypted.push(at + dnode.bonus.start..at + dnode.bonus.end);
            }
            at += dnode.bytes.len();
        }
        Ok(split)
    }

    pub(super) fn authenticated(&self) -> &[u8] {
        &self.authenticated
    }

    /// The encrypted parts of the block, one after another.
    pub(super) fn gather(&self, block: &[u8]) -> Zeroizing<Vec<u8>> {
        let parts = self.encrypted.iter().map(|part| &block[part.clone()]);
        Zeroizing::new(parts.collect::<Vec<_>>().concat())
    }

    /// Puts the encrypted parts back.
    pub(super) fn scatter(&self, mut parts: &[u8], block: &mut [u8]) {
        for part in &self.encrypted {
            let (head, rest) = parts.split_at(part.len());
            block[part.clone()].copy_from_slice(head);
            parts = rest;
        }
    }
}
