//! See `auditrail::fuzzing::packed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::packed(data));
