//! Opens a plain or compressed file at a decompressed offset and reads on from there.
//!
//! Offsets count decompressed bytes in both, so the reader above need not know which it has.

use std::io::{self, BufReader, Read};
use std::sync::Arc;

use super::decoder::Decoder;
use super::generation::OpenFile;
use super::packing::{Packing, begin_of};
use super::pulse::{Pulse, Stopped};
use crate::disk::ReadFile;
use crate::event::{Key, Mark};

/// Bytes decompressed or, compressed, read at once.
const WINDOW: usize = 64 << 10;
/// Bytes before the place read that are compared at each reading: a line's end with its time stamps.
const TAIL: usize = 512;

/// A generation opened for reading.
pub(super) enum Source {
    Plain(Plain),
    Gzip(Box<Gzip>),
}

/// A file that is written to, or was.
pub(super) struct Plain {
    file: Arc<ReadFile>,
    at: u64,
    /// What the file begins with. Once that has changed, nothing in it is what it was.
    probe: Arc<[u8]>,
    /// What stands before `at`. Once that has changed, the file was cut and has grown again.
    tail: Vec<u8>,
}

/// A compressed backup. Several joined members are one stream.
pub(super) struct Gzip {
    file: Arc<ReadFile>,
    decoder: FileDecoder,
    at: u64,
    /// The last bytes before the offset at which it was opened.
    before: Vec<u8>,
    /// Bytes asked of the decoder at once. After damage it goes byte by byte, for what is decoded in the same call as
    /// the damage is lost.
    step: usize,
    /// The damage that was met. A decoder says it once, and then that the file ends here.
    met: Option<(io::ErrorKind, String)>,
    pulse: Pulse,
}

/// Why reading ended early.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The file begins with something else than it should: it was truncated, written over, or its name is another's.
    Replaced,
    /// A compressed stream that breaks off or does not add up. Everything before it has been read.
    Damaged {
        error: io::Error,
        /// Compressed bytes behind the damage.
        rest: u64,
    },
    /// A whole compressed stream that ends before the offset.
    Short,
    /// So much of it holds no event that the rest is not read.
    Barren {
        /// Bytes in the file behind what was read.
        rest: u64,
    },
    /// The input was stopped meanwhile.
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
    pub(super) fn open(
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

    /// Appends up to `room` bytes to `buffer`; 0 is the end, for now.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, room: usize) -> Result<usize, Trouble> {
        let start = buffer.len();
        // Exactly: a line of many megabytes must not take twice its length.
        buffer.reserve_exact(room);
        buffer.resize(start + room, 0);
        let got = match self {
            Self::Plain(plain) => plain.read(&mut buffer[start..]),
            Self::Gzip(gzip) => gzip.read(&mut buffer[start..]),
        };
        buffer.truncate(start + got.as_ref().unwrap_or(&0));
        got
    }

    /// Bytes in the file behind what was read: decompressed where it is plain, else compressed.
    pub(super) fn behind(&self) -> u64 {
        match self {
            Self::Plain(plain) => {
                plain.file.metadata().map_or(0, |meta| meta.len().saturating_sub(plain.at))
            }
            Self::Gzip(gzip) => gzip.behind(),
        }
    }

    /// Whether the bytes before the offset at which it was opened are those that were once acknowledged.
    pub(super) fn matches(&self, mark: Mark, key: &Key) -> io::Result<bool> {
        match self {
            Self::Plain(plain) => holds(&plain.file, plain.at, mark, key),
            Self::Gzip(gzip) => {
                let from = gzip.before.len().checked_sub(mark.length as usize);
                Ok(from.is_some_and(|from| Mark::of(&gzip.before[from..], key) == Some(mark)))
            }
        }
    }
}

/// Whether a mark fits the bytes of a plain file before an offset.
pub(super) fn holds(file: &ReadFile, at: u64, mark: Mark, key: &Key) -> io::Result<bool> {
    let Some(from) = at.checked_sub(mark.length.into()) else { return Ok(false) };
    let mut before = vec![0; (mark.length as usize).min(Mark::LENGTH)];
    match file.read_exact_at(&mut before, from) {
        Ok(()) => Ok(Mark::of(&before, key) == Some(mark)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

impl Plain {
    /// The bytes before `at`; fewer where the file does not reach so far, which the mark of that place will tell.
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
        // Looked at after the reading: if what stood before still does, so did what was read, and the end is one.
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
pub(super) fn begins_with(file: &ReadFile, probe: &[u8]) -> io::Result<bool> {
    let mut now = [0; super::head::PROBE];
    let now = &mut now[..probe.len().min(super::head::PROBE)];
    match file.read_exact_at(now, 0) {
        Ok(()) => Ok(now == probe),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a compressed file holds exactly so many bytes, with no damage.
///
/// # Errors
/// If the input is stopped meanwhile.
pub(super) fn is_whole(file: Arc<ReadFile>, length: u64, pulse: &Pulse) -> io::Result<bool> {
    // One more than there should be, so that what is longer shows.
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
        // The name may be another file's since the look; a damaged beginning is as good as what there is of it.
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
                // What was read so far is read again with it.
                Err(error) if !is_damage(&error) => return Err(Trouble::Io(error)),
                // What was read before the damage is handed out first; the next call meets it again.
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

    /// Compressed bytes that the decoder has not taken.
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

    /// Decompresses up to `target` and keeps only the last of it.
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

/// Decompresses a file from its beginning. An error of the disk comes as the disk has it, for a decoder may say it in words
/// of its own: what [`is_damage`] tells apart.
pub(super) struct FileDecoder(Decoder<BufReader<FromStart>>);

/// See [`FileDecoder`]. Whoever else reads the file does not disturb it. What begins like nothing that is known is a `.gz`
/// whose beginning is damaged.
///
/// # Errors
/// If its first bytes cannot be read.
pub(super) fn decoder(file: Arc<ReadFile>) -> io::Result<FileDecoder> {
    let packing = Packing::of(&begin_of(&file)?).ok().flatten();
    let compressed = BufReader::with_capacity(WINDOW, FromStart { file, at: 0, failed: None });
    Ok(FileDecoder(Decoder::new(packing.unwrap_or(Packing::Gzip), compressed)))
}

/// Whether an error of [`FileDecoder`] is about what the file holds, and will be met again. What the disk did not give is
/// tried again.
pub(super) fn is_damage(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

impl FileDecoder {
    /// Compressed bytes that the decoder has taken.
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

/// Reads a shared file with a place of its own in it.
struct FromStart {
    file: Arc<ReadFile>,
    at: u64,
    /// The error of the disk that was met last, if nothing was read since: its number.
    failed: Option<i32>,
}

impl Read for FromStart {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // A decoder may take an interruption for the end of the stream.
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
