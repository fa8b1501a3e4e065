//! Fuzzes the structure of components: any bytes, and components made from them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stepcell_fuzz::components::structure(data));
