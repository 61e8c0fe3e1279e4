//! Object sets: see [`zferry_fuzz::dnode`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::dnode(bytes));
