//! A request body that is compressed while it is written, so the uncompressed body never exists as a whole.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::DeflateEncoder;

use crate::config::Compression;
use crate::json::escape;

/// Small pieces are collected up to this size in bytes, since each call of the encoder has a cost.
const GATHER: usize = 32 * 1024;

/// A gzip member written by hand: zlib-rs takes ten times as long to compute the checksum.
struct Gzip {
    deflate: DeflateEncoder<Vec<u8>>,
    crc: crc32fast::Hasher,
}

/// RFC 1952: magic, deflate, no flags, no time, fastest, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255];

impl Gzip {
    fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&HEADER);
        let deflate = DeflateEncoder::new(out, flate2::Compression::fast());
        Self { deflate, crc: crc32fast::Hasher::new() }
    }

    fn put(&mut self, piece: &[u8]) -> io::Result<()> {
        self.crc.update(piece);
        self.deflate.write_all(piece)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        let length = self.deflate.total_in();
        let mut out = self.deflate.finish()?;
        out.extend_from_slice(&self.crc.finalize().to_le_bytes());
        // Modulo 2^32, as the format requires.
        out.extend_from_slice(&length.to_le_bytes()[..4]);
        Ok(out)
    }
}

pub(super) struct Body {
    gathered: Vec<u8>,
    encoder: Option<Gzip>,
    failed: Option<io::Error>,
}

impl Body {
    /// `size`: the estimated number of uncompressed bytes.
    pub(super) fn new(compression: Compression, size: usize) -> Self {
        let (gather, encoder) = match compression {
            // Audit events shrink to less than an eighth.
            Compression::Gzip => {
                let out = Vec::with_capacity(size / 8);
                (GATHER, Some(Gzip::new(out)))
            }
            Compression::None => (size, None),
        };
        Self { gathered: Vec::with_capacity(gather), encoder, failed: None }
    }

    /// Appends bytes. An error is returned later by [`Body::finish`].
    pub(super) fn put(&mut self, piece: &[u8]) {
        let Some(encoder) = &mut self.encoder else {
            self.gathered.extend_from_slice(piece);
            return;
        };
        if self.gathered.len() + piece.len() <= GATHER {
            self.gathered.extend_from_slice(piece);
            return;
        }
        let written = encoder.put(&self.gathered).and_then(|()| encoder.put(piece));
        self.failed = self.failed.take().or(written.err());
        self.gathered.clear();
    }

    /// Appends a line as the inside of a JSON string; invalid UTF-8 becomes U+FFFD.
    pub(super) fn put_escaped(&mut self, line: &[u8]) {
        for chunk in line.utf8_chunks() {
            escape(chunk.valid(), &mut |piece| self.put(piece));
            if !chunk.invalid().is_empty() {
                self.put("\u{fffd}".as_bytes());
            }
        }
    }

    pub(super) fn finish(self) -> io::Result<Bytes> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let Some(mut encoder) = self.encoder else { return Ok(self.gathered.into()) };
        encoder.put(&self.gathered)?;
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
