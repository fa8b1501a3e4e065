//! Fuzzes definitions as programs write them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::targets::definition_json(data));
