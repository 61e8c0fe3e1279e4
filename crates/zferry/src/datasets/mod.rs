//! What `list` and `get` have in common: which datasets are meant, in which order, and what their properties look like.

mod handle;
pub(crate) mod help;
mod open;
mod property_name;
mod select;
mod sort;
mod users;
mod wanted;

pub(crate) use handle::Handle;
pub(crate) use open::open;
pub(crate) use property_name::PropertyName;
pub(crate) use select::{Selected, Selection, Types, select};
pub(crate) use sort::{SortKey, SortKeys};
pub(crate) use wanted::{Wanted, WantedList};

use crate::error::CommandError;

/// A mistake on the command line.
pub(crate) fn usage(sentence: impl Into<String>) -> CommandError {
    CommandError::usage(sentence.into())
}

/// How many levels down `-d` means.
///
/// # Errors
/// The sentence to be printed.
pub(crate) fn parse_depth(text: &str) -> Result<u64, String> {
    match text.parse::<i64>() {
        Ok(depth) => u64::try_from(depth).map_err(|_| "Depth can not be negative.".to_owned()),
        Err(_) => Err(format!("{text} is not an integer")),
    }
}
