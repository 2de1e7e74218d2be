//! Merges the files that one look found with the generations that earlier looks knew: each generation once, oldest
//! first. Here a backup is recognised after a rename or gzip: it has the fingerprint of a known generation.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::event::Fingerprint;
use crate::input::file::generation::{Generation, unnamed};
use crate::input::file::source::begins_with;
use crate::input::hold::open_files;
use crate::input::hold::pins::Pins;
use crate::input::now::Now;
use crate::input::scan::tracked::Tracked;

/// The list of generations that a look is putting together.
#[derive(Default)]
pub(crate) struct NextCatalogue {
    tracked: Vec<Tracked>,
    places: HashMap<Fingerprint, usize>,
}

impl NextCatalogue {
    /// Adds a file. Of two files with one fingerprint the one of higher rank is kept.
    pub(super) fn add(&mut self, tracked: Tracked) {
        match self.places.get(&tracked.generation.fingerprint) {
            None => {
                self.places.insert(tracked.generation.fingerprint, self.tracked.len());
                self.tracked.push(tracked);
            }
            Some(at) if tracked.generation.rank() > self.tracked[*at].generation.rank() => {
                self.tracked[*at] = tracked;
            }
            Some(_) => {}
        }
    }

    /// Sorts backups by their first events: the numbers, days and local times in names cannot be compared. A backup
    /// without events is placed by its name, or stays after its predecessor.
    pub(super) fn sort(&mut self) {
        let mut before = None;
        let mut keyed: Vec<_> = std::mem::take(&mut self.tracked)
            .into_iter()
            .map(|tracked| {
                let generation = &tracked.generation;
                before = generation.time.or(generation.rotated).or(before);
                ((generation.live, before), tracked)
            })
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        self.tracked = keyed.into_iter().map(|(_, tracked)| tracked).collect();
        let fingerprints = self.tracked.iter().enumerate();
        self.places =
            fingerprints.map(|(at, tracked)| (tracked.generation.fingerprint, at)).collect();
    }

    /// Adds the generations that are held open but have lost their name: they were deleted, compressed, or moved
    /// away. Each keeps its place among its neighbours.
    pub(super) fn with_nameless(
        mut self,
        before: Vec<Tracked>,
        now: Now,
        live_exists: bool,
        (wanted, writer): (&impl Fn(Fingerprint) -> bool, Option<Fingerprint>),
        pins: Option<&Pins>,
    ) -> Vec<Tracked> {
        let pinned = |old: &Tracked| {
            let fingerprint = old.generation.fingerprint;
            pins.is_some_and(|pins| pins.has(fingerprint) || pins.is_bare(fingerprint))
        };
        let mut nameless: Vec<(usize, Tracked)> = Vec::new();
        let mut place = 0;
        for old in before {
            if let Some(at) = self.places.get(&old.generation.fingerprint) {
                open_files::prefer_open(&mut self.tracked[*at], &old, writer);
                place = at + 1;
            } else if wanted(old.generation.fingerprint) || pinned(&old) {
                match still_there(&old, now, live_exists, pins) {
                    Ok(still) => nameless.extend(still.map(|one| (place, one))),
                    // A disk that is unreadable for a while does not remove a generation.
                    Err(_) => nameless.push((place, without_name(&old))),
                }
            }
        }
        let mut all = Vec::with_capacity(self.tracked.len() + nameless.len());
        let mut nameless = nameless.into_iter().peekable();
        for (at, tracked) in self.tracked.into_iter().enumerate() {
            while let Some((_, nameless)) = nameless.next_if(|(place, _)| *place <= at) {
                all.push(nameless);
            }
            all.push(tracked);
        }
        all.extend(nameless.map(|(_, nameless)| nameless));
        all
    }
}

/// A generation as the last look knew it, but without a name, so it is not the live log.
fn without_name(old: &Tracked) -> Tracked {
    let mut generation = Arc::clone(&old.generation);
    if generation.live {
        Arc::make_mut(&mut generation).live = false;
    }
    Tracked { generation, id: old.id, grown: old.grown, named: false }
}

/// A generation without a name, if an open file or link still holds it.
fn still_there(
    old: &Tracked,
    now: Now,
    live_exists: bool,
    pins: Option<&Pins>,
) -> io::Result<Option<Tracked>> {
    if old.generation.held.is_none()
        && old.generation.closed
        && pins.is_some_and(|pins| pins.has(old.generation.fingerprint))
    {
        // Its link was checked already. No reader needs it now, so it is not opened: there may be thousands.
        return Ok(Some(without_name(old)));
    }
    let linked = pins.and_then(|pins| pins.file_of(&old.generation)).transpose()?;
    let own = u64::from(linked.is_some());
    let Some(held) = linked.or_else(|| old.generation.held.clone()) else { return Ok(None) };
    let meta = held.file.metadata()?;
    let (length, closed, grown) = if held.gzip {
        (old.generation.length, true, old.grown)
    } else {
        let length = meta.len();
        if !begins_with(&held.file, &old.generation.probe)? {
            return Ok(None);
        }
        let grown = if length == old.generation.length { old.grown } else { now.steady };
        // A file that was moved away is still written to until there is a new one.
        (length, live_exists && now.steady.duration_since(grown) >= now.waits.closed, grown)
    };
    // The agent's own link may be removed later.
    let unnamed = old.generation.unnamed.or_else(|| unnamed(&meta, own));
    let id = held.id;
    let held = Some(held);
    let old = &old.generation;
    let generation = Generation { length, live: false, closed, held, unnamed, ..(**old).clone() };
    Ok(Some(Tracked { generation: Arc::new(generation), id, grown, named: false }))
}
