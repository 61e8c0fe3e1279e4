//! The files inside a dataset: what ZFS calls the POSIX layer.
//!
//! A file is an object. Its attributes (mode, owner, parent directory and so on) lie in its bonus buffer
//! ([`attributes`]), and a directory is a table of names with the numbers of objects. So far this finds the way from an
//! object back to its [path](FileSystem::path_of).

#![cfg_attr(test, allow(clippy::arithmetic_side_effects, clippy::as_conversions))]

pub mod attributes;
mod file_system;
mod path;

pub use file_system::FileSystem;
