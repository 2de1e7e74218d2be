//! A generation, as the last look at the directory found it: its fingerprint, its file and its length.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use super::place::FilePlace;
use crate::disk::ReadFile;
use crate::event::{Fingerprint, LastSeen, Nanos, nanos};

/// Identity of a file as long as it exists: (device, inode).
pub(crate) type FileId = (u64, u64);

pub(crate) fn file_id(meta: &Metadata) -> FileId {
    (meta.dev(), meta.ino())
}

/// The modification time of a file.
pub(crate) fn written(meta: &Metadata) -> Option<Nanos> {
    nanos(meta.modified().ok()?)
}

/// When a file lost its last name, if only the agent's own links are left. The change time is used if it is later
/// than the modification time: then the link count changed last, not the content.
pub(crate) fn unnamed(meta: &Metadata, own: u64) -> Option<Nanos> {
    let time = |seconds, rest| Nanos::from(seconds) * 1_000_000_000 + Nanos::from(rest);
    let changed = time(meta.ctime(), meta.ctime_nsec());
    (meta.nlink() <= own && changed > time(meta.mtime(), meta.mtime_nsec())).then_some(changed)
}

/// An open file. Its path may be gone or belong to another file.
#[derive(Clone, Debug)]
pub(crate) struct OpenFile {
    pub(crate) file: Arc<ReadFile>,
    /// It is compressed, in whichever format.
    pub(crate) gzip: bool,
    pub(crate) id: FileId,
}

impl OpenFile {
    pub(crate) fn open(place: &FilePlace, gzip: bool) -> io::Result<Self> {
        let file = Arc::new(place.open()?);
        let id = file_id(&file.metadata()?);
        Ok(Self { file, gzip, id })
    }
}

/// The bytes between two rotations, and where they can be read.
///
/// Many fields: each is a fact of its own that one look found.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Generation {
    pub(crate) fingerprint: Fingerprint,
    /// The file's name, for messages.
    pub(crate) name: Arc<str>,
    pub(crate) place: FilePlace,
    /// The file of that name is compressed.
    pub(crate) gzip: bool,
    /// The open file to read from, if it is open; else the file is opened at `place`.
    pub(crate) held: Option<OpenFile>,
    /// Decompressed bytes. For a `.gz` the length in its trailer, for other formats the size on disk: an estimate.
    pub(crate) length: u64,
    /// It has the live log's name.
    pub(crate) live: bool,
    /// Nothing more will be appended.
    pub(crate) closed: bool,
    /// Time of its first event.
    pub(crate) time: Option<Nanos>,
    /// When it was rotated, if its name says so.
    pub(crate) rotated: Option<Nanos>,
    /// When the server removed its last name at the latest: it compressed or deleted the file.
    pub(crate) unnamed: Option<Nanos>,
    /// It cannot be opened: only its name and size are known, or what was read of it before.
    pub(crate) unread: bool,
    /// See [`LastSeen::written`].
    pub(crate) written: Option<Nanos>,
    /// See [`LastSeen::own`].
    pub(crate) own: Option<Fingerprint>,
    /// The first bytes of the file.
    pub(crate) probe: Arc<[u8]>,
}

impl Generation {
    /// Decides between two files with one fingerprint: the live one wins, then the plain one, then the longer one,
    /// because a copy may be unfinished.
    pub(crate) fn rank(&self) -> (bool, bool, u64) {
        (self.live, !self.gzip, self.length)
    }

    /// Whether it is read through the decompressor.
    pub(crate) fn is_compressed(&self) -> bool {
        self.held.as_ref().map_or(self.gzip, |held| held.gzip)
    }

    /// The record that is kept of it in case it is gone before it is read.
    pub(crate) fn sighting(&self) -> (Fingerprint, LastSeen) {
        let sighting = LastSeen {
            file: Arc::clone(&self.name),
            length: self.length,
            // The length of a `.gz` is an estimate.
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

    /// Its current length: an open file may have grown since the look.
    pub(crate) fn length_now(&self) -> u64 {
        match &self.held {
            Some(held) if !held.gzip => held.file.length().unwrap_or(self.length),
            _ => self.length,
        }
    }

    /// A time for lines without a time and with no timed line before them: when the file was created or last written,
    /// whichever is earlier. So it stays the same while the file grows, after a rename, and in a copy that kept its
    /// times.
    pub(crate) fn file_time(&self) -> Option<Nanos> {
        let meta = match &self.held {
            Some(held) => held.file.metadata(),
            None => self.place.metadata(),
        };
        let meta = meta.ok()?;
        nanos(meta.created().into_iter().chain(meta.modified()).min()?)
    }

    /// The open file to read it from.
    pub(crate) fn open(&self) -> io::Result<OpenFile> {
        if let Some(held) = &self.held {
            return Ok(held.clone());
        }
        OpenFile::open(&self.place, self.gzip)
    }
}
