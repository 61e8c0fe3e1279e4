//! What `list` and `get` have in common: which datasets are meant, in which order, and what their properties look like.

pub(crate) mod dependents;
mod handle;
pub(crate) mod help;
mod open;
mod property_name;
mod resume_token;
mod select;
mod sort;
mod users;
mod wanted;

pub(crate) use handle::Handle;
pub(crate) use open::open;
pub(crate) use property_name::PropertyName;
pub(crate) use resume_token::resume_token;
pub(crate) use select::{Selected, Selection, Types, select};
pub(crate) use sort::{SortKey, SortKeys};
pub(crate) use users::user_name;
pub(crate) use wanted::{Wanted, WantedList};

use crate::error::CommandError;

/// A mistake on the command line.
pub(crate) fn usage(sentence: impl Into<String>) -> CommandError {
    CommandError::usage(sentence.into())
}

/// How many levels down `-d` means.
///
/// # Errors
/// That it is no number, with a hint at the other `-d`, or a negative one.
pub(crate) fn parse_depth(text: &str) -> Result<u64, CommandError> {
    let depth: i64 = text.parse().map_err(|_| {
        usage(format!("{text} is not an integer"))
            .hint("Here -d is a depth; the -d that names a pool's files stands before the subcommand.")
    })?;
    u64::try_from(depth).map_err(|_| usage("Depth can not be negative."))
}
