//! Blocks of encrypted datasets: see [`zferry_fuzz::crypt`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| zferry_fuzz::crypt(bytes));
