//! Opens recorded logs, compressed (gzip, zstd, xz) or not.

use std::io::{self, BufRead, BufReader};

use crate::input::{Decoder, Packing};

/// Bytes for each read.
pub(crate) const STEP: usize = 1 << 20;

/// Decompresses the input if it begins like a known compression.
pub(crate) fn unpacked<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let packing = Packing::of(packed.fill_buf()?).map_err(io::Error::other)?;
    Ok(match packing {
        Some(packing) => Box::new(BufReader::with_capacity(STEP, Decoder::new(packing, packed))),
        None => Box::new(packed),
    })
}
