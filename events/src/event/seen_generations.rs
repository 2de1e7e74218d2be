//! Which generations of an input were ever seen. The input records them and the checkpoint stores them. So the agent
//! notices when a backup was deleted while it was not running, and reports a gap.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Fingerprint, Nanos};

/// Most generations remembered whose file is gone but which some output has not finished. The oldest are forgotten
/// first.
const GONE: usize = 1000;

/// What the agent knows of a generation from when it last saw its file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct LastSeen {
    /// Name of its file.
    pub file: Arc<str>,
    /// Length in decompressed bytes when it was last seen.
    pub length: u64,
    /// The length is final.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub complete: bool,
    /// Its length before it was truncated, while it is still shorter.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut: u64,
    /// Time of its first event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Nanos>,
    /// It was the live log when an agent last saw it, and no agent has seen what followed it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub live: bool,
    /// It could never be read: it is identified by its file instead of its content.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
    /// Modification time of its file, while it could never be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Nanos>,
    /// Keyed hash that identifies its file, while its name may change: as long as it is the live log or a numbered
    /// backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<Fingerprint>,
}

impl LastSeen {
    /// Its name without `.gz`. Once the server has named a backup, this does not change.
    fn stem(&self) -> &str {
        self.file.strip_suffix(".gz").unwrap_or(&self.file)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A file that can be read.
#[derive(Debug)]
pub struct Readable<'a> {
    /// The fingerprint of the generation in it.
    pub fingerprint: Fingerprint,
    /// See [`LastSeen::own`].
    pub own: Fingerprint,
    /// A name that does not change any more, without `.gz`.
    pub stem: Option<&'a str>,
    /// The first and the last time at which the server wrote to this file. It wrote to no other file in between.
    pub filled: Option<(Nanos, Nanos)>,
}

/// The generations of one input.
pub type Sightings = BTreeMap<Fingerprint, LastSeen>;

/// The sightings of one input, shared by the input, which records them, and the checkpoint, which stores them.
pub struct SeenGenerations {
    input: Arc<str>,
    state: Mutex<Remembered>,
    /// Called when there is something to store.
    moved: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct Remembered {
    known: Sightings,
    /// Generations found by the last scan; `None` before the first.
    present: Option<HashSet<Fingerprint>>,
    /// Generations that this process has seen (`seen`), and that it has seen as the live log (`own`).
    seen: HashSet<Fingerprint>,
    own: HashSet<Fingerprint>,
    /// Unread generations that could be read later, and are now identified by their content.
    resolved: HashSet<Fingerprint>,
    changed: bool,
}

impl SeenGenerations {
    /// Starts from what an earlier process had seen.
    pub fn new(
        input: Arc<str>,
        known: Sightings,
        moved: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let state = Remembered { known, ..Remembered::default() };
        Self { input, state: Mutex::new(state), moved: Box::new(moved) }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // No statement in a locked section leaves the state inconsistent if it panics, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The input's name.
    pub fn input(&self) -> &str {
        &self.input
    }

    /// What is remembered of the generations.
    pub fn known(&self) -> Sightings {
        self.lock().known.clone()
    }

    /// Visits all known generations; the flag says whether this process has seen the generation.
    pub fn each(&self, mut visit: impl FnMut(Fingerprint, &LastSeen, bool)) {
        let state = self.lock();
        for (fingerprint, sighting) in &state.known {
            visit(*fingerprint, sighting, state.seen.contains(fingerprint));
        }
    }

    /// Whether a generation is remembered.
    pub fn holds(&self, fingerprint: Fingerprint) -> bool {
        self.lock().known.contains_key(&fingerprint)
    }

    /// The generation of a rotated file, by its name without `.gz`. A file that cannot be read is taken for the
    /// generation that had this name.
    pub fn named(&self, stem: &str) -> Option<Fingerprint> {
        let state = self.lock();
        state.known.iter().find(|(_, one)| one.stem() == stem).map(|(fingerprint, _)| *fingerprint)
    }

    /// The generation of the file that has this keyed hash (see [`LastSeen::own`]).
    pub fn of_file(&self, own: Fingerprint) -> Option<Fingerprint> {
        let state = self.lock();
        state
            .known
            .iter()
            .find(|(_, one)| one.own == Some(own))
            .map(|(fingerprint, _)| *fingerprint)
    }

    /// The name that a generation was last seen under, without `.gz`.
    pub fn stem_of(&self, fingerprint: Fingerprint) -> Option<String> {
        self.lock().known.get(&fingerprint).map(|sighting| sighting.stem().to_owned())
    }

    /// Whether any known generation could never be read.
    pub fn has_unread(&self) -> bool {
        self.lock().known.values().any(|sighting| sighting.unread)
    }

    /// Whether a generation is known only from a file that could never be read.
    pub fn is_unread(&self, fingerprint: Fingerprint) -> bool {
        self.lock().known.get(&fingerprint).is_some_and(|sighting| sighting.unread)
    }

    /// Call when a file can be read at last: forgets the entry by which it was known before.
    pub fn resolve(&self, file: &Readable<'_>) {
        let mut state = self.lock();
        let Remembered { known, resolved, .. } = &mut *state;
        let is_new = !known.contains_key(&file.fingerprint);
        known.retain(|one, sighting| {
            let named = Some(sighting.stem()) == file.stem;
            // It was renamed and compressed while no agent was running: only its modification time still identifies it.
            let within =
                |(first, last)| sighting.written.is_some_and(|at| first <= at && at <= last);
            let filled = is_new && file.filled.is_some_and(within);
            let done = sighting.unread && (*one == file.own || named || filled);
            if done {
                resolved.insert(*one);
            }
            !done
        });
    }

    /// Whether this entry stood for a file that could not be read, and that has been read since (see `resolve`).
    pub fn is_resolved(&self, fingerprint: Fingerprint) -> bool {
        self.lock().resolved.contains(&fingerprint)
    }

    /// Records everything that a scan found. Growth alone is not stored.
    pub fn note(&self, seen: impl Iterator<Item = (Fingerprint, LastSeen)>) {
        let mut state = self.lock();
        let state = &mut *state;
        let mut present = HashSet::new();
        let mut changed = false;
        for (fingerprint, mut sighting) in seen {
            present.insert(fingerprint);
            if sighting.live {
                state.own.insert(fingerprint);
            }
            let before = state.known.get(&fingerprint);
            // The generation was read before and cannot be read now: keep what is known from then.
            if let Some(before) = before.filter(|before| sighting.unread && !before.unread) {
                let LastSeen { length, complete, .. } = sighting;
                let exact =
                    if complete { (length, true) } else { (before.length, before.complete) };
                (sighting.length, sighting.complete) = exact;
                (sighting.time, sighting.cut, sighting.unread) = (before.time, before.cut, false);
                sighting.written = None;
                changed |= before.file != sighting.file;
                state.known.insert(fingerprint, sighting);
                continue;
            }
            if let Some(before) = before {
                // A held backup's link has a name that the agent gave it: keep the server's name.
                if sighting.file != before.file
                    && sighting.file.starts_with(&fingerprint.to_string())
                {
                    sighting.file = Arc::clone(&before.file);
                }
                sighting.live |= before.live && !state.own.contains(&fingerprint);
                // The length from a `.gz` is less certain than a length known before.
                if before.complete && !sighting.complete {
                    (sighting.complete, sighting.length) = (true, before.length);
                }
                if sighting.length < before.length {
                    sighting.cut = before.length;
                } else if sighting.length < before.cut {
                    sighting.cut = before.cut;
                }
            }
            let shape = |one: &LastSeen| (Arc::clone(&one.file), one.complete, one.live);
            changed |= before.is_none_or(|before| shape(before) != shape(&sighting));
            state.known.insert(fingerprint, sighting);
        }
        changed |= state.present.as_ref().is_some_and(|before| !before.is_subset(&present));
        state.seen.extend(&present);
        state.own.retain(|fingerprint| present.contains(fingerprint));
        state.present = Some(present);
        if changed {
            state.changed = true;
            (self.moved)();
        }
    }

    /// Whether something has to be stored.
    pub fn is_due(&self) -> bool {
        self.lock().changed
    }

    /// The sightings to store. Forgets generations whose file is gone and which every output has finished.
    pub fn entry(&self, passed: impl Fn(&Fingerprint) -> bool) -> Sightings {
        let mut state = self.lock();
        state.changed = false;
        let Remembered { known, seen, present: Some(present), .. } = &mut *state else {
            return state.known.clone();
        };
        known.retain(|fingerprint, _| present.contains(fingerprint) || !passed(fingerprint));
        let mut gone: Vec<_> = known
            .iter()
            .filter(|(fingerprint, _)| !present.contains(fingerprint))
            .map(|(fingerprint, sighting)| (sighting.time, *fingerprint))
            .collect();
        gone.sort_unstable();
        for (_, fingerprint) in gone.iter().take(gone.len().saturating_sub(GONE)) {
            known.remove(fingerprint);
        }
        seen.retain(|fingerprint| known.contains_key(fingerprint));
        known.clone()
    }

    /// Call when storing the sightings failed: they have to be stored again.
    pub fn not_saved(&self) {
        self.lock().changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roll(known: Sightings) -> SeenGenerations {
        SeenGenerations::new("in".into(), known, || {})
    }

    fn fingerprint(number: u8) -> Fingerprint {
        Fingerprint([number; 16])
    }

    fn seen(length: u64, complete: bool, live: bool) -> LastSeen {
        LastSeen {
            file: "audit.log".into(),
            length,
            complete,
            cut: 0,
            time: None,
            live,
            unread: false,
            written: None,
            own: None,
        }
    }

    #[test]
    fn growth_is_no_reason_to_write_and_a_rotation_is() {
        let roll = roll(Sightings::new());
        let due = |now: Vec<(Fingerprint, LastSeen)>| {
            roll.note(now.into_iter());
            let due = roll.is_due();
            roll.entry(|_| false);
            due
        };
        assert!(due(vec![(fingerprint(1), seen(5, false, true))]));
        assert!(!due(vec![(fingerprint(1), seen(9, false, true))]));
        assert!(due(vec![
            (fingerprint(1), seen(9, false, false)),
            (fingerprint(2), seen(1, false, true))
        ]));
        assert!(due(vec![
            (fingerprint(1), seen(9, true, false)),
            (fingerprint(2), seen(2, false, true))
        ]));
        assert!(!due(vec![
            (fingerprint(1), seen(9, true, false)),
            (fingerprint(2), seen(3, false, true))
        ]));
        assert!(due(vec![(fingerprint(2), seen(3, false, true))]));
        assert_eq!(roll.known()[&fingerprint(1)].length, 9);
    }

    #[test]
    fn what_is_gone_is_kept_until_every_output_has_passed_it_and_no_more_than_a_bound() {
        let roll = roll([(fingerprint(1), seen(5, true, false))].into());
        // Before the first scan it is unknown which files are gone.
        assert_eq!(roll.entry(|_| true).len(), 1);
        roll.note([(fingerprint(2), seen(1, false, true))].into_iter());
        assert_eq!(roll.entry(|_| false).len(), 2);
        assert_eq!(roll.entry(|gone| *gone == fingerprint(1)).len(), 1);
        let many = (0..2000_u16).map(|number| {
            let mut fingerprint = [3; 16];
            fingerprint[..2].copy_from_slice(&number.to_be_bytes());
            (Fingerprint(fingerprint), seen(1, true, false))
        });
        roll.note(many);
        roll.note([(fingerprint(2), seen(1, false, true))].into_iter());
        assert_eq!(roll.entry(|_| false).len(), 1 + GONE);
    }

    #[test]
    fn a_log_that_was_live_when_nobody_looked_any_more_stays_known_as_such() {
        let roll = roll([(fingerprint(1), seen(5, false, true))].into());
        roll.note(
            [(fingerprint(1), seen(5, true, false)), (fingerprint(2), seen(5, false, true))]
                .into_iter(),
        );
        roll.note(
            [(fingerprint(2), seen(5, true, false)), (fingerprint(3), seen(5, false, true))]
                .into_iter(),
        );
        let live: Vec<_> = roll.known().values().map(|sighting| sighting.live).collect();
        assert_eq!(live, [true, false, true]);
    }
}
