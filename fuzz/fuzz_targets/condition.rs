//! Fuzzes conditions and mappings, over any context.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::targets::condition(data));
