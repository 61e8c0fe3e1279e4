//! The short text form of a list, `dump_nvlist` of libnvpair: what `zdb -C` shows of a pool's configuration, and
//! `zstream token` of a resume token.
//!
//! ```text
//! version: 5000
//! name: 'tank'
//! vdev_children: 1
//! vdev_tree:
//!     type: 'root'
//!     children[0]:
//!         type: 'file'
//! ```

use std::fmt::{self, Display, Formatter, Write as _};

use crate::{DataType, NvList, Text, Value};

impl NvList {
    /// The list as text, a line for each value or element, set in by `indent` columns. Bytes of strings that are not
    /// UTF-8 show as U+FFFD.
    #[must_use]
    pub const fn dump(&self, indent: usize) -> Dump<'_> {
        Dump { list: self, indent }
    }
}

/// Shows a list as [`NvList::dump`] says.
#[derive(Clone, Copy, Debug)]
pub struct Dump<'a> {
    list: &'a NvList,
    indent: usize,
}

impl Display for Dump<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        dump_list(f, self.list, Indent(self.indent))
    }
}

/// As many spaces in front of a line.
#[derive(Clone, Copy)]
struct Indent(usize);

impl Indent {
    /// That of a list within a list.
    const fn deeper(self) -> Self {
        Self(self.0.saturating_add(4))
    }
}

impl Display for Indent {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_char(' '))
    }
}

/// A string as it shows.
struct Quoted<'a>(&'a Text);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

fn dump_list(f: &mut Formatter<'_>, list: &NvList, indent: Indent) -> fmt::Result {
    list.iter()
        .try_for_each(|(name, value)| dump_pair(f, name, value, indent))
}

fn dump_pair(f: &mut Formatter<'_>, name: &str, value: &Value, indent: Indent) -> fmt::Result {
    match value {
        Value::Boolean => writeln!(f, "{indent}{name}"),
        Value::BooleanValue(value) => writeln!(f, "{indent}{name}: {value}"),
        Value::Byte(value) | Value::Uint8(value) => line(f, name, value, indent),
        Value::Int8(value) => line(f, name, value, indent),
        Value::Int16(value) => line(f, name, value, indent),
        Value::Uint16(value) => line(f, name, value, indent),
        Value::Int32(value) => line(f, name, value, indent),
        Value::Uint32(value) => line(f, name, value, indent),
        Value::Int64(value) => line(f, name, value, indent),
        Value::Uint64(value) => line(f, name, value, indent),
        Value::String(value) => line(f, name, Quoted(value), indent),
        Value::ByteArray(values) | Value::Uint8Array(values) => lines(f, name, values.iter(), indent),
        Value::Int8Array(values) => lines(f, name, values.iter(), indent),
        Value::Int16Array(values) => lines(f, name, values.iter(), indent),
        Value::Uint16Array(values) => lines(f, name, values.iter(), indent),
        Value::Int32Array(values) => lines(f, name, values.iter(), indent),
        Value::Uint32Array(values) => lines(f, name, values.iter(), indent),
        Value::Int64Array(values) => lines(f, name, values.iter(), indent),
        Value::Uint64Array(values) => lines(f, name, values.iter(), indent),
        Value::StringArray(values) => lines(f, name, values.iter().map(Quoted), indent),
        Value::NvList(list) => {
            writeln!(f, "{indent}{name}:")?;
            dump_list(f, list, indent.deeper())
        }
        Value::NvListArray(lists) => lists.iter().enumerate().try_for_each(|(number, list)| {
            writeln!(f, "{indent}{name}[{number}]:")?;
            dump_list(f, list, indent.deeper())
        }),
        // What libnvpair's function was never taught.
        Value::Hrtime(_) => unknown(f, name, DataType::HRTIME),
        Value::Double(_) => unknown(f, name, DataType::DOUBLE),
        Value::BooleanArray(_) => unknown(f, name, DataType::BOOLEAN_ARRAY),
    }
}

fn line(f: &mut Formatter<'_>, name: &str, value: impl Display, indent: Indent) -> fmt::Result {
    writeln!(f, "{indent}{name}: {value}")
}

fn lines<T: Display>(
    f: &mut Formatter<'_>,
    name: &str,
    values: impl Iterator<Item = T>,
    indent: Indent,
) -> fmt::Result {
    values
        .enumerate()
        .try_for_each(|(number, value)| writeln!(f, "{indent}{name}[{number}]: {value}"))
}

fn unknown(f: &mut Formatter<'_>, name: &str, data_type: DataType) -> fmt::Result {
    writeln!(f, "bad config type {} for {name}", data_type.0)
}
