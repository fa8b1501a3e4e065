//! Fuzzes the whole check of components.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::components::admission(data));
