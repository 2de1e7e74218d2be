//! Files that a listing shows and nobody may open: what was seen of them is owed, whatever becomes of them.
//!
//! Such a file is known by itself, which stays the same when it is renamed; once its server has named it, by that name
//! too, which stays the same when it is compressed. When it can be read at last, it is known by what it holds.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::catalogue::Tracked;
use super::file_place::FilePlace;
use super::files::IdentifiedFile;
use super::generation::{FileId, Generation, file_id};
use super::names::{Name, Stamp, server_stamp};
use super::now::Now;
use crate::event::{Fingerprint, Key, Nanos, Readable, SeenGenerations};

/// The clock of a file system is some milliseconds behind that of the server, and the stamp in a name is cut to one.
const SLACK: Nanos = 10_000_000;

/// Recognises files that cannot be read, by what is remembered of them.
pub(super) struct Unread {
    key: Key,
    /// `None` where nothing is remembered: for one look.
    roll: Option<Arc<SeenGenerations>>,
}

impl Unread {
    pub(super) fn new(key: Key) -> Self {
        Self { key, roll: None }
    }

    pub(super) fn remembering(&mut self, roll: Arc<SeenGenerations>) {
        self.roll = Some(roll);
    }

    /// The generation that a file without access stands for; `None` if nothing is known even of the file.
    pub(super) fn track(&self, name: &Name, place: FilePlace, now: Now) -> Option<Tracked> {
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
            by_content: false,
            unnamed: None,
            unread: true,
            written: meta.as_ref().and_then(written),
            own: meta.as_ref().map(|meta| self.own(meta)).filter(|_| lasting(name).is_none()),
            probe: Arc::default(),
        };
        let id = meta.map_or((0, 0), |meta| file_id(&meta));
        Some(Tracked { generation: Arc::new(generation), id, grown: now.steady, named: true })
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

    /// What tells a file from others whose name may change before the next look, or the next process; `before` is what
    /// the last look made of it.
    pub(super) fn own_of(
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
        // An inode is used again, but not with the same time of birth.
        let born = meta.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let born = born.unwrap_or_default().as_nanos();
        self.key.hash(format!("unread {} {} {born}", meta.dev(), meta.ino()).as_bytes())
    }

    /// A file can be read: what it was known by before is not missed.
    pub(super) fn resolve(&self, name: &Name, place: &FilePlace, known: &IdentifiedFile) {
        let Some(roll) = self.roll.as_ref().filter(|roll| roll.has_unread()) else { return };
        let Ok(meta) = place.metadata() else { return };
        let fingerprint = known.head.fingerprint;
        // Of a file that only a link keeps: the name that it was last seen under.
        let seen = roll.stem_of(fingerprint).filter(|stem| server_stamp(stem).is_some());
        let stem = lasting(name).or(seen.as_deref());
        // A file is compressed after it was filled, at some time.
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

/// When a file was last written to.
fn written(meta: &Metadata) -> Option<Nanos> {
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Nanos::try_from(since.as_nanos()).ok()
}

/// A name that its file keeps. Numbers move up, and the log's own name goes to the next file.
fn lasting(name: &Name) -> Option<&str> {
    matches!(name.stamp, Some(Stamp::Time(_))).then_some(&*name.stem)
}
