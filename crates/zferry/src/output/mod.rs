//! How things are shown: numbers for people, dates, tables, JSON.

mod date;
mod get_table;
mod json;
mod list_table;
pub(crate) mod nice;
pub(crate) mod progress;
mod title;

pub(crate) use date::{date, date_of_line, date_with_seconds, in_form};
pub(crate) use get_table::{GetColumn, GetRow, GetTable, SourceSet};
pub(crate) use json::Json;
pub(crate) use list_table::{ListColumn, ListTable};

use std::fmt::Display;
use std::io::{self, Write};

/// Says a line on standard error. That nobody reads it there keeps nothing from being done.
pub(crate) fn warn(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
