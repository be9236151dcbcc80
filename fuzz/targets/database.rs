#![no_main]
#![allow(dead_code, reason = "each target calls one of the entries")]

#[path = "../../tests/suite/fuzz/entries.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::database(bytes));
