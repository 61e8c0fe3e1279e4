//! The entries of a space map; their layout is described beside [`SpaceMapPhys`](super::SpaceMapPhys).

use crate::{Corrupt, Txg};
use zferry_wire::{Endian, Reader, Writer, u64_from_usize};

/// A range that was taken or given back, in sectors from the start of the metaslab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) is_free: bool,
}

/// The longest run of an entry of one word, and of one of two, in sectors.
const SHORT_RUN_MAX: u64 = 1 << 15;
const LONG_RUN_MAX: u64 = 1 << 36;
/// Offsets from here on need two words, in sectors.
const SHORT_OFFSET_END: u64 = 1 << 47;
/// The remark that fills the last word of a block where an entry of two words does not fit.
const PADDING: u64 = 0b10 << 62;

/// A remark says in which transaction group the entries behind it were made.
const REMARK_TXG: u64 = (1 << 50) - 1;
const REMARK_PASS_SHIFT: u32 = 50;
const REMARK_KIND_SHIFT: u32 = 60;

/// Calls `each` with the entries of a block, and the group that made them as far as remarks say it: `txg` is that of the
/// block before, and becomes that of the last entry.
pub(super) fn decode(
    bytes: &[u8],
    endian: Endian,
    txg: &mut Txg,
    mut each: impl FnMut(Txg, Entry) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let mut reader = Reader::new(bytes, endian);
    while !reader.is_empty() {
        let word = reader.u64()?;
        match word >> 62 {
            0b10 if word & REMARK_TXG == 0 => {}
            0b10 => *txg = Txg(word & REMARK_TXG),
            0b11 => {
                let place = reader.u64()?;
                let entry = Entry {
                    offset: place & !(1 << 63),
                    len: ((word >> 24) & LONG_RUN_MAX.saturating_sub(1)).saturating_add(1),
                    is_free: place >> 63 == 1,
                };
                each(*txg, entry)?;
            }
            _ => {
                let entry = Entry {
                    offset: (word >> 16) & SHORT_OFFSET_END.saturating_sub(1),
                    len: (word & SHORT_RUN_MAX.saturating_sub(1)).saturating_add(1),
                    is_free: (word >> 15) & 1 == 1,
                };
                each(*txg, entry)?;
            }
        }
    }
    Ok(())
}

/// Adds an entry to what will stand from byte `begins_at` of a space map on, whose blocks have `block_bytes` bytes.
fn encode(writer: &mut Writer, begins_at: u64, block_bytes: u64, entry: Entry, long: bool) {
    let mut entry = entry;
    while entry.len > 0 {
        let is_short = entry.offset < SHORT_OFFSET_END && (entry.len <= SHORT_RUN_MAX || !long);
        let run = entry.len.min(if is_short { SHORT_RUN_MAX } else { LONG_RUN_MAX });
        let free = u64::from(entry.is_free);
        if is_short {
            writer.u64(entry.offset << 16 | free << 15 | run.saturating_sub(1));
        } else {
            let at = begins_at.saturating_add(u64_from_usize(writer.len()));
            if at.saturating_add(8).checked_rem(block_bytes) == Some(0) {
                writer.u64(PADDING);
            }
            writer.u64(0b11 << 62 | run.saturating_sub(1) << 24);
            writer.u64(free << 63 | entry.offset);
        }
        entry.offset = entry.offset.saturating_add(run);
        entry.len = entry.len.saturating_sub(run);
    }
}

/// What a transaction group took, or gave back.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) txg: Txg,
    pub(crate) is_free: bool,
    /// Where each range begins and ends, in sectors from the start of the metaslab.
    pub(crate) ranges: Vec<(u64, u64)>,
}

/// The entries for changes, to stand from byte `from` of a map on.
pub(crate) fn encode_all(from: u64, block_bytes: u64, changes: &[Change], long: bool) -> Vec<u8> {
    let mut writer = Writer::new(Endian::Little);
    for change in changes.iter().filter(|change| !change.ranges.is_empty()) {
        let kind = u64::from(change.is_free) << REMARK_KIND_SHIFT;
        writer.u64(PADDING | kind | 1 << REMARK_PASS_SHIFT | change.txg.0 & REMARK_TXG);
        for (start, end) in &change.ranges {
            let entry = Entry {
                offset: *start,
                len: end.saturating_sub(*start),
                is_free: change.is_free,
            };
            encode(&mut writer, from, block_bytes, entry, long);
        }
    }
    writer.into_bytes()
}

/// The size of the condensed form of a map with these ranges of bytes, in bytes.
fn condensed_bytes(ranges: &[(u64, u64)], ashift: u32) -> u64 {
    let is_long = |(start, end): &(u64, u64)| {
        let sectors = end.saturating_sub(*start).checked_shr(ashift);
        sectors.is_some_and(|sectors| sectors > SHORT_RUN_MAX)
    };
    let long = ranges.iter().filter(|range| is_long(range)).count();
    u64_from_usize(ranges.len().saturating_add(long))
        .saturating_mul(8)
        .max(8)
}

/// Whether a map of so many bytes is to be condensed, as OpenZFS decides it (`zfs_condense_pct`).
pub(crate) fn is_bloated(length: u64, ranges: &[(u64, u64)], ashift: u32, block_bytes: u64) -> bool {
    length > block_bytes.saturating_mul(4) && length > condensed_bytes(ranges, ashift).saturating_mul(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn remarks_say_who_made_the_entries() {
        let change = |txg, is_free, ranges: &[(u64, u64)]| Change {
            txg: Txg(txg),
            is_free,
            ranges: ranges.to_vec(),
        };
        let changes = [
            change(7, false, &[(0, 4), (6, 9)]),
            change(8, true, &[]),
            change(9, true, &[(0, 2)]),
        ];
        let bytes = encode_all(0, 512, &changes, true);
        let (mut txg, mut found) = (Txg(0), Vec::new());
        decode(&bytes, Endian::Little, &mut txg, |txg, entry| {
            found.push((txg.0, entry.offset, entry.len, entry.is_free));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [(7, 0, 4, false), (7, 6, 3, false), (9, 0, 2, true)]);
        assert_eq!(txg, Txg(9));
    }

    proptest! {
        #[test]
        fn entries_come_back(entries in prop::collection::vec((0_u64..1 << 40, 1_u64..1 << 20, any::<bool>()), 0..300), long: bool) {
            let mut writer = Writer::new(Endian::Little);
            for (offset, len, is_free) in &entries {
                encode(&mut writer, 0, 512, Entry { offset: *offset, len: *len, is_free: *is_free }, long);
            }
            let bytes = writer.into_bytes();
            let mut found: Vec<(u64, u64, bool)> = Vec::new();
            for block in bytes.chunks(512) {
                decode(block, Endian::Little, &mut Txg(0), |_, Entry { offset, len, is_free }| {
                    match found.last_mut() {
                        // Long runs may have been cut into several.
                        Some((at, run, free)) if *at + *run == offset && *free == is_free && *run % SHORT_RUN_MAX == 0 => *run += len,
                        _ => found.push((offset, len, is_free)),
                    }
                    Ok(())
                }).unwrap();
            }
            let mut wanted: Vec<(u64, u64, bool)> = Vec::new();
            for (offset, len, is_free) in entries {
                match wanted.last_mut() {
                    Some((at, run, free)) if *at + *run == offset && *free == is_free && *run % SHORT_RUN_MAX == 0 => *run += len,
                    _ => wanted.push((offset, len, is_free)),
                }
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
