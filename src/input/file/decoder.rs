//! Streaming decompressors with one interface: gzip, zstd, xz and bzip2. Concatenated streams of one format are read
//! as one.
//!
//! Promised: all bytes before a damage are returned first, then the error. Only bytes decoded in the same call as the
//! damage are lost (`source.rs` reads byte by byte there). Memory is bounded: a stream whose window is larger than
//! [`WINDOW`] is refused before the window is allocated.

use std::io::{self, BufRead, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::packing::Packing;

/// The largest window that a stream may have, in bytes. `xz -9` uses this one, `zstd --ultra -22 --long` a larger
/// one.
pub(crate) const WINDOW: u64 = 64 << 20;
/// Memory that xz needs besides its window, in KiB.
const XZ_OVERHEAD: u32 = 1024;
/// An empty last block of a zstd frame, and a checksum that is not checked.
const LAST_BLOCK: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

/// A decompressor. See the header of this file.
pub(crate) enum Decoder<R: BufRead> {
    Gzip(Box<MultiGzDecoder<R>>),
    Zstd(Box<Zstd<R>>),
    Xz(Box<XzReader<R>>),
    Bzip2(MultiBzDecoder<R>),
}

impl<R: BufRead> Decoder<R> {
    pub(crate) fn new(packing: Packing, source: R) -> Self {
        match packing {
            Packing::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(source))),
            Packing::Zstd => Self::Zstd(Box::new(Zstd::new(source))),
            Packing::Xz => {
                let most = u32::try_from(WINDOW >> 10).unwrap_or(u32::MAX - XZ_OVERHEAD);
                Self::Xz(Box::new(XzReader::new_mem_limit(source, true, most + XZ_OVERHEAD)))
            }
            Packing::Bzip2 => Self::Bzip2(MultiBzDecoder::new(source)),
        }
    }

    /// The source of the compressed bytes.
    pub(crate) fn source(&self) -> &R {
        match self {
            Self::Gzip(gzip) => gzip.get_ref(),
            Self::Zstd(zstd) => &zstd.source,
            Self::Xz(xz) => xz.inner(),
            Self::Bzip2(bzip2) => bzip2.get_ref(),
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Gzip(gzip) => gzip.read(into),
            Self::Zstd(zstd) => zstd.read(into),
            Self::Xz(xz) => xz.read(into).map_err(|error| {
                if error.kind() == io::ErrorKind::OutOfMemory { too_wide() } else { error }
            }),
            Self::Bzip2(bzip2) => bzip2.read(into),
        }
    }
}

fn too_wide() -> io::Error {
    let most = WINDOW >> 20;
    io::Error::other(format!(
        "it needs a window of more than {most} MiB: decompress it by hand (`xz -d`, `zstd -d --long=31`)"
    ))
}

/// Decodes concatenated zstd frames.
pub(crate) struct Zstd<R> {
    source: R,
    frame: FrameDecoder,
    /// Inside a frame, whose last bytes may be decoded but not returned yet.
    inside: bool,
    /// The damage found. Once all bytes before it are returned, every read returns this error.
    met: Option<String>,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(WINDOW);
        Self { source, frame, inside: false, met: None }
    }

    /// Reads a frame's header; `false` at the end of the file.
    fn begin(&mut self) -> io::Result<bool> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(false);
        }
        match self.frame.reset(&mut self.source) {
            Ok(()) => self.inside = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length,
                ..
            })) => {
                let skipped =
                    io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                if skipped < u64::from(length) {
                    self.met = Some("it breaks off inside a frame to be skipped".to_owned());
                }
            }
            Err(FrameDecoderError::WindowSizeTooBig { .. }) => return Err(too_wide()),
            Err(error) => self.met = Some(error.to_string()),
        }
        Ok(true)
    }

    /// Decodes one block. If that fails, it ends the frame as if the previous block had been the last, so that the
    /// decoder releases the bytes that it keeps as a window.
    fn block(&mut self) {
        let one = BlockDecodingStrategy::UptoBlocks(1);
        if let Err(error) = self.frame.decode_blocks(&mut self.source, one) {
            let one = BlockDecodingStrategy::UptoBlocks(1);
            // This empty block cannot fail on its content.
            let _ = self.frame.decode_blocks(LAST_BLOCK.as_slice(), one);
            self.met = Some(error.to_string());
            self.inside = false;
        }
    }

    /// Checks the checksum of a frame that was decoded and returned completely.
    fn end(&mut self) {
        self.inside = false;
        let (told, found) =
            (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum());
        if told.is_some() && told != found {
            self.met = Some("its checksum does not fit".to_owned());
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if into.is_empty() {
                return Ok(0);
            }
            if self.frame.can_collect() > 0 {
                return self.frame.read(into);
            }
            if let Some(met) = &self.met {
                return Err(io::Error::new(io::ErrorKind::InvalidData, met.clone()));
            }
            if self.inside && self.frame.is_finished() {
                self.end();
            } else if self.inside {
                self.block();
            } else if !self.begin()? {
                return Ok(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use lzma_rust2::{XzOptions, XzWriter};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    const ALL: [Packing; 4] = [Packing::Gzip, Packing::Zstd, Packing::Xz, Packing::Bzip2];

    fn packed(packing: Packing, text: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gz.write_all(text).unwrap();
                gz.finish().unwrap()
            }
            Packing::Zstd => compress_to_vec(text, CompressionLevel::Fastest),
            Packing::Xz => {
                let mut xz = XzWriter::new(Vec::new(), XzOptions::with_preset(0)).unwrap();
                xz.write_all(text).unwrap();
                xz.finish().unwrap()
            }
            Packing::Bzip2 => {
                let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                bz.write_all(text).unwrap();
                bz.finish().unwrap()
            }
        }
    }

    fn text(lines: u32) -> Vec<u8> {
        let line = |n: u32| format!("line {n} {}\n", n.wrapping_mul(2_654_435_761));
        (0..lines).flat_map(|n| line(n).into_bytes()).collect()
    }

    /// All decompressed bytes, and the damage at the end.
    fn unpacked(packing: Packing, bytes: &[u8], step: usize) -> (Vec<u8>, Option<String>) {
        let mut decoder = Decoder::new(packing, bytes);
        let (mut all, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match decoder.read(&mut buffer) {
                Ok(0) => return (all, None),
                Ok(got) => all.extend_from_slice(&buffer[..got]),
                Err(error) => return (all, Some(error.to_string())),
            }
        }
    }

    #[test]
    fn each_format_is_read_as_it_was_written_in_any_steps_and_joined() {
        let text = text(20_000);
        for packing in ALL {
            let bytes = packed(packing, &text);
            assert_eq!(Packing::of(&bytes), Ok(Some(packing)));
            for step in [4096, 1 << 20] {
                assert!(unpacked(packing, &bytes, step) == (text.clone(), None), "{packing:?}");
            }
            let joined = [bytes.clone(), packed(packing, b""), packed(packing, b"end")].concat();
            let (read, damage) = unpacked(packing, &joined, 4096);
            assert!(read == [&text, &b"end"[..]].concat() && damage.is_none(), "{packing:?}");
        }
    }

    #[test]
    fn a_stream_cut_anywhere_gives_a_prefix_and_is_damaged() {
        let text = text(3_000);
        for packing in ALL {
            let bytes = packed(packing, &text);
            for cut in (1..bytes.len()).step_by(bytes.len() / 23).chain([bytes.len() - 1]) {
                let (read, damage) = unpacked(packing, &bytes[..cut], 1);
                assert!(text.starts_with(&read) && damage.is_some(), "{packing:?} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_a_zstd_frame_holds_before_the_damage_comes_out_though_it_is_inside_the_window() {
        let text = text(40_000);
        let mut bytes = packed(Packing::Zstd, &text);
        bytes.truncate(bytes.len() * 9 / 10);
        let (read, damage) = unpacked(Packing::Zstd, &bytes, 4096);
        assert!(damage.is_some() && read.len() > text.len() / 2, "{} bytes", read.len());
    }

    #[test]
    fn a_window_beyond_the_bound_is_refused_by_name_and_not_allocated() {
        // A frame without a content size and with a window of 2^41 bytes.
        let wide = [0x28, 0xb5, 0x2f, 0xfd, 0, 0xf8, 1, 0, 0];
        let (read, damage) = unpacked(Packing::Zstd, &wide, 64);
        assert!(read.is_empty() && damage.unwrap().contains("a window of more than 64 MiB"));
        // An xz block with a dictionary of 4 GiB: the property byte is the last one of the filter, before three of
        // padding.
        let mut wide = packed(Packing::Xz, b"text");
        let header = &mut wide[12..24];
        assert_eq!(header[2..4], [0x21, 1], "LZMA2 with one byte of properties");
        header[4] = 40;
        let crc = crc32fast::hash(&header[..8]).to_le_bytes();
        header[8..].copy_from_slice(&crc);
        let (read, damage) = unpacked(Packing::Xz, &wide, 64);
        assert!(read.is_empty() && damage.unwrap().contains("a window of more than 64 MiB"));
    }
}
