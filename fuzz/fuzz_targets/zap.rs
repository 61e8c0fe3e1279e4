//! Tables: see [`zferry_fuzz::zap`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::zap(bytes));
