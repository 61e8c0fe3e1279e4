//! The intent log of a file system or volume: a chain of blocks that no tree refers to.
//!
//! ```text
//! offset  field                in the block of an object set, from byte 512 on
//!      0  zh_claim_txg         the transaction group in which an import claimed the chain; 0: not claimed
//!      8  zh_replay_seq
//!     16  zh_log               128 bytes: the pointer to the first block
//!    144  zh_claim_blk_seq     the last claimed block
//!    152  zh_flags             2: the next field is valid
//!    160  zh_claim_lr_seq      the last claimed record
//!
//! zil_chain_t, 184 bytes       at the beginning of a log block (checksum 9) or at its end (checksum 5)
//!      0  padding
//!      8  zc_next_blk          128 bytes: the pointer to the next block
//!    136  zc_nused             how many bytes are used, in the newer form with this header
//!    144  zc_eck               magic, then four words: the sum over the used part, these words being those of the pointer
//!
//! lr_t                         records: type, length, transaction group, number; 64 bits each
//! lr_write_t                   type 9: object, offset, length, padding; then at 64 the pointer to what was written
//! ```
//!
//! The chain ends where a block's sum is wrong: the block was allocated and never written.

use crate::Txg;
use crate::spa::{Block, BlockPointer, BlockReader};
use zferry_blocks::checksum::{Checksum, Fletcher4, embedded_endian};
use zferry_wire::{Endian, Reader, ShortRead, u64_from_usize, usize_from_u64};

/// Where the header lies in the block of an object set, in bytes.
pub(crate) const HEADER_OFFSET: usize = 512;
/// How long the header is, in bytes.
pub(crate) const HEADER_BYTES: usize = 192;
const CHAIN_BYTES: usize = 184;
const CHECKSUM_OFFSET: usize = 144;
/// The checksum whose chain structure lies at the beginning.
const CHECKSUM_ZILOG2: u8 = 9;
const CHECKSUM_ZILOG: u8 = 5;
/// What is summed is a multiple of this, in bytes.
const SUMMED_UNIT: usize = 4096;
const RECORD_BYTES: u64 = 32;
const RECORD_WRITE: u64 = 9;
/// The bit of a record's type that says that names are compared without regard to case.
const RECORD_TYPE_MASK: u64 = !(1 << 63);
/// The bit of a header's flags that says that the number of the last claimed record is valid.
const CLAIM_RECORD_VALID: u64 = 2;
/// No log block is larger, in bytes.
const BLOCK_BYTES_MAX: u64 = 16 << 20;

/// The header of an intent log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogHeader {
    claim_txg: Txg,
    log: BlockPointer,
    claim_block: u64,
    claim_record: u64,
}

impl LogHeader {
    /// Decodes a header.
    pub(crate) fn decode(bytes: &[u8], endian: Endian) -> Result<Self, ShortRead> {
        let mut reader = Reader::new(bytes, endian);
        let [claim_txg, _replay] = reader.u64s()?;
        let log = BlockPointer::read(&mut reader)?;
        let [claim_block, flags, claim_record] = reader.u64s()?;
        let is_valid = flags & CLAIM_RECORD_VALID != 0;
        Ok(Self {
            claim_txg: Txg(claim_txg),
            log,
            claim_block: if claim_txg == 0 { u64::MAX } else { claim_block },
            claim_record: if is_valid && claim_txg != 0 {
                claim_record
            } else {
                u64::MAX
            },
        })
    }

    /// The header in the block of an object set.
    pub(crate) fn of_set(block: &Block) -> Option<Self> {
        let bytes = block.bytes.get(HEADER_OFFSET..)?;
        Self::decode(bytes, block.endian).ok()
    }

    /// Calls `each` with every block that the log keeps allocated. `newest` is the pool's transaction group.
    pub(crate) fn for_each(&self, reader: &BlockReader, newest: Txg, each: &mut dyn FnMut(&BlockPointer)) {
        let mut pointer = self.log;
        while !pointer.is_hole() {
            let number = sequence(&pointer);
            // What was allocated since the uberblock was written is not in its space maps.
            let is_newer = self.claim_txg == Txg(0) && pointer.logical_birth() > newest;
            if number > self.claim_block || is_newer {
                return;
            }
            each(&pointer);
            let Some(block) = LogBlock::read(reader, &pointer) else {
                return;
            };
            let mut records = Reader::new(&block.records, block.endian);
            while let Ok(Some(record)) = Record::next(&mut records) {
                if record.number > self.claim_record {
                    return;
                }
                let is_claimed = |written: &BlockPointer| {
                    self.claim_txg != Txg(0) && written.logical_birth() >= self.claim_txg
                };
                let written = record.written.as_ref();
                if let Some(written) = written.filter(|written| !written.is_hole() && is_claimed(written)) {
                    each(written);
                }
            }
            pointer = block.next;
        }
    }

    /// Whether the log holds something that was written after the pool's transaction group `newest`, which nobody has
    /// claimed since: the pool does not know of it, not even of the space where it is.
    pub(crate) fn is_ahead(&self, reader: &BlockReader, newest: Txg) -> bool {
        let mut pointer = self.log;
        while self.claim_txg == Txg(0) && !pointer.is_hole() {
            let Some(block) = LogBlock::read(reader, &pointer) else {
                return false;
            };
            let mut records = Reader::new(&block.records, block.endian);
            while let Ok(Some(record)) = Record::next(&mut records) {
                if record.txg > newest {
                    return true;
                }
            }
            pointer = block.next;
        }
        false
    }
}

/// The number of a log block in its chain.
const fn sequence(pointer: &BlockPointer) -> u64 {
    let Checksum([_, _, _, sequence]) = pointer.checksum();
    sequence
}

/// A record.
struct Record {
    /// The transaction group that it was written for.
    txg: Txg,
    number: u64,
    /// What it wrote elsewhere.
    written: Option<BlockPointer>,
}

impl Record {
    /// Reads the next record; `None` at the end.
    fn next(reader: &mut Reader<'_>) -> Result<Option<Self>, ShortRead> {
        if reader.is_empty() {
            return Ok(None);
        }
        let [kind, len, txg, number] = reader.u64s()?;
        let rest = len.checked_sub(RECORD_BYTES);
        let mut record = reader.sub(usize_from_u64(rest.unwrap_or(u64::MAX)))?;
        let written = if kind & RECORD_TYPE_MASK == RECORD_WRITE {
            record.skip(32)?;
            Some(BlockPointer::read(&mut record)?)
        } else {
            None
        };
        let txg = Txg(txg);
        Ok(Some(Self { txg, number, written }))
    }
}

/// A block of a log.
struct LogBlock {
    next: BlockPointer,
    records: Vec<u8>,
    endian: Endian,
}

impl LogBlock {
    /// Reads a block; `None` where its sum is wrong, which is how a log ends.
    fn read(reader: &BlockReader, pointer: &BlockPointer) -> Option<Self> {
        let size = Some(pointer.logical_size()).filter(|size| *size <= BLOCK_BYTES_MAX)?;
        if pointer.is_embedded() || pointer.physical_size() != size {
            return None;
        }
        let mut bytes = vec![0; usize_from_u64(size)];
        let mut endian = Endian::OURS;
        let mut accept = |bytes: &mut [u8]| {
            endian = verify(pointer, bytes).ok_or("no block of an intent log")?;
            Ok(())
        };
        if reader.read_accepted(pointer, &mut bytes, &mut accept).is_err() {
            return None;
        }
        let is_new = pointer.checksum_type() == CHECKSUM_ZILOG2;
        let (chain, records) = if is_new {
            bytes.split_at_checked(CHAIN_BYTES)?
        } else {
            let (records, chain) = bytes.split_at_checked(bytes.len().checked_sub(CHAIN_BYTES)?)?;
            (chain, records)
        };
        let mut chain = Reader::new(chain, endian);
        chain.skip(8).ok()?;
        let next = BlockPointer::read(&mut chain).ok()?;
        let used = chain.u64().ok()?;
        let used = if is_new {
            used.checked_sub(u64_from_usize(CHAIN_BYTES))?
        } else {
            used
        };
        let records = records.get(..usize_from_u64(used))?.to_vec();
        // Each block is made for its place in the chain.
        let Checksum([a, b, c, number]) = pointer.checksum();
        let follows = next.checksum() == Checksum([a, b, c, number.wrapping_add(1)]);
        follows.then_some(Self {
            next,
            records,
            endian,
        })
    }
}

/// Checks the sum of a log block, and tells the order of its numbers.
fn verify(pointer: &BlockPointer, bytes: &[u8]) -> Option<Endian> {
    let Checksum(verifier) = pointer.checksum();
    match pointer.checksum_type() {
        CHECKSUM_ZILOG2 => verify_head(bytes, verifier),
        CHECKSUM_ZILOG => {
            let endian = embedded_endian(bytes)?;
            verify_tail(bytes, verifier, endian).then_some(endian)
        }
        _ => None,
    }
}

/// Checks a block whose sum is in the structure at its beginning.
fn verify_head(bytes: &[u8], verifier: [u64; 4]) -> Option<Endian> {
    const MAGIC: u64 = 0x0210_da7a_b10c_7a11;
    let orders = [Endian::Little, Endian::Big];
    let magic_is = |endian: &Endian| {
        let mut reader = Reader::new(bytes, *endian);
        reader.skip(CHECKSUM_OFFSET).is_ok() && reader.u64() == Ok(MAGIC)
    };
    let endian = orders.into_iter().find(magic_is)?;
    let mut reader = Reader::new(bytes, endian);
    reader.skip(136).ok()?;
    let [used, _magic] = reader.u64s().ok()?;
    let found: [u64; 4] = reader.u64s().ok()?;
    let len = usize_from_u64(used).checked_next_multiple_of(SUMMED_UNIT)?;
    let (head, rest) = bytes
        .get(..len)?
        .split_at_checked(CHECKSUM_OFFSET.saturating_add(8))?;
    let mut words = Vec::new();
    for word in verifier {
        words.extend_from_slice(&endian.bytes_u64(word));
    }
    let mut sum = Fletcher4::of(head, endian);
    sum.update(&words, endian);
    sum.update(rest.get(words.len()..)?, endian);
    (sum.checksum() == Checksum(found)).then_some(endian)
}

/// Checks a block whose sum is in its last 40 bytes.
fn verify_tail(bytes: &[u8], verifier: [u64; 4], endian: Endian) -> bool {
    // The sum of labels and gang headers, which lies in the same place, is another; only the words are alike.
    let Some((content, found)) = bytes.split_last_chunk::<32>() else {
        return false;
    };
    let mut block = content.to_vec();
    for word in verifier {
        block.extend_from_slice(&endian.bytes_u64(word));
    }
    let mut reader = Reader::new(found, endian);
    let found: Result<[u64; 4], _> = reader.u64s();
    found == Ok(zferry_blocks::checksum::fletcher2(&block, endian).0)
}
