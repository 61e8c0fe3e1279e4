//! What the fuzz targets do with the bytes that they are given: a function for each, which panics where something does
//! not hold.

mod crypt;
mod decompress;
mod nvlist;
mod stream;

pub use crypt::crypt;
pub use decompress::decompress;
pub use nvlist::nvlist;
pub use stream::stream;
