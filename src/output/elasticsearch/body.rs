//! A request body, compressed while it is written, so that it never exists whole in plain form.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::GzEncoder;

use crate::config::Compression;

/// Small pieces are gathered up to this size; the encoder has a price for each call.
const GATHER: usize = 32 * 1024;

pub(super) struct Body {
    gathered: Vec<u8>,
    encoder: Option<GzEncoder<Vec<u8>>>,
    failed: Option<io::Error>,
}

impl Body {
    /// `size` is about how many plain bytes will come.
    pub(super) fn new(compression: Compression, size: usize) -> Self {
        let (gather, encoder) = match compression {
            // Audit events shrink to less than an eighth.
            Compression::Gzip => {
                let out = Vec::with_capacity(size / 8);
                (GATHER, Some(GzEncoder::new(out, flate2::Compression::fast())))
            }
            Compression::None => (size, None),
        };
        Self { gathered: Vec::with_capacity(gather), encoder, failed: None }
    }

    /// Appends. An error is kept for [`Body::finish`].
    pub(super) fn put(&mut self, piece: &[u8]) {
        let Some(encoder) = &mut self.encoder else {
            self.gathered.extend_from_slice(piece);
            return;
        };
        if self.gathered.len() + piece.len() <= GATHER {
            self.gathered.extend_from_slice(piece);
            return;
        }
        let written = encoder.write_all(&self.gathered).and_then(|()| encoder.write_all(piece));
        self.failed = self.failed.take().or(written.err());
        self.gathered.clear();
    }

    pub(super) fn finish(self) -> io::Result<Bytes> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(mut encoder) = self.encoder else { return Ok(self.gathered.into()) };
        encoder.write_all(&self.gathered)?;
        encoder.finish().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn gzip_gives_back_what_was_put_in() {
        let mut body = Body::new(Compression::Gzip, 100_000);
        let mut plain = Vec::new();
        for size in [0, 1, 7, GATHER - 8, 1, GATHER, GATHER + 1, 3] {
            let piece: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
            plain.extend_from_slice(&piece);
            body.put(&piece);
        }
        let mut back = Vec::new();
        flate2::read::MultiGzDecoder::new(&*body.finish().unwrap()).read_to_end(&mut back).unwrap();
        assert!(back == plain);
    }
}
