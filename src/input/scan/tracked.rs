//! A generation in the catalogue, with what is needed to recognise its file at the next look.

use std::sync::Arc;
use std::time::Instant;

use super::identify::IdentifiedFile;
use crate::event::Fingerprint;
use crate::input::file::generation::{FileId, Generation, unnamed};
use crate::input::file::names::{Name, Stamp};
use crate::input::file::place::FilePlace;
use crate::input::now::Now;

/// A generation and the facts needed to recognise its file at the next look.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) generation: Arc<Generation>,
    /// The file of that name.
    pub(crate) id: FileId,
    pub(crate) grown: Instant,
    /// The name still exists.
    pub(crate) named: bool,
}

/// Makes a generation of an identified file; `before` is its entry from the last look.
pub(super) fn track(
    name: &Name,
    place: FilePlace,
    known: IdentifiedFile,
    before: Option<&Tracked>,
    own: Option<Fingerprint>,
    now: Now,
) -> Tracked {
    let live = name.stamp.is_none();
    let unchanged = |before: &&Tracked| {
        let old = &before.generation;
        old.fingerprint == known.head.fingerprint && old.live == live && old.length == known.length
    };
    let grown = before.filter(unchanged).map_or(now.steady, |before| before.grown);
    let generation = Generation {
        fingerprint: known.head.fingerprint,
        name: name.file.as_str().into(),
        place,
        gzip: known.gzip,
        held: known.held,
        length: known.length,
        live,
        closed: known.gzip || (!live && now.steady.duration_since(grown) >= now.waits.closed),
        time: known.head.time,
        rotated: match name.stamp {
            Some(Stamp::Time(time)) => Some(time),
            _ => None,
        },
        unnamed: None,
        unread: false,
        written: None,
        own,
        probe: known.head.probe,
    };
    Tracked { generation: Arc::new(generation), id: known.id, grown, named: true }
}

/// A generation that only a link keeps on disk.
pub(super) fn nameless(name: &Name, place: FilePlace, known: IdentifiedFile, now: Now) -> Tracked {
    let unnamed = place.metadata().ok().and_then(|meta| unnamed(&meta, 1));
    let tracked = track(name, place, known, None, None, now);
    let generation = Generation { unnamed, ..Arc::unwrap_or_clone(tracked.generation) };
    Tracked { generation: Arc::new(generation), named: false, ..tracked }
}

/// Inserts a generation by the time of its first event.
pub(super) fn insert(all: &mut Vec<Tracked>, tracked: Tracked) {
    let time = tracked.generation.time;
    let later = |other: &Tracked| {
        let generation = &other.generation;
        generation.live || generation.time > time || (generation.time == time && other.named)
    };
    let at = all.iter().position(later).unwrap_or(all.len());
    all.insert(at, tracked);
}
