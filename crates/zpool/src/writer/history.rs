//! Noting in the history of a pool which command changed it. How it is kept is in [`crate::history`].

use super::PoolWriter;
use crate::dmu::{ObjectSpec, ObjectType};
use crate::history::{BYTES_MAX, Offsets};
use crate::{Corrupt, Error, ObjectNumber};
use zferry_nvlist::{Encoding, NvList};
use zferry_wire::{Endian, u64_from_usize, usize_from_u64};

const HISTORY: ObjectType = ObjectType(29);
const HISTORY_OFFSETS: ObjectType = ObjectType(30);
const BLOCK: u32 = 128 << 10;
const BLOCK_BYTES: u64 = 128 << 10;
/// The buffer takes a part of the pool: one in so many bytes, and at least so many.
const PART: u64 = 1000;
const BYTES_MIN: u64 = 128 << 10;
/// No record is longer, in bytes.
const RECORD_MAX: u64 = 64 << 10;

impl PoolWriter {
    /// Notes a command in the pool's history.
    ///
    /// # Errors
    /// Where the history cannot be read.
    pub fn log_command(&mut self, command: &str) -> Result<(), Error> {
        let mut list = NvList::new();
        list.insert("history time", self.environment.now().seconds);
        list.insert("history command", command);
        let packed = list.encode(Encoding::Xdr, Endian::Little);
        let len = u64_from_usize(packed.len());
        if len > RECORD_MAX {
            return Ok(());
        }
        let mut record = len.to_le_bytes().to_vec();
        record.extend_from_slice(&packed);
        let number = self.history()?;
        let bonus = self.bonus(number)?;
        let mut offsets = Offsets::decode(&bonus, Endian::Little)?;
        self.make_room(number, &mut offsets, u64_from_usize(record.len()))?;
        self.put_around(number, &offsets, &record)?;
        offsets.last = offsets.last.saturating_add(u64_from_usize(record.len()));
        if offsets.create_len == 0 {
            offsets.create_len = offsets.last;
            offsets.first = offsets.last;
        }
        self.put_bonus(number, &offsets.encode())
    }

    /// The object of the history, made where there is none yet.
    fn history(&mut self) -> Result<ObjectNumber, Error> {
        let directory = ObjectNumber(1);
        if let Some(number) = self.table_get(directory, "history")? {
            return Ok(ObjectNumber(number));
        }
        let spaces = super::config::top_spaces(&self.config)?;
        let total = spaces.iter().map(crate::spa::TopVdevSpace::space);
        let size = total.fold(0, u64::saturating_add).checked_div(PART).unwrap_or(0);
        let size = size.clamp(BYTES_MIN, BYTES_MAX);
        let mut bonus = vec![0; 8];
        bonus.extend_from_slice(&size.to_le_bytes());
        bonus.resize(40, 0);
        let number = self.new_object(&ObjectSpec::new(HISTORY, BLOCK).with_bonus(HISTORY_OFFSETS, bonus))?;
        self.table_put(directory, "history", number.0)?;
        Ok(number)
    }

    /// Drops the oldest records until there is room for a new one.
    fn make_room(&mut self, number: ObjectNumber, offsets: &mut Offsets, len: u64) -> Result<(), Error> {
        let ring = offsets.end.saturating_sub(offsets.create_len);
        if len >= ring {
            return Err(Error::Invalid("a record longer than the history".to_owned()));
        }
        while ring.saturating_sub(offsets.last.saturating_sub(offsets.first)) <= len {
            let mut bytes = [0; 8];
            for (at, byte) in (0_u64..).zip(&mut bytes) {
                let place = offsets.place(offsets.first.saturating_add(at));
                let (id, within) = (place / BLOCK_BYTES, usize_from_u64(place % BLOCK_BYTES));
                *byte = self.mos.with_object(&mut self.io, number, |object, context| {
                    Ok(object
                        .content_mut(context.io, id)?
                        .get(within)
                        .copied()
                        .unwrap_or(0))
                })?;
            }
            let record = u64::from_le_bytes(bytes).saturating_add(8);
            offsets.first = offsets.first.saturating_add(record).min(offsets.last);
            offsets.lost = offsets.lost.saturating_add(1);
        }
        Ok(())
    }

    fn put_around(&mut self, number: ObjectNumber, offsets: &Offsets, record: &[u8]) -> Result<(), Error> {
        let mut at = offsets.last;
        let mut rest = record;
        while !rest.is_empty() {
            let place = offsets.place(at);
            let (id, within) = (place / BLOCK_BYTES, usize_from_u64(place % BLOCK_BYTES));
            let room = usize_from_u64(offsets.end.saturating_sub(place));
            let count = usize_from_u64(BLOCK_BYTES)
                .saturating_sub(within)
                .min(room)
                .min(rest.len());
            if count == 0 {
                return Err(Corrupt::new("a history without room").into());
            }
            let (part, tail) = rest.split_at(count);
            self.mos.with_object(&mut self.io, number, |object, context| {
                object.grow(id)?;
                let block = object.content_mut(context.io, id)?;
                if let Some(target) = block.get_mut(within..within.saturating_add(count)) {
                    target.copy_from_slice(part);
                }
                Ok(())
            })?;
            rest = tail;
            at = at.saturating_add(u64_from_usize(count));
        }
        Ok(())
    }
}
