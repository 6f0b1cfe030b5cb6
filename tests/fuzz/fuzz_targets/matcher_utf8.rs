//! See `matcher_utf8` in `targets.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tocsin_fuzz::run("matcher_utf8", data));
