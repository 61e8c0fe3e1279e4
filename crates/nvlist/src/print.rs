//! The long text form of a list, `nvlist_print` of libnvpair: what `zstream dump` shows of the list in a stream's first
//! record, and `zfs send -nvt` of a resume token.
//!
//! ```text
//! nvlist version: 0
//!         fromsnap = monday
//!         guids = 0x1f 0x20
//!         props = (embedded nvlist)
//!         nvlist version: 0
//!                 compression = 0xf
//!         (end props)
//!
//! ```

use std::fmt::{self, Display, Formatter, Write as _};

use crate::{NvList, Value};

impl NvList {
    /// The list as text, many lines with a newline behind each. Bytes of strings that are not UTF-8 show as U+FFFD.
    #[must_use]
    pub const fn print(&self) -> Print<'_> {
        Print(self)
    }
}

/// Shows a list as [`NvList::print`] says.
#[derive(Clone, Copy, Debug)]
pub struct Print<'a>(&'a NvList);

impl Display for Print<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        print_list(f, self.0, 0)
    }
}

/// As many tabs.
struct Tabs(usize);

impl Display for Tabs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (0..self.0).try_for_each(|_| f.write_char('\t'))
    }
}

fn print_list(f: &mut Formatter<'_>, list: &NvList, depth: usize) -> fmt::Result {
    writeln!(f, "{}nvlist version: 0", Tabs(depth))?;
    let inner = depth.saturating_add(1);
    for (name, value) in list {
        print_pair(f, name, value, inner)?;
        f.write_str("\n")?;
    }
    Ok(())
}

fn print_pair(f: &mut Formatter<'_>, name: &str, value: &Value, depth: usize) -> fmt::Result {
    let tabs = Tabs(depth);
    match value {
        Value::Boolean => write!(f, "{tabs}{name} = 1"),
        Value::BooleanValue(value) => write!(f, "{tabs}{name} = {}", u8::from(*value)),
        Value::Byte(value) => write!(f, "{tabs}{name} = {value:#04x}"),
        Value::Int8(value) => write!(f, "{tabs}{name} = {value}"),
        Value::Uint8(value) => write!(f, "{tabs}{name} = {value:#x}"),
        Value::Int16(value) => write!(f, "{tabs}{name} = {value}"),
        Value::Uint16(value) => write!(f, "{tabs}{name} = {value:#x}"),
        Value::Int32(value) => write!(f, "{tabs}{name} = {value}"),
        Value::Uint32(value) => write!(f, "{tabs}{name} = {value:#x}"),
        Value::Int64(value) => write!(f, "{tabs}{name} = {value}"),
        Value::Uint64(value) => write!(f, "{tabs}{name} = {value:#x}"),
        Value::Hrtime(value) => write!(f, "{tabs}{name} = {value:#x}"),
        Value::Double(value) => write!(f, "{tabs}{name} = 0x{}", Fixed(*value)),
        Value::String(value) => write!(f, "{tabs}{name} = {value}"),
        Value::BooleanArray(values) => row(f, name, values, depth, |f, value| {
            write!(f, "{}", u8::from(*value))
        }),
        Value::ByteArray(values) => row(f, name, values, depth, |f, value| write!(f, "{value:#04x}")),
        Value::Int8Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value}")),
        Value::Uint8Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value:#x}")),
        Value::Int16Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value}")),
        Value::Uint16Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value:#x}")),
        Value::Int32Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value}")),
        Value::Uint32Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value:#x}")),
        Value::Int64Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value}")),
        Value::Uint64Array(values) => row(f, name, values, depth, |f, value| write!(f, "{value:#x}")),
        Value::StringArray(values) => row(f, name, values, depth, |f, value| write!(f, "{value}")),
        Value::NvList(list) => {
            writeln!(f, "{tabs}{name} = (embedded nvlist)")?;
            print_list(f, list, depth)?;
            writeln!(f, "{tabs}(end {name})")
        }
        Value::NvListArray(lists) => {
            writeln!(f, "{tabs}{name} = (array of embedded nvlists)")?;
            for (number, list) in lists.iter().enumerate() {
                writeln!(f, "{tabs}(start {name}[{number}])")?;
                print_list(f, list, depth)?;
                writeln!(f, "{tabs}(end {name}[{number}])")?;
            }
            Ok(())
        }
    }
}

/// An array in one line. Without elements not even the name shows.
fn row<T>(
    f: &mut Formatter<'_>,
    name: &str,
    values: &[T],
    depth: usize,
    print: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    for (number, value) in values.iter().enumerate() {
        match number {
            0 => write!(f, "{}{name} = ", Tabs(depth))?,
            _ => f.write_str(" ")?,
        }
        print(f, value)?;
    }
    Ok(())
}

/// A number as C's `%f` shows it.
struct Fixed(f64);

impl Display for Fixed {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0.is_nan(), self.0.is_sign_negative()) {
            (true, false) => f.write_str("nan"),
            (true, true) => f.write_str("-nan"),
            (false, _) => write!(f, "{:.6}", self.0),
        }
    }
}
