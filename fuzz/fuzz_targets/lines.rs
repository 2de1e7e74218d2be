//! Fuzz target for a line of the log. See `auditrail::fuzzing::lines`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::lines(data));
