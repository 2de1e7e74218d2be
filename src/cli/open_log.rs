//! Logs as people keep them: compressed or not.

use std::io::{self, BufRead, BufReader};

use crate::input::{Decoder, Packing};

/// Bytes that are read in one go.
pub(super) const STEP: usize = 1 << 20;

/// What comes in, decompressed if it begins as a compression that is known.
pub(super) fn unpacked<'a>(mut packed: impl BufRead + 'a) -> io::Result<Box<dyn BufRead + 'a>> {
    let packing = Packing::of(packed.fill_buf()?).map_err(io::Error::other)?;
    Ok(match packing {
        Some(packing) => Box::new(BufReader::with_capacity(STEP, Decoder::new(packing, packed))),
        None => Box::new(packed),
    })
}
