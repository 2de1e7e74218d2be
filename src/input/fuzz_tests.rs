//! Fuzzing: any bytes as a compressed backup. It is read to its end or to the damage, with the same result from any
//! offset.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use lzma_rust2::{XzOptions, XzWriter};
use ruzstd::encoding::CompressionLevel;

use crate::event::{Key, Mark};
use crate::input::file::generation::OpenFile;
use crate::input::file::head::{self, Head};
use crate::input::file::packing::Packing;
use crate::input::file::skim::Skim;
use crate::input::file::source::{Source, Trouble};
use crate::input::read::shorten::shortened;

const KEY: Key = Key([3; 32]);
/// The most bytes decompressed: a single flipped bit can produce gigabytes.
const MOST: usize = 1 << 20;

/// Fuzzes a `.gz`.
pub(crate) fn gzip(data: &[u8]) {
    backup(Packing::Gzip, data);
}

/// Fuzzes one of the other compressions; the first byte selects it.
pub(crate) fn packed(data: &[u8]) {
    let Some((&which, rest)) = data.split_first() else { return };
    backup([Packing::Zstd, Packing::Xz, Packing::Bzip2][usize::from(which % 3)], rest);
}

/// The first eight bytes decide how the rest becomes a file, where reading begins, and in which steps.
fn backup(packing: Packing, data: &[u8]) {
    let Some((&[how, flip, a0, a1, b0, b1, step, room], rest)) = data.split_first_chunk::<8>()
    else {
        return;
    };
    let (a, b) =
        (usize::from(u16::from_le_bytes([a0, a1])), usize::from(u16::from_le_bytes([b0, b1])));
    let compressed = |text: &[u8]| compressed(packing, text);
    let file = match how % 4 {
        // Either the raw bytes, or the compressed text: truncated, with one changed byte, or with bytes appended.
        0 => rest.to_vec(),
        1 => {
            let whole = compressed(rest);
            whole[..a % (whole.len() + 1)].to_vec()
        }
        2 => {
            let mut whole = compressed(rest);
            let at = a % whole.len();
            whole[at] ^= flip;
            whole
        }
        _ => {
            let (first, second) = rest.split_at(a % (rest.len() + 1));
            [compressed(first), compressed(second), vec![flip; usize::from(room)]].concat()
        }
    };
    let Ok(held) = held(&file) else { return };
    let (whole, damaged) = drain(&held, 0, 64 << 10);
    if whole.len() >= MOST {
        return;
    }
    if how % 4 == 1 {
        assert!(rest.starts_with(&whole), "a cut gives a prefix");
    }
    // Reading from another offset in other steps gives the same bytes and the same end.
    let from = b % (whole.len() + 1);
    let (again, damaged_again) = drain(&held, from, usize::from(step) * 16 + 1);
    assert!(again == whole[from..], "{} bytes from {from}, of {}", again.len(), whole.len());
    assert_eq!(damaged_again, damaged);
    resumed(&held, &whole, from);
    heads(&whole);
    skims(&whole, usize::from(step) + 1);
}

/// The bytes before an offset match their mark, and no other bytes do.
fn resumed(held: &OpenFile, whole: &[u8], at: usize) {
    let Ok(source) =
        Source::open(held.clone(), at as u64, &Arc::default(), &super::pulse::Pulse::default())
    else {
        return;
    };
    let Some(mark) = Mark::of(&whole[..at], &KEY) else { return };
    assert!(source.matches(mark, &KEY).is_ok_and(|matches| matches));
    assert!(source.matches(mark, &Key([4; 32])).is_ok_and(|matches| !matches));
}

/// The fingerprint does not depend on how the bytes are split into reads, and does not change while the file grows.
fn heads(text: &[u8]) {
    // Reading byte by byte is slow.
    let text = &text[..text.len().min(1 << 10)];
    let read = |closed| head::read_all(text, closed, &KEY).unwrap_or_default();
    // The length of the probe depends on how much had been read.
    let named = |head: Option<Head>| {
        assert!(head.as_ref().is_none_or(|head| text.starts_with(&head.probe)));
        head.map(|Head { fingerprint, time, .. }| (fingerprint, time))
    };
    let closed = named(read(true));
    assert_eq!(named(head::read_all(Slowly(text), true, &KEY).unwrap_or_default()), closed);
    if let Some(live) = named(read(false)) {
        assert_eq!(Some(live), closed, "a generation keeps its name when it is closed");
    }
}

/// The envelope kept of an over-long line does not depend on how its bytes are split; that of JSON is valid JSON.
fn skims(text: &[u8], step: usize) {
    for line in text.split(|byte| *byte == b'\n') {
        let skim = |step: usize| {
            let mut skim = Skim::default();
            line.chunks(step).for_each(|bytes| skim.push(bytes));
            skim.finish()
        };
        let (kept, length) = skim(step);
        assert_eq!((&kept, length), (&skim(MOST).0, line.len() as u64));
        if line.starts_with(b"{") && serde_json::from_slice::<serde_json::Value>(line).is_ok() {
            let short = shortened(&kept, length);
            let reads = serde_json::from_slice::<serde_json::Value>(&short).is_ok();
            assert!(reads, "{}", String::from_utf8_lossy(&short));
        }
    }
}

/// All bytes from an offset on, and whether they end in damage.
fn drain(held: &OpenFile, at: usize, step: usize) -> (Vec<u8>, bool) {
    let mut source = match Source::open(
        held.clone(),
        at as u64,
        &Arc::default(),
        &super::pulse::Pulse::default(),
    ) {
        Ok(source) => source,
        Err(trouble) => {
            assert!(matches!(trouble, Trouble::Damaged { .. }), "{trouble:?}");
            return (Vec::new(), true);
        }
    };
    let mut all = Vec::new();
    while all.len() < MOST {
        match source.read(&mut all, step) {
            Ok(0) => return (all, false),
            Ok(got) => assert!(got <= step),
            Err(trouble) => {
                assert!(matches!(trouble, Trouble::Damaged { .. }), "{trouble:?}");
                return (all, true);
            }
        }
    }
    (all, false)
}

fn held(bytes: &[u8]) -> std::io::Result<OpenFile> {
    let memory = rustix::fs::memfd_create("fuzz", rustix::fs::MemfdFlags::CLOEXEC)?;
    let file = File::from(memory);
    file.write_all_at(bytes, 0)?;
    Ok(OpenFile { file: Arc::new(crate::disk::ReadFile::again(&file)?), gzip: true, id: (0, 0) })
}

fn compressed(packing: Packing, text: &[u8]) -> Vec<u8> {
    let written = match packing {
        Packing::Gzip => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gz.write_all(text).and_then(|()| gz.finish())
        }
        Packing::Zstd => Ok(ruzstd::encoding::compress_to_vec(text, CompressionLevel::Fastest)),
        Packing::Xz => XzWriter::new(Vec::new(), XzOptions::with_preset(0))
            .and_then(|mut xz| xz.write_all(text).and_then(|()| xz.finish())),
        Packing::Bzip2 => {
            let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            bz.write_all(text).and_then(|()| bz.finish())
        }
    };
    written.unwrap_or_default()
}

/// A reader that returns one byte at a time.
struct Slowly<'a>(&'a [u8]);

impl std::io::Read for Slowly<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
        let Some(place) = into.first_mut() else { return Ok(0) };
        (*place, self.0) = (*first, rest);
        Ok(1)
    }
}
