//! What the fuzz targets do with the bytes that they are given: a function for each, which panics where something does
//! not hold.

mod crypt;
mod decompress;
mod dnode;
mod example;
mod label;
mod nvlist;
mod pool;
mod stream;
mod zap;

pub use crypt::crypt;
pub use decompress::decompress;
pub use dnode::dnode;
pub use label::label;
pub use nvlist::nvlist;
pub use pool::pool;
pub use stream::stream;
pub use zap::zap;
