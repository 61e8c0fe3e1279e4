//! Blocks that are referenced more than once by right: those of deduplication tables, and cloned ones.
//!
//! ```text
//! DDT-sha256-zap-unique …   the object directory: a table for each checksum and class; in the newer form in a table of
//!                           their own, DDT-sha256, beside `version`, `flags` (1: one state an entry, 2: logs) and logs
//!   key                     five numbers of 64 bits: the checksum, and sizes and compression (bit 39: encrypted, so that
//!                           the third address of a state is none)
//!   value                   bytes: how the rest is compressed (128: it is little-endian), then the states of the block
//!   state                   three addresses of two words | references | birth [| time]; four of them, or one
//!
//! com.fudosecurity:brt:vdev:N   the object directory: an object for each vdev, whose bonus buffer has, among others,
//!    0  bvp_mos_entries     the table of cloned blocks: offset → references beyond the first
//!    2  bvp_byteorder       0: little-endian
//! ```
//!
//! A log holds entries that replace those of the tables: records of a header of one word (type 0–7, length 8–23), a key
//! and states.

use super::finding::{Findings, Spot};
use crate::dmu::Object;
use crate::spa::{BlockPointer, Dva};
use crate::zap::{self, ZapEntry};
use crate::{BlockId, Error, ObjectNumber, Pool};
use std::collections::HashMap;
use zferry_blocks::compress::{Compression, decompress};
use zferry_wire::{Endian, Reader, u64_from_usize, usize_from_u64};

/// How many shared blocks are kept; where there are more, their references are not counted.
const BLOCKS_MAX: usize = 1 << 20;
const STATES: usize = 4;
const FLAG_FLAT: u64 = 1;
/// A deduplicated block's state: addresses, references, birth.
const STATE_WORDS: usize = 8;
const FLAT_WORDS: usize = 9;
const KEY_BYTES: usize = 40;

/// Where the first copy of a block is.
type Address = (u32, u64);

/// How often a block is referenced.
#[derive(Clone, Copy, Debug)]
struct References {
    /// As the table says; of a cloned block, beyond the first.
    counted: u64,
    /// As the trees say.
    seen: u64,
    /// The birth of a deduplicated block.
    birth: Option<u64>,
}

/// The blocks that tables count the references of.
#[derive(Debug, Default)]
pub(super) struct SharedBlocks {
    blocks: HashMap<Address, References>,
    /// Whether there were too many to keep.
    is_partial: bool,
}

/// What to do with the space of a block that something refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is claimed here.
    Here,
    /// It was or will be claimed elsewhere.
    Elsewhere,
}

impl SharedBlocks {
    /// Reads the tables. `each` gets the addresses of every deduplicated block, which its table claims.
    pub(super) fn read(
        pool: &Pool,
        findings: &mut Findings<'_>,
        each: &mut dyn FnMut(ObjectNumber, &[Dva], &mut Findings<'_>),
    ) -> Result<Self, Error> {
        let mut shared = Self::default();
        let entries = pool.directory_entries()?;
        for entry in &entries {
            let name = entry.name_lossy();
            let Some(number) = entry.value.as_u64().map(ObjectNumber) else {
                continue;
            };
            let result = if let Some(vdev) = name.strip_prefix("com.fudosecurity:brt:vdev:") {
                shared.read_clones(pool, vdev.parse().unwrap_or(u32::MAX), number)
            } else if name.starts_with("DDT-") && name != "DDT-statistics" {
                shared.read_dedup(pool, &name, number, &mut |dvas| each(number, dvas, findings))
            } else {
                Ok(())
            };
            if let Err(error) = result {
                findings.unreadable(Spot::meta(number), &error);
                shared.is_partial = true;
            }
        }
        Ok(shared)
    }

    fn insert(&mut self, address: Address, counted: u64, birth: Option<u64>) {
        if self.blocks.len() >= BLOCKS_MAX {
            self.is_partial = true;
            return;
        }
        self.blocks.insert(
            address,
            References {
                counted,
                seen: 0,
                birth,
            },
        );
    }

    /// Reads the cloned blocks of a vdev.
    fn read_clones(&mut self, pool: &Pool, vdev: u32, number: ObjectNumber) -> Result<(), Error> {
        let object = pool.meta_object(number)?;
        let [entries, _size, order] = Reader::new(object.dnode.bonus(), object.dnode.endian).u64s()?;
        if entries == 0 {
            return Ok(());
        }
        let endian = if order == 0 { Endian::Little } else { Endian::Big };
        let table = pool.meta_object(ObjectNumber(entries))?;
        zap::for_each(pool.reader(), &table, &mut |entry| {
            let offset = Reader::new(&entry.name, Endian::Big).u64()?;
            let counted = match (entry.value.as_u64(), entry.value.as_bytes()) {
                (Some(counted), _) => counted,
                (None, bytes) => Reader::new(bytes.unwrap_or_default(), endian).u64()?,
            };
            self.insert((vdev, offset), counted, None);
            Ok(())
        })
    }

    /// Reads a deduplication table, or in the newer form, a table of them.
    fn read_dedup(
        &mut self,
        pool: &Pool,
        name: &str,
        number: ObjectNumber,
        each: &mut dyn FnMut(&[Dva]),
    ) -> Result<(), Error> {
        let mut entries = Entries::default();
        if name.matches('-').count() > 1 {
            entries.read_table(pool, number, STATES, STATE_WORDS)?;
        } else {
            let members = zap::entries(pool.reader(), &pool.meta_object(number)?)?;
            let find = |name: &[u8]| members.iter().find(|entry| entry.name == name);
            let flags = find(b"flags").and_then(|entry| entry.value.as_u64()).unwrap_or(0);
            let (states, words) = if flags & FLAG_FLAT != 0 {
                (1, FLAT_WORDS)
            } else {
                (STATES, STATE_WORDS)
            };
            let mut logs = Vec::new();
            for member in &members {
                let Some(number) = member.value.as_u64().map(ObjectNumber) else {
                    continue;
                };
                if member.name.starts_with(b"DDT-log-") {
                    logs.push(pool.meta_object(number)?);
                } else if member.name.starts_with(b"DDT-") {
                    entries.read_table(pool, number, states, words)?;
                }
            }
            // The log that is being emptied is the older one.
            logs.sort_by_key(|log| !Log::is_emptied(log));
            for log in &logs {
                entries.read_log(pool, log, words.saturating_mul(states))?;
            }
            entries.words = words;
        }
        self.is_partial |= entries.is_partial;
        for (key, states) in &entries.states {
            let copies = if is_encrypted(key) { 2 } else { 3 };
            for state in states.chunks_exact(entries.words.max(STATE_WORDS)) {
                let [references, birth] = [6, 7].map(|index| state.get(index).copied().unwrap_or(0));
                let words = state.first_chunk::<6>().copied().unwrap_or_default();
                let dvas: Vec<Dva> = BlockPointer::dvas_of(words, copies).collect();
                if let (Some(dva), true) = (dvas.first(), references > 0) {
                    self.insert((dva.vdev, dva.offset), references, Some(birth));
                    each(&dvas);
                }
            }
        }
        Ok(())
    }

    /// Counts a reference, and says who claims the block's space.
    pub(super) fn refer(&mut self, pointer: &BlockPointer) -> Claim {
        let Some(dva) = pointer.dvas().next() else {
            return Claim::Here;
        };
        let Some(references) = self.blocks.get_mut(&(dva.vdev, dva.offset)) else {
            return Claim::Here;
        };
        match references.birth {
            Some(birth) if pointer.is_dedup() && birth == pointer.physical_birth().0 => {
                references.seen = references.seen.saturating_add(1);
                Claim::Elsewhere
            }
            Some(_) => Claim::Here,
            None => {
                references.seen = references.seen.saturating_add(1);
                if references.seen == 1 {
                    Claim::Here
                } else {
                    Claim::Elsewhere
                }
            }
        }
    }

    /// Whether a range that is claimed twice may be right, since not every shared block is known.
    pub(super) const fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// Compares what the tables say with what was seen.
    pub(super) fn check(&self, findings: &mut Findings<'_>) {
        if self.is_partial {
            findings.unchecked("how often shared blocks are referenced: there are too many");
            return;
        }
        let mut blocks: Vec<(&Address, &References)> = self.blocks.iter().collect();
        blocks.sort_unstable_by_key(|(address, _)| **address);
        for ((vdev, offset), references) in blocks {
            let (field, expected) = match references.birth {
                Some(_) => ("ddp_refcnt", references.seen),
                None => ("bre_count", references.seen.saturating_sub(1)),
            };
            findings.compare(
                || Spot::range(*vdev, *offset, 0),
                field,
                references.counted,
                expected,
            );
        }
    }
}

/// The entries of deduplication tables with what the logs replace.
struct Entries {
    states: HashMap<Vec<u8>, Vec<u64>>,
    words: usize,
    is_partial: bool,
}

impl Default for Entries {
    fn default() -> Self {
        Self {
            states: HashMap::new(),
            words: STATE_WORDS,
            is_partial: false,
        }
    }
}

impl Entries {
    fn insert(&mut self, key: Vec<u8>, states: Vec<u64>) {
        if self.states.len() >= BLOCKS_MAX / 4 && !self.states.contains_key(&key) {
            self.is_partial = true;
            return;
        }
        self.states.insert(key, states);
    }

    fn read_table(
        &mut self,
        pool: &Pool,
        number: ObjectNumber,
        states: usize,
        words: usize,
    ) -> Result<(), Error> {
        let table = pool.meta_object(number)?;
        zap::for_each(pool.reader(), &table, &mut |entry| {
            let decoded = decode_states(&entry, states.saturating_mul(words))?;
            self.insert(entry.name, decoded);
            Ok(())
        })
    }

    fn read_log(&mut self, pool: &Pool, log: &Object, words: usize) -> Result<(), Error> {
        let [info, length, _first] = Reader::new(log.dnode.bonus(), log.dnode.endian).u64s()?;
        let mut header = Reader::new(log.dnode.bonus(), log.dnode.endian);
        header.skip(24)?;
        // What of the log that is emptied has reached the tables already, up to this key.
        let done = if info >> 8 & Log::CHECKPOINT != 0 {
            Some(key_of(&mut header)?)
        } else {
            None
        };
        let block_bytes = log.dnode.data_bytes().max(1);
        for id in 0..length.div_ceil(block_bytes) {
            let Some(block) = log.block(pool.reader(), BlockId(id))? else {
                return Ok(());
            };
            let mut reader = Reader::new(&block.bytes, block.endian);
            while let Ok(record) = reader.u64() {
                let (kind, len) = (record & 0xff, usize_from_u64(record >> 8 & 0xffff));
                if kind == 0 || len < 8 {
                    break;
                }
                let mut record = reader.sub(len.saturating_sub(8))?;
                let key = key_of(&mut record)?;
                let states = (0..words).map(|_| record.u64()).collect::<Result<Vec<_>, _>>()?;
                if done.as_ref().is_none_or(|done| key > *done) {
                    self.insert(key, states);
                }
            }
        }
        Ok(())
    }
}

/// What the header of a log says.
struct Log;

impl Log {
    const FLUSHING: u64 = 1;
    const CHECKPOINT: u64 = 2;

    fn is_emptied(log: &Object) -> bool {
        let info = Reader::new(log.dnode.bonus(), log.dnode.endian)
            .u64()
            .unwrap_or(0);
        info >> 8 & Self::FLUSHING != 0
    }
}

/// Whether the block of a key is encrypted.
fn is_encrypted(key: &[u8]) -> bool {
    const ENCRYPTED: u64 = 1 << 39;
    let properties = key.last_chunk::<8>().map_or(0, |word| u64::from_be_bytes(*word));
    properties & ENCRYPTED != 0
}

/// A key as a table has it: numbers in big-endian order.
fn key_of(reader: &mut Reader<'_>) -> Result<Vec<u8>, Error> {
    let words: [u64; KEY_BYTES / 8] = reader.u64s()?;
    Ok(words.into_iter().flat_map(u64::to_be_bytes).collect())
}

/// Takes the value of an entry apart.
fn decode_states(entry: &ZapEntry, words: usize) -> Result<Vec<u64>, Error> {
    const LITTLE_ENDIAN: u8 = 0x80;
    let corrupt = |why: &str| crate::Corrupt::new(format!("entry of a deduplication table: {why}"));
    let bytes = entry.value.as_bytes().unwrap_or_default();
    let (form, stored) = bytes.split_first().ok_or_else(|| corrupt("empty"))?;
    let mut content = vec![0; words.saturating_mul(8)];
    match Compression::from_id(form & !LITTLE_ENDIAN) {
        Some(Compression::Off) | None => {
            let stored = stored.get(..content.len()).ok_or_else(|| corrupt("too short"))?;
            content.copy_from_slice(stored);
        }
        Some(compression) => {
            decompress(compression, stored, &mut content).map_err(|error| corrupt(&error.to_string()))?;
        }
    }
    let endian = if form & LITTLE_ENDIAN != 0 {
        Endian::Little
    } else {
        Endian::Big
    };
    let mut reader = Reader::new(&content, endian);
    Ok((0..u64_from_usize(words))
        .map(|_| reader.u64())
        .collect::<Result<Vec<_>, _>>()?)
}
