//! Fuzz target for the body of a webhook request. See `auditrail::fuzzing::split`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::split(data));
