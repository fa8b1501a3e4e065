//! Fuzzes JSON Schemas and the values that they check.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::targets::schema(data));
