//! Name-value lists: see [`zferry_fuzz::nvlist`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::nvlist(bytes));
