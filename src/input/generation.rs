//! One generation, as the last look at the directory found it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::file_place::FilePlace;
use crate::disk::ReadFile;
use crate::event::{Fingerprint, LastSeen, Nanos};

/// Identity of a file as long as it exists: (device, inode).
pub(super) type FileId = (u64, u64);

pub(super) fn file_id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

/// When the last name of a file went, if no more than our own are left: what changed last is its number of links, and not
/// what it holds.
pub(super) fn unnamed(meta: &Metadata, own: u64) -> Option<Nanos> {
    let nanos = |seconds, rest| Nanos::from(seconds) * 1_000_000_000 + Nanos::from(rest);
    let changed = nanos(meta.ctime(), meta.ctime_nsec());
    (meta.nlink() <= own && changed > nanos(meta.mtime(), meta.mtime_nsec())).then_some(changed)
}

/// An open file. Its path may be gone or be another's.
#[derive(Clone, Debug)]
pub(super) struct OpenFile {
    pub(super) file: Arc<ReadFile>,
    /// It is compressed, in whichever format.
    pub(super) gzip: bool,
    pub(super) id: FileId,
}

impl OpenFile {
    pub(super) fn open(place: &FilePlace, gzip: bool) -> io::Result<Self> {
        let file = Arc::new(place.open()?);
        let id = file_id(&file.metadata()?);
        Ok(Self { file, gzip, id })
    }
}

/// The bytes between two renames, and where they can be read.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Generation {
    pub(super) fingerprint: Fingerprint,
    /// The file's name, for people.
    pub(super) name: Arc<str>,
    pub(super) place: FilePlace,
    /// The file of that name is compressed.
    pub(super) gzip: bool,
    /// What to read, where it is open; else it is opened in its place.
    pub(super) held: Option<OpenFile>,
    /// Decompressed bytes; of a `.gz` what its trailer says, of other formats what it takes on disk: an estimate.
    pub(super) length: u64,
    /// It stands under the live name.
    pub(super) live: bool,
    /// Nothing will be appended any more.
    pub(super) closed: bool,
    /// Time of its first event.
    pub(super) time: Option<Nanos>,
    /// When it was rotated, if its name tells.
    pub(super) rotated: Option<Nanos>,
    /// Its offsets are not those of the server's log.
    pub(super) by_content: bool,
    /// When the server took its last name, at the latest: it compressed or deleted the file.
    pub(super) unnamed: Option<Nanos>,
    /// It cannot be opened: only its name and its size are known, or what was read of it before.
    pub(super) unread: bool,
    /// See [`LastSeen::written`].
    pub(super) written: Option<Nanos>,
    /// See [`LastSeen::own`].
    pub(super) own: Option<Fingerprint>,
    /// What it begins with.
    pub(super) probe: Arc<[u8]>,
}

impl Generation {
    /// Of two files with one fingerprint the live one counts, then the plain one, then the longer one: a copy may be
    /// unfinished.
    pub(super) fn rank(&self) -> (bool, bool, u64) {
        (self.live, !self.gzip, self.length)
    }

    /// Whether it is read through the decompressor.
    pub(super) fn is_compressed(&self) -> bool {
        self.held.as_ref().map_or(self.gzip, |held| held.gzip)
    }

    /// What is remembered of it in case it is gone before it is read.
    pub(super) fn sighting(&self) -> (Fingerprint, LastSeen) {
        let sighting = LastSeen {
            file: Arc::clone(&self.name),
            length: self.length,
            // Of a `.gz` the length is an estimate.
            complete: self.closed && !self.is_compressed(),
            cut: 0,
            time: self.time,
            live: self.live,
            unread: self.unread,
            written: self.written,
            own: self.own,
        };
        (self.fingerprint, sighting)
    }

    /// Its length at this moment: an open file may have grown since the look.
    pub(super) fn length_now(&self) -> u64 {
        match &self.held {
            Some(held) if !held.gzip => held.file.metadata().map_or(self.length, |meta| meta.len()),
            _ => self.length,
        }
    }

    /// A time for lines that have none, nor any before them: when the file was made or last written, whichever is
    /// earlier, so that it is the same while the file grows, after a rename, and in a copy that kept it.
    pub(super) fn file_time(&self) -> Option<Nanos> {
        let meta = match &self.held {
            Some(held) => held.file.metadata(),
            None => self.place.metadata(),
        };
        let meta = meta.ok()?;
        let earlier = meta.created().into_iter().chain(meta.modified()).min()?;
        let since = earlier.duration_since(std::time::SystemTime::UNIX_EPOCH).ok()?;
        Nanos::try_from(since.as_nanos()).ok()
    }

    /// The open file to read it from.
    pub(super) fn open(&self) -> io::Result<OpenFile> {
        if let Some(held) = &self.held {
            return Ok(held.clone());
        }
        OpenFile::open(&self.place, self.gzip)
    }
}
