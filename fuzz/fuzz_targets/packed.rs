//! Fuzz target for a backup compressed with zstd, xz or bzip2, read from any offset. See `auditrail::fuzzing::packed`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| auditrail::fuzzing::packed(data));
