//! Files that are listed but cannot be opened (permission denied). The agent still has to deliver their events, or
//! report them as a gap.
//!
//! Inode and birth time identify such a file, and survive a rename. Once the server has given it a backup name, that
//! name identifies it too, and survives compression. When the agent can read the file, its content identifies it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::identify::IdentifiedFile;
use super::tracked::Tracked;
use crate::event::{Fingerprint, Key, Nanos, Readable, SeenGenerations};
use crate::input::file::generation::{FileId, Generation, file_id, written};
use crate::input::file::names::{Name, Stamp, server_stamp};
use crate::input::file::place::FilePlace;
use crate::input::now::Now;

/// The clock of a file system is some milliseconds behind that of the server, and the stamp in a name is truncated to
/// the millisecond.
const SLACK: Nanos = 10_000_000;

/// Recognises the unreadable files that an earlier look or an earlier process knew.
pub(crate) struct Unread {
    key: Key,
    /// `None` if nothing is remembered: for a single look.
    roll: Option<Arc<SeenGenerations>>,
}

impl Unread {
    pub(crate) fn new(key: Key) -> Self {
        Self { key, roll: None }
    }

    pub(crate) fn remembering(&mut self, roll: Arc<SeenGenerations>) {
        self.roll = Some(roll);
    }

    /// The generation of a file that cannot be opened; `None` if not even its metadata or a lasting name is known.
    pub(crate) fn track(&self, name: &Name, place: FilePlace, now: Now) -> Option<Tracked> {
        let meta = place.metadata().ok();
        let fingerprint = self.fingerprint(name, meta.as_ref())?;
        let generation = Generation {
            fingerprint,
            name: name.file.as_str().into(),
            place,
            gzip: name.gzip,
            held: None,
            length: meta.as_ref().map_or(0, Metadata::len),
            live: name.stamp.is_none(),
            closed: name.stamp.is_some(),
            time: None,
            rotated: match name.stamp {
                Some(Stamp::Time(time)) => Some(time),
                _ => None,
            },
            unnamed: None,
            unread: true,
            written: meta.as_ref().and_then(written),
            own: meta.as_ref().map(|meta| self.own(meta)).filter(|_| lasting(name).is_none()),
            probe: Arc::default(),
        };
        let id = meta.map_or((0, 0), |meta| file_id(&meta));
        Some(Tracked { generation: Arc::new(generation), id, grown: now.steady, named: true })
    }

    /// A file that the agent could not read before, and that it can read now but not identify yet. It keeps the
    /// generation that it had as an unreadable file, so that it does not count as gone. `None` for any other file.
    pub(crate) fn still(&self, name: &Name, place: &FilePlace, now: Now) -> Option<Tracked> {
        let roll = self.roll.as_ref().filter(|roll| roll.has_unread())?;
        let tracked = self.track(name, place.clone(), now)?;
        roll.is_unread(tracked.generation.fingerprint).then_some(tracked)
    }

    fn fingerprint(&self, name: &Name, meta: Option<&Metadata>) -> Option<Fingerprint> {
        let own = meta.map(|meta| self.own(meta));
        let stem = lasting(name);
        let roll = self.roll.as_ref();
        let known = own.and_then(|own| {
            let roll = roll?;
            if roll.holds(own) { Some(own) } else { roll.of_file(own) }
        });
        let named = || stem.and_then(|stem| roll?.named(stem));
        let by_name = || stem.map(|stem| self.key.hash(format!("unread {stem}").as_bytes()));
        known.or_else(named).or(own).or_else(by_name)
    }

    /// Identifies a file whose name may change before the next look or the next process. `before` is its entry from
    /// the last look.
    pub(crate) fn own_of(
        &self,
        name: &Name,
        place: &FilePlace,
        id: FileId,
        before: Option<&Tracked>,
    ) -> Option<Fingerprint> {
        if name.gzip || lasting(name).is_some() {
            return None;
        }
        if let Some(own) = before.and_then(|before| before.generation.own) {
            return Some(own);
        }
        let meta = place.metadata().ok().filter(|meta| file_id(meta) == id)?;
        Some(self.own(&meta))
    }

    fn own(&self, meta: &Metadata) -> Fingerprint {
        // An inode may be reused, but not with the same birth time.
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born = born.unwrap_or_default().as_nanos();
        self.key.hash(format!("unread {} {} {born}", meta.dev(), meta.ino()).as_bytes())
    }

    /// Forgets the unreadable file that this file was, so that it is not reported as missing. Call it when the file
    /// can be read.
    pub(crate) fn resolve(&self, name: &Name, place: &FilePlace, known: &IdentifiedFile) {
        let Some(roll) = self.roll.as_ref().filter(|roll| roll.has_unread()) else { return };
        let Ok(meta) = place.metadata() else { return };
        let fingerprint = known.head.fingerprint;
        // For a file that only a link keeps: the name under which it was last seen.
        let seen = roll.stem_of(fingerprint).filter(|stem| server_stamp(stem).is_some());
        let stem = lasting(name).or(seen.as_deref());
        // A file is compressed at any time after it was filled, so a compressed file's modification time says
        // nothing.
        let rotated = stem.and_then(server_stamp).map(|stamp| stamp.saturating_add(SLACK));
        let last = rotated.or_else(|| if known.gzip { None } else { written(&meta) });
        let first = known.head.time.map(|first| first.saturating_sub(SLACK));
        roll.resolve(&Readable {
            fingerprint,
            own: self.own(&meta),
            stem,
            filled: first.zip(last),
        });
    }
}

/// The part of a name that the file keeps. Rotation numbers increase, and the log's own name passes to the next file.
fn lasting(name: &Name) -> Option<&str> {
    matches!(name.stamp, Some(Stamp::Time(_))).then_some(&*name.stem)
}
