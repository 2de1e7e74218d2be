//! Opens a plain or gzip file at a decompressed offset and reads on from there.
//!
//! Offsets count decompressed bytes in both, so the reader above need not know which it has.

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::event::{Key, Mark};

/// Compressed bytes read at once.
const WINDOW: usize = 64 << 10;

/// A generation opened for reading.
pub(super) enum Source {
    Plain(Plain),
    Gzip(Gzip),
}

/// A file that is written to, or was.
pub(super) struct Plain {
    file: Arc<File>,
    at: u64,
    /// What the file begins with. Once that has changed, nothing in it is what it was.
    probe: Vec<u8>,
}

/// A compressed backup. Several joined members are one stream.
pub(super) struct Gzip {
    path: PathBuf,
    decoder: MultiGzDecoder<BufReader<File>>,
    at: u64,
    /// Bytes asked of the decoder at once. After damage it goes byte by byte, for what is decoded in the same call as
    /// the damage is lost.
    step: usize,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file begins with something else than when it was opened: it was truncated or written over.
    Replaced,
    /// A gzip stream that breaks off or does not add up. Everything before it has been read.
    Damaged(io::Error),
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Source {
    pub(super) fn plain(file: Arc<File>, at: u64, probe: Vec<u8>) -> Self {
        Self::Plain(Plain { file, at, probe })
    }

    /// Opens a compressed file and decompresses it up to `at`.
    pub(super) fn gzip(path: &Path, at: u64) -> Result<Self, Trouble> {
        let mut gzip = Gzip {
            path: path.to_owned(),
            decoder: decoder(File::open(path)?),
            at: 0,
            step: WINDOW,
        };
        gzip.skip(at)?;
        Ok(Self::Gzip(gzip))
    }

    /// Appends up to `room` bytes to `buffer`; 0 is the end, for now.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, room: usize) -> Result<usize, Trouble> {
        let start = buffer.len();
        buffer.resize(start + room, 0);
        let got = match self {
            Self::Plain(plain) => plain.read(&mut buffer[start..]),
            Self::Gzip(gzip) => gzip.read(&mut buffer[start..]),
        };
        buffer.truncate(start + got.as_ref().unwrap_or(&0));
        got
    }

    /// Whether the bytes before the offset are those that were once acknowledged. A damaged stream says no.
    pub(super) fn matches(&self, mark: Mark, key: &Key) -> io::Result<bool> {
        let length = u64::from(mark.length);
        let mut before = vec![0; mark.length as usize];
        match self {
            Self::Plain(plain) => {
                let Some(from) = plain.at.checked_sub(length) else { return Ok(false) };
                match plain.file.read_exact_at(&mut before, from) {
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                    other => other?,
                }
            }
            Self::Gzip(gzip) => {
                let Some(from) = gzip.at.checked_sub(length) else { return Ok(false) };
                let mut again = Gzip {
                    path: gzip.path.clone(),
                    decoder: decoder(File::open(&gzip.path)?),
                    at: 0,
                    step: WINDOW,
                };
                let read =
                    again.skip(from).and_then(|()| Ok(again.decoder.read_exact(&mut before)?));
                if read.is_err() {
                    return Ok(false);
                }
            }
        }
        Ok(Mark::of(&before, key) == Some(mark))
    }
}

impl Plain {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let got = loop {
            match self.file.read_at(into, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        // Looked at after the reading: if the beginning still stands, so did what was read.
        if got > 0 && !begins_with(&self.file, &self.probe)? {
            return Err(Trouble::Replaced);
        }
        self.at += got as u64;
        Ok(got)
    }
}

/// Whether a file still begins with these bytes.
pub(super) fn begins_with(file: &File, probe: &[u8]) -> io::Result<bool> {
    let mut now = [0; super::head::PROBE];
    let now = &mut now[..probe.len().min(super::head::PROBE)];
    match file.read_exact_at(now, 0) {
        Ok(()) => Ok(now == probe),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Gzip {
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let mut got = 0;
        while got < into.len() {
            let end = into.len().min(got + self.step);
            match self.decoder.read(&mut into[got..end]) {
                Ok(0) => break,
                Ok(more) => {
                    got += more;
                    self.at += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was read before the damage is handed out first; the next call meets it again.
                Err(_) if got > 0 => break,
                Err(_) if self.step > 1 => self.restart_slowly()?,
                Err(error) => return Err(Trouble::Damaged(error)),
            }
        }
        Ok(got)
    }

    fn restart_slowly(&mut self) -> Result<(), Trouble> {
        let at = self.at;
        (self.decoder, self.at) = (decoder(File::open(&self.path)?), 0);
        self.skip(at)?;
        self.step = 1;
        Ok(())
    }

    /// Decompresses up to `target` and throws it away.
    fn skip(&mut self, target: u64) -> Result<(), Trouble> {
        let mut scratch = vec![0; WINDOW];
        while self.at < target {
            let room = usize::try_from(target - self.at).unwrap_or(WINDOW).min(WINDOW);
            match self.decoder.read(&mut scratch[..room]) {
                Ok(0) => return Err(Trouble::Damaged(io::ErrorKind::UnexpectedEof.into())),
                Ok(got) => self.at += got as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Trouble::Damaged(error)),
            }
        }
        Ok(())
    }
}

/// A decompressing reader from a file's beginning.
pub(super) fn decoder(file: File) -> MultiGzDecoder<BufReader<File>> {
    MultiGzDecoder::new(BufReader::with_capacity(WINDOW, file))
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

    /// Everything that can be read from an offset, and whether the end was damage.
    fn drain(path: &Path, at: u64) -> (Vec<u8>, bool) {
        let mut source = match Source::gzip(path, at) {
            Ok(source) => source,
            Err(Trouble::Damaged(_)) => return (Vec::new(), true),
            Err(other) => panic!("{other:?}"),
        };
        let mut all = Vec::new();
        loop {
            match source.read(&mut all, 1000) {
                Ok(0) => return (all, false),
                Ok(_) => {}
                Err(Trouble::Damaged(_)) => return (all, true),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_backup_of_several_members_reads_as_one_from_any_offset() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        std::fs::write(&path, [gz(b"one two "), gz(b""), gz(b"three")].concat()).unwrap();
        for at in 0..=13 {
            assert_eq!(drain(&path, at as u64), (b"one two three"[at..].to_vec(), false));
        }
    }

    #[test]
    fn a_backup_cut_anywhere_gives_a_prefix_and_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let text: Vec<u8> = (0..3000_u32)
            .flat_map(|n| format!("line {}\n", n.wrapping_mul(2_654_435_761) % 1000).into_bytes())
            .collect();
        let whole = gz(&text);
        for cut in (0..whole.len()).step_by(97).chain(whole.len() - 12..whole.len()) {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let (read, damaged) = drain(&path, 0);
            assert!(
                text.starts_with(&read) && (damaged || cut == 0),
                "cut at {cut} of {}",
                whole.len()
            );
            // Without the trailer nothing of the text is missing.
            assert!(cut < whole.len() - 8 || read == text, "cut at {cut} of {}", whole.len());
        }
    }

    #[test]
    fn what_stands_before_a_flipped_byte_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.gz");
        let mut noise = 1_u32;
        let text: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 24) as u8
        })
        .take(300_000)
        .collect();
        let mut broken = gz(&text);
        let last = broken.len() - 3;
        broken[last] ^= 1;
        std::fs::write(&path, &broken).unwrap();
        let (read, damaged) = drain(&path, 0);
        assert!(damaged && read == text, "{} of {} read", read.len(), text.len());
    }

    #[test]
    fn a_file_that_was_written_over_is_not_read_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        std::fs::write(&path, "first\nsecond\n").unwrap();
        let mut source =
            Source::plain(Arc::new(File::open(&path).unwrap()), 6, b"first\n".to_vec());
        let mut buffer = Vec::new();
        assert!(matches!(source.read(&mut buffer, 3), Ok(3)));
        std::fs::write(&path, "other\nsecond third\n").unwrap();
        assert!(matches!(source.read(&mut buffer, 100), Err(Trouble::Replaced)));
        assert_eq!(buffer, b"sec");
    }

    #[test]
    fn the_bytes_before_an_offset_are_recognised() {
        let dir = tempfile::tempdir().unwrap();
        let (path, key) = (dir.path().join("a.gz"), Key([1; 32]));
        std::fs::write(&path, gz(b"first\nsecond\n")).unwrap();
        let source = Source::gzip(&path, 6).ok().unwrap();
        assert!(source.matches(Mark::of(b"first\n", &key).unwrap(), &key).unwrap());
        assert!(!source.matches(Mark::of(b"other\n", &key).unwrap(), &key).unwrap());
    }
}
