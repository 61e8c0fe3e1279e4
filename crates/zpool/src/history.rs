//! The history of a pool, as it is kept: records of what has changed it, in a ring behind the first one.
//!
//! ```text
//! word  field                  the bonus buffer of the history's object
//!    0  sh_pool_create_len     where the first record ends, which is never overwritten
//!    1  sh_phys_max_off        the size of the buffer, in bytes
//!    2  sh_bof, sh_eof         where the oldest record begins and the newest ends, counted without wrapping
//!    4  sh_records_lost        how many were overwritten
//!
//! record  length u64, little-endian | an nvlist
//! ```

use crate::dmu::Object;
use crate::spa::BlockReader;
use crate::{BlockId, Corrupt, Error, Pool};
use zferry_nvlist::{Limits, NvList};
use zferry_wire::{Endian, Reader, usize_from_u64};

/// The largest buffer that OpenZFS makes, in bytes.
pub(crate) const BYTES_MAX: u64 = 1 << 30;
/// No record is longer, in bytes: lists of arguments and results may be a mebibyte.
const RECORD_MAX: u64 = 4 << 20;

/// Where things lie in the ring, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) create_len: u64,
    pub(crate) end: u64,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) lost: u64,
}

impl Offsets {
    /// Decodes the bonus buffer of the history's object.
    pub(crate) fn decode(bonus: &[u8], endian: Endian) -> Result<Self, Corrupt> {
        let [create_len, end, first, last, lost] = Reader::new(bonus, endian).u64s()?;
        let ring = end.saturating_sub(create_len);
        if ring == 0
            || end > BYTES_MAX
            || first < create_len
            || last.saturating_sub(first) > ring
            || last < first
        {
            return Err(Corrupt::new(format!(
                "a history from {first} to {last} in {end} bytes"
            )));
        }
        Ok(Self {
            create_len,
            end,
            first,
            last,
            lost,
        })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let fields = [self.create_len, self.end, self.first, self.last, self.lost];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// Where a byte of the log is in the buffer.
    pub(crate) fn place(&self, at: u64) -> u64 {
        if at < self.create_len {
            return at;
        }
        let ring = self.end.saturating_sub(self.create_len);
        let within = at.saturating_sub(self.create_len).checked_rem(ring).unwrap_or(0);
        within.saturating_add(self.create_len)
    }
}

/// The records of a pool's history, the oldest first.
#[derive(Debug)]
pub struct HistoryRecords<'p> {
    reader: &'p BlockReader,
    object: Object,
    offsets: Offsets,
    /// Where the next record begins, counted without wrapping.
    at: u64,
}

impl Pool {
    /// What has changed the pool: the record of its making, and those of the last changes. Each is a list whose names
    /// begin with `history`; what else is in it depends on who wrote it. `None` where the pool keeps no history.
    ///
    /// # Errors
    /// Where the history cannot be read, or its bounds make no sense.
    pub fn history(&self) -> Result<Option<HistoryRecords<'_>>, Error> {
        if self.directory_entry("history")?.is_none() {
            return Ok(None);
        }
        let object = self.directory_object("history")?;
        let offsets = Offsets::decode(object.dnode.bonus(), object.dnode.endian)?;
        Ok(Some(HistoryRecords {
            reader: self.reader(),
            object,
            offsets,
            at: 0,
        }))
    }
}

impl HistoryRecords<'_> {
    fn next_record(&mut self) -> Result<Option<NvList>, Error> {
        if self.at >= self.offsets.create_len {
            self.at = self.at.max(self.offsets.first);
        }
        if self.at >= self.offsets.last {
            return Ok(None);
        }
        let length = self.bytes(self.at, 8)?;
        let [length] = Reader::new(&length, Endian::Little).u64s()?;
        let from = self.at.saturating_add(8);
        let end = from.saturating_add(length);
        if length > RECORD_MAX || end > self.offsets.last {
            let at = self.at;
            return Err(Corrupt::new(format!("a record of {length} bytes at {at} in the history")).into());
        }
        let bytes = self.bytes(from, length)?;
        let limits = Limits::default().with_bytes(usize_from_u64(RECORD_MAX));
        let (list, _) = NvList::decode(&bytes, &limits)
            .map_err(|error| Corrupt::new(format!("the record at {} in the history: {error}", self.at)))?;
        self.at = end;
        Ok(Some(list))
    }

    /// `len` bytes of the log.
    fn bytes(&self, from: u64, len: u64) -> Result<Vec<u8>, Error> {
        let block_bytes = self.object.dnode.data_bytes().max(1);
        let (mut at, end) = (from, from.saturating_add(len));
        let mut bytes = Vec::new();
        while at < end {
            let place = self.offsets.place(at);
            let id = place.checked_div(block_bytes).unwrap_or(0);
            let block = self.object.block(self.reader, BlockId(id))?;
            let within = place.checked_rem(block_bytes).unwrap_or(0);
            let count = block_bytes
                .saturating_sub(within)
                .min(self.offsets.end.saturating_sub(place))
                .min(end.saturating_sub(at))
                .max(1);
            let range = usize_from_u64(within)..usize_from_u64(within.saturating_add(count));
            let part = block.as_ref().and_then(|block| block.bytes.get(range));
            bytes.extend_from_slice(
                part.ok_or_else(|| Corrupt::new(format!("nothing at {place} in the history")))?,
            );
            at = at.saturating_add(count);
        }
        Ok(bytes)
    }
}

impl Iterator for HistoryRecords<'_> {
    type Item = Result<NvList, Error>;

    /// The next record. After an error there are no more.
    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_record();
        if next.is_err() {
            self.at = u64::MAX;
        }
        next.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_goes_round_behind_its_first_record() {
        let offsets = Offsets {
            create_len: 100,
            end: 1000,
            first: 950,
            last: 1100,
            lost: 3,
        };
        assert_eq!(
            Offsets::decode(&offsets.encode(), Endian::Little).unwrap(),
            offsets
        );
        assert_eq!(
            [40, 999, 1000, 1900].map(|at| offsets.place(at)),
            [40, 999, 100, 100]
        );
        let backwards = Offsets { last: 900, ..offsets };
        assert!(Offsets::decode(&backwards.encode(), Endian::Little).is_err());
    }
}
