//! How things are shown: numbers, dates, tables.

pub(crate) mod nice;
