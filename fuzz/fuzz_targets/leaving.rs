//! Fuzz target for a log line through policy, filter, redaction and size limit. See `auditrail::fuzzing::leaving`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::leaving(data));
