//! Writes the XDR encoding.

use zferry_wire::Writer;

use crate::{
    NvList, Value,
    size::{align4, pair_size, word, xdr_pair_size},
};

/// Appends a list, without the header, to what the writer has.
pub(crate) fn encode<'w>(writer: &'w mut Writer, list: &NvList) -> &'w mut Writer {
    writer.u32(0).u32(list.flags().0);
    for (name, value) in list {
        writer
            .u32(word(xdr_pair_size(name, value)))
            .u32(word(pair_size(name, value)));
        put_string(writer, name.as_bytes());
        writer.u32(value.data_type().0).u32(word(value.element_count()));
        put(writer, value);
    }
    writer.zeros(8)
}

fn put<'w>(writer: &'w mut Writer, value: &Value) -> &'w mut Writer {
    match value {
        Value::Boolean => writer,
        Value::BooleanValue(value) => writer.u32(u32::from(*value)),
        Value::Byte(value) | Value::Uint8(value) => writer.u32(u32::from(*value)),
        Value::Int8(value) => writer.u32(u32::from(value.cast_unsigned())),
        Value::Int16(value) => writer.u32(u32::from(value.cast_unsigned())),
        Value::Uint16(value) => writer.u32(u32::from(*value)),
        Value::Int32(value) => writer.u32(value.cast_unsigned()),
        Value::Uint32(value) => writer.u32(*value),
        Value::Int64(value) | Value::Hrtime(value) => writer.u64(value.cast_unsigned()),
        Value::Uint64(value) => writer.u64(*value),
        Value::Double(value) => writer.u64(value.to_bits()),
        Value::String(text) => put_string(writer, text.as_bytes()),
        Value::ByteArray(bytes) => put_opaque(writer, bytes),
        Value::BooleanArray(values) => words(writer, values, |value| u32::from(*value)),
        Value::Uint8Array(values) => words(writer, values, |value| u32::from(*value)),
        Value::Int8Array(values) => words(writer, values, |value| u32::from(value.cast_unsigned())),
        Value::Int16Array(values) => words(writer, values, |value| u32::from(value.cast_unsigned())),
        Value::Uint16Array(values) => words(writer, values, |value| u32::from(*value)),
        Value::Int32Array(values) => words(writer, values, |value| value.cast_unsigned()),
        Value::Uint32Array(values) => words(writer, values, |value| *value),
        Value::Int64Array(values) => doubles(writer, values, |value| value.cast_unsigned()),
        Value::Uint64Array(values) => doubles(writer, values, |value| *value),
        Value::StringArray(texts) => {
            for text in texts {
                put_string(writer, text.as_bytes());
            }
            writer
        }
        Value::NvList(_) | Value::NvListArray(_) => {
            for list in value.lists() {
                encode(writer, list);
            }
            writer
        }
    }
}

/// An array whose elements take a word each.
fn words<'w, T>(writer: &'w mut Writer, values: &[T], bits: impl Fn(&T) -> u32) -> &'w mut Writer {
    put_count(writer, values);
    for value in values {
        writer.u32(bits(value));
    }
    writer
}

/// An array whose elements take two words each.
fn doubles<'w, T>(writer: &'w mut Writer, values: &[T], bits: impl Fn(&T) -> u64) -> &'w mut Writer {
    put_count(writer, values);
    for value in values {
        writer.u64(bits(value));
    }
    writer
}

/// The second number of elements, which an array without any does not have.
fn put_count<T>(writer: &mut Writer, values: &[T]) {
    if !values.is_empty() {
        writer.u32(word(values.len()));
    }
}

fn put_string<'w>(writer: &'w mut Writer, bytes: &[u8]) -> &'w mut Writer {
    put_opaque(writer.u32(word(bytes.len())), bytes)
}

fn put_opaque<'w>(writer: &'w mut Writer, bytes: &[u8]) -> &'w mut Writer {
    writer
        .bytes(bytes)
        .zeros(align4(bytes.len()).saturating_sub(bytes.len()))
}
