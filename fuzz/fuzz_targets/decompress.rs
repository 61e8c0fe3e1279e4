//! Compressed blocks: see [`zferry_fuzz::decompress`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::decompress(bytes));
