//! Pools: see [`zferry_fuzz::pool`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::pool(bytes));
