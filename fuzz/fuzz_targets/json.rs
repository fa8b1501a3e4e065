//! Fuzzes JSON documents.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::targets::json(data));
