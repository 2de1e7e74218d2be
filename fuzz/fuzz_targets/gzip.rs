//! Fuzz target for a gzip backup, read from any offset. See `auditrail::fuzzing::gzip`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::gzip(data));
