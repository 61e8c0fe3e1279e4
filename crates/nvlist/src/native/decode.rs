//! Reads the native encoding, of either byte order.

use zferry_wire::{Endian, Reader, u64_from_usize, usize_from_u32};

use crate::{
    DataType, DecodeError, Flags, NvList, Text, Value,
    decode::{Budget, PairHead, check_version, elements},
    list::Pair,
    size::{NATIVE_END, PAIR_HEADER, POINTER, element_size, pair_size, value_offset},
};

/// Reads a list that begins with its version.
pub(crate) fn decode(reader: &mut Reader<'_>, budget: &mut Budget<'_>) -> Result<NvList, DecodeError> {
    let flags = version_and_flags(reader, 0)?;
    pairs(reader, budget, flags)
}

/// The first two fields of a list, whose reader begins at `base`.
fn version_and_flags(reader: &mut Reader<'_>, base: u64) -> Result<Flags, DecodeError> {
    let offset = base.saturating_add(reader.offset());
    check_version(offset, reader.u32()?)?;
    Ok(Flags(reader.u32()?))
}

fn pairs(reader: &mut Reader<'_>, budget: &mut Budget<'_>, flags: Flags) -> Result<NvList, DecodeError> {
    let mut pairs = Vec::new();
    loop {
        // The size is the first field of the pair, so it is only looked at here.
        let offset = reader.offset();
        let size = reader.clone().u32()?;
        if size == 0 {
            reader.skip(NATIVE_END)?;
            return Ok(NvList::from_pairs(flags, pairs));
        }
        budget.take_pairs(1, offset)?;
        let pair = RawPair::split(reader.take(usize_from_u32(size))?, offset, reader.endian())?;
        let value = pair.value(reader, budget)?;
        pair.check_size(size, &value)?;
        pairs.push(Pair {
            name: pair.name,
            value,
        });
    }
}

/// A pair whose value is still bytes.
struct RawPair<'a> {
    head: PairHead,
    name: Box<str>,
    /// The bytes of the value up to the end of the pair, padding included.
    value: &'a [u8],
    endian: Endian,
}

impl<'a> RawPair<'a> {
    /// Takes the bytes of a pair apart.
    fn split(bytes: &'a [u8], offset: u64, endian: Endian) -> Result<Self, DecodeError> {
        let mut fields = Reader::new(bytes, endian);
        let too_small = |expected: usize| DecodeError::PairSize {
            offset,
            found: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            expected: u64_from_usize(expected),
        };
        if bytes.len() < PAIR_HEADER {
            return Err(too_small(value_offset(0)));
        }
        fields.skip(4)?;
        let name_size = fields.u16()?;
        fields.skip(2)?;
        let (count, data_type) = (fields.u32()?, DataType(fields.u32()?));
        let head = PairHead {
            offset,
            data_type,
            count,
        };

        let wrong_name = DecodeError::Name {
            offset,
            found: name_size,
        };
        let Some(name_len) = usize::from(name_size).checked_sub(1) else {
            return Err(wrong_name);
        };
        let value_at = value_offset(name_len);
        let Some(value) = bytes.get(value_at..) else {
            return Err(too_small(value_at));
        };
        let name = fields.take(name_len)?;
        if name.contains(&0) || fields.u8()? != 0 {
            return Err(wrong_name);
        }
        let name = head.name(name)?;
        Ok(Self {
            head,
            name,
            value,
            endian,
        })
    }

    /// Decodes the value. The pairs of lists are not within the pair but behind it, where `rest` reads.
    fn value(&self, rest: &mut Reader<'_>, budget: &mut Budget<'_>) -> Result<Value, DecodeError> {
        self.head.check_count()?;
        let mut reader = self.reader()?;
        let head = &self.head;
        Ok(match head.data_type {
            DataType::BOOLEAN => Value::Boolean,
            DataType::BOOLEAN_VALUE => Value::BooleanValue(head.boolean(reader.u32()?)?),
            DataType::BYTE => Value::Byte(reader.u8()?),
            DataType::INT8 => Value::Int8(reader.u8()?.cast_signed()),
            DataType::UINT8 => Value::Uint8(reader.u8()?),
            DataType::INT16 => Value::Int16(reader.u16()?.cast_signed()),
            DataType::UINT16 => Value::Uint16(reader.u16()?),
            DataType::INT32 => Value::Int32(reader.u32()?.cast_signed()),
            DataType::UINT32 => Value::Uint32(reader.u32()?),
            DataType::INT64 => Value::Int64(reader.u64()?.cast_signed()),
            DataType::UINT64 => Value::Uint64(reader.u64()?),
            DataType::HRTIME => Value::Hrtime(reader.u64()?.cast_signed()),
            DataType::DOUBLE => Value::Double(f64::from_bits(reader.u64()?)),
            DataType::STRING => Value::String(self.text(&mut reader)?),
            DataType::BOOLEAN_ARRAY => {
                Value::BooleanArray(self.array(&mut reader, |reader| head.boolean(reader.u32()?))?)
            }
            DataType::BYTE_ARRAY => Value::ByteArray(self.array(&mut reader, |reader| Ok(reader.u8()?))?),
            DataType::INT8_ARRAY => {
                Value::Int8Array(self.array(&mut reader, |reader| Ok(reader.u8()?.cast_signed()))?)
            }
            DataType::UINT8_ARRAY => Value::Uint8Array(self.array(&mut reader, |reader| Ok(reader.u8()?))?),
            DataType::INT16_ARRAY => {
                Value::Int16Array(self.array(&mut reader, |reader| Ok(reader.u16()?.cast_signed()))?)
            }
            DataType::UINT16_ARRAY => {
                Value::Uint16Array(self.array(&mut reader, |reader| Ok(reader.u16()?))?)
            }
            DataType::INT32_ARRAY => {
                Value::Int32Array(self.array(&mut reader, |reader| Ok(reader.u32()?.cast_signed()))?)
            }
            DataType::UINT32_ARRAY => {
                Value::Uint32Array(self.array(&mut reader, |reader| Ok(reader.u32()?))?)
            }
            DataType::INT64_ARRAY => {
                Value::Int64Array(self.array(&mut reader, |reader| Ok(reader.u64()?.cast_signed()))?)
            }
            DataType::UINT64_ARRAY => {
                Value::Uint64Array(self.array(&mut reader, |reader| Ok(reader.u64()?))?)
            }
            DataType::STRING_ARRAY => {
                budget.take_pairs(usize_from_u32(head.count), head.offset)?;
                reader.skip(self.pointers())?;
                Value::StringArray(self.array(&mut reader, |reader| self.text(reader))?)
            }
            DataType::NVLIST => {
                let flags = self.list_struct(&mut reader)?;
                Value::NvList(budget.within(head.offset, |budget| pairs(rest, budget, flags))?)
            }
            DataType::NVLIST_ARRAY => {
                budget.take_pairs(usize_from_u32(head.count), head.offset)?;
                reader.skip(self.pointers())?;
                Value::NvListArray(budget.within(head.offset, |budget| {
                    self.array(&mut reader, |reader| {
                        let flags = self.list_struct(reader)?;
                        pairs(rest, budget, flags)
                    })
                })?)
            }
            _ => return Err(head.unknown_type(self.name.clone())),
        })
    }

    /// A reader over the value, once there are as many bytes as the elements take without what strings add.
    fn reader(&self) -> Result<Reader<'a>, DecodeError> {
        let fixed = element_size(self.head.data_type).saturating_mul(usize_from_u32(self.head.count));
        if fixed > self.value.len() {
            let expected = value_offset(self.name.len()).saturating_add(fixed);
            return Err(self.wrong_size(u64_from_usize(expected)));
        }
        Ok(Reader::new(self.value, self.endian))
    }

    fn wrong_size(&self, expected: u64) -> DecodeError {
        let found = value_offset(self.name.len()).saturating_add(self.value.len());
        DecodeError::PairSize {
            offset: self.head.offset,
            found: u32::try_from(found).unwrap_or(u32::MAX),
            expected,
        }
    }

    /// The elements of an array. [`Self::reader`] has seen that they are there, strings apart.
    fn array<T>(
        &self,
        reader: &mut Reader<'_>,
        read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        elements(reader, usize_from_u32(self.head.count), 1, read)
    }

    /// How many bytes the pointers in front of the elements take.
    fn pointers(&self) -> usize {
        usize_from_u32(self.head.count).saturating_mul(POINTER)
    }

    fn text(&self, reader: &mut Reader<'_>) -> Result<Text, DecodeError> {
        let unterminated = DecodeError::String {
            offset: self.head.offset,
        };
        let len = reader
            .rest()
            .iter()
            .position(|byte| *byte == 0)
            .ok_or(unterminated)?;
        let text = Text::new(reader.take(len)?);
        reader.skip(1)?;
        Ok(text)
    }

    /// What an `nvlist_t` says of the list whose pairs follow elsewhere.
    fn list_struct(&self, reader: &mut Reader<'_>) -> Result<Flags, DecodeError> {
        let value_at = self
            .head
            .offset
            .saturating_add(u64_from_usize(value_offset(self.name.len())));
        let flags = version_and_flags(reader, value_at)?;
        reader.skip(16)?;
        Ok(flags)
    }

    /// Refuses a pair that is larger than its name and its value are.
    fn check_size(&self, found: u32, value: &Value) -> Result<(), DecodeError> {
        let expected = pair_size(&self.name, value);
        if expected == usize_from_u32(found) {
            Ok(())
        } else {
            Err(self.wrong_size(u64_from_usize(expected)))
        }
    }
}
