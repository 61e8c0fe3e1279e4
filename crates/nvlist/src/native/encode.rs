//! Writes the native encoding.

use zferry_wire::Writer;

use crate::{
    NvList, Text, Value,
    size::{NATIVE_END, PAIR_HEADER, POINTER, pair_size, value_offset, value_size, word},
};

/// Appends a list, without the header, to what the writer has.
pub(crate) fn encode(writer: &mut Writer, list: &NvList) {
    writer.u32(0).u32(list.flags().0);
    pairs(writer, list);
}

fn pairs(writer: &mut Writer, list: &NvList) {
    for (name, value) in list {
        pair(writer, name, value);
        for list in value.lists() {
            pairs(writer, list);
        }
    }
    writer.zeros(NATIVE_END);
}

fn pair(writer: &mut Writer, name: &str, value: &Value) {
    let size = pair_size(name, value);
    let offset = value_offset(name.len());
    writer
        .u32(word(size))
        .u16(u16::try_from(name.len().saturating_add(1)).unwrap_or(u16::MAX))
        .zeros(2)
        .u32(word(value.element_count()))
        .u32(value.data_type().0)
        .bytes(name.as_bytes())
        .zeros(offset.saturating_sub(PAIR_HEADER).saturating_sub(name.len()));
    put(writer, value).zeros(size.saturating_sub(offset).saturating_sub(value_size(value)));
}

fn put<'w>(writer: &'w mut Writer, value: &Value) -> &'w mut Writer {
    match value {
        Value::Boolean => writer,
        Value::BooleanValue(value) => writer.u32(u32::from(*value)),
        Value::Byte(value) | Value::Uint8(value) => writer.u8(*value),
        Value::Int8(value) => writer.u8(value.cast_unsigned()),
        Value::Int16(value) => writer.u16(value.cast_unsigned()),
        Value::Uint16(value) => writer.u16(*value),
        Value::Int32(value) => writer.u32(value.cast_unsigned()),
        Value::Uint32(value) => writer.u32(*value),
        Value::Int64(value) | Value::Hrtime(value) => writer.u64(value.cast_unsigned()),
        Value::Uint64(value) => writer.u64(*value),
        Value::Double(value) => writer.u64(value.to_bits()),
        Value::String(text) => put_text(writer, text),
        Value::BooleanArray(values) => each(writer, values, |writer, value| writer.u32(u32::from(*value))),
        Value::ByteArray(values) | Value::Uint8Array(values) => writer.bytes(values),
        Value::Int8Array(values) => each(writer, values, |writer, value| writer.u8(value.cast_unsigned())),
        Value::Int16Array(values) => each(writer, values, |writer, value| writer.u16(value.cast_unsigned())),
        Value::Uint16Array(values) => each(writer, values, |writer, value| writer.u16(*value)),
        Value::Int32Array(values) => each(writer, values, |writer, value| writer.u32(value.cast_unsigned())),
        Value::Uint32Array(values) => each(writer, values, |writer, value| writer.u32(*value)),
        Value::Int64Array(values) => each(writer, values, |writer, value| writer.u64(value.cast_unsigned())),
        Value::Uint64Array(values) => each(writer, values, |writer, value| writer.u64(*value)),
        Value::StringArray(texts) => each(pointers(writer, texts.len()), texts, put_text),
        Value::NvList(list) => put_struct(writer, list),
        Value::NvListArray(lists) => each(pointers(writer, lists.len()), lists, put_struct),
    }
}

fn each<'w, T>(
    writer: &'w mut Writer,
    values: &[T],
    put: impl for<'a> Fn(&'a mut Writer, &T) -> &'a mut Writer,
) -> &'w mut Writer {
    for value in values {
        put(writer, value);
    }
    writer
}

fn pointers(writer: &mut Writer, count: usize) -> &mut Writer {
    writer.zeros(count.saturating_mul(POINTER))
}

fn put_text<'w>(writer: &'w mut Writer, text: &Text) -> &'w mut Writer {
    writer.bytes(text.as_bytes()).u8(0)
}

/// The `nvlist_t` of a list that is a value.
fn put_struct<'w>(writer: &'w mut Writer, list: &NvList) -> &'w mut Writer {
    writer.u32(0).u32(list.flags().0).zeros(16)
}
