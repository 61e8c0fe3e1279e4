//! Labels: see [`zferry_fuzz::label`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::label(bytes));
