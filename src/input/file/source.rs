//! Opens a plain or compressed file at a decompressed offset and reads on from there.
//!
//! Offsets count decompressed bytes in both cases, so the reader need not know which kind it has. A file that was
//! truncated, replaced or damaged is reported as [`Trouble`].

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use super::decoder::Decoder;
use super::generation::OpenFile;
use super::packing::{Packing, begin_of};
use crate::disk::ReadFile;
use crate::event::{Key, Mark};
use crate::input::pulse::{Pulse, Stopped};

/// Window in bytes: compressed bytes read at once, or bytes decompressed at once.
const WINDOW: usize = 64 << 10;
/// Bytes before the current offset that every read compares, to notice a truncation: the end of a line with its time
/// stamps.
const TAIL: usize = 512;

/// A generation opened for reading.
pub(crate) enum Source {
    Plain(Plain),
    Gzip(Box<Gzip>),
}

/// A plain file, which the server writes to or did write to.
pub(crate) struct Plain {
    file: Arc<ReadFile>,
    at: u64,
    /// The first bytes of the file. If they change, the whole file was replaced.
    probe: Arc<[u8]>,
    /// The bytes before `at`. If they change, the file was truncated and has grown again.
    tail: Vec<u8>,
}

/// A compressed backup. Concatenated members are read as one stream.
pub(crate) struct Gzip {
    file: Arc<ReadFile>,
    decoder: FileDecoder,
    at: u64,
    /// The last bytes before the offset at which it was opened.
    before: Vec<u8>,
    /// Bytes asked of the decoder at once. After damage this is 1, because bytes decoded in the same call as the
    /// damage are lost.
    step: usize,
    /// The damage found. A decoder reports it once and then reports the end of the file.
    met: Option<(io::ErrorKind, String)>,
    pulse: Pulse,
}

/// Why reading ended early.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The file has another beginning than expected: it was truncated or overwritten, or the name belongs to another
    /// file.
    Replaced,
    /// The compressed stream is truncated or fails its checksum. Everything before the damage has been read.
    Damaged {
        error: io::Error,
        /// Compressed bytes after the damage.
        rest: u64,
    },
    /// The compressed stream is intact but ends before the offset.
    Short,
    /// The file has held no event for so long that the rest is not read (`barren.rs`).
    Barren {
        /// Bytes in the file after the last byte read.
        rest: u64,
    },
    /// The input was stopped during the read.
    Stopped,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if Stopped::is(&error) { Self::Stopped } else { Self::Io(error) }
    }
}

impl From<Stopped> for Trouble {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Source {
    /// Opens a file that begins with `probe` at a decompressed offset.
    pub(crate) fn open(
        held: OpenFile,
        at: u64,
        probe: &Arc<[u8]>,
        pulse: &Pulse,
    ) -> Result<Self, Trouble> {
        if held.gzip {
            return Ok(Self::Gzip(Box::new(Gzip::open(held.file, at, probe, pulse)?)));
        }
        if !begins_with(&held.file, probe)? {
            return Err(Trouble::Replaced);
        }
        let mut plain = Plain { file: held.file, at, probe: Arc::clone(probe), tail: Vec::new() };
        plain.tail = plain.before()?;
        Ok(Self::Plain(plain))
    }

    /// Appends up to `room` bytes to `buffer`; returns 0 at the current end.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>, room: usize) -> Result<usize, Trouble> {
        let start = buffer.len();
        // Reserves the exact size: a line of many megabytes must not take twice its length.
        buffer.reserve_exact(room);
        buffer.resize(start + room, 0);
        let got = match self {
            Self::Plain(plain) => plain.read(&mut buffer[start..]),
            Self::Gzip(gzip) => gzip.read(&mut buffer[start..]),
        };
        buffer.truncate(start + got.as_ref().unwrap_or(&0));
        got
    }

    /// Bytes in the file after the last byte read: decompressed for a plain file, else compressed.
    pub(crate) fn behind(&self) -> u64 {
        match self {
            Self::Plain(plain) => {
                plain.file.metadata().map_or(0, |meta| meta.len().saturating_sub(plain.at))
            }
            Self::Gzip(gzip) => gzip.behind(),
        }
    }

    /// Whether the bytes before the offset at which it was opened are those once acknowledged, according to their
    /// mark.
    pub(crate) fn matches(&self, mark: Mark, key: &Key) -> io::Result<bool> {
        match self {
            Self::Plain(plain) => holds(&plain.file, plain.at, mark, key),
            Self::Gzip(gzip) => {
                let from = gzip.before.len().checked_sub(mark.length as usize);
                Ok(from.is_some_and(|from| Mark::of(&gzip.before[from..], key) == Some(mark)))
            }
        }
    }
}

/// Whether the bytes of a plain file before an offset match a mark.
pub(crate) fn holds(file: &ReadFile, at: u64, mark: Mark, key: &Key) -> io::Result<bool> {
    let Some(from) = at.checked_sub(mark.length.into()) else { return Ok(false) };
    let mut before = vec![0; (mark.length as usize).min(Mark::LENGTH)];
    match file.read_exact_at(&mut before, from) {
        Ok(()) => Ok(Mark::of(&before, key) == Some(mark)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Plain {
    /// The bytes before `at`; empty if the file is shorter, which the comparison with the mark of that offset
    /// notices.
    fn before(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.at).unwrap_or(TAIL).min(TAIL);
        let mut tail = vec![0; length];
        match self.file.read_exact_at(&mut tail, self.at - length as u64) {
            Ok(()) => Ok(tail),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn is_as_it_was(&self) -> io::Result<bool> {
        if !begins_with(&self.file, &self.probe)? {
            return Ok(false);
        }
        let from = self.at - self.tail.len() as u64;
        let mut now = [0; TAIL];
        let now = &mut now[..self.tail.len()];
        match self.file.read_exact_at(now, from) {
            Ok(()) => Ok(now == self.tail),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let got = loop {
            match self.file.read_at(into, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        // Checked after the read: if the bytes before it are unchanged, the bytes just read and the end of the file
        // are valid.
        if !self.is_as_it_was()? {
            return Err(Trouble::Replaced);
        }
        self.at += got as u64;
        let kept = self.tail.len().min(TAIL.saturating_sub(got));
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(&into[got.saturating_sub(TAIL)..got]);
        Ok(got)
    }
}

/// Whether a file still begins with these bytes.
pub(crate) fn begins_with(file: &ReadFile, probe: &[u8]) -> io::Result<bool> {
    let mut now = [0; super::head::PROBE];
    let now = &mut now[..probe.len().min(super::head::PROBE)];
    match file.read_exact_at(now, 0) {
        Ok(()) => Ok(now == probe),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a compressed file holds exactly `length` decompressed bytes and no damage.
pub(crate) fn is_whole(file: Arc<ReadFile>, length: u64, pulse: &Pulse) -> io::Result<bool> {
    // One byte more than expected, so that a longer file is noticed.
    let mut stream = decoder(file)?.take(length.saturating_add(1));
    let (mut scratch, mut read) = (vec![0; WINDOW], 0);
    loop {
        pulse.turn()?;
        match stream.read(&mut scratch) {
            Ok(0) => return Ok(read == length),
            Ok(got) => read += got as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_damage(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

impl Gzip {
    fn open(file: Arc<ReadFile>, at: u64, probe: &[u8], pulse: &Pulse) -> Result<Self, Trouble> {
        // The name may belong to another file since the look. If the beginning is damaged, the readable part of it is
        // compared.
        let mut head = Vec::new();
        let mut stream = decoder(Arc::clone(&file))?.take(probe.len() as u64);
        match stream.read_to_end(&mut head) {
            Err(error) if !is_damage(&error) => return Err(Trouble::Io(error)),
            _ => {}
        }
        if !probe.starts_with(&head) {
            return Err(Trouble::Replaced);
        }
        let decoder = decoder(Arc::clone(&file))?;
        let (before, step, met, pulse) = (Vec::new(), WINDOW, None, pulse.clone());
        let mut gzip = Self { file, decoder, at: 0, before, step, met, pulse };
        gzip.skip(at)?;
        Ok(gzip)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, Trouble> {
        let mut got = 0;
        while got < into.len() {
            self.pulse.turn()?;
            let end = into.len().min(got + self.step);
            let read = match self.met.take() {
                Some((kind, what)) => Err(io::Error::new(kind, what)),
                None => self.decoder.read(&mut into[got..end]),
            };
            match read {
                Ok(0) => break,
                Ok(more) => {
                    got += more;
                    self.at += more as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The next call reads again what was read so far.
                Err(error) if !is_damage(&error) => return Err(Trouble::Io(error)),
                // The bytes before the damage are returned first; the next call returns the damage.
                Err(error) if got > 0 => {
                    self.met = Some((error.kind(), error.to_string()));
                    break;
                }
                Err(_) if self.step > 1 => self.restart_slowly()?,
                Err(error) => return Err(self.damaged(error)),
            }
        }
        Ok(got)
    }

    fn damaged(&mut self, error: io::Error) -> Trouble {
        self.met = Some((error.kind(), error.to_string()));
        Trouble::Damaged { error, rest: self.behind() }
    }

    /// Compressed bytes that the decoder has not consumed.
    fn behind(&self) -> u64 {
        let length = self.file.metadata().map_or(0, |meta| meta.len());
        length.saturating_sub(self.decoder.consumed())
    }

    fn restart_slowly(&mut self) -> Result<(), Trouble> {
        let at = self.at;
        (self.decoder, self.at) = (decoder(Arc::clone(&self.file))?, 0);
        self.skip(at)?;
        self.step = 1;
        Ok(())
    }

    /// Decompresses up to `target` and keeps only the last bytes, for the comparison with the mark.
    fn skip(&mut self, target: u64) -> Result<(), Trouble> {
        let mut scratch = vec![0; WINDOW.min(usize::try_from(target).unwrap_or(WINDOW))];
        let kept = target.saturating_sub(Mark::LENGTH as u64);
        self.before.clear();
        while self.at < target {
            self.pulse.turn()?;
            let until = if self.at < kept { kept } else { target };
            let room = usize::try_from(until - self.at).unwrap_or(WINDOW).min(WINDOW);
            match self.decoder.read(&mut scratch[..room]) {
                Ok(0) => return Err(Trouble::Short),
                Ok(got) => {
                    if self.at >= kept {
                        self.before.extend_from_slice(&scratch[..got]);
                    }
                    self.at += got as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !is_damage(&error) => return Err(Trouble::Io(error)),
                Err(error) => return Err(self.damaged(error)),
            }
        }
        Ok(())
    }
}

/// Decompresses a file from its beginning. It returns a disk error with its original errno, because a decoder may
/// reword it; [`is_damage`] needs the errno to tell the two apart.
pub(crate) struct FileDecoder(Decoder<BufReader<FromStart>>);

/// See [`FileDecoder`]. The file's shared read position is not used, so other readers are not disturbed. A file of no
/// known format is taken for a gzip file with a damaged beginning.
pub(crate) fn decoder(file: Arc<ReadFile>) -> io::Result<FileDecoder> {
    let packing = Packing::of(&begin_of(&file)?).ok().flatten();
    let compressed = BufReader::with_capacity(WINDOW, FromStart { file, at: 0, failed: None });
    Ok(FileDecoder(Decoder::new(packing.unwrap_or(Packing::Gzip), compressed)))
}

/// Whether an error of [`FileDecoder`] is damage in the file, which every retry meets again. An error of the disk is
/// retried.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

impl FileDecoder {
    /// Compressed bytes that the decoder has consumed.
    fn consumed(&self) -> u64 {
        let buffer = self.0.source();
        buffer.get_ref().at - buffer.buffer().len() as u64
    }
}

impl Read for FileDecoder {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into);
        match self.0.source().get_ref().failed {
            Some(error) if read.is_err() => Err(io::Error::from_raw_os_error(error)),
            _ => read,
        }
    }
}

/// Reads a shared file at its own position.
struct FromStart {
    file: Arc<ReadFile>,
    at: u64,
    /// Errno of the last disk error, if nothing was read since.
    failed: Option<i32>,
}

impl Read for FromStart {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // EINTR is retried here, because a decoder may take it for the end of the stream.
        let read = loop {
            match self.file.read_at(into, self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.failed = read.as_ref().err().and_then(io::Error::raw_os_error);
        self.at += *read.as_ref().unwrap_or(&0) as u64;
        read
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
