//! Reads the XDR encoding.

use zferry_wire::{Reader, u64_from_usize, usize_from_u32};

use crate::{
    DataType, DecodeError, Flags, NvList, Text, Value,
    decode::{Budget, PairHead, check_version, elements},
    list::Pair,
    size::{XDR_LIST, align4, pair_size, xdr_pair_size},
};

/// Reads a list that begins with its version.
pub(crate) fn decode(reader: &mut Reader<'_>, budget: &mut Budget<'_>) -> Result<NvList, DecodeError> {
    check_version(reader.offset(), reader.u32()?)?;
    let flags = Flags(reader.u32()?);
    let mut pairs = Vec::new();
    loop {
        let offset = reader.offset();
        let (encoded, decoded) = (reader.u32()?, reader.u32()?);
        if (encoded, decoded) == (0, 0) {
            return Ok(NvList::from_pairs(flags, pairs));
        }
        budget.take_pairs(1, offset)?;
        let name = string(reader, offset)?;
        let head = PairHead {
            offset,
            data_type: DataType(reader.u32()?),
            count: reader.u32()?,
        };
        let name = head.name(name)?;
        head.check_count()?;
        let Some(value) = value(reader, budget, &head)? else {
            return Err(head.unknown_type(name));
        };
        check_size(offset, encoded, xdr_pair_size(&name, &value))?;
        check_size(offset, decoded, pair_size(&name, &value))?;
        pairs.push(Pair { name, value });
    }
}

fn check_size(offset: u64, found: u32, expected: usize) -> Result<(), DecodeError> {
    if usize_from_u32(found) == expected {
        return Ok(());
    }
    Err(DecodeError::PairSize {
        offset,
        found,
        expected: u64_from_usize(expected),
    })
}

/// The value of a pair, or nothing where there is no such type.
fn value(
    reader: &mut Reader<'_>,
    budget: &mut Budget<'_>,
    head: &PairHead,
) -> Result<Option<Value>, DecodeError> {
    Ok(Some(match head.data_type {
        DataType::BOOLEAN => Value::Boolean,
        DataType::BOOLEAN_VALUE => Value::BooleanValue(head.boolean(reader.u32()?)?),
        DataType::BYTE => Value::Byte(byte(reader, head)?),
        DataType::INT8 => Value::Int8(byte(reader, head)?.cast_signed()),
        DataType::UINT8 => Value::Uint8(byte(reader, head)?),
        DataType::INT16 => Value::Int16(short(reader, head)?.cast_signed()),
        DataType::UINT16 => Value::Uint16(short(reader, head)?),
        DataType::INT32 => Value::Int32(reader.u32()?.cast_signed()),
        DataType::UINT32 => Value::Uint32(reader.u32()?),
        DataType::INT64 => Value::Int64(reader.u64()?.cast_signed()),
        DataType::UINT64 => Value::Uint64(reader.u64()?),
        DataType::HRTIME => Value::Hrtime(reader.u64()?.cast_signed()),
        DataType::DOUBLE => Value::Double(f64::from_bits(reader.u64()?)),
        DataType::STRING => Value::String(Text::new(string(reader, head.offset)?)),
        DataType::BYTE_ARRAY => Value::ByteArray(opaque(reader, head.count)?.to_vec()),
        DataType::BOOLEAN_ARRAY => {
            Value::BooleanArray(array(reader, head, 4, |reader| head.boolean(reader.u32()?))?)
        }
        DataType::INT8_ARRAY => Value::Int8Array(array(reader, head, 4, |reader| {
            Ok(byte(reader, head)?.cast_signed())
        })?),
        DataType::UINT8_ARRAY => Value::Uint8Array(array(reader, head, 4, |reader| byte(reader, head))?),
        DataType::INT16_ARRAY => Value::Int16Array(array(reader, head, 4, |reader| {
            Ok(short(reader, head)?.cast_signed())
        })?),
        DataType::UINT16_ARRAY => Value::Uint16Array(array(reader, head, 4, |reader| short(reader, head))?),
        DataType::INT32_ARRAY => {
            Value::Int32Array(array(reader, head, 4, |reader| Ok(reader.u32()?.cast_signed()))?)
        }
        DataType::UINT32_ARRAY => Value::Uint32Array(array(reader, head, 4, |reader| Ok(reader.u32()?))?),
        DataType::INT64_ARRAY => {
            Value::Int64Array(array(reader, head, 8, |reader| Ok(reader.u64()?.cast_signed()))?)
        }
        DataType::UINT64_ARRAY => Value::Uint64Array(array(reader, head, 8, |reader| Ok(reader.u64()?))?),
        DataType::STRING_ARRAY => {
            let count = usize_from_u32(head.count);
            budget.take_pairs(count, head.offset)?;
            let read = |reader: &mut Reader<'_>| Ok(Text::new(string(reader, head.offset)?));
            Value::StringArray(elements(reader, count, 4, read)?)
        }
        DataType::NVLIST => Value::NvList(budget.within(head.offset, |budget| decode(reader, budget))?),
        DataType::NVLIST_ARRAY => {
            let count = usize_from_u32(head.count);
            budget.take_pairs(count, head.offset)?;
            Value::NvListArray(budget.within(head.offset, |budget| {
                elements(reader, count, XDR_LIST, |reader| decode(reader, budget))
            })?)
        }
        _ => return Ok(None),
    }))
}

/// An array of numbers, whose elements take `width` bytes each and are counted again in front.
fn array<T>(
    reader: &mut Reader<'_>,
    head: &PairHead,
    width: usize,
    read: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    if head.count == 0 {
        return Ok(Vec::new());
    }
    let count = reader.u32()?;
    if count != head.count {
        return Err(head.wrong_count(count));
    }
    elements(reader, usize_from_u32(count), width, read)
}

/// A byte in a word, with zeros or its sign in front of it.
fn byte(reader: &mut Reader<'_>, head: &PairHead) -> Result<u8, DecodeError> {
    let word = reader.u32()?;
    u8::try_from(word)
        .or_else(|_| i8::try_from(word.cast_signed()).map(i8::cast_unsigned))
        .map_err(|_| head.out_of_range(word))
}

/// A 16-bit number in a word, with zeros or its sign in front of it.
fn short(reader: &mut Reader<'_>, head: &PairHead) -> Result<u16, DecodeError> {
    let word = reader.u32()?;
    u16::try_from(word)
        .or_else(|_| i16::try_from(word.cast_signed()).map(i16::cast_unsigned))
        .map_err(|_| head.out_of_range(word))
}

/// A string of the pair at `offset`: its length, and the bytes.
fn string<'a>(reader: &mut Reader<'a>, offset: u64) -> Result<&'a [u8], DecodeError> {
    let len = reader.u32()?;
    let bytes = opaque(reader, len)?;
    if bytes.contains(&0) {
        Err(DecodeError::String { offset })
    } else {
        Ok(bytes)
    }
}

/// Bytes, and the zeros that fill their last word.
fn opaque<'a>(reader: &mut Reader<'a>, len: u32) -> Result<&'a [u8], DecodeError> {
    let len = usize_from_u32(len);
    let bytes = reader.take(len)?;
    let padding = reader.take(align4(len).saturating_sub(len))?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(DecodeError::Padding {
            offset: reader.offset(),
        });
    }
    Ok(bytes)
}
