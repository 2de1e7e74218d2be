//! Which generations there are, where each can be read, and in which order.
//!
//! A directory listing is the truth; what the kernel reports is only a reason to look. A generation is known by its
//! fingerprint. As long as a file is held open its inode cannot be given to another, so there (device, inode) will do;
//! everywhere else the head is read again.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::head::{self, Head};
use super::names::{self, Name, Stamp};
use super::source::{begins_with, decoder};
use crate::event::{Fingerprint, Key, Nanos};

/// A rotated file that did not grow for so long is closed: a second writer would have shown itself.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// Files held open at most, oldest first.
const HELD: usize = 256;

/// One generation, as the last listing found it.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(super) print: Fingerprint,
    /// The file's name, for people.
    pub(super) name: Arc<str>,
    pub(super) path: PathBuf,
    pub(super) place: Place,
    /// Decompressed bytes; of a `.gz` what its trailer says, which is an estimate.
    pub(super) length: u64,
    /// It stands under the live name.
    pub(super) live: bool,
    /// Nothing will be appended any more.
    pub(super) closed: bool,
    /// Time of its first event.
    pub(super) time: Option<Nanos>,
    /// When it was rotated, if its name tells.
    pub(super) rotated: Option<Nanos>,
    pub(super) probe: Vec<u8>,
}

/// How a generation can be read.
#[derive(Clone, Debug)]
pub(super) enum Place {
    /// It is open; its path may be gone or be another's.
    Held(Arc<File>),
    Plain,
    Gzip,
}

/// Identity of a file as long as it exists.
type FileId = (u64, u64);

/// A generation and what is needed to recognise its file at the next look.
#[derive(Debug)]
struct Tracked {
    generation: Arc<Generation>,
    id: FileId,
    grown: Instant,
}

/// A head that need not be read again while the file stays as it was.
#[derive(Debug)]
struct Cached {
    size: u64,
    modified: (i64, i64),
    head: Head,
    /// Decompressed bytes, as far as known.
    length: u64,
}

impl Cached {
    fn new(meta: &Metadata, head: Head, length: u64) -> Self {
        Self { size: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()), head, length }
    }

    fn untouched(&self, meta: &Metadata) -> bool {
        self.size == meta.len() && self.modified == (meta.mtime(), meta.mtime_nsec())
    }
}

/// A file, what is known of it, and its descriptor if it is open.
type Identified = (FileId, Cached, Option<Arc<File>>);

/// The generations of one input.
#[derive(Debug)]
pub(super) struct Catalogue {
    directory: PathBuf,
    live: String,
    key: Key,
    tracked: Vec<Tracked>,
    heads: HashMap<FileId, Cached>,
}

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Oldest first, the live one last.
    pub(super) generations: Vec<Arc<Generation>>,
    /// Files that could not be read, and why.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// Something is about to change with time alone: look again after this.
    pub(super) again: Option<Duration>,
    pub(super) live_exists: bool,
    pub(super) backups: usize,
}

impl Catalogue {
    pub(super) fn new(path: &Path, key: Key) -> Self {
        let live =
            path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Self { directory, live, key, tracked: Vec::new(), heads: HashMap::new() }
    }

    /// Lists the directory and brings the catalogue up to date. `wanted` says whether somebody still reads a
    /// generation, so that its file has to be held open.
    pub(super) fn look(
        &mut self,
        now: Instant,
        wanted: impl Fn(Fingerprint) -> bool,
    ) -> io::Result<Found> {
        let names = self.list()?;
        let mut found = Found {
            live_exists: names.iter().any(|name| name.stamp.is_none()),
            ..Found::default()
        };
        found.backups = names.len() - usize::from(found.live_exists);
        let mut heads = HashMap::new();
        let mut next: Vec<Tracked> = Vec::new();
        for name in names {
            let path = self.directory.join(&*file_name(&name));
            match self.identify(&name, &path, now, &mut heads) {
                Ok(Some(tracked)) => keep_best(&mut next, tracked),
                Ok(None) => {}
                // Renamed or compressed since the listing: the next one settles it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    found.again = Some(Duration::from_millis(5))
                }
                Err(error) => found.unreadable.push((path, error)),
            }
        }
        self.heads = heads;
        self.keep_nameless(&mut next, now, found.live_exists, &wanted);
        hold(&mut next, &wanted);
        if next.iter().any(|tracked| !tracked.generation.live && !tracked.generation.closed) {
            found.again = found.again.or(Some(GRACE));
        }
        found.generations = next.iter().map(|tracked| Arc::clone(&tracked.generation)).collect();
        self.tracked = next;
        Ok(found)
    }

    /// The names that matter, oldest first. A plain backup always wins over its `.gz`.
    fn list(&self) -> io::Result<Vec<Name>> {
        let mut by_stem = BTreeMap::<String, Name>::new();
        for entry in fs::read_dir(&self.directory)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            let Some(name) = names::parse(&self.live, &name) else { continue };
            match by_stem.get(&name.stem) {
                Some(other) if !other.gzip => {}
                _ => drop(by_stem.insert(name.stem.clone(), name)),
            }
        }
        let mut names: Vec<_> = by_stem.into_values().collect();
        names.sort_by(names::order);
        Ok(names)
    }

    /// Finds out whose generation a file is; `None` while it holds nothing that tells.
    fn identify(
        &self,
        name: &Name,
        path: &Path,
        now: Instant,
        heads: &mut HashMap<FileId, Cached>,
    ) -> io::Result<Option<Tracked>> {
        let meta = fs::metadata(path)?;
        if !meta.is_file() {
            return Ok(None);
        }
        let Some((id, cached, file)) = (match self.same(&meta)? {
            Some(known) => Some(known),
            None => self.read_head(name, path)?,
        }) else {
            return Ok(None);
        };
        let old = self
            .tracked
            .iter()
            .find(|old| old.id == id && old.generation.print == cached.head.print);
        let live = name.stamp.is_none();
        let grown = match old {
            Some(old) if old.generation.live == live && old.generation.length == cached.length => {
                old.grown
            }
            _ => now,
        };
        let generation = Generation {
            print: cached.head.print,
            name: file_name(name),
            path: path.to_owned(),
            place: match file {
                _ if name.gzip => Place::Gzip,
                Some(file) => Place::Held(file),
                None => Place::Plain,
            },
            length: cached.length,
            live,
            closed: name.gzip || (!live && now.duration_since(grown) >= GRACE),
            time: cached.head.time,
            rotated: match name.stamp {
                Some(Stamp::Time(time)) => Some(time),
                _ => None,
            },
            probe: cached.head.probe.clone(),
        };
        heads.insert(id, cached);
        Ok(Some(Tracked { generation: Arc::new(generation), id, grown }))
    }

    /// What is known of a file that is surely the one seen before, with its open descriptor if there is one.
    fn same(&self, meta: &Metadata) -> io::Result<Option<Identified>> {
        let id = (meta.dev(), meta.ino());
        let Some(cached) = self.heads.get(&id) else { return Ok(None) };
        let untouched = cached.untouched(meta);
        let held = self.tracked.iter().filter(|old| old.id == id).find_map(|old| {
            match &old.generation.place {
                Place::Held(file) => Some(Arc::clone(file)),
                Place::Plain | Place::Gzip => None,
            }
        });
        if !untouched
            && !held.as_ref().map_or(Ok(false), |file| begins_with(file, &cached.head.probe))?
        {
            return Ok(None);
        }
        // Only a plain file grows, and of that the size is the length.
        let length = if untouched { cached.length } else { meta.len() };
        Ok(Some((id, Cached::new(meta, cached.head.clone(), length), held)))
    }

    /// Opens a file and reads its head. A plain file stays open.
    fn read_head(&self, name: &Name, path: &Path) -> io::Result<Option<Identified>> {
        let file = File::open(path)?;
        // Asked of the open file: the path may be another's by now.
        let meta = file.metadata()?;
        let id = (meta.dev(), meta.ino());
        if name.gzip {
            let length = gzip_length(&file)?;
            // Damage ends the stream here; the reader will meet it and say so.
            let head = head::read(Lenient(decoder(file)), true, &self.key)?;
            let nothing = || {
                io::Error::new(io::ErrorKind::InvalidData, "no event can be decompressed from it")
            };
            return Ok(Some((id, Cached::new(&meta, head.ok_or_else(nothing)?, length), None)));
        }
        let head = head::read(&file, name.stamp.is_some(), &self.key)?;
        Ok(head.map(|head| (id, Cached::new(&meta, head, meta.len()), Some(Arc::new(file)))))
    }

    /// Keeps generations that are held open but have no name any more: deleted, compressed, or moved away.
    fn keep_nameless(
        &mut self,
        next: &mut Vec<Tracked>,
        now: Instant,
        live_exists: bool,
        wanted: &impl Fn(Fingerprint) -> bool,
    ) {
        let mut place = 0;
        for old in std::mem::take(&mut self.tracked) {
            if let Some(at) =
                next.iter().position(|tracked| tracked.generation.print == old.generation.print)
            {
                prefer_held(&mut next[at], &old);
                place = at + 1;
                continue;
            }
            let Place::Held(file) = &old.generation.place else { continue };
            let Ok(meta) = file.metadata() else { continue };
            if !wanted(old.generation.print)
                || !begins_with(file, &old.generation.probe).unwrap_or(false)
            {
                continue;
            }
            let grown = if meta.len() == old.generation.length { old.grown } else { now };
            // A file that was moved away is written to until there is a new one.
            let closed = live_exists && now.duration_since(grown) >= GRACE;
            let generation =
                Generation { length: meta.len(), live: false, closed, ..(*old.generation).clone() };
            next.insert(
                place.min(next.len()),
                Tracked { generation: Arc::new(generation), id: old.id, grown },
            );
            place += 1;
        }
    }
}

/// A generation that was being read from an open file goes on being read from it when only its `.gz` is left.
fn prefer_held(new: &mut Tracked, old: &Tracked) {
    if let (Place::Gzip, Place::Held(file)) = (&new.generation.place, &old.generation.place)
        && file.metadata().is_ok_and(|meta| meta.len() >= old.generation.length)
    {
        let held = Generation {
            place: Place::Held(Arc::clone(file)),
            length: old.generation.length,
            ..(*new.generation).clone()
        };
        new.generation = Arc::new(held);
    }
}

/// Of two files with one fingerprint the live one counts, then the plain one, then the longer one: a copy may be unfinished.
fn keep_best(next: &mut Vec<Tracked>, tracked: Tracked) {
    let rank = |tracked: &Tracked| {
        let generation = &tracked.generation;
        (generation.live, !matches!(generation.place, Place::Gzip), generation.length)
    };
    match next.iter().position(|other| other.generation.print == tracked.generation.print) {
        None => next.push(tracked),
        Some(at) if rank(&tracked) > rank(&next[at]) => {
            next.remove(at);
            next.push(tracked);
        }
        Some(_) => {}
    }
}

/// Lets go of the files that nobody reads, and of those beyond the bound.
fn hold(next: &mut [Tracked], wanted: &impl Fn(Fingerprint) -> bool) {
    let mut held = 0;
    for tracked in next {
        let generation = &tracked.generation;
        let Place::Held(_) = generation.place else { continue };
        held += 1;
        if generation.live || (held <= HELD && wanted(generation.print)) {
            continue;
        }
        held -= 1;
        // By its path again: if that is gone by then, the next look finds the `.gz`.
        tracked.generation = Arc::new(Generation { place: Place::Plain, ..(**generation).clone() });
    }
}

fn file_name(name: &Name) -> Arc<str> {
    if name.gzip { format!("{}.gz", name.stem).into() } else { name.stem.as_str().into() }
}

/// What the trailer of a gzip file says about its decompressed length; true for one member below 4 GiB.
fn gzip_length(file: &File) -> io::Result<u64> {
    let Some(from) = file.metadata()?.len().checked_sub(4) else { return Ok(0) };
    let mut trailer = [0; 4];
    file.read_exact_at(&mut trailer, from)?;
    Ok(u32::from_le_bytes(trailer).into())
}

/// Reads a damaged stream as one that ends where the damage begins.
struct Lenient<R>(R);

impl<R: io::Read> io::Read for Lenient<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.0.read(into) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Ok(0),
            other => other,
        }
    }
}
