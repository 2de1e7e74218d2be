//! Fuzz target for a response of a back end to a push, a bulk request or a query. See `auditrail::fuzzing::answers`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::answers(data));
