//! Fuzz target for the checkpoint file. See `auditrail::fuzzing::checkpoint`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::checkpoint(data));
