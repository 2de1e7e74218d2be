//! Recognises compressed files of several concatenated members or streams, such as `cat a.gz b.gz` makes. An offset
//! in such a file is no offset in the server's log, because the server compresses each backup by itself.
//!
//! It searches the compressed bytes for the beginning of a second member: for gzip, a header as Go's and other
//! writers of gzip make it; for other formats, the magic bytes of a stream. A match can stand in the middle of a
//! member by chance: for gzip once in 2^40 bytes or so, for zstd once in 2^32. And pbzip2 makes a stream of every 900
//! kB of one log. In these cases the file's events are looked up by their content without need, and nothing else
//! happens.

use std::io::{self, Read};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::event::Fingerprint;
use crate::input::file::packing::{Foreign, Packing, begin_of};
use crate::input::file::place::FilePlace;
use crate::input::scan::identify::format_of;

/// Magic bytes and method of a gzip member (RFC 1952, 2.3.1).
const GZIP: &[u8] = &[0x1f, 0x8b, 8];
/// Magic bytes of a zstd frame (RFC 8878, 3.1.1).
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Magic bytes of an xz stream, with the first of its flags.
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0, 0];
/// Magic bytes of the first block in a bzip2 stream, after `BZh` and a digit.
const BZIP2: &[u8] = &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
/// Bytes of a gzip member's header.
const HEADER: usize = 10;
const WINDOW: usize = 256 << 10;

/// Distinguishes one joined file from others with the same beginning.
pub(super) struct Digest([u8; 32]);

impl Digest {
    /// A fingerprint that no generation of the server has.
    pub(super) fn fingerprint(&self, fingerprint: Fingerprint) -> Fingerprint {
        Fingerprint::cut(
            &Sha256::new()
                .chain_update("no position in the log")
                .chain_update(fingerprint.0)
                .chain_update(self.0)
                .finalize(),
        )
    }
}

/// Whether a file is compressed in a supported format; an unsupported format is the inner error.
pub(super) fn is_packed(place: &FilePlace) -> io::Result<Result<bool, Foreign>> {
    Ok(format_of(&Arc::new(place.open()?))?.map(|packing| packing.is_some()))
}

/// A digest of the whole file if it has several members.
pub(super) fn digest(place: &FilePlace) -> io::Result<Option<Digest>> {
    let file = place.open()?;
    let Ok(Some(packing)) = Packing::of(&begin_of(&file)?) else { return Ok(None) };
    if scan(packing, file)? { digest_of(place, 0).map(Some) } else { Ok(None) }
}

/// A digest of the whole file and a number.
pub(super) fn digest_of(place: &FilePlace, number: u64) -> io::Result<Digest> {
    let mut hash = Sha256::new().chain_update(number.to_be_bytes());
    let mut file = place.open()?;
    let mut buffer = vec![0; WINDOW];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest(hash.finalize().into())),
            got => hash.update(&buffer[..got]),
        }
    }
}

/// Whether a second member begins anywhere in the file.
fn scan(packing: Packing, mut file: impl Read) -> io::Result<bool> {
    let magic = match packing {
        Packing::Gzip => GZIP,
        Packing::Zstd => ZSTD,
        Packing::Xz => XZ,
        Packing::Bzip2 => BZIP2,
    };
    let mut buffer = Vec::with_capacity(WINDOW + HEADER);
    // The header of the first member does not count.
    let mut first = true;
    loop {
        let kept = buffer.len().min(HEADER - 1);
        buffer.drain(..buffer.len() - kept);
        let got = (&mut file).take(WINDOW as u64).read_to_end(&mut buffer)?;
        let from = if std::mem::take(&mut first) { HEADER } else { 0 };
        if memchr::memmem::find_iter(buffer.get(from..).unwrap_or_default(), magic)
            .any(|at| packing != Packing::Gzip || is_header(&buffer[from + at..]))
        {
            return Ok(true);
        }
        if got == 0 {
            return Ok(false);
        }
    }
}

/// Whether flags, extra flags and operating system have values that writers of gzip use.
fn is_header(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, flags, _, _, _, _, extra, system, ..]
        if matches!(flags, 0 | 8) && matches!(extra, 0 | 2 | 4) && matches!(system, 0 | 3 | 7 | 10 | 11 | 255))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gz(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_second_member_is_seen_wherever_it_begins() {
        let mut noise = 7_u32;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(WINDOW + 2000)
        .collect();
        assert!(!scan(Packing::Gzip, &*gz(&text)).unwrap());
        for length in [0, 1, 100].into_iter().chain(WINDOW - 60..WINDOW + 20) {
            let both = [gz(&text[..length]), gz(b"second")].concat();
            assert!(scan(Packing::Gzip, &*both).unwrap(), "{length}");
        }
    }

    #[test]
    fn joined_files_that_begin_alike_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let of = |second: &[u8]| {
            let path = dir.path().join("all.gz");
            std::fs::write(&path, [gz(b"first"), gz(second)].concat()).unwrap();
            digest(&FilePlace::backup(path)).unwrap().unwrap().fingerprint(Fingerprint([1; 16]))
        };
        assert_ne!(of(b"second"), of(b"other"));
        assert_eq!(of(b"second"), of(b"second"));
    }
}
