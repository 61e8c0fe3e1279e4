//! Streams: see [`zferry_fuzz::stream`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::stream(bytes));
