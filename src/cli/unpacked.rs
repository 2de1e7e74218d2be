//! Logs as people keep them: compressed or not.

use std::io::{self, BufRead, BufReader};

use flate2::bufread::MultiGzDecoder;

/// Bytes that are read in one go.
pub(super) const STEP: usize = 1 << 20;

/// What comes in, decompressed if it begins as gzip does.
pub(super) fn unpacked<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    Ok(if packed.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        Box::new(BufReader::with_capacity(STEP, MultiGzDecoder::new(packed)))
    } else {
        Box::new(packed)
    })
}
