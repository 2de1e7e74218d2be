//! Fuzz target for a log line that becomes an Elasticsearch document. See `auditrail::fuzzing::documents`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::documents(data));
