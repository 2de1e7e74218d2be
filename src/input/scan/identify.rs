//! Identifies files: which generation a file holds, by its head. The head is read once and cached as long as the file
//! is unchanged.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use crate::disk::ReadFile;
use crate::event::Key;
use crate::input::file::generation::{FileId, OpenFile, file_id};
use crate::input::file::head::{self, Head, HeadSearch};
use crate::input::file::names::Name;
use crate::input::file::packing::{BEGIN, Foreign, Packing, begin_of, is_text};
use crate::input::file::place::FilePlace;
use crate::input::file::source::{begins_with, decoder, is_damage};
use crate::input::now::Now;
use crate::input::pulse::Pulse;

/// The facts about an identified file.
#[derive(Debug)]
pub(crate) struct IdentifiedFile {
    pub(crate) id: FileId,
    pub(crate) head: Head,
    /// It is compressed, whatever its name says.
    pub(crate) gzip: bool,
    /// Decompressed bytes, as far as known.
    pub(crate) length: u64,
    /// The file, if it has just been opened or was open before.
    pub(crate) held: Option<OpenFile>,
}

/// The result of identifying a file.
#[derive(Debug)]
pub(crate) enum Identified {
    As(IdentifiedFile),
    /// It has no complete first event yet, so it has no fingerprint; more may be written.
    NotYet,
    /// It is finished and empty: it holds no event and nothing else.
    NoEvent,
}

/// The cached head of a file, valid while its size and modification time are unchanged.
#[derive(Debug)]
struct Cached {
    size: u64,
    modified: (i64, i64),
    /// `None`: the file is empty and nothing more will be written.
    head: Option<Head>,
    gzip: bool,
    length: u64,
    /// Listed since the last [`Files::sweep`].
    listed: bool,
}

/// The cached heads of all files that the last look listed.
#[derive(Debug)]
pub(crate) struct Files {
    key: Key,
    pulse: Pulse,
    /// The most work spent on the search for a head.
    most: u64,
    heads: HashMap<FileId, Cached>,
}

impl Files {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, pulse: Pulse::default(), most: head::MOST, heads: HashMap::new() }
    }

    /// Searches each file to its end, for files named on the command line.
    pub(crate) fn searching_all(self) -> Self {
        Self { most: u64::MAX, ..self }
    }

    /// Reports to the agent's health that a search makes progress.
    pub(crate) fn shown_by(&mut self, pulse: &Pulse) {
        self.pulse = pulse.clone();
    }

    /// Identifies a file. `held` returns the open file kept of it, if there is one.
    pub(crate) fn identify(
        &mut self,
        name: &Name,
        place: &FilePlace,
        now: Now,
        held: impl FnOnce(FileId) -> Option<OpenFile>,
    ) -> io::Result<Identified> {
        let meta = place.metadata()?;
        let (found, meta) = match self.same(&meta, held)? {
            Some(found) => (found, meta),
            None => self.read_head(name, place, now)?,
        };
        let (first, gzip, length) = match &found {
            Identified::As(known) => (Some(known.head.clone()), known.gzip, known.length),
            Identified::NoEvent => (None, true, 0),
            Identified::NotYet => return Ok(found),
        };
        let (size, modified) = (meta.len(), (meta.mtime(), meta.mtime_nsec()));
        let cached = Cached { size, modified, head: first, gzip, length, listed: true };
        self.heads.insert(file_id(&meta), cached);
        Ok(found)
    }

    /// Forgets the files that were not listed since the last call.
    pub(crate) fn sweep(&mut self) {
        self.heads.retain(|_, cached| std::mem::take(&mut cached.listed));
    }

    /// The cached facts, if the file is surely the one seen before. While a file is held open, its inode cannot be
    /// reused.
    fn same(
        &self,
        meta: &Metadata,
        held: impl FnOnce(FileId) -> Option<OpenFile>,
    ) -> io::Result<Option<Identified>> {
        let id = file_id(meta);
        let Some(cached) = self.heads.get(&id) else { return Ok(None) };
        let gzip = cached.gzip;
        let held = held(id).filter(|held| held.gzip == gzip);
        let modified = (meta.mtime(), meta.mtime_nsec());
        let untouched = cached.size == meta.len() && cached.modified == modified;
        let Some(known) = &cached.head else {
            return Ok(untouched.then_some(Identified::NoEvent));
        };
        // Only a plain file grows, and its size is its length.
        let grew = |held: &OpenFile| Ok(!gzip && begins_with(&held.file, &known.probe)?);
        if !untouched && !held.as_ref().map_or(io::Result::Ok(false), grew)? {
            return Ok(None);
        }
        let length = if untouched { cached.length } else { meta.len() };
        Ok(Some(Identified::As(IdentifiedFile { id, head: known.clone(), gzip, length, held })))
    }

    fn read_head(
        &self,
        name: &Name,
        place: &FilePlace,
        now: Now,
    ) -> io::Result<(Identified, Metadata)> {
        let file = Arc::new(place.open()?);
        // From the open file, since the name may belong to another by now.
        let meta = file.metadata()?;
        let begin = begin_of(&file)?;
        let packing = Packing::of(&begin).map_err(io::Error::other)?;
        let gzip = packing.is_some() || (name.gzip && !is_text(&begin));
        let (head, length) = if gzip {
            (self.gzip_head(name, &file, &meta, now)?, packed_length(packing, &file, &meta)?)
        } else {
            (self.search(&*file, name.stamp.is_some())?, meta.len())
        };
        // A compressed tar archive is not a log either.
        if gzip && head.as_ref().is_some_and(|head| Packing::of(&head.probe) == Err(Foreign::Tar)) {
            return Err(io::Error::other(Foreign::PackedTar));
        }
        let id = file_id(&meta);
        let open = OpenFile { file, gzip, id };
        let found = match head {
            Some(head) => {
                Identified::As(IdentifiedFile { id, head, gzip, length, held: Some(open) })
            }
            None if gzip && is_settled(&meta, now) => Identified::NoEvent,
            None => Identified::NotYet,
        };
        Ok((found, meta))
    }

    fn search(&self, source: impl io::Read, closed: bool) -> io::Result<Option<Head>> {
        head::read(source, closed, &self.key, &HeadSearch { pulse: &self.pulse, most: self.most })
    }

    /// The head of a compressed file. One that cannot be decompressed at all is identified by its name and size.
    fn gzip_head(
        &self,
        name: &Name,
        file: &Arc<ReadFile>,
        meta: &Metadata,
        now: Now,
    ) -> io::Result<Option<Head>> {
        let read = |closed| {
            let mut stream =
                Lenient { inner: decoder(Arc::clone(file))?, damaged: meta.len() == 0 };
            Ok::<_, io::Error>((self.search(&mut stream, closed)?, stream.damaged))
        };
        let (head, damaged) = read(false)?;
        // A stream truncated within its first line may still be being written, and a piece of a line identifies
        // nothing.
        if head.is_some() || (damaged && !is_settled(meta, now)) {
            return Ok(head);
        }
        let (head, damaged) = read(true)?;
        if head.is_some() || !damaged {
            return Ok(head);
        }
        let fingerprint = self.key.hash(format!("{} {}", name.stem, meta.len()).as_bytes());
        Ok(Some(Head { fingerprint, time: None, probe: Arc::default() }))
    }
}

/// The format of a file, with a check inside a compressed one.
pub(crate) fn format_of(file: &Arc<ReadFile>) -> io::Result<Result<Option<Packing>, Foreign>> {
    let packing = match Packing::of(&begin_of(file)?) {
        Ok(Some(packing)) => packing,
        other => return Ok(other),
    };
    let mut begin = Vec::new();
    // Damage is ignored here; the reader will meet it.
    let _ = decoder(Arc::clone(file))?.take(BEGIN as u64).read_to_end(&mut begin);
    if Packing::of(&begin) == Err(Foreign::Tar) {
        return Ok(Err(Foreign::PackedTar));
    }
    Ok(Ok(Some(packing)))
}

/// Whether nobody has written to a file for long enough.
pub(crate) fn is_settled(meta: &Metadata, now: Now) -> bool {
    // A time in the future says nothing, so the file counts as settled.
    meta.modified().map_or(true, |time| {
        now.wall.duration_since(time).map_or(true, |age| age >= now.waits.settled)
    })
}

/// An estimate of a compressed file's decompressed length: the length in the trailer of a gzip file, which is right
/// for one member below 4 GiB; the file's own size for other formats.
fn packed_length(packing: Option<Packing>, file: &ReadFile, meta: &Metadata) -> io::Result<u64> {
    if packing.is_some_and(|packing| packing != Packing::Gzip) {
        return Ok(meta.len());
    }
    let Some(from) = meta.len().checked_sub(4) else { return Ok(0) };
    let mut trailer = [0; 4];
    file.read_exact_at(&mut trailer, from)?;
    Ok(u32::from_le_bytes(trailer).into())
}

/// Makes a damaged stream end where the damage begins. The reader will meet the damage and report it.
struct Lenient<R> {
    inner: R,
    damaged: bool,
}

impl<R: io::Read> io::Read for Lenient<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(into) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted && is_damage(&error) => {
                self.damaged = true;
                Ok(0)
            }
            other => other,
        }
    }
}
