//! What the fuzz targets do with the bytes that they are given: a function for each, which panics where something does
//! not hold.

mod nvlist;

pub use nvlist::nvlist;
